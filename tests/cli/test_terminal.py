"""Progress on the terminal: what is printed, and how a signal stops a run."""

import io
import signal
from dataclasses import replace

import pytest
from rich.console import Console

from selflabel.base.errors import Interrupted
from selflabel.base.schedules import constant
from selflabel.cli.terminal import Terminal, live
from selflabel.contract import Phase, Recipe
from selflabel.training.loop import LoopState

PHASE = Phase("self-label", 3, {}, Recipe(0.1, constant), dict)
LINE = {"epoch": 4, "of": 9, "loss": 0.12345, "changed": 0.5, "agreement": 0.9, "largest": 0.2}


def run_through(terminal, epochs=3):
    callbacks = terminal.callbacks()
    callbacks.on_progress("looking at the items", 0, 0)
    for done in range(1, 11):
        callbacks.on_progress("decoding", done, 10)
    for epoch in range(epochs):
        for step in range(1, 11):
            state = LoopState(epoch=epoch, step=step, sums={"loss": 0.5 * 8 * step}, seconds=1.0)
            callbacks.loop.on_step(replace(PHASE, epochs=epochs), state, 10, 80)
        callbacks.loop.on_epoch(LINE)
    callbacks.on_progress("describing the labels", 0, 0)


def test_a_log_has_a_few_lines_however_long_the_training_is(capsys):
    with Terminal(quiet=False) as terminal:
        terminal.say("skipped 1 item")
        run_through(terminal, epochs=200)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 3 and lines[:2] == ["skipped 1 item", "self-label: 200 epochs"]
    assert lines[2].startswith("self-label: done in ") and "loss 0.500, changed 50.0%, agreement 0.90" in lines[2]


def test_a_step_that_lasts_has_lines_at_growing_distances(capsys, monkeypatch):
    now = [0.0]
    monkeypatch.setattr("selflabel.cli.terminal.time.monotonic", lambda: now[0])
    with Terminal(quiet=False) as terminal:
        for minute in range(60):
            now[0] = 60.0 * minute + 1
            terminal.on_progress("encoding", minute + 1, 60)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 7 and lines[-1] == "encoding: 60 in 59 min"  # and after 1, 2, 4, 8, 16 and 32 minutes


def test_a_labelling_that_looks_collapsed_on_the_way_is_no_warning(capsys):
    with Terminal(quiet=False) as terminal:
        for epoch in range(5):
            terminal.on_epoch(LINE | {"largest": 0.99, "epoch": epoch})
    assert capsys.readouterr().err == ""


def test_a_terminal_shows_every_step_from_the_start(monkeypatch):
    screen = io.StringIO()
    monkeypatch.setattr("selflabel.cli.terminal.Console", lambda stderr: Console(file=screen, force_terminal=True, width=120))
    with Terminal(quiet=False) as terminal:
        for step in ("starting", "solving the final labels"):
            terminal.on_progress(step)
            terminal.bar.refresh()
        run_through(terminal)
        terminal.bar.refresh()
    shown = screen.getvalue()
    for words in ("starting", "solving the final labels", "describing the labels"):
        assert words in shown


def test_quiet_prints_nothing(capsys):
    with Terminal(quiet=True) as terminal:
        terminal.say("hello")
        terminal.on_epoch(LINE)
    assert capsys.readouterr().err == ""


def test_a_signal_asks_the_loop_to_stop_and_ends_decoding(capsys):
    with Terminal(quiet=False) as terminal:
        callbacks = terminal.callbacks()
        assert not callbacks.loop.should_stop()
        terminal.stop(signal.SIGTERM, None)
        assert callbacks.loop.should_stop() and "stopping ..." in capsys.readouterr().err
        with pytest.raises(Interrupted):
            callbacks.on_progress("decoding", 1, 2)


def test_what_predict_and_score_say_stands_in_a_log_too(capsys):
    with live(False) as terminal:
        terminal.callbacks().say("the pictures are nearly all black.")
    with live(True) as terminal:
        terminal.callbacks().say("this is not printed")
    assert capsys.readouterr().err == "the pictures are nearly all black.\n"
