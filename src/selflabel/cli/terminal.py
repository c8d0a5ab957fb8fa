"""Progress of a command on standard error: a live line on a terminal, and a few lines in a log.

Torch and what needs it are imported late, so that the first line is there at once.
"""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TaskProgressColumn, TextColumn, TimeElapsedColumn

from selflabel.base.errors import Interrupted
from selflabel.base.text import printable

if TYPE_CHECKING:
    from selflabel.contract import Phase
    from selflabel.jobs.callbacks import Callbacks
    from selflabel.training.loop import LoopState

STEPS_PER_UPDATE = 8
LONG_S = 10.0  # a step before the training that lasted so long leaves a line in a log
FIRST_LINE_S = 60.0  # a step that lasts so long has a line in a log; the next line comes when it has lasted twice as long


@contextmanager
def live(quiet: bool) -> Iterator[Terminal]:
    """Progress that ends with the `with`; a log gets the sentences, and a line for a step that takes long."""
    with Terminal(quiet) as terminal:
        terminal.on_progress("starting")  # torch takes seconds to import
        yield terminal


class Terminal:
    """Progress on standard error. `stop` is the handler of SIGINT and SIGTERM.

    Args:
        quiet: print nothing.
    """

    def __init__(self, quiet: bool):
        self.console = Console(stderr=True)
        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(20),
            TaskProgressColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[news]}"),
        )
        self.live = not quiet and self.console.is_terminal
        self.bar = Progress(*columns, console=self.console, disable=not self.live, transient=True)
        self.quiet, self.stopping = quiet, False
        self.step, self.began, self.next_line = "", 0.0, FIRST_LINE_S
        self.task: TaskID | None = None
        self.label_news = ""

    def __enter__(self) -> Terminal:
        if self.live:
            self.bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.live:  # older versions of rich end the bar that they did not show with an empty line
            self.bar.stop()

    def stop(self, number: int, frame: object) -> None:
        """Ask the loop to save and end; a second signal ends the process at once."""
        if self.stopping:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        self.stopping = True
        print("\nstopping ...", file=sys.stderr)

    def callbacks(self) -> Callbacks:
        """The callbacks of a job that show its progress here."""
        from selflabel.jobs.callbacks import Callbacks
        from selflabel.training.loop import LoopCallbacks

        loop = LoopCallbacks(self.on_step, self.on_epoch, lambda: self.stopping)
        return Callbacks(self.say, self.on_progress, loop)

    def say(self, text: str) -> None:
        """Print a sentence."""
        if not self.quiet:
            self.console.print(printable(text), highlight=False, markup=False, soft_wrap=not self.live)

    def on_progress(self, step: str, done: int = 0, total: int = 0) -> None:
        """Show how far a step is; one without a total lasts until the next one."""
        if self.stopping and total:
            raise Interrupted
        self.show(step, done, total, f"{done:,} of {total:,}" if total else "")
        if total and done >= total:
            if time.monotonic() - self.began > LONG_S:
                self.say_in_log(f"{step}: {total:,} in {self.elapsed()}")
            self.show("preparing", 0, 0, "")

    def on_step(self, phase: Phase, state: LoopState, steps: int, items: int) -> None:
        """Show epoch, loss and speed."""
        if self.step == phase.name and state.step % STEPS_PER_UPDATE and state.step != steps:
            return
        items_done = state.step * items / steps
        loss = state.sums.get("loss", 0.0) / max(1, items_done)
        speed = items_done / max(state.seconds, 1e-9)
        epoch = f"epoch {state.epoch + 1} of {phase.epochs}"
        news = f"{epoch}, loss {loss:.3f}, {speed:,.0f} items/s{self.label_news}"
        if self.step != phase.name:
            self.say_in_log(f"{phase.name}: {phase.epochs} {'epoch' if phase.epochs == 1 else 'epochs'}")
        self.show(phase.name, state.epoch * steps + state.step, phase.epochs * steps, news)
        if state.epoch + 1 == phase.epochs and state.step == steps:
            self.say_in_log(f"{phase.name}: done in {self.elapsed()}, loss {loss:.3f}{self.label_news}")
            self.step = ""

    def on_epoch(self, line: dict[str, Any]) -> None:
        """Remember how labels changed, for the line of the next steps."""
        if "changed" in line:
            self.label_news = f", changed {line['changed']:.1%}, agreement {line['agreement']:.2f}"

    # ------------------------------------------------------------------------------------------------- the line

    def show(self, step: str, done: int, total: int, news: str) -> None:
        """Show a step as the live line; a log gets a line where it lasts."""
        if step != self.step:
            if self.task is not None:
                self.bar.remove_task(self.task)
            self.step, self.began, self.next_line = step, time.monotonic(), FIRST_LINE_S
            self.task = self.bar.add_task(step, total=total or None, news=news)
        assert self.task is not None
        self.bar.update(self.task, completed=done, total=total or None, news=news)
        if time.monotonic() - self.began > self.next_line:
            self.next_line *= 2
            self.say_in_log(f"{step}: {news} after {self.elapsed()}")

    def say_in_log(self, text: str) -> None:
        """Print a line where there is no live one."""
        if not self.live:
            self.say(text)

    def elapsed(self) -> str:
        """How long the step has lasted, for people."""
        seconds = time.monotonic() - self.began
        return f"{seconds:.1f} s" if seconds < 100 else f"{seconds / 60:.0f} min"
