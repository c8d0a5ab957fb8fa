"""One time window for several modalities of an item, such as frames and the sound around them.

Axes: B items.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from selflabel.views.random import uniforms

LEAST_SHARED = 0.5  # of the window, or of the shorter stretch, that modalities have to share


@dataclass(frozen=True)
class Window:
    """The seconds of its file that each item is shown for.

    Attributes:
        span_s: (B, 2) float64 first and last second; NaN where an item's modalities share no stretch, and each shows its own.
        length_s: of every window, but for those of items that share less. A sound that is shorter repeats up to it.
    """

    span_s: Tensor
    length_s: float

    @property
    def is_shared(self) -> Tensor:
        """(B,) bool, whether there is a stretch that all modalities of the item show."""
        return ~self.span_s.isnan().any(dim=1)


def draw_windows(spans_s: Sequence[Tensor], present: Sequence[Tensor], length_s: float, key: int | None, rows: Tensor) -> Window:
    """A window of every item within what its modalities have in common.

    Args:
        spans_s: (B, 2) float64 seconds of the file that are stored, of each modality; NaN where they are not known.
        present: (B,) bool of each modality, whether the items have it; those that an item lacks do not count.
        length_s: of a window, at most; above 0.
        key, rows: fix the random numbers, as in `view_images`; without a key windows are in the middle.

    Example:
        >>> film, sound = torch.tensor([[0.0, 8.0]]), torch.tensor([[2.0, 6.0]])
        >>> draw_windows([film, sound], [torch.tensor([True])] * 2, 2.0, None, torch.tensor([0])).span_s.tolist()
        [[3.0, 5.0]]
    """
    spans, counts = torch.stack(list(spans_s)).double(), torch.stack(list(present))[:, :, None]
    start = spans[:, :, :1].masked_fill(~counts, -torch.inf).amax(dim=0)[:, 0]
    end = spans[:, :, 1:].masked_fill(~counts, torch.inf).amin(dim=0)[:, 0]
    shortest = (spans[:, :, 1] - spans[:, :, 0]).masked_fill(~counts[:, :, 0], torch.inf).amin(dim=0)
    is_shared = (end - start >= LEAST_SHARED * shortest.clamp(max=length_s)) & (end > start)  # false for NaN
    spare = (end - start - length_s).clamp(min=0)
    u = 0.5 if key is None else uniforms(key, rows, 1)[:, 0].double()
    first = start + u * spare
    span = torch.stack([first, torch.minimum(first + length_s, end)], dim=1)
    return Window(span.masked_fill(~is_shared[:, None], torch.nan), length_s)
