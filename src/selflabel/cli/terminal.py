"""Progress of a run on the terminal: one live line, with rich."""

from __future__ import annotations

import signal
import sys
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from selflabel.base.errors import Interrupted
from selflabel.contract import Phase
from selflabel.jobs.callbacks import Callbacks
from selflabel.training.loop import LoopCallbacks, LoopState

STEPS_PER_UPDATE = 8
LARGE_LABEL, FROM_EPOCH = 0.5, 2  # a warning, where one label has more than this share after so many epochs


class Terminal:
    """Progress on standard error. `stop` is the handler of SIGINT and SIGTERM.

    Args:
        quiet: print nothing.
    """

    def __init__(self, quiet: bool):
        self.console = Console(stderr=True)
        columns = (
            TextColumn("{task.description}"),
            BarColumn(20),
            TaskProgressColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[news]}"),
        )
        self.bar = Progress(*columns, console=self.console, disable=quiet or not self.console.is_terminal)
        self.quiet, self.stopping, self.warned = quiet, False, False
        self.tasks: dict[str, Any] = {}
        self.label_news = ""

    def __enter__(self) -> Terminal:
        self.bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.stop()

    def stop(self, number: int, frame: object) -> None:
        """Ask the loop to save and end; a second signal ends the process at once."""
        if self.stopping:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        self.stopping = True
        print("\nstopping: the run is being saved ...", file=sys.stderr)

    def callbacks(self) -> Callbacks:
        """The callbacks of a job that show its progress here."""
        loop = LoopCallbacks(self.on_step, self.on_epoch, lambda: self.stopping)
        return Callbacks(self.say, self.on_progress, loop)

    def say(self, text: str) -> None:
        """Print a sentence."""
        if not self.quiet:
            self.console.print(text, highlight=False, markup=False)

    def on_progress(self, step: str, done: int, total: int) -> None:
        """Show how far a step is."""
        if self.stopping:
            raise Interrupted
        if step not in self.tasks:
            self.tasks[step] = self.bar.add_task(step, total=total, news="")
        self.bar.update(self.tasks[step], completed=done, total=total, news=f"{done:,} of {total:,}")

    def on_step(self, phase: Phase, state: LoopState, steps: int, items: int) -> None:
        """Show epoch, loss and speed."""
        if state.step % STEPS_PER_UPDATE and state.step != steps:
            return
        if phase.name not in self.tasks:
            self.tasks[phase.name] = self.bar.add_task(phase.name, total=phase.epochs * steps, news="")
        items_done = state.step * items / steps
        loss = state.sums.get("loss", 0.0) / max(1, items_done)
        speed = items_done / max(state.seconds, 1e-9)
        news = f"epoch {state.epoch + 1}/{phase.epochs} loss {loss:.3f} {speed:,.0f} items/s {self.label_news}"
        self.bar.update(self.tasks[phase.name], completed=state.epoch * steps + state.step, news=news)

    def on_epoch(self, line: dict[str, Any]) -> None:
        """Show how labels changed; without a terminal print the epoch's line."""
        if "changed" in line:
            self.label_news = f"changed {line['changed']:.1%} agreement {line['agreement']:.2f}"
        if line.get("largest", 0) > LARGE_LABEL and line.get("epoch", 0) > FROM_EPOCH and not self.warned:
            share = f"epoch {line['epoch']}: a head has {line['largest']:.0%} of the items in one label"
            self.say(f"{share}, which may be a collapse; the summary says whether it stayed.")
            self.warned = True
        if not self.quiet and not self.console.is_terminal:
            parts = [f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v}" for k, v in line.items()]
            self.console.print(" ".join(parts), highlight=False, markup=False, soft_wrap=True)
