"""How long phases last, how learning rates run, and when labels are solved: plain numbers, worked out before training."""

from __future__ import annotations

import math


def cosine(progress: float) -> float:
    """Learning-rate factor from 1 to 0 along half a cosine (Loshchilov & Hutter, 2017).

    Args:
        progress: share of the phase that is done, 0 to 1.
    """
    return 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))


def one_cycle(progress: float, warmup: float = 0.1) -> float:
    """Learning-rate factor that rises linearly to 1 during warm-up, then falls to 0 along half a cosine.

    Args:
        progress: share of the phase that is done, 0 to 1.
        warmup: share of the phase that the rise takes.
    """
    return progress / warmup if progress < warmup else cosine((progress - warmup) / (1 - warmup))


def constant(progress: float) -> float:
    """Learning-rate factor 1 throughout."""
    return 1.0


def scale_epochs(published: list[int], total: int | None) -> list[int]:
    """The epochs of each phase, scaled in proportion so that they sum to `total`, at least one each.

    Args:
        published: epochs of each phase.
        total: epochs of all phases together; None keeps the published ones.

    Example:
        >>> scale_epochs([100, 300], 8), scale_epochs([100, 300], None), scale_epochs([5, 5, 90], 7)
        ([2, 6], [100, 300], [1, 1, 5])
    """
    if total is None:
        return list(published)
    left, remaining, scaled = total, sum(published), []
    for epochs in sorted(published):  # the shortest first, so that the longest takes the rounding error
        scaled.append(max(1, round(epochs * left / remaining)))
        left, remaining = left - scaled[-1], remaining - epochs
    by_length = sorted(range(len(published)), key=lambda i: published[i])
    return [scaled[by_length.index(i)] for i in range(len(published))]


def epochs_for_budget(n_items: int, items_shown: int, fewest: int, most: int, on_gpu: bool = False) -> int:
    """Epochs in which about `items_shown` items pass on a CPU, and twenty times as many on a GPU.

    Args:
        n_items: items of the set.
        items_shown: items shown in all, over every epoch.
        fewest, most: bounds on the epochs.
        on_gpu: whether the run trains on a GPU.

    Example:
        >>> epochs_for_budget(5000, 100_000, 8, 60), epochs_for_budget(100, 100_000, 8, 60)
        (20, 60)
    """
    return min(most, max(fewest, round(items_shown * (20 if on_gpu else 1) / n_items)))


def solve_times(epochs: int, solves: int, power: float) -> tuple[float, ...]:
    """When labels are solved, in epochs: epochs * linspace(0, 1, solves) ** power, without the end (SeLa, section 3.3).

    The last solve is the final one, after training.

    Example:
        >>> [round(t, 2) for t in solve_times(4, 5, 2)]
        [0.0, 0.25, 1.0, 2.25]
    """
    return tuple(epochs * (i / max(1, solves - 1)) ** power for i in range(max(1, solves - 1)))
