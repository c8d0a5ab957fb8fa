"""One time window for several modalities of an item, such as frames and the sound around them.

Axes: B items.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from selflabel.views.random import uniforms

EARLY = 1e-6  # of a frame: a start so much early is on time
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


def draw_windows(
    spans_s: Sequence[Tensor],
    present: Sequence[Tensor],
    length_s: float,
    key: int | None,
    rows: Tensor,
    grid_s: tuple[Tensor, Tensor] | None = None,
) -> Window:
    """A window of every item within what its modalities have in common.

    Args:
        spans_s: (B, 2) float64 seconds of the file that are stored, of each modality; NaN where they are not known.
        present: (B,) bool of each modality, whether the items have it; those that an item lacks do not count.
        length_s: of a window, at most; above 0.
        key, rows: fix the random numbers, as in `view_images`; without a key windows are in the middle.
        grid_s: (B,) float64 seconds of a frame of each film, and (B,) those between its frames: windows start when a frame does,
            where there is room for it, so that where a sound was cut says nothing about the film that it belongs to.

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
    if grid_s is not None:
        first = on_grid(first, start, start + spare, *grid_s)
    span = torch.stack([first, torch.minimum(first + length_s, end)], dim=1)
    return Window(span.masked_fill(~is_shared[:, None], torch.nan), length_s)


def on_grid(first_s: Tensor, least_s: Tensor, most_s: Tensor, frame_s: Tensor, step_s: Tensor) -> Tensor:
    """Starts moved to the last frame before them, or to the next one; as they are where neither lies between the bounds.

    Args:
        first_s: (B,) starts.
        least_s, most_s: (B,) bounds of a start.
        frame_s: (B,) the seconds of a frame.
        step_s: (B,) those from a frame to the next.

    Example:
        >>> bounds = torch.tensor([0.1]), torch.tensor([0.9])
        >>> [round(float(on_grid(torch.tensor([s]), *bounds, torch.tensor([0.0]), torch.tensor([0.25]))), 2) for s in (0.2, 0.6)]
        [0.25, 0.5]
    """
    before = frame_s + torch.floor((first_s - frame_s) / step_s + EARLY) * step_s
    moved = torch.where(before < least_s, before + step_s, before)
    return torch.where((moved >= least_s) & (moved <= most_s), moved, first_s)  # false for NaN
