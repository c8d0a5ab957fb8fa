"""The settings of sela-nn for each kind of data, and the times of its label turns."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass as checked

from selflabel.base.schedules import one_cycle
from selflabel.contract import Recipe, Task
from selflabel.methods.option_types import NonNegativeInt, PositiveFloat, PositiveInt, Share
from selflabel.pretexts import AnyPretextName

FEW_ITEMS = 4_000  # below so many items a set of glyphs is small
FIRST_GAP = 5_000  # items between the first label turns


@checked(frozen=True, config=ConfigDict(extra="forbid"))
class Options:
    """Options of sela-nn. None is by the kind of data, see `PLANS`.

    Attributes:
        heads: heads of K labels; None is by the kind of data.
        fine: labels of the over-clustering heads, in multiples of K; empty for no such heads; None is by
            the kind of data.
        neighbours: neighbours of an item whose posteriors are averaged; None is by the kind of data.
        smooth: how often the posteriors are averaged; 0 leaves them as they are.
        epsilon: temperature of the transport, on log-posteriors, above 0.
        relax: relaxation of the masses of each head in turn, 0 (fixed) to 1 (free); None is by the kind of data.
        remine: label turns between two searches for neighbours; 0 searches at the end only; None is by the kind of data.
        pretext: what an encoder learns first; None is SimCLR for photos from scratch on a GPU, and else nothing.
        text: encoder of captions for pretext=milnce, as hf:FOLDER; None takes the sound.
        pretext_epochs: length of the pretext, in epochs; 0 leaves it out; None follows from the number of items.
        temperature: temperature of the pretext, above 0.
        lr_scale: factor on the learning rates.
    """

    heads: PositiveInt | None = None
    fine: tuple[PositiveFloat, ...] | None = None
    neighbours: PositiveInt | None = None
    smooth: NonNegativeInt = 3
    epsilon: PositiveFloat = 0.2
    relax: Annotated[tuple[Share, ...], Field(min_length=1)] | None = None
    remine: NonNegativeInt | None = None
    pretext: AnyPretextName | None = None
    text: str | None = None
    pretext_epochs: NonNegativeInt | None = None
    temperature: PositiveFloat = 0.2
    lr_scale: PositiveFloat = 1.0


@dataclass(frozen=True)
class Plan:
    """The defaults for a kind of data.

    Attributes:
        heads, fine, neighbours, remine, relax: as in `Options`.
        recipe: optimiser and learning rate.
        batch_size: items of a batch, at most.
        items_shown: items shown in all, from which the epochs follow.
        min_epochs, max_epochs: bounds on the epochs.
        longest_gap: gap between label turns, at most, in units of the first gap.
        pretext_factor: epochs of the pretext, where there is one, in multiples of those of self-labelling.
    """

    heads: int
    fine: tuple[float, ...]
    neighbours: int
    recipe: Recipe
    batch_size: int
    items_shown: int
    min_epochs: int
    max_epochs: int
    remine: int = 2
    longest_gap: int = 1000
    relax: tuple[float, ...] = (0.0, 0.1, 0.3, 0.6)
    pretext_factor: int = 1


GLYPH = Plan(
    heads=4,
    fine=(5, 10),
    neighbours=10,
    recipe=Recipe(2e-3, one_cycle, "adamw", 1e-2),
    batch_size=128,
    items_shown=75_000,
    min_epochs=8,
    max_epochs=60,
)
PHOTO = Plan(
    heads=6,
    fine=(3, 5),
    neighbours=20,
    recipe=Recipe(1e-3, one_cycle, "adamw", 1e-2),
    batch_size=128,
    items_shown=150_000,
    min_epochs=6,
    max_epochs=40,
)
FEATURES = Plan(
    heads=8,
    fine=(2, 3, 5),
    neighbours=40,
    recipe=Recipe(2e-2, one_cycle, "adamw", 1e-4),
    batch_size=256,
    items_shown=100_000,
    min_epochs=6,
    max_epochs=60,
)
# a small set has noisy neighbours: more heads to choose among, and a new search when features are good
FEW_GLYPHS = replace(GLYPH, heads=8, items_shown=100_000, remine=5, longest_gap=3)
SPOKEN = replace(GLYPH, heads=8, neighbours=50, remine=0, longest_gap=3, items_shown=60_000, relax=(0.0, 0.1))
VIDEO = replace(
    GLYPH,
    heads=8,
    batch_size=32,
    items_shown=12_000,
    min_epochs=10,
    max_epochs=40,
    remine=0,
    longest_gap=3,
    relax=(0.0,),
)
SOUND = replace(VIDEO, items_shown=30_000)
# without a pretext the network knows less of photographs than their first features do
PHOTO_FROM_SCRATCH = replace(PHOTO, items_shown=300_000, max_epochs=60, remine=0)
# on a GPU a small batch takes as long as a large one, and the features that the pretext learns decide what labels can be found
PHOTO_ON_GPU = replace(PHOTO, max_epochs=60, pretext_factor=2)
GPU_BATCH, GPU_STEPS = 512, 64  # items of a batch at most, and steps of an epoch at least
PLANS = {"glyph": GLYPH, "photo": PHOTO, "features": FEATURES, "sound": SOUND, "spoken": SPOKEN, "video": VIDEO}


def has_pretext(task: Task, options: Options) -> bool:
    """Whether an encoder learns a pretext first: where it was asked for, and for photographs from scratch on a GPU."""
    if options.pretext_epochs is not None:
        return options.pretext_epochs > 0
    return task.from_scratch and (options.pretext is not None or (task.kind == "photo" and task.gpu))


def plan_for(task: Task, options: Options) -> Plan:
    """The plan of a task."""
    if task.kind == "photo" and task.from_scratch and not has_pretext(task, options):
        return PHOTO_FROM_SCRATCH
    if task.kind == "photo" and task.from_scratch and task.gpu:
        return with_large_batches(PHOTO_ON_GPU, task.n_items)
    return FEW_GLYPHS if task.kind == "glyph" and task.n_items < FEW_ITEMS else PLANS[task.kind]


def with_large_batches(plan: Plan, n_items: int) -> Plan:
    """The plan with batches as large as the set allows, and a learning rate that grows with their square root.

    Example:
        >>> with_large_batches(PHOTO, 50_000).batch_size, with_large_batches(PHOTO, 50_000).recipe.lr
        (512, 0.002)
        >>> with_large_batches(PHOTO, 3_000) == PHOTO
        True
    """
    batch_size = min(GPU_BATCH, max(plan.batch_size, n_items // GPU_STEPS))
    lr = plan.recipe.lr * (batch_size / plan.batch_size) ** 0.5
    return replace(plan, batch_size=batch_size, recipe=replace(plan.recipe, lr=lr))


def label_turns(epochs: int, n_items: int, longest_gap: int = 1000, every_epoch: bool = False) -> tuple[float, ...]:
    """When labels are solved, in epochs: at gaps that grow like Fibonacci numbers, as labels settle.

    The first gap is 5,000 items, or an epoch where that is shorter: a network that trains for long on first labels memorises
    their mistakes.

    Args:
        epochs: length of the phase.
        n_items: items of the set.
        longest_gap: gap between label turns, at most, in units of the first gap.
        every_epoch: solve once in each epoch, where features cost nothing.

    Example:
        >>> label_turns(20, 5_000)
        (0.0, 1.0, 2.0, 3.0, 5.0, 8.0, 13.0)
        >>> label_turns(4, 50_000)
        (0.0, 0.1, 0.2, 0.3, 0.5, 0.8, 1.3, 2.1)
    """
    if every_epoch:
        return tuple(float(t) for t in range(epochs))
    gap = min(1.0, FIRST_GAP / n_items)
    turns = [0, 1, 2, 3]
    while (turns[-1] + min(turns[-2], longest_gap)) * gap < epochs - 1:
        turns.append(turns[-1] + min(turns[-2], longest_gap))
    return tuple(round(t * gap, 4) for t in turns if t * gap < max(1, epochs))
