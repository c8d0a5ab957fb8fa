"""Several encoders as one: fixed backbones side by side, and several spaces of given features.

Axes: B items, D features of all spaces together, S spaces.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from selflabel.base.errors import UserError
from selflabel.encoders.base import mean_and_length


def names_of_parts(encoder: str) -> list[str]:
    """The encoders in a name such as frozen:A+frozen:B; one where there is no +.

    Raises:
        UserError: one of several is no fixed backbone.

    Example:
        >>> names_of_parts("frozen:timm:vit_small+frozen:resnet18"), names_of_parts("resnet9")
        (['frozen:timm:vit_small', 'frozen:resnet18'], ['resnet9'])
    """
    names = encoder.split("+")
    other = next((name for name in names if not name.startswith("frozen:")), None)
    if len(names) > 1 and other is not None:
        raise UserError(f"--encoder {encoder}: only fixed backbones can stand side by side; write each as frozen:NAME.")
    return names


class JoinedBackbones(nn.Module):
    """Fixed backbones whose features lie side by side.

    Args:
        parts: encoders; each is shown the views at its own side.
        sides: side of the views of each, in pixels.
    """

    def __init__(self, parts: Sequence[nn.Module], sides: Sequence[int]):
        super().__init__()
        self.parts, self.sides, self.px = nn.ModuleList(parts), list(sides), max(sides)
        self.dims = [int(part.dim) for part in parts]  # type: ignore[arg-type]
        self.dim = sum(self.dims)

    def forward(self, x: Tensor) -> Tensor:
        """(B, sum of dims) features of views (B, ..., px, px)."""
        return torch.cat([part(resized(x, side)).float() for part, side in zip(self.parts, self.sides)], dim=1)


def resized(x: Tensor, side: int) -> Tensor:
    """Square views (B, ..., px, px) at another side; others, such as spectrograms, as they are."""
    if x.shape[-1] != x.shape[-2] or x.shape[-1] == side:
        return x
    flat = x.reshape(-1, 1, *x.shape[-2:])
    small = F.interpolate(flat, size=(side, side), mode="bilinear", antialias=True, align_corners=False)
    return small.reshape(*x.shape[:-2], side, side)


class JoinedFeatures(nn.Module):
    """The encoder of several spaces of given features: each is centred, divided by its mean length, and weighted.

    Args:
        dims: length of a feature vector in each space.
    """

    mean: Tensor
    factors: Tensor

    def __init__(self, dims: Sequence[int]):
        super().__init__()
        self.dims, self.dim, self.px = tuple(dims), sum(dims), 0
        self.register_buffer("mean", torch.zeros(self.dim))
        self.register_buffer("factors", torch.ones(len(self.dims)))

    def fit(self, features_ND: Tensor, weights_S: Sequence[float]) -> JoinedFeatures:
        """Set the mean and the mean length of each space from all rows (N, D).

        Args:
            features_ND: the spaces side by side.
            weights_S: what each space is multiplied with, beside its mean length.
        """
        means, lengths = zip(*map(mean_and_length, features_ND.split(self.dims, dim=1)))
        self.mean.copy_(torch.cat(means))
        self.factors.copy_(torch.tensor([weight / length for weight, length in zip(weights_S, lengths)]))
        return self

    def forward(self, x: Tensor) -> Tensor:
        """(B, dim) features of the spaces (B, dim), side by side."""
        factors = self.factors.repeat_interleave(torch.tensor(self.dims, device=x.device))
        return (x.float() - self.mean) * factors
