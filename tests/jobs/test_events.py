"""Windows that show the same event."""

from __future__ import annotations

import numpy as np
import pytest

from selflabel.base.settings import make_settings
from selflabel.jobs.callbacks import Callbacks
from selflabel.jobs.events import most_central, same_events
from selflabel.jobs.label import label
from tests.films import tone, write_film

RATE = 8000
NAN = float("nan")


def test_rows_are_one_event_where_they_show_most_of_the_same_seconds_of_a_file():
    shown = [(0.0, 1.0), (0.5, 1.5), (1.6, 2.0), (1.7, 2.0), (1.6, 1.9), (1.6, 1.9), (NAN, NAN), (NAN, NAN)]
    assert same_events([*"aaaaabbb"], np.array(shown)).tolist() == [0, 1, 2, 2, 2, 3, 4, 5]  # half in common is not most


def test_the_window_in_whose_middle_an_event_is_stands_for_it():
    windows = np.array([(0.0, 1.0), (0.5, 1.5), (1.0, 2.0), (1.5, 2.5)])
    shown = np.array([(0.9, 1.2), (0.9, 1.2), (0.9, 1.2), (1.8, 2.2)])
    assert most_central(np.array([0, 0, 0, 1]), shown, windows).tolist() == [1, 3]


@pytest.mark.slow
def test_windows_of_one_event_are_trained_on_once_and_have_one_label(tmp_path):
    rng, silence = np.random.default_rng(0), np.zeros(round(0.9 * RATE), np.int16)
    beeps = [tone(300 if i % 2 else 2500, 0.4, RATE, rng=rng) for i in range(12)]
    wave = np.concatenate([part for beep in beeps for part in (silence, beep)] + [silence])
    write_film(tmp_path / "a.wav", wave=wave, sound="pcm_s16le", rate=RATE)
    given = {"clusters": 3, "method": "kmeans", "encoder": "scratch", "device": "cpu", "cache": str(tmp_path / "cache")}
    said: list[str] = []
    settings = make_settings(source=str(tmp_path / "a.wav"), windows=1.0, hop=0.5, **given)
    done = label(settings, None, callbacks=Callbacks(said.append))
    windows, labels = done.labelling.pieces.spans_s, done.labelling.labels
    assert len(labels) == len(windows) == 32 > done.method.task.n_items >= 12
    assert f"32 windows show {done.method.task.n_items} different things; windows that show the same get one label." in said
    for i in range(12):
        start = 0.9 + 1.3 * i
        of_beep = labels[(windows[:, 0] <= start) & (windows[:, 1] >= start + 0.4)]
        assert len(of_beep) and len(set(of_beep)) == 1
