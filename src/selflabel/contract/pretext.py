"""The base of every pretext: what encoders learn before there are labels.

Axes: B items of a batch.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from torch import Tensor, nn

from selflabel.base.schedules import one_cycle
from selflabel.contract.batch import Batch, Gather, no_gather
from selflabel.contract.phase import Phase, Recipe
from selflabel.contract.task import Task

PRETEXT = "pretext"  # name of its phase, and of the attribute under which a method keeps it
PRETEXT_BATCH_SIZE, PRETEXT_LR = 256, 2e-3


@dataclass(frozen=True)
class PaperFilms:
    """How a paper shows films, and to which network.

    Attributes:
        encoder: name of the network.
        px: side of a frame in pixels.
        frames: of a view.
        fps: frames a second.
    """

    encoder: str
    px: int
    frames: int
    fps: float


class Pretext(nn.Module, ABC):
    """What encoders learn before there are labels. A method keeps it as its attribute `pretext`.

    Attributes:
        projector: layers between the features and the loss.
        batch_size: items of a batch, at most.
        lr: highest learning rate of AdamW.
        keeps_recipe: whether it is trained by AdamW at this rate before every method, because its loss compares vectors of any
            length; else a method may train it as it trains itself.
        paper_epochs: as published, for `--preset paper`; None where a method has its own length.
        paper_films: as published, for `--preset paper`; None where the method's own network is shown films.
    """

    projector: nn.Module
    batch_size: int = PRETEXT_BATCH_SIZE
    lr: float = PRETEXT_LR
    keeps_recipe: bool = False
    paper_epochs: int | None = None
    paper_films: PaperFilms | None = None

    @abstractmethod
    def views(self, task: Task) -> dict[str, tuple[str, ...]]:
        """Modality to the presets of its views, of the encoders that learn."""

    @abstractmethod
    def batch_loss(self, encoders: nn.ModuleDict, task: Task, batch: Batch) -> Tensor:
        """The mean over the items of a batch that shows `views`.

        Args:
            encoders: modality to encoder, of the method.
            task: of the method.
            batch: the views.
        """

    def after_step(self, encoder: nn.Module) -> None:
        """Called with the first modality's encoder after every optimiser step: momentum copies, queues."""

    def phase(self, encoders: nn.ModuleDict, task: Task, epochs: int, lr_scale: float = 1.0) -> Phase:
        """The phase in which encoders and projector learn.

        Args:
            encoders: modality to encoder, of the method.
            task: of the method; a small set gets smaller batches.
            epochs: length of the phase, in epochs.
            lr_scale: factor on the learning rate.
        """
        return Phase(
            name=PRETEXT,
            epochs=epochs,
            views=self.views(task),
            recipe=Recipe(self.lr * lr_scale, one_cycle, "adamw", 1e-4),
            loss=lambda batch: {PRETEXT: self.batch_loss(encoders, task, batch)},
            batch_size=min(self.batch_size, max(16, task.n_items // 8)),
            learns=("encoders", f"{PRETEXT}.projector"),
            after_step=lambda: self.after_step(encoders[task.modality]),
        )


class SinglePretext(Pretext):
    """What the encoder of the first modality learns by itself.

    Attributes:
        views_per_item: random views of each item that the loss takes.
    """

    views_per_item: int = 2

    @abstractmethod
    def loss(self, encoder: nn.Module, views: list[Tensor], gather: Gather = no_gather) -> Tensor:
        """The mean over the batch's items.

        Args:
            encoder: the one that learns.
            views: `views_per_item` tensors (B, ...) of random views.
            gather: as `Batch.gather`.
        """

    def views(self, task: Task) -> dict[str, tuple[str, ...]]:
        return {task.modality: (task.view_preset(task.modality),) * self.views_per_item}

    def batch_loss(self, encoders: nn.ModuleDict, task: Task, batch: Batch) -> Tensor:
        shown = [view.pixels for view in batch.views[task.modality]]
        return self.loss(encoders[task.modality], shown, batch.gather)
