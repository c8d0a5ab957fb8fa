import numpy as np
import pytest

from selflabel.base.errors import UserError
from selflabel.base.settings import make_settings
from selflabel.decode.look import MediaInfo
from selflabel.items import Items
from selflabel.jobs.localise import localise
from selflabel.jobs.prepare import Modality, Prepared
from selflabel.jobs.solos import around, joined_sets
from selflabel.runs.picture_table import read_pictures
from selflabel.runs.run import Run
from tests.scenes import write_scenes


def set_of(name, n, picture, picture_items, waves, rate=16_000, lengths=None, info=None):
    kinds = {"image": "photo", "video": "video"}
    modalities = {
        picture: Modality(MediaInfo(kinds[picture]), 4, 3, "resnet7-fine", tensor=picture_items, lengths=lengths),
        "audio": Modality(MediaInfo("sound", rate=rate), 64, 1, "resnet7-fine", tensor=waves),
    }
    paths = [f"{name}{i}" for i in range(n)]
    return Prepared(Items(name, paths, {m: [None] * n for m in modalities}), modalities)


def test_films_become_pictures_by_four_frames_of_each_with_the_sound_around_them():
    scenes = set_of("scene", 2, "image", np.full((2, 3, 8, 8), 7, np.uint8), np.full((2, 6), 5, np.int16))
    frames = np.arange(8, dtype=np.uint8)[None, :, None, None, None] * np.ones((2, 8, 3, 4, 4), np.uint8)
    films = set_of("film", 2, "video", frames, np.tile(np.arange(12, dtype=np.int16), (2, 1)), lengths=np.array([8, 2]))
    given = {"scene": scenes, "film": films}
    both, is_solo = joined_sets(scenes.items, films.items, lambda items: given[items.source])
    assert both.items.paths == ["scene0", "scene1", *["solos/film0"] * 4, *["solos/film1"] * 2]
    assert is_solo.tolist() == [False] * 2 + [True] * 6
    pixels, waves = both.modalities["image"].tensor, both.modalities["audio"].tensor
    assert pixels.shape == (8, 3, 8, 8) and pixels[:, 0, 0, 0].tolist() == [7, 7, 1, 3, 5, 7, 0, 1]
    assert waves[2:, 0].tolist() == [0, 1, 4, 6, 0, 6] and waves.shape == (8, 6)
    assert both.modalities["audio"].lengths.tolist() == [6] * 8


def test_a_short_sound_repeats():
    assert around(np.array([1, 2]), 0.5, 5).tolist() == [1, 2, 1, 2, 1]


def test_sounds_of_another_rate_are_refused():
    scenes = set_of("x", 1, "image", np.zeros((1, 3, 8, 8), np.uint8), np.ones((1, 5), np.int16))
    films = set_of("y", 1, "video", np.zeros((1, 1, 3, 8, 8), np.uint8), np.ones((1, 5), np.int16), rate=8000)
    given = {"x": scenes, "y": films}
    with pytest.raises(UserError, match="its sounds have 8000 samples a second, those of the scenes 16000; add --set rate=8000"):
        joined_sets(scenes.items, films.items, lambda items: given[items.source])


def test_pictures_are_no_solos_of_films_and_a_method_of_one_set_takes_none(tmp_path):
    scenes, solos = (
        Items("films", ["a"], {"video": [None], "audio": [None]}),
        Items("photos", ["b"], {"image": [None], "audio": [None]}),
    )
    with pytest.raises(UserError, match="--solos photos: holds pictures, and films films; give films as solos, too"):
        joined_sets(scenes, solos, lambda items: None)
    write_scenes(tmp_path / "scenes", 2)
    given = make_settings(source=str(tmp_path / "scenes"), solos=str(tmp_path / "scenes"), method="avol", device="cpu", epochs=1)
    with pytest.raises(UserError, match="method avol learns from one set; leave it out, or take dsol"):
        localise(given, tmp_path / "run")


@pytest.mark.slow
def test_dsol_gives_classes_to_the_regions_of_scenes_and_shows_no_solos(tmp_path):
    write_scenes(tmp_path / "scenes", 6)
    write_scenes(tmp_path / "solos", 5, seed=1, films=True)
    given = {"source": str(tmp_path / "scenes"), "solos": str(tmp_path / "solos"), "method": "dsol", "device": "cpu"}
    localise(make_settings(**given, px=32, clusters=2, epochs=5, options={"rounds": 2}), tmp_path / "run")
    run = Run.open(tmp_path / "run")
    scenes = [f"{i:03d}.png" for i in range(6)]
    assert set(run.paths.column.to_pylist()) <= set(scenes) and [*read_pictures(run.folder)] == scenes
    assert run.maps.bytes.shape[:2] == (6, 2) and run.maps.info.names == ("class 0", "class 1")
    total = run.maps.values(slice(None)).sum(axis=1)
    assert total.min() > 0.49 and total.max() < 1.02 and set(run.labels["label"].to_pylist()) <= {0, 1}
    assert run.report["n_clusters"] == len(set(run.labels["label"].to_pylist())) and run.report["clusters_requested"] == 2
    assert not run.edits()  # nobody named the classes
