import json
import signal
from shutil import copyfile

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.io import wavfile

from selflabel.base.errors import UserError
from selflabel.base.settings import make_settings
from selflabel.items import open_items
from selflabel.jobs.callbacks import Callbacks
from selflabel.jobs.label import label
from selflabel.jobs.localise import localise, open_pairs
from selflabel.jobs.model import load_model
from selflabel.jobs.predict import predict
from selflabel.jobs.swap_sound import heat_with, other_rows, swap_run, swap_sounds, swapped_lines
from selflabel.methods import LOCALISERS
from selflabel.runs.maps import read_maps
from selflabel.runs.run import Run
from tests.scenes import skipped_in, write_scenes

every_localiser = pytest.mark.parametrize("method", LOCALISERS)


def settings_for(source, method="avol", **given):
    return make_settings(**{"source": str(source), "method": method, "device": "cpu", "epochs": 1, "px": 32} | given)


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    """Eight pictures with sounds, one with a silent one, one without, and one that is broken."""
    folder = tmp_path_factory.mktemp("scenes") / "items"
    write_scenes(folder)
    copyfile(folder / "000.png", folder / "alone.png")
    copyfile(folder / "000.png", folder / "silent.png")
    wavfile.write(folder / "silent.wav", 16_000, np.zeros(16_000, np.int16))
    (folder / "broken.png").write_bytes(b"no picture")
    copyfile(folder / "000.wav", folder / "broken.wav")
    return folder


@pytest.fixture(scope="module")
def found(scenes, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "avol"
    localise(settings_for(scenes), out)
    return out


def test_a_run_has_regions_as_rows_and_a_heatmap_for_every_picture_with_a_sound(found):
    run = Run.open(found)
    paths, pieces, maps = run.paths.column.to_pylist(), run.pieces, run.maps
    assert sorted(set(paths)) == [f"{i:03d}.png" for i in range(8)] and len(paths) >= 8
    assert maps.bytes.shape[:2] == (8, 1) and maps.info.geometry == "letterbox" and maps.info.names == ("sounding",)
    assert [f"{row:03d}.png" for row in maps.rows.tolist()] == paths
    for i, piece in enumerate(pieces):
        x0, y0, x1, y1 = piece.box
        assert piece.size == (120, 80) and 0 <= x0 < x1 <= 120 and 0 <= y0 < y1 <= 80 and piece.mask.box == (x0, y0, x1, y1)
        highest = maps.values(maps.rows_of(np.array([i]))).max()
        assert pieces.scores[i] <= highest + 0.003  # a byte's step
    first = np.unique(maps.rows, return_index=True)[1]
    assert np.allclose(run.labels["confidence"].to_numpy(), pieces.scores) and len(first) == 8
    reasons = skipped_in(found)
    assert reasons["alone.png"] == reasons["silent.png"] == "has no sound, or a silent one"
    assert "broken.png" in reasons and run.report["n_photos"] == 8 and run.report["n_skipped"] == 3


def test_predict_gives_the_same_heatmaps_and_regions_as_the_run_itself(found, scenes, tmp_path):
    run = Run.open(found)
    predicted = predict(run, str(scenes), "cpu", maps=tmp_path / "unseen")
    assert predicted.paths == run.paths.column.to_pylist() and set(predicted.names) == {"object"}
    np.testing.assert_allclose(predicted.pieces.boxes, run.pieces.boxes)
    unseen = read_maps(tmp_path / "unseen", len(predicted.paths))
    assert np.abs(unseen.bytes.astype(int) - run.maps.bytes).max() <= 1 and np.array_equal(unseen.rows, run.maps.rows)


def test_the_same_pictures_with_other_sounds_and_with_silence(found, scenes):
    """`score --swap-sound` rests on this. An untrained map hardly follows the sound, and says so."""
    model = load_model(Run.open(found), "cpu")
    swap = swap_sounds(model, open_items(str(scenes)), Callbacks())
    assert swap["n_items"] == 8 and 0 <= swap["moved"] <= 1 and swap["correlation"] > 0.5
    assert swap_run(Run.open(found), None, "cpu", Callbacks()) == swap and "8 pictures with another" in swapped_lines(swap)
    assert sorted(other_rows(8, 0).tolist()) == list(range(8)) and (other_rows(8, 0) != torch.arange(8)).all()
    pairs = open_pairs(model, open_items(str(scenes)), Callbacks())
    own, exchanged = (heat_with(pairs, rows) for rows in (torch.arange(8), other_rows(8, 0)))
    assert not np.array_equal(own, exchanged) and np.array_equal(own, heat_with(pairs, torch.arange(8)))


def test_regions_of_such_a_run_are_labelled_as_any_others(found, tmp_path):
    labelled = label(make_settings(source=str(found), clusters=2, method="kmeans", device="cpu"), tmp_path / "labelled")
    assert labelled["n_items"] == len(Run.open(found).paths)


@every_localiser
def test_films_have_a_heatmap_for_each_of_their_frames(method, tmp_path):
    boxes = write_scenes(tmp_path / "films", 3, films=True)
    localise(settings_for(tmp_path / "films", method), tmp_path / "run")
    run = Run.open(tmp_path / "run")
    maps, pieces = run.maps, run.pieces
    assert (
        len(maps.bytes) == 3
        and maps.info.frames == 8
        and maps.info.geometry == "letterbox"
        and maps.bytes.shape[2] == 8 * maps.bytes.shape[3]
    )
    assert set(run.paths.column.to_pylist()) == set(boxes)
    starts = pieces.spans_s[maps.rows == 0, 0]
    assert len(set(starts.round(3))) == 8 and starts.min() >= 0 and pieces.spans_s.max() < 2.2
    assert {piece.size for piece in pieces} == {(120, 80)}


@pytest.mark.slow
def test_a_run_killed_at_a_step_resumes_to_the_same_heatmaps(scenes, tmp_path, fork_server):
    settings = {"source": str(scenes), "method": "avol", "device": "cpu", "epochs": 4, "px": 32, "options": {"batch": 2}}
    localise(make_settings(**settings), tmp_path / "whole")
    killed = fork_server.run(json.dumps(settings), tmp_path / "cut", 7, module="tests.methods.killed")
    assert killed.returncode == -signal.SIGKILL and not (tmp_path / "cut" / "report.json").exists()
    localise(make_settings(**settings), tmp_path / "cut", resume=True)
    whole, cut = Run.open(tmp_path / "whole"), Run.open(tmp_path / "cut")
    assert np.array_equal(whole.maps.bytes, cut.maps.bytes)
    assert (tmp_path / "whole/labels.csv").read_bytes() == (tmp_path / "cut/labels.csv").read_bytes()


def test_a_run_killed_while_it_wrote_its_regions_goes_on(found, scenes, tmp_path):
    settings = settings_for(scenes)
    localise(settings, tmp_path / "run")
    (tmp_path / "run" / "report.json").unlink()  # written last
    localise(settings, tmp_path / "run", resume=True)
    assert (tmp_path / "run/labels.csv").read_bytes() == (found / "labels.csv").read_bytes()


def test_a_run_of_0_7_which_trained_no_pretext_still_predicts(scenes, tmp_path):
    localise(settings_for(scenes, options={"pretext": "none"}), tmp_path / "run")
    before = predict(Run.open(tmp_path / "run"), str(scenes), "cpu").pieces.boxes
    file = tmp_path / "run" / "run.toml"
    file.write_text(file.read_text().replace('pretext = "none"', ""))  # the default then, which was not stored
    assert np.array_equal(predict(Run.open(tmp_path / "run"), str(scenes), "cpu").pieces.boxes, before)


def test_sources_without_pairs_are_a_sentence(tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "0.png")
    with pytest.raises(UserError, match=r"holds no pairs of picture and sound, from which --method avol learns"):
        localise(settings_for(tmp_path), None)


@pytest.mark.slow
def test_it_learns_which_thing_sounds(tmp_path):
    """The highest place of a map lies on what sounds; a localiser that is trained inverted would show the other thing."""
    write_scenes(tmp_path / "train", 240, seed=1)
    boxes = write_scenes(tmp_path / "test", 40, seed=2)
    localise(settings_for(tmp_path / "train", "avcontrast", epochs=30, options={"batch": 16}, px=48), tmp_path / "run")
    predicted = predict(Run.open(tmp_path / "run"), str(tmp_path / "test"), "cpu", maps=tmp_path / "maps")
    maps = read_maps(tmp_path / "maps", len(predicted.paths))
    hits, others = 0, 0
    for row, path in zip(maps.rows[first_of(maps.rows)], np.array(predicted.paths)[first_of(maps.rows)]):
        heat = maps.values(np.array([row]))[0, 0]
        y, x = np.unravel_index(heat.argmax(), heat.shape)
        x, y = (x + 0.5) * 120 / heat.shape[1], (y + 0.5) * 120 / heat.shape[0]
        on = [x0 - 3 <= x <= x1 + 3 and y0 - 3 <= y <= y1 + 3 for x0, y0, x1, y1 in boxes[path]]
        hits, others = hits + on[0], others + on[1]
    assert hits >= 0.4 * len(boxes) and hits > 3 * others  # each thing is a tenth of a picture


def first_of(rows):
    return np.unique(rows, return_index=True)[1]
