"""MaskContrast (Van Gansbeke et al., ICCV 2021): embeddings of pixels that are alike inside a mask and unlike in others.

Claim: masks of objects that were found without supervision say which pixels belong together. Embeddings pulled to the mean of
their own mask, and contrasted with the means of other masks, cluster into classes.

Other than published: a two-layer head on the fixed features of a pretrained backbone, not a whole network; the pixels of a mask
are patches, and their other view is the momentum copy of the head, without crops or colours; masks are those of another finder,
and a photo may have several.

Axes: N masks, B masks of a batch, P patches of a mask in a batch, D features, E = 32 numbers of an embedding, Q of the queue.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Annotated, Literal

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from selflabel.base.errors import UserError
from selflabel.contract.finder import Finder, Region, Shown, shares_inside
from selflabel.methods.option_types import PositiveFloat, PositiveInt

DIM = 32  # of an embedding
SAMPLE_PHOTOS, MOST_MASKS = 512, 2048  # to learn from
PATCHES = 16  # of a mask in a batch
KEPT = 32  # of a mask, at random

Momentum = Annotated[float, Field(ge=0, lt=1)]


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Options:
    """Options of `maskcontrast`.

    Attributes:
        masks: the finder whose masks are taken, with its own defaults.
        temperature: of the softmax over masks (published: .5, at which the embeddings are hardly better than the features).
        queue: means of earlier masks to contrast with (published: 128).
        momentum: of the copy that gives the means (published: .999, over far more steps).
        steps: of the optimiser.
        batch: masks in a step (published: 64).
        lr: learning rate of Adam.
    """

    masks: Literal["cut", "found"] = "found"
    temperature: PositiveFloat = 0.1
    queue: PositiveInt = 128
    momentum: Momentum = 0.99
    steps: PositiveInt = 1000
    batch: PositiveInt = 64
    lr: PositiveFloat = 1e-3


def in_features(head: nn.Sequential) -> int:
    """The length of the features that a head takes."""
    first = head[1]
    assert isinstance(first, nn.Linear)
    return int(first.weight.shape[1])


class MaskContrast(Finder):
    """The regions of another finder, described by learned embeddings. finder: the other one; `methods.make_finder` sets it."""

    options_type = Options
    layers = ("keys", "stride16")
    finder: Finder

    def __init__(self, options: Options):
        super().__init__(options)
        self.head: nn.Sequential | None = None

    def fit(self, photos: Iterable[Shown], generator: torch.Generator) -> None:
        self.finder.fit(photos, generator)
        masks = list[Tensor]()
        for n, shown in enumerate(photos):
            masks += [kept_patches(shown, region, generator) for region in self.finder.find(shown)]
            if n + 1 >= SAMPLE_PHOTOS or len(masks) >= MOST_MASKS:
                break
        if masks:
            self.head = learned(torch.stack(masks), self.options, generator)

    def state(self) -> dict[str, np.ndarray]:
        own = {} if self.head is None else {f"head.{k}": v.numpy() for k, v in self.head.state_dict().items()}
        return own | {f"masks.{k}": v for k, v in self.finder.state().items()}

    def load_state(self, state: dict[str, np.ndarray]) -> None:
        own = {k.removeprefix("head."): torch.from_numpy(v) for k, v in state.items() if k.startswith("head.")}
        if not all(v.is_floating_point() and v.isfinite().all() for v in own.values()):
            raise ValueError("its head has numbers that are not finite")
        self.head = make_head(own["1.weight"].shape[1])
        self.head.load_state_dict(own)
        self.finder.load_state({k.removeprefix("masks."): v for k, v in state.items() if k.startswith("masks.")})

    @torch.no_grad()
    def find(self, shown: Shown) -> list[Region]:
        regions = self.finder.find(shown)
        if not regions or self.head is None:
            return regions
        dim, expected = shown.places_hwD.shape[2], in_features(self.head)
        if dim != expected:
            raise UserError(
                f"the head that describes objects is for {expected} features, and the encoder gives {dim}; "
                "copy the run folder again, or find the objects again."
            )
        embeddings = embedded(self.head, torch.from_numpy(shown.places_hwD).reshape(-1, dim))
        shares = [torch.from_numpy(shares_inside(r, shown)).reshape(-1, 1) for r in regions]
        return [r._replace(features=F.normalize((s * embeddings).sum(dim=0), dim=0).numpy()) for r, s in zip(regions, shares)]


class Scaled(nn.Module):
    """Features of length 1, without their mean over all masks, scaled to a mean length of 1."""

    mean: Tensor
    scale: Tensor

    def __init__(self, dim: int):
        super().__init__()
        self.register_buffer("mean", torch.zeros(dim))
        self.register_buffer("scale", torch.ones(()))

    def forward(self, x: Tensor) -> Tensor:
        return (F.normalize(x, dim=-1) - self.mean) / self.scale


def make_head(dim: int) -> nn.Sequential:
    """Features (..., dim) to embeddings (..., 32), not yet of length 1."""
    return nn.Sequential(Scaled(dim), nn.Linear(dim, 2 * dim), nn.ReLU(), nn.Linear(2 * dim, DIM))


def embedded(head: nn.Module, features: Tensor) -> Tensor:
    """Embeddings of length 1."""
    return F.normalize(head(features), dim=-1)


def kept_patches(shown: Shown, region: Region, generator: torch.Generator) -> Tensor:
    """(`KEPT`, D) float16 features of patches of which more than half is inside a region; where none is, of the one most inside.

    They are drawn at random, some of them several times where there are fewer.
    """
    shares = torch.from_numpy(shares_inside(region, shown)).reshape(-1)
    rows = (shares > 0.5).nonzero()[:, 0] if (shares > 0.5).any() else shares.argmax()[None]
    rows = rows[torch.randperm(len(rows), generator=generator)].repeat(-(-KEPT // len(rows)))[:KEPT]
    return torch.from_numpy(shown.places_hwD).flatten(0, 1)[rows].half()


def learned(masks_NKD: Tensor, options: Options, generator: torch.Generator) -> nn.Sequential:
    """The head. masks_NKD: of each mask the float16 features of `KEPT` patches."""
    head = make_head(masks_NKD.shape[2])
    initialise(head, generator)
    unit = F.normalize(masks_NKD[:, 0].float(), dim=1)  # one patch of each
    head[0].mean.copy_(unit.mean(dim=0))  # type: ignore[operator, union-attr]
    head[0].scale.fill_((unit - unit.mean(dim=0)).norm(dim=1).mean().clamp_min(1e-6))  # type: ignore[operator, union-attr]
    slow, queue = copy.deepcopy(head), torch.zeros(0, DIM)
    optimiser = torch.optim.Adam(head.parameters(), lr=options.lr, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, options.steps)
    for _ in range(options.steps):
        rows = torch.randperm(len(masks_NKD), generator=generator)[: options.batch]
        queries, keys = (drawn(masks_NKD, rows, generator) for _ in range(2))
        with torch.no_grad():
            means_BE = F.normalize(embedded(slow, keys).sum(dim=1), dim=1)
        loss = contrast(embedded(head, queries), means_BE, queue, options.temperature)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        for p, q in zip(slow.parameters(), head.parameters()):
            p.data.lerp_(q.data, 1 - options.momentum)
        queue = torch.cat([means_BE, queue])[: options.queue]
    return head.eval().requires_grad_(False)


def initialise(head: nn.Sequential, generator: torch.Generator) -> None:
    """Weights as of torch's linear layers, drawn from a generator of one's own."""
    for layer in head:
        if isinstance(layer, nn.Linear):
            bound = layer.in_features**-0.5
            nn.init.uniform_(layer.weight, -bound, bound, generator=generator)
            nn.init.zeros_(layer.bias)


def drawn(masks_NKD: Tensor, rows_B: Tensor, generator: torch.Generator) -> Tensor:
    """(B, `PATCHES`, D) float32, patches of some masks drawn with replacement."""
    columns = torch.randint(masks_NKD.shape[1], (len(rows_B), PATCHES), generator=generator)
    return masks_NKD[rows_B[:, None], columns].float()


def contrast(queries_BPE: Tensor, means_BE: Tensor, queue_QE: Tensor, temperature: float) -> Tensor:
    """The mean over all patches of -log exp(q z / T) / (the sum of exp(q z' / T) over the means z' of the batch and the queue).

    MaskContrast, equation 3: z is the mean of the patch's own mask. All rows have length 1.
    """
    B, P, _ = queries_BPE.shape
    logits = queries_BPE.flatten(0, 1) @ torch.cat([means_BE, queue_QE]).T / temperature
    return F.cross_entropy(logits, torch.arange(B).repeat_interleave(P))
