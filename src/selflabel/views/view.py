"""What a method is shown of a block of items: pixels, and the geometry and the time span that made them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class View:
    """A view of B items.

    Attributes:
        pixels: (B, C, h, w) images, (B, C, F, h, w) videos, (B, 1, bands, steps) spectrograms, in [0, 1]; or (B, D) features.
        theta: (B, 2, 3) matrices from the view's coordinates to those of the stored item, both in [-1, 1] (x before y), as
            `warp` takes them, so that a mask or a box can follow. One matrix serves all frames of a video. For a spectrogram the
            stored item is the stretch `span`, time along x. None for features.
        span: (B, 2) first and last moment that is shown, as shares (0 to 1) of the stored video or sound; None for the rest.
    """

    pixels: Tensor
    theta: Tensor | None = None
    span: Tensor | None = None


def identity(n: int, like: Tensor) -> Tensor:
    """(n, 2, 3) matrices that leave coordinates as they are, on the device of `like`."""
    return torch.eye(2, 3, device=like.device).expand(n, 2, 3)
