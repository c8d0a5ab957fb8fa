"""Windows that overlap often show the same event: such windows are one item for training, and have one label.

Copies of an item are its nearest neighbours, so that a set full of them says little about which items belong together.

Axes: N windows, M events.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from selflabel.contract import Outcome
from selflabel.jobs.prepare import Prepared

SAME = 0.5  # of the shorter of two stretches of a file: they are the same event where they have more than that in common
CLOSE_S = 1e-6


@dataclass(frozen=True)
class Events:
    """What the windows of a set show.

    Attributes:
        of_windows: (N,) int64, the event of each window.
        rows: (M,) int64, a window of each event.
    """

    of_windows: np.ndarray
    rows: np.ndarray

    @classmethod
    def of(cls, prepared: Prepared, say: Callable[[str], None]) -> Events | None:
        """Of windows of which only what stands out is shown; None where every item is one of its own.

        Args:
            prepared: the set.
            say: is given a sentence for the user where windows show the same event.
        """
        items, shown_s = prepared.items, prepared.first.spans_s
        if not prepared.cut or prepared.first.info.kind != "spoken" or shown_s is None or items.pieces is None:
            return None
        of_windows = same_events(items.paths, shown_s)
        rows = most_central(of_windows, shown_s, items.pieces.spans_s)
        if len(rows) == len(items):
            return None
        say(f"{len(items):,} windows show {len(rows):,} different things; windows that show the same get one label.")
        return cls(of_windows, rows)

    def label_windows(self, outcome: Outcome) -> Outcome:
        """The outcome of the events (M,) as that of the windows (N,)."""

        def of_windows(x: Tensor) -> Tensor:
            return x[torch.from_numpy(self.of_windows).to(x.device)]

        labels = [of_windows(x) for x in outcome.labels]
        return replace(outcome, labels=labels, probabilities=of_windows(outcome.probabilities))


def same_events(paths: Sequence[str], shown_s: np.ndarray) -> np.ndarray:
    """(N,) int64: rows, in the order of time, that show the same stretch of a file have the same number.

    Args:
        paths: of the files.
        shown_s: (N, 2) what each row shows, in seconds; NaN where that is not known.

    Example:
        >>> same_events(["a", "a", "a", "b"], np.array([[0.1, 0.6], [0.1, 0.7], [1.0, 1.4], [1.0, 1.4]])).tolist()
        [0, 0, 1, 2]
    """
    numbers = np.zeros(len(paths), np.int64)
    first = 0  # row of the event so far
    for row in range(1, len(paths)):
        (start, end), (begun, ended) = shown_s[row], shown_s[first]
        common, shorter = min(end, ended) - max(start, begun), min(end - start, ended - begun)
        is_same = paths[row] == paths[first] and common > SAME * shorter + CLOSE_S
        numbers[row] = numbers[row - 1] + (not is_same)
        first = first if is_same else row
    return numbers


def most_central(events: np.ndarray, shown_s: np.ndarray, windows_s: np.ndarray) -> np.ndarray:
    """(M,) of the windows (N, 2) that show an event the one in whose middle it is, of equals the first."""
    off = np.abs(shown_s.mean(axis=1) - windows_s.mean(axis=1)).round(6)
    order = np.lexsort((off, events))
    return order[np.searchsorted(events[order], np.arange(events[-1] + 1))]
