"""Progress on the terminal: what is printed, and how a signal stops a run."""

import signal

import pytest

from selflabel.base.errors import Interrupted
from selflabel.base.schedules import constant
from selflabel.cli.terminal import Terminal
from selflabel.contract import Phase, Recipe
from selflabel.training.loop import LoopState

PHASE = Phase("self-label", 3, {}, Recipe(0.1, constant), dict)
LINE = {"epoch": 4, "of": 9, "loss": 0.12345, "changed": 0.5, "agreement": 0.9, "largest": 0.2}


def test_without_a_terminal_an_epoch_is_a_line(capsys):
    with Terminal(quiet=False) as terminal:
        callbacks = terminal.callbacks()
        callbacks.say("decoding is done")
        callbacks.on_progress("decoding", 3, 10)
        callbacks.loop.on_step(PHASE, LoopState(step=8, sums={"loss": 3.0}, seconds=1.0), 10, 80)
        callbacks.loop.on_epoch(LINE)
    printed = capsys.readouterr().err
    assert "decoding is done" in printed and "epoch 4 of 9 loss 0.1235" in printed and "collapse" not in printed


def test_a_label_that_has_most_items_is_a_warning_after_the_first_epochs(capsys):
    with Terminal(quiet=False) as terminal:
        terminal.on_epoch(LINE | {"largest": 0.8})
        terminal.on_epoch(LINE | {"largest": 0.8, "epoch": 1})
        terminal.on_epoch(LINE | {"largest": 0.9, "epoch": 5})  # once a run is enough
    assert capsys.readouterr().err.count("may be a collapse") == 1


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
        assert callbacks.loop.should_stop() and "being saved" in capsys.readouterr().err
        with pytest.raises(Interrupted):
            callbacks.on_progress("decoding", 1, 2)
