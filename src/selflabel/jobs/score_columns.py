"""The same numbers of a run, of the middle of every picture, and of the whole picture, side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from selflabel.evaluation.bootstrap import FEW, Statistic, interval

Statistics = Mapping[str, Statistic]  # by the name of the number


@dataclass(frozen=True)
class Columns:
    """The same numbers of a run, of several sizes of the middle, and of the whole picture."""

    run: Statistics
    centres: Sequence[Statistics]
    whole: Statistics

    def rows(self) -> dict[str, dict[str, float | None]]:
        """Name to value, centre, whole, and low and high where there are few pictures."""
        return {name: self.row(name) for name in self.run}

    def row(self, name: str) -> dict[str, float | None]:
        own = self.run[name]
        low, high = interval(own) if own.n < FEW else (None, None)
        centre = max((c[name].of_all for c in self.centres if name in c), default=None)
        whole = self.whole[name].of_all if name in self.whole else None
        return {"value": own.of_all, "low": low, "high": high, "centre": centre, "whole": whole}
