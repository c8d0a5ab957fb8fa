"""Features that belong to files, and several feature spaces: labelled by the features, shown and exported as files, predicted."""

import numpy as np
import pytest
from PIL import Image
from safetensors.torch import save_file

from selflabel import Run, label
from selflabel.base.errors import UserError
from selflabel.base.settings import make_settings
from selflabel.encoders import make_encoder
from selflabel.evaluation.metrics import accuracy
from selflabel.exports import export
from selflabel.jobs.predict import predict
from selflabel.runs.pictures import encode_thumbnail
from selflabel.runs.recorded import Record

N = 90
CLASSES = np.arange(N) % 3


@pytest.fixture
def folder(tmp_path):
    """90 pictures in photos/, features of their class in x.npy, and noise in noise.npy."""
    rng = np.random.default_rng(0)
    np.save(tmp_path / "x.npy", 3 * np.eye(3)[CLASSES] + 0.3 * rng.normal(size=(N, 3)))
    np.save(tmp_path / "noise.npy", rng.normal(size=(N, 9)))
    (tmp_path / "photos").mkdir()
    for i, y in enumerate(CLASSES):
        pixels = np.full((12, 12, 3), (200, 40 * y, 90), np.uint8) + rng.integers(0, 9, (12, 12, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / "photos" / f"{i:02d}.png")
    return tmp_path


def label_into(folder, source, **settings):
    label(make_settings(source=source, clusters=3, method="kmeans", device="cpu", **settings), folder / "run")
    return Run.open(folder / "run")


def test_features_are_shown_exported_and_predicted_as_the_files_of_their_rows(folder):
    names = [f"photos/{i:02d}.png" for i in range(N)]
    (folder / "list.txt").write_text("\n".join(names))
    (folder / names[5]).unlink()
    run = label_into(folder, str(folder / "x.npy"), items=str(folder / "list.txt"))
    assert list(run.paths) == names and accuracy(CLASSES, run.raw_labels["label"].to_numpy()) == 1
    assert (folder / "run/missing.csv").read_text() == f"path,reason\n{names[5]},no such file\n"
    assert (folder / "run/skipped.csv").read_text() == "path,reason\n" and (folder / "run/clusters.png").exists()
    source = run.source().source
    assert encode_thumbnail(source, 4)[:4] == b"\x89PNG" and source.blobs(4)["image"].file.endswith("photos/04.png")
    recorded = [(line["id"], line["modality"]) for line in Record(folder / "run/sources.parquet")]
    assert recorded[:3] == [(-1, "features"), (0, "image"), (1, "image")] and len(recorded) == N
    done = export(run, "imagefolder", folder / "out")
    assert done.n_items == N - 1 and done.first_left_out.startswith(names[5])
    assert len(list((folder / "out").rglob("*.png"))) == N - 1
    predicted = predict(run, str(folder / "x.npy"), "cpu", files=str(folder / "list.txt"))
    assert predicted.paths == names and np.array_equal(predicted.labels, run.raw_labels["label"].to_numpy())
    (folder / "moved").mkdir()
    (folder / "photos").rename(folder / "moved/photos")
    assert run.source(str(folder / "moved")).source.blobs(4)["image"].file.startswith(str(folder / "moved"))


def test_with_a_network_the_files_of_a_table_of_features_are_labelled(folder):
    lines = [f'photos/{i:02d}.png,"[1, {i}]"' for i in range(N)]
    (folder / "t.csv").write_text("\n".join(["path,embedding", *lines]))
    save_file(make_encoder("conv4", 3, 12).state_dict(), folder / "conv4.safetensors")
    words = {"encoder": "frozen:conv4", "weights": str(folder / "conv4.safetensors")}
    run = label_into(folder, str(folder / "t.csv"), **words)
    assert run.modalities["image"]["encoder"] == "frozen:conv4"
    assert np.array_equal(predict(run, str(folder / "t.csv"), "cpu").labels, run.raw_labels["label"].to_numpy())


def test_a_run_is_not_resumed_with_other_features(folder):
    settings = make_settings(
        source=str(folder / "x.npy"), items=str(folder / "photos"), clusters=3, method="kmeans", device="cpu"
    )
    label(settings, folder / "run")
    (folder / "run/report.json").unlink()
    np.save(folder / "x.npy", np.ones((N, 4)))
    with pytest.raises(UserError, match=r"x\.npy is another file, or has another size"):
        label(settings, folder / "run", resume=True)


def test_a_weak_space_changes_no_label_and_predict_takes_the_same_spaces(folder):
    both = f"{folder}/noise.npy+{folder}/x.npy"
    run = label_into(folder, both, items=str(folder / "photos"))
    shown = run.modalities["image"]
    assert shown["space_dims"] == [9, 3] and shown["space_weights"][0] == 0 < shown["space_weights"][1]
    assert accuracy(CLASSES, run.raw_labels["label"].to_numpy()) == 1 and run.source().source.blobs(3)
    assert np.array_equal(predict(run, both, "cpu").labels, run.raw_labels["label"].to_numpy())
    with pytest.raises(UserError, match="has 3 and 9 features per item, the run was trained on 9 and 3"):
        predict(run, f"{folder}/x.npy+{folder}/noise.npy", "cpu")


def test_two_arrays_without_files_are_found_again_by_both_of_their_names(folder):
    run = label_into(folder, f"{folder}/noise.npy+{folder}/x.npy")
    assert run.source().source.values(2).shape == (12,)
    np.save(folder / "x.npy", np.ones((N, 5)))
    assert "another file" in run.source().error


def test_two_fixed_backbones_stand_side_by_side_and_predict_has_both(folder):
    for name in ("conv4", "resnet9"):
        save_file(make_encoder(name, 3, 12).state_dict(), folder / f"{name}.safetensors")
    photos, encoder = str(folder / "photos"), "frozen:conv4+frozen:resnet9"
    weights = f"{folder}/conv4.safetensors+{folder}/resnet9.safetensors"
    run = label_into(folder, photos, encoder=encoder, weights=weights)
    shown = run.modalities["image"]
    assert shown["encoder"] == encoder and len(shown["space_dims"]) == len(shown["sides"]) == 2
    assert run.features.shape[1] == sum(shown["space_dims"])
    assert np.array_equal(predict(run, photos, "cpu").labels, run.raw_labels["label"].to_numpy())
    with pytest.raises(UserError, match="there are 2 encoders"):
        label_into(
            folder / "b", str(folder / "photos"), encoder="frozen:conv4+frozen:resnet9", weights=f"{folder}/conv4.safetensors"
        )
