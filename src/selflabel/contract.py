"""The contract of methods and pretexts: what a paper decides, and nothing else.

A method lists its phases, and each phase owns its loss, its draw and its hooks. The training loop runs them. A method never sees
files, devices or truth. Everything that it learns lives in parameters, buffers and `extra_state`, so that a checkpoint holds all
of it: `build` makes the modules of every phase, and buffers may change their shape later.

Axes: N items, B items of a batch, G items of a group (a pair, a clique), H heads, K labels, D features.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

import torch
from pydantic import ConfigDict
from pydantic.dataclasses import dataclass as checked
from torch import Tensor, nn

from selflabel.base.schedules import one_cycle
from selflabel.base.settings import value_for_modality
from selflabel.views import PRESETS, View

# ------------------------------------------------------------------------------------------------ what a phase gets


class Gather(Protocol):
    """See `Batch.gather`."""

    def __call__(self, local: Tensor, *, stacked: int = 1) -> Tensor: ...


def no_gather(local: Tensor, *, stacked: int = 1) -> Tensor:
    """`Batch.gather` of a single process, which has all rows."""
    return local


@dataclass
class Batch:
    """What a loss is computed from.

    Attributes:
        rows_BG: (B, G) int64 row numbers of the items.
        views: modality to its views, one for each preset of `Phase.views`; their pixels are (B * G, ...), group after group.
        progress: share of the phase that is done, 0 to 1.
        present: modality to (B * G,) bool, whether the item has it; left out for a modality that all items have.
        gather: (rows of this rank, `stacked` such blocks one after the other) to the rows of all ranks. Use it where a loss is no
            mean over rows, such as one with the entropy of the mean label, and for what goes into a queue.
    """

    rows_BG: Tensor
    views: dict[str, list[View]]
    progress: float
    present: dict[str, Tensor] = field(default_factory=dict)
    gather: Gather = no_gather


@dataclass(frozen=True)
class Features:
    """Encoder outputs of a block of items, from one forward pass in eval mode.

    Attributes:
        pooled: modality to (B, D).
        present: modality to (B,) bool, whether the item has it; a modality that is left out is present in every item of `pooled`.
        maps: modality to (B, D, h, w), for films (B, D, F, h, w); empty unless they were asked for.
    """

    pooled: dict[str, Tensor]
    present: dict[str, Tensor] = field(default_factory=dict)
    maps: dict[str, Tensor] = field(default_factory=dict)

    def filled(self, dims: dict[str, int]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """All modalities in `dims` (modality to D), with zeros for those that the block lacks.

        Returns:
            (features, present): modality to (B, D), and modality to (B,) bool.
        """
        any_features = next(iter(self.pooled.values()))
        n, absent = len(any_features), torch.zeros(len(any_features), dtype=torch.bool, device=any_features.device)
        features = {m: self.pooled[m] if m in self.pooled else any_features.new_zeros(n, dim) for m, dim in dims.items()}
        return features, {m: self.present.get(m, ~absent) if m in self.pooled else absent for m in dims}


class Data(Protocol):
    """The set as a method sees it."""

    n_items: int
    present: dict[str, Tensor]  # modality to (N,) bool: which items have it

    def features(
        self,
        modality: str,
        *,
        layer: str = "pooled",
        view: str = "centre",
        draw: int = 0,
        encoder: nn.Module | None = None,
    ) -> Tensor:
        """(N, D) features of all items in order, in eval mode. Each rank computes its shard; the result is gathered.

        Args:
            modality: "image", "video" or "audio".
            layer: "pooled", the encoder's output, or "input", features that need no network (`views.first`).
            view: preset of the view.
            draw: key of the view's random numbers.
            encoder: another encoder than the method's own, such as a momentum copy.
        """
        ...

    def blocks(self, maps: bool = False) -> Iterator[tuple[Tensor, Features]]:
        """This rank's items in order, a block at a time: (rows (B,), their features of centre views)."""
        ...


# ------------------------------------------------------------------------------------------------------------- phases


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


def shuffled_rows(n_items: int, generator: torch.Generator) -> Tensor:
    """(N, 1) every row once, in random order. A single item comes twice, because batch norm needs two."""
    order = torch.randperm(n_items, generator=generator)
    return (order if n_items > 1 else order.repeat(2))[:, None]


def split_batches(order: Tensor, batch_size: int) -> list[Tensor]:
    """Batches of at most `batch_size` groups: equal to within one group, so that there is no short last one."""
    return list(torch.tensor_split(order, max(1, math.ceil(len(order) / batch_size))))


# ------------------------------------------------------------------------------------------------------------ results


@dataclass(frozen=True)
class Relabelling:
    """The result of a label turn.

    Attributes:
        labels: (N,) int labels of each head; empty where the turn makes classes that are no labels of all items.
        error: largest relative error of a label's mass.
        n_iter: iterations of the solver.
        converged: whether the solver reached its tolerance.
        reset: prefixes of the names of parameters that were initialised again; their optimiser state is dropped.
    """

    labels: list[Tensor]
    error: float = 0.0
    n_iter: int = 0
    converged: bool = True
    reset: tuple[str, ...] = ()


@dataclass(frozen=True)
class Prediction:
    """Labels of a block of items: log-probabilities (B, K) of each head."""

    log_probs: list[Tensor]


@dataclass(frozen=True)
class Outcome:
    """The finished labelling.

    Attributes:
        labels: (N,) int labels of each head.
        head: the reported head, chosen without truth.
        probabilities: (N, K) float16 of the reported head.
        notes: further entries of report.json. "n_clusters", of a method that looked for the number of clusters, is
            {"found": number, "candidates": [[number, merit], ...] best first}; the report calls it `number_of_clusters`.
    """

    labels: list[Tensor]
    head: int
    probabilities: Tensor
    notes: dict[str, Any] = field(default_factory=dict)


def argmax_outcome(log_probs: list[Tensor], head: int, notes: dict[str, Any]) -> Outcome:
    """The labelling in which every head (N, K) gives each item its most probable label."""
    return Outcome([p.argmax(dim=1) for p in log_probs], head, log_probs[head].exp().half(), notes)


def lowest_loss_head(losses: list[float]) -> int:
    """The head of lowest loss; the first of those that differ by rounding only."""
    return min(range(len(losses)), key=lambda h: (round(losses[h], 6), h))


# ------------------------------------------------------------------------------------------------------------- methods


@dataclass(frozen=True)
class Task:
    """What is known before training. Its fields are stored in run.toml.

    Attributes:
        n_items: items of the set.
        clusters: K, from 1 on. None: the method's default; sela-nn estimates it. Runs of 0.3.0 and before have None where 128 was
            the default.
        kind: kind of the first modality, one of those below.
        px: side of a view of the first modality, in pixels; 0 for features.
        channels: channels of such a view.
        mass: cluster sizes: "auto", "uniform", "gaussian", "zipf", "estimated" or "relaxed".
        preset: "paper" for the published network and length, or None.
        epochs: epochs of all phases together, from 1 on. None: the method's default.
        gpu: whether the run trains on a CUDA GPU.
        seed: seed of every random number.
        views: preset of the random views, or one for each modality ("video=photo,audio=sound"); "auto" follows from the kind.
        given_labels: (N,) int64 fixed labels to train on, or None.
        pretrained: whether the encoder of the first modality is pretrained.
        kinds: modality ("image", "video" or "audio") to its kind: "glyph", "photo", "video", "sound", "spoken" or "features".
    """

    n_items: int
    clusters: int | None
    kind: str
    px: int
    channels: int
    mass: str = "auto"
    preset: str | None = None
    epochs: int | None = None
    gpu: bool = False
    seed: int = 0
    views: str = "auto"
    given_labels: Tensor | None = None
    pretrained: bool = False
    kinds: dict[str, str] = field(default_factory=dict)

    @property
    def modalities(self) -> tuple[str, ...]:
        """All modalities, the pictures or films before their sound."""
        return tuple(self.kinds) or ("image",)

    @property
    def modality(self) -> str:
        """The first modality, which a method of one modality uses."""
        return self.modalities[0]

    @property
    def from_scratch(self) -> bool:
        """Whether the first modality's encoder has random weights and can learn."""
        return self.kind != "features" and not self.pretrained

    def n_clusters(self, default: int) -> int:
        """The number of clusters that the user asked for; else `default`, or the number of items where there are fewer."""
        return min(default, self.n_items) if self.clusters is None else self.clusters

    def kind_of(self, modality: str) -> str:
        """The kind of a modality."""
        return self.kinds.get(modality, self.kind)

    def requested_views(self, modality: str) -> str | None:
        """The preset that the user asked for; None where views follow from the kind."""
        name = value_for_modality(self.views, modality, self.modality)
        return None if name == "auto" else name

    def view_preset(self, modality: str, strength: str = "") -> str:
        """The preset of a random view: the requested one, or that of the modality's kind.

        Args:
            modality: the modality of the view.
            strength: "" or "-strong"; ignored where there is no such preset.
        """
        kind = self.kind_of(modality)
        name = self.requested_views(modality) or {"features": "dropout"}.get(kind, kind)
        return f"{name}{strength}" if f"{name}{strength}" in PRESETS else name


@checked(frozen=True, config=ConfigDict(extra="forbid"))
class NoOptions:
    """The options of a method that has none."""


class Method(nn.Module, ABC):
    """The base of every method; see the module's docstring for the contract.

    Attributes:
        max_modalities: how many modalities it uses.
        chooses_k: whether it estimates the number of clusters where the user gave none; others then have a default.
        most_clusters: the default of a method of many clusters, on many items (see `jobs.build.with_clusters`); None for others.
        takes_given_labels: whether it can train on labels that the user gave (`Task.given_labels`).
        options_type: checked dataclass of its `--set` options.
        per_item: buffers with a row or column for each item: kept in checkpoints, left out of the finished model.
        encoders: modality to encoder.
    """

    max_modalities: int = 1
    chooses_k: ClassVar[bool] = False
    most_clusters: ClassVar[int | None] = None
    takes_given_labels: ClassVar[bool] = False
    options_type: type = NoOptions
    per_item: tuple[str, ...] = ()
    encoders: nn.ModuleDict

    def __init__(self, task: Task, options: Any):
        super().__init__()
        self.task, self.options = task, options

    @abstractmethod
    def build(self, encoders: nn.ModuleDict) -> None:
        """Take the encoders (modality to module) and make every head, copy and buffer of every phase."""

    @abstractmethod
    def phases(self) -> list[Phase]:
        """The phases in order, of a built method. Their lengths follow from the task alone. Empty where nothing is trained."""

    @abstractmethod
    def predict(self, features: Features) -> Prediction:
        """Log-probabilities (B, K) of each head, in eval mode, from pooled features (B, D) of each modality.

        `features.pooled` may lack modalities that the method was trained on: `Features.filled` adds them.
        """

    @abstractmethod
    def final(self, data: Data, generator: torch.Generator) -> Outcome:
        """The finished labelling, with the reported head chosen without truth."""

    def relabel(self, data: Data, generator: torch.Generator) -> Relabelling | None:
        """The label turn; None where nothing is relabelled."""
        return None

    def dim(self, modality: str) -> int:
        """The length of a modality's features."""
        return int(self.encoders[modality].dim)  # type: ignore[arg-type]

    def current_labels(self) -> list[Tensor]:
        """(N,) labels of each head that are trained on now, -1 for an item without one; empty where there are none yet."""
        return []

    def extra_state(self) -> dict:
        """State that is no tensor. It is stored as JSON: tuples come back as lists, and keys that are numbers as strings."""
        return {}

    def load_extra_state(self, state: dict) -> None:
        """Restore what `extra_state` returned."""


# ------------------------------------------------------------------------------------------------------------ pretexts

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
