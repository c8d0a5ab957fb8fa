"""The base of every pretext: what one encoder learns before there are labels.

Axes: B items of a batch.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor, nn

from selflabel.base.schedules import one_cycle
from selflabel.contract.batch import Batch, Gather, no_gather
from selflabel.contract.phase import Phase, Recipe

PRETEXT = "pretext"  # name of its phase, and of the attribute under which a method keeps it
PRETEXT_BATCH_SIZE, PRETEXT_LR = 256, 2e-3


class Pretext(nn.Module, ABC):
    """What one encoder learns before there are labels. A method keeps it as its attribute `pretext`.

    Attributes:
        projector: layers between the feature and the loss.
        views_per_item: random views of each item that the loss takes.
    """

    projector: nn.Module
    views_per_item: int = 2

    @abstractmethod
    def loss(self, encoder: nn.Module, views: list[Tensor], gather: Gather = no_gather) -> Tensor:
        """The mean over the batch's items.

        Args:
            encoder: the one that learns.
            views: `views_per_item` tensors (B, ...) of random views.
            gather: as `Batch.gather`.
        """

    def after_step(self, encoder: nn.Module) -> None:
        """Called after every optimiser step: momentum copies, queues."""

    def phase(self, encoder: nn.Module, modality: str, preset: str, epochs: int, n_items: int, lr_scale: float = 1.0) -> Phase:
        """The phase in which the encoder and the projector learn.

        Args:
            encoder: the one that learns, `method.encoders[modality]`.
            modality: the modality whose views are shown.
            preset: preset of these views.
            epochs: length of the phase, in epochs.
            n_items: items of the set; a small one gets smaller batches.
            lr_scale: factor on the learning rate.
        """

        def loss(batch: Batch) -> dict[str, Tensor]:
            views = [view.pixels for view in batch.views[modality]]
            return {PRETEXT: self.loss(encoder, views, batch.gather)}

        return Phase(
            name=PRETEXT,
            epochs=epochs,
            views={modality: (preset,) * self.views_per_item},
            recipe=Recipe(PRETEXT_LR * lr_scale, one_cycle, "adamw", 1e-4),
            loss=loss,
            batch_size=min(PRETEXT_BATCH_SIZE, max(16, n_items // 8)),
            learns=("encoders", "pretext.projector"),
            after_step=lambda: self.after_step(encoder),
        )
