"""A finished run's heatmaps of pictures with another sound than their own, and with silence.

Axes: N pictures or frames of films, C channels, h x w places.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
import torch

from selflabel.evaluation.sound_swap import sound_swap
from selflabel.items import Items
from selflabel.jobs.callbacks import Callbacks
from selflabel.jobs.heatmaps import SILENCE, heat_of
from selflabel.jobs.localise import Pairs, open_pairs
from selflabel.jobs.model import Model

BLOCK = 64  # items whose heatmaps are computed at a time


def swap_sounds(model: Model, items: Items, callbacks: Callbacks, seed: int = 0) -> dict[str, Any]:
    """Whether the heatmaps of a run follow the sound; see `evaluation.sound_swap`.

    Args:
        model: of a run of a method that learns from sounds.
        items: pairs of picture and sound, at least two.
        callbacks: progress.
        seed: of which other sound each picture gets.
    """
    pairs = open_pairs(model, items, callbacks)
    n = pairs.data.n_items
    others = other_rows(n, seed)
    own, other, silent = (heat_with(pairs, sounds) for sounds in (torch.arange(n), others, torch.full((n,), SILENCE)))
    return {"n_items": n} | asdict(sound_swap(own, other, silent))


def other_rows(n: int, seed: int) -> torch.Tensor:
    """(n,) of each item another one, at random; itself where there is only one."""
    order = torch.randperm(n, generator=torch.Generator().manual_seed(seed))
    others = torch.empty(n, dtype=torch.int64)
    others[order] = order.roll(1)
    return others


def heat_with(pairs: Pairs, sounds: torch.Tensor) -> np.ndarray:
    """(N, h, w) the highest channel of every picture's, or frame's, heatmap with these sounds (row numbers, or SILENCE)."""
    blocks = zip(torch.arange(len(sounds)).split(BLOCK), sounds.split(BLOCK))
    maps = [heat_of(pairs.method, pairs.data, rows, heard).maps for rows, heard in blocks]
    return torch.cat(maps).amax(dim=1).flatten(0, 1).numpy()
