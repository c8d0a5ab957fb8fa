"""Windows of long sounds and films from the settings to the run folder, and what is said of files that are used in part."""

from __future__ import annotations

import csv

import numpy as np
import pytest
from PIL import Image

from selflabel import SelfLabeler
from selflabel.base.errors import UserError
from selflabel.base.settings import make_settings
from selflabel.cli.wording import report_lines
from selflabel.items import open_items
from selflabel.jobs.callbacks import Callbacks
from selflabel.jobs.label import label
from selflabel.jobs.model import load_model
from selflabel.jobs.predictions import predictions_csv
from selflabel.jobs.prepare.windows import Windows
from selflabel.runs.run import Run
from tests.films import RATE, tone, write_film


@pytest.fixture
def recordings(tmp_path):
    """Two recordings in which a low and a high tone take turns every two seconds, and a file that is no sound."""
    folder, rng = tmp_path / "recordings", np.random.default_rng(0)
    folder.mkdir()
    for name, turns in (("a", 10), ("b", 8)):
        wave = np.concatenate([tone(300 if i % 2 else 2500, 2.0, rng=rng) for i in range(turns)])
        write_film(folder / f"{name}.flac", wave=wave, sound="flac")
    (folder / "c.wav").write_bytes(b"no sound")
    return folder


def settings_of(folder, **more):
    given = {"clusters": 2, "method": "kmeans", "encoder": "scratch", "device": "cpu", "cache": str(folder.parent / "cache")}
    return make_settings(source=str(folder), **given | more)


@pytest.mark.slow
def test_every_window_is_an_item_with_its_place_from_label_to_predict(recordings, tmp_path):
    done = label(settings_of(recordings, windows=1.0), tmp_path / "run")
    run = Run.open(tmp_path / "run")
    with (run.folder / "labels.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["path"], row["start_s"], row["end_s"]) for row in rows[18:22]] == [
        ("a.flac", "18", "19"), ("a.flac", "19", "20"), ("b.flac", "0", "1"), ("b.flac", "1", "2"),
    ]  # fmt: skip
    assert len(rows) == 36
    labels = np.array([int(row["label"]) for row in rows]).reshape(-1, 2)
    assert (
        (labels[:, 0] == labels[:, 1]).all()
        and (labels[::2, 0] == labels[0, 0]).all()
        and (labels[1::2, 0] != labels[0, 0]).all()
    )
    assert [path for path, _ in csv.reader((run.folder / "skipped.csv").open())] == ["path", "c.wav"]
    assert run.settings["windows"] == 1.0
    summary = report_lines(done.report, run.folder)
    assert "36 windows (1 skipped" in summary and "2 recordings of 18 s on average became 36 windows of 1 s" in summary
    assert "MORE_SOUNDS" in summary

    said: list[str] = []
    model = load_model(run, "cpu", str(tmp_path / "cache"))
    table = predictions_csv(model.predict(str(recordings / "b.flac"), Callbacks(said.append))).splitlines()
    assert table[0].startswith("path,start_s,end_s,label") and len(table) == 17 and "became 16 windows" in said[0]
    wider = model.predict(str(recordings / "b.flac"), windows=Windows(4.0, 2.0))
    assert wider.pieces.spans_s.tolist() == [[2.0 * i, 2.0 * i + 4] for i in range(7)]
    with pytest.raises(UserError, match=r"windows: 1\.0, now 2\.0"):
        label(settings_of(recordings, windows=2.0), tmp_path / "run", resume=True)


@pytest.mark.slow
def test_the_estimator_cuts_windows_and_says_where_they_are(recordings):
    fitted = SelfLabeler(2, method="kmeans", encoder="scratch", device="cpu", windows=2, hop=1).fit(str(recordings / "a.flac"))
    assert [piece.span_s for piece in fitted.pieces_] == [(float(i), i + 2.0) for i in range(19)]
    assert len(fitted.labels_) == len(fitted.predict(str(recordings / "a.flac"))) == 19


@pytest.mark.slow
def test_a_long_file_without_windows_is_said_to_be_used_in_part(recordings, tmp_path):
    said: list[str] = []
    label(settings_of(recordings), None, callbacks=Callbacks(said.append))
    assert "of 2 recordings, 18 s long on average, only the middle 10 s (56 %) are used; --windows 10 labels all of it." in said


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"windows": 0.0}, "windows = 0.0: must be at least 0.05 seconds"),
        ({"windows": float("nan")}, "windows = nan: must be at least"),
        ({"windows": float("inf")}, "windows = inf: must be at least"),
        ({"hop": 1.0}, "hop = 1.0: is the step between windows"),
        ({"windows": 1.0, "hop": 2.0}, "at most the length of a window, 1 seconds"),
        ({"windows": 1.0, "hop": 0.0}, "hop = 0.0: must be at least 0.01"),
    ],
)
def test_windows_that_no_file_can_be_cut_into_are_refused_in_one_sentence(given, words):
    with pytest.raises(UserError, match=words):
        make_settings(source="x", **given)


def test_pictures_and_features_cannot_be_cut():
    with pytest.raises(UserError, match="windows = 3: cuts sounds and films, and these items are images"):
        label(make_settings(source="digits", windows=3), None)
    with pytest.raises(UserError, match="these items are features"):
        label(make_settings(source="array", windows=3), None, data=np.zeros((9, 4), np.float32))


def test_a_few_sounds_among_photos_are_labelled_by_the_pattern_that_the_message_names(tmp_path):
    (tmp_path / "notes" / "day").mkdir(parents=True)
    for i in range(3):
        Image.new("RGB", (8, 8), (i, 0, 0)).save(tmp_path / "notes" / f"{i}.png")
    write_film(tmp_path / "notes" / "day" / "birds.wav", wave=tone(300, 1.0), sound="pcm_s16le")
    for wanted in ({"windows": 0.5}, {"modality": "audio"}):
        with pytest.raises(UserError, match=r"1 file is left out, .*birds\.wav.*selflabel label '") as error:
            label(make_settings(source=str(tmp_path / "notes"), **wanted), None)
    pattern = str(error.value).split("'")[-2]
    assert open_items(pattern).paths == ["birds.wav"]


@pytest.mark.slow
def test_films_are_cut_with_their_sound(tmp_path):
    folder, rng = tmp_path / "films", np.random.default_rng(0)
    folder.mkdir()
    for i in range(2):
        frames = np.repeat(rng.integers(0, 255, (6, 1, 1, 3)), 10, axis=0).astype(np.uint8)
        write_film(folder / f"{i}.mp4", np.broadcast_to(frames, (60, 32, 32, 3)), tone(400, 6.0, RATE))
    found = label(settings_of(folder, windows=2.0, epochs=1, method="sela-nn"), None)
    assert found.labelling.pieces.spans_s.tolist() == [[0, 2], [2, 4], [4, 6]] * 2
    assert found["windows"] == "2 films of 6 s on average became 6 windows of 2 s"
