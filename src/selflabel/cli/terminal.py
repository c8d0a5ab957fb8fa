"""What a person sees while a run goes on: one live line of progress, with rich."""

from __future__ import annotations

import signal
import sys
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from selflabel.base.errors import Interrupted
from selflabel.contract import Phase
from selflabel.jobs.prepare import Notices
from selflabel.training.loop import Place, Watch


class Terminal:
    """Progress on standard error; `stop` is the handler of SIGINT and SIGTERM."""

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
        self.quiet, self.stopping = quiet, False
        self.tasks: dict[str, Any] = {}
        self.news = ""

    def __enter__(self) -> Terminal:
        self.bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.stop()

    def stop(self, number: int, frame: object) -> None:
        """Ask the loop to save and end; a second signal ends at once."""
        if self.stopping:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        self.stopping = True
        print("\nstopping: the run is being saved ...", file=sys.stderr)

    def notices(self) -> Notices:
        return Notices(self.say, self.progress, Watch(self.on_step, self.on_epoch, lambda: self.stopping))

    def say(self, text: str) -> None:
        if not self.quiet:
            self.console.print(text, highlight=False, markup=False)

    def progress(self, what: str, done: int, total: int) -> None:
        if self.stopping:
            raise Interrupted
        if what not in self.tasks:
            self.tasks[what] = self.bar.add_task(what, total=total, news="")
        self.bar.update(self.tasks[what], completed=done, total=total, news=f"{done:,} of {total:,}")

    def on_step(self, phase: Phase, place: Place, steps: int, items: int) -> None:
        if place.step % 8 and place.step != steps:
            return
        if phase.name not in self.tasks:
            self.tasks[phase.name] = self.bar.add_task(phase.name, total=phase.epochs * steps, news="")
        done = place.epoch * steps + place.step
        loss = place.sums.get("loss", 0.0) / max(1, place.step * items / steps)
        speed = place.step * items / steps / max(place.seconds, 1e-9)
        news = f"epoch {place.epoch + 1}/{phase.epochs} loss {loss:.3f} {speed:,.0f} items/s {self.news}"
        self.bar.update(self.tasks[phase.name], completed=done, news=news)

    def on_epoch(self, line: dict[str, Any]) -> None:
        if "changed" in line:
            self.news = f"changed {line['changed']:.1%} agreement {line['agreement']:.2f}"
        if line.get("largest", 0) > 0.5 and line.get("epoch", 0) > 2:
            self.say(f"epoch {line['epoch']}: one label holds {line['largest']:.0%} of the items, which may be a collapse.")
        if not self.quiet and not self.console.is_terminal:
            parts = [f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v}" for k, v in line.items()]
            self.console.print(" ".join(parts), highlight=False, markup=False, soft_wrap=True)
