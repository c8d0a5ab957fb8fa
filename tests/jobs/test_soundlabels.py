"""soundlabels from files: one method for `label` and for `find`, and runs that need no sound any more."""

from shutil import copyfile

import numpy as np
import pytest

from selflabel.base.errors import UserError
from selflabel.base.settings import make_settings
from selflabel.jobs.callbacks import Callbacks
from selflabel.jobs.label import label
from selflabel.jobs.localise import localise
from selflabel.jobs.predict import predict
from selflabel.jobs.swap_sound import swap_run
from selflabel.runs.run import Run
from tests.scenes import write_scenes


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    """Six pictures with sounds, and one without."""
    folder = tmp_path_factory.mktemp("scenes") / "items"
    write_scenes(folder, 6)
    copyfile(folder / "000.png", folder / "alone.png")
    return folder


@pytest.fixture(scope="module")
def apart(scenes, tmp_path_factory):
    """The pictures in one folder, the sounds in another."""
    folder = tmp_path_factory.mktemp("apart")
    for ending in ("png", "wav"):
        (folder / ending).mkdir()
        for file in scenes.glob(f"*.{ending}"):
            copyfile(file, folder / ending / file.name)
    return folder


def settings_for(scenes, **given):
    common = {"source": str(scenes), "method": "soundlabels", "clusters": 2, "device": "cpu", "epochs": 1, "px": 32}
    return make_settings(**common | given)


def test_sounds_are_described_by_a_fixed_encoder_and_pictures_or_sounds_alone_are_predicted(scenes, apart, tmp_path):
    label(settings_for(scenes, encoder="scratch", epochs=40), tmp_path / "run")
    run = Run.open(tmp_path / "run")
    assert run.modalities["audio"]["encoder"] == "frozen:texture" and run.modalities["image"]["encoder"] == "resnet9"
    heard = run.labels_by_modality["audio"]
    assert set(run.labels["label"].to_pylist()) == {0, 1}  # unseen items get labels that are in use
    assert (heard == -1).sum() == 1 and set(heard) == {-1, 0, 1} and len(run.paths) == 7
    seen = predict(run, str(apart / "png"), "cpu")
    assert seen.labels.tolist() == run.labels["label"].to_pylist() == run.labels_by_modality["image"].tolist()
    sounds = predict(run, str(apart / "wav"), "cpu")
    assert sounds.labels.tolist() == [k for k in heard.tolist() if k >= 0]


def test_find_writes_a_map_for_each_cluster_and_unseen_pictures_need_no_sound(scenes, apart, tmp_path):
    localise(settings_for(scenes), tmp_path / "run")
    run = Run.open(tmp_path / "run")
    maps = run.maps
    assert maps.bytes.shape[:2] == (6, 2) and maps.info.names == ("class 0", "class 1") and run.report["n_photos"] == 6
    highest = maps.values(np.arange(6)).max(axis=(2, 3))  # of each cluster its probability
    assert np.allclose(highest.sum(axis=1), 1, atol=0.02)
    assert (run.labels["label"].to_numpy() == highest.argmax(axis=1)[maps.rows]).all()
    predicted = predict(run, str(apart / "png"), "cpu")
    own = [path != "alone.png" for path in predicted.paths]
    assert predicted.pieces is not None and "alone.png" in predicted.paths
    np.testing.assert_allclose(predicted.pieces.boxes[own], run.pieces.boxes)
    with pytest.raises(UserError, match="for runs of methods that learn from sounds: avol"):
        swap_run(run, None, "cpu", Callbacks())
    with pytest.raises(UserError, match="holds no pairs of picture and sound"):
        predict(run, str(apart / "wav"), "cpu")
