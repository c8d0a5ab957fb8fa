"""The contract of a method: what a paper decides, and nothing else.

A method says its phases, how items are drawn, its loss and its labelling turn. It never sees files, devices or truth.
Everything it learns lives in parameters, buffers and `extra_state`, so that a checkpoint holds it whole: `build` makes
every module of every phase, and buffers may change their shape later.

Axes: N items, B items of a batch, G items of a group (a pair, a clique), H heads, K labels, D features.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from selflabel.base.settings import of_modality
from selflabel.views import PRESETS


@dataclass(frozen=True)
class Recipe:
    """An optimiser and the shape of its learning rate: `shape` maps progress through the phase, 0 to 1, to a factor."""

    lr: float
    shape: Callable[[float], float]
    kind: str = "sgd"  # or "adamw"
    weight_decay: float = 0.0
    momentum: float = 0.9


def cosine(progress: float) -> float:
    """From 1 to 0 along half a cosine (Loshchilov & Hutter, 2017)."""
    return 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))


def one_cycle(progress: float, warm: float = 0.1) -> float:
    """Linear to 1 over the first tenth, then half a cosine to 0."""
    return progress / warm if progress < warm else cosine((progress - warm) / (1 - warm))


@dataclass(frozen=True)
class Phase:
    """A stretch of training.

    views: modality to the presets of its views, one tensor each; none where the method remembers what it needs. relabel_at: when
    labels are solved anew, in epochs from the start of the phase, known before the loop. learns: prefixes of the parameters that
    are trained; a module none of whose parameters are trained is in eval mode.
    """

    name: str
    epochs: int
    views: dict[str, tuple[Any, ...]]
    recipe: Recipe
    batch: int = 128
    relabel_at: tuple[float, ...] = ()
    learns: tuple[str, ...] = ("",)


class Data(Protocol):
    """All that a method sees of the set."""

    n_items: int
    present: dict[str, Tensor]  # modality to (N,): which items have it

    def features(
        self,
        modality: str,
        *,
        layer: str = "pooled",
        view: Any = "centre",
        draw: int = 0,
        encoder: nn.Module | None = None,
    ) -> Tensor:
        """(N, D) features of every item in order: in eval mode, streamed, each rank its shard, then gathered.

        layer: "input" (first features of what the encoder is shown, see views.first), "pooled", or "map" (N, D, h, w).
        view: a preset; `draw` keys its randomness. encoder: another than the method's own, such as a momentum copy.
        """
        ...


class Every(Protocol):
    """See `Batch`."""

    def __call__(self, part: Tensor, *, stacked: int = 1) -> Tensor: ...


def alone(part: Tensor, *, stacked: int = 1) -> Tensor:
    """`Batch.every` of a process by itself: it has all rows."""
    return part


@dataclass
class Batch:
    """rows_BG: (B, G) rows of the items. views: modality to tensors (B * G, ...), by group. progress: 0 to 1 in the phase.
    present: modality to (B * G,), whether the item has it; a modality that all items have is left out. phase: its name.

    every: (rows of the batch that this rank has, `stacked` such, one after the other) to those of all ranks. A loss that is no
    mean over rows, as one with the entropy of the mean label, is taken of what this gives; so is what a queue keeps.
    """

    rows_BG: Tensor
    views: dict[str, list[Tensor]]
    progress: float
    present: dict[str, Tensor] = field(default_factory=dict)
    phase: str = ""
    every: Every = alone


@dataclass(frozen=True)
class Relabelling:
    """What a labelling turn did: labels a head (N,), and how the solve went. renewed: prefixes of parameters made anew."""

    labels: list[Tensor]
    error: float = 0.0
    turns: int = 0
    converged: bool = True
    renewed: tuple[str, ...] = ()


@dataclass(frozen=True)
class Prediction:
    """log_probs: a tensor (B, K) a head. maps: optional localisation, (B, h, w) a head."""

    log_probs: list[Tensor]
    maps: list[Tensor] | None = None


@dataclass(frozen=True)
class Final:
    """The finished labelling: labels a head (N,), the reported head, and its soft rows (N, K) float16."""

    labels: list[Tensor]
    head: int
    probabilities: Tensor
    notes: dict[str, Any] = field(default_factory=dict)


def finished(log_probs: list[Tensor], head: int, notes: dict[str, Any]) -> Final:
    """The labelling in which every head (N, K) gives each item its likeliest label."""
    return Final([p.argmax(dim=1) for p in log_probs], head, log_probs[head].exp().half(), notes)


def least(losses: list[float]) -> int:
    """The head of least loss, the first of those that differ by rounding only."""
    return min(range(len(losses)), key=lambda h: (round(losses[h], 6), h))


@dataclass(frozen=True)
class Task:
    """What is known before the loop. clusters None: the method chooses K.

    kinds: modality to "glyph", "photo", "video", "sound", "spoken" or "features". kind, px, channels and pretrained speak of the
    first modality.
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
        return tuple(self.kinds) or ("image",)

    @property
    def modality(self) -> str:
        """The first, which a method of one modality is about."""
        return self.modalities[0]

    @property
    def starts_from_nothing(self) -> bool:
        """Whether the first modality's encoder has learned nothing yet and can learn."""
        return self.kind != "features" and not self.pretrained

    def kind_of(self, modality: str) -> str:
        return self.kinds.get(modality, self.kind)

    def views_asked(self, modality: str) -> str | None:
        """The preset that was asked for a modality's views; None where they are by its kind."""
        asked = of_modality(self.views, modality, self.modality)
        return None if asked == "auto" else asked


class Method(nn.Module, ABC):
    """The base of every method; see the module's docstring for the contract."""

    most_modalities: int = 1
    options_type: type = type(None)
    per_item: tuple[str, ...] = ()  # buffers with a row an item: kept in checkpoints, left out of the finished model
    encoders: nn.ModuleDict

    def __init__(self, task: Task, options: Any):
        super().__init__()
        self.task, self.options = task, options

    @abstractmethod
    def build(self, encoders: nn.ModuleDict) -> None:
        """Take the encoders (modality to module) and make every head, copy and buffer of every phase."""

    @abstractmethod
    def phases(self) -> list[Phase]:
        """The phases in order, worked out from the task alone; none where nothing is trained."""

    @abstractmethod
    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Scalars by name, means over the batch; their sum is minimised."""

    @abstractmethod
    def predict(self, block: dict[str, Tensor], present: dict[str, Tensor] | None = None) -> Prediction:
        """Log-probabilities a head from pooled features (modality to (B, D)), in eval mode; present: (B,) a modality."""

    @abstractmethod
    def final(self, data: Data, generator: torch.Generator) -> Final:
        """The finished labelling, with the reported head chosen without truth."""

    def start(self, phase: Phase, data: Data, generator: torch.Generator) -> None:
        """Called once when a phase begins: mine neighbours, refill buffers, reset a head."""

    def remember(self, phase: Phase, data: Data) -> None:
        """Called when a phase begins, after `start`, and again when a run resumes within it: what follows from the set and the
        method's state and is too large for a checkpoint, such as the features of an encoder that this phase does not train.
        """

    def draw(self, phase: Phase, epoch: int, generator: torch.Generator) -> Tensor:
        """(M, G) rows of one epoch, in order; batches are cut from it and no row is dropped.

        A labelling turn that is due as the epoch begins comes first. What is read here must not change within the epoch, or a
        resumed run would draw otherwise.
        """
        n = self.task.n_items
        order = torch.randperm(n, generator=generator)
        return (order if n > 1 else order.repeat(2))[:, None]  # batch norm needs two

    def after_step(self) -> None:
        """Called after every optimiser step: momentum copies, queues."""

    def relabel(self, data: Data, generator: torch.Generator) -> Relabelling | None:
        """The labelling turn."""
        return None

    def view_of(self, modality: str, strength: str = "") -> str:
        """The preset of a random view: the one asked for, or that of the modality's kind; strength: "" or "-strong"."""
        kind = self.task.kind_of(modality)
        own = {"features": "dropout"}.get(kind, kind)
        return stronger(self.task.views_asked(modality) or own, strength)

    def dim(self, modality: str) -> int:
        """The length of a modality's features."""
        return int(self.encoders[modality].dim)  # type: ignore[arg-type]

    def current_labels(self) -> list[Tensor]:
        """The labels trained on now, (N,) a head; empty where there are none yet."""
        return []

    def extra_state(self) -> dict:
        """What the method knows that is no tensor; must survive JSON."""
        return {}

    def load_extra_state(self, state: dict) -> None:
        """Take back what `extra_state` gave."""


def scaled_epochs(published: list[int], asked: int | None) -> list[int]:
    """The phases' epochs scaled in proportion to `asked` in all, at least one each.

    Example:
        >>> scaled_epochs([100, 300], 8), scaled_epochs([100, 300], None), scaled_epochs([5, 5, 90], 7)
        ([2, 6], [100, 300], [1, 1, 5])
    """
    if asked is None:
        return list(published)
    left, total, made = asked, sum(published), []
    for e in sorted(published):  # the shortest first, so that the longest bears what rounding leaves
        made.append(max(1, round(e * left / total)))
        left, total = left - made[-1], total - e
    places = sorted(range(len(published)), key=lambda i: published[i])
    return [made[places.index(i)] for i in range(len(published))]


def evenly_split(order: Tensor, batch: int) -> list[Tensor]:
    """Batches of at most `batch` groups, as the loop cuts them: equal to within one, no short tail, no row dropped."""
    return list(torch.tensor_split(order, max(1, math.ceil(len(order) / batch))))


def with_a_neighbour(rows_N1: Tensor, neighbours_Nk: Tensor, generator: torch.Generator) -> Tensor:
    """(N, 2) pairs: each row, and any of its neighbours."""
    rows = rows_N1[:, 0]
    which = torch.randint(neighbours_Nk.shape[1], (len(rows),), generator=generator)
    return torch.stack([rows, neighbours_Nk.cpu()[rows, which].long()], dim=1)


def quick_epochs(task: Task, shown: int, least: int, most: int) -> int:
    """Epochs in which about `shown` items pass on a CPU, and twenty times as many on a GPU."""
    return min(most, max(least, round(shown * (20 if task.gpu else 1) / task.n_items)))


def stronger(preset: str, strength: str) -> str:
    """The preset at this strength, or itself where it has none."""
    return f"{preset}{strength}" if f"{preset}{strength}" in PRESETS else preset


def spaced(epochs: int, solves: int, power: float) -> tuple[float, ...]:
    """When labels are solved, in epochs: (epochs) * linspace(0, 1, solves) ** power, the end left to the final solve.

    Example:
        >>> [round(t, 2) for t in spaced(4, 5, 2)]
        [0.0, 0.25, 1.0, 2.25]
    """
    return tuple(epochs * (i / max(1, solves - 1)) ** power for i in range(max(1, solves - 1)))
