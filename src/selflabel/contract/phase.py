"""A phase: a stretch of training with one loss, its optimiser, its draw and its hooks.

Axes: N items, M groups of an epoch, B groups of a batch, G items of a group.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from selflabel.contract.batch import Batch
from selflabel.contract.data import Data


@dataclass(frozen=True)
class Recipe:
    """An optimiser and its learning rate.

    Attributes:
        lr: highest learning rate.
        schedule: progress through the phase, 0 to 1, to a factor on `lr`.
        optimiser: "sgd" or "adamw".
        weight_decay: weight decay of the optimiser.
        momentum: momentum of SGD; AdamW has none.
    """

    lr: float
    schedule: Callable[[float], float]
    optimiser: str = "sgd"
    weight_decay: float = 0.0
    momentum: float = 0.9


def do_nothing(*_: Any) -> None:
    """The hook of a phase that needs none."""


@dataclass(frozen=True)
class Phase:
    """A stretch of training with one loss.

    Attributes:
        name: name of the phase, for the log; stored in metrics.jsonl.
        epochs: its length, in epochs.
        views: modality to the presets of its views; empty where the loss needs no views.
        recipe: optimiser and learning rate.
        loss: a batch to scalars by name, each a mean over the batch; their sum is minimised.
        batch_size: groups of a batch, at most; the batches of an epoch are of equal size, to within one group.
        relabel_at: when labels are solved, in epochs from the start of the phase. 0 is before the first step, and times past the
            end move to the last step.
        learns: prefixes of the names of the parameters that are trained. A module without any is in eval mode.
        draw: (epoch, generator) to (M, G) rows of one epoch in order; batches are cut from it, and no row is dropped. None shows
            every item once, in random order. A label turn that is due when the epoch begins comes first. What a draw depends on
            must not change within the epoch, or a resumed run would draw otherwise.
        start: called once when the phase begins, with (data, generator): mine neighbours, fill buffers.
        precompute: called with (data) after `start`, and again when a run resumes within the phase: what
            follows from the set and the method's state and is too large for a checkpoint, such as features of a frozen encoder.
        after_step: called after every optimiser step: momentum copies, queues.
        together: modalities whose views are of the same seconds, such as frames and the sound around them. The i-th views of an
            item are cut from one window, which is drawn for each i, so all of them need equally many views. Where an item's
            modalities have no stretch in common, the first is shown and the others count as absent (`Batch.present`).
    """

    name: str
    epochs: int
    views: Mapping[str, tuple[str, ...]]
    recipe: Recipe
    loss: Callable[[Batch], dict[str, Tensor]]
    batch_size: int = 128
    relabel_at: tuple[float, ...] = ()
    learns: tuple[str, ...] = ("",)
    draw: Callable[[int, torch.Generator], Tensor] | None = None
    start: Callable[[Data, torch.Generator], None] = do_nothing
    precompute: Callable[[Data], None] = do_nothing
    after_step: Callable[[], None] = do_nothing
    together: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        counts = {len(self.views.get(m, ())) for m in self.together}
        if self.together and (len({*self.together}) < 2 or len(counts) > 1 or 0 in counts):
            names = " and ".join(self.together)
            raise ValueError(f"phase {self.name}, together {names}: takes two modalities or more, with equally many views.")

    @property
    def n_windows(self) -> int:
        """The windows in time that an item's views share."""
        return len(self.views[self.together[0]]) if self.together else 0


def shuffled_rows(n_items: int, generator: torch.Generator) -> Tensor:
    """(N, 1) every row once, in random order. A single item comes twice, because batch norm needs two."""
    order = torch.randperm(n_items, generator=generator)
    return (order if n_items > 1 else order.repeat(2))[:, None]


def split_batches(order: Tensor, batch_size: int) -> list[Tensor]:
    """Batches of at most `batch_size` groups: equal to within one group, so that there is no short last one."""
    return list(torch.tensor_split(order, max(1, math.ceil(len(order) / batch_size))))
