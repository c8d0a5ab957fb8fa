"""A finished run's heatmaps of pictures with another sound than their own, and with silence.

Axes: N pictures or frames of films, C channels, h x w places.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
import torch

from selflabel.base.errors import UserError
from selflabel.evaluation.sound_swap import sound_swap
from selflabel.items import Items
from selflabel.jobs.callbacks import Callbacks
from selflabel.jobs.heatmaps import SILENCE, heat_of
from selflabel.jobs.localise import Pairs, open_pairs
from selflabel.jobs.model import Model, load_model
from selflabel.jobs.run_source import open_source
from selflabel.methods import LOCALISERS
from selflabel.runs.run import Run

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


def swap_run(run: Run, source: str | None, device: str, callbacks: Callbacks) -> dict[str, Any]:
    """`swap_sounds` of a finished run and its own pairs.

    Args:
        run: of a method that learns from sounds.
        source: where its items are now; None where run.toml says.
        device: "auto", "cpu", "cuda" or "mps".
        callbacks: progress.

    Raises:
        UserError: the run is of another kind, or its items cannot be found.
    """
    hearing = [name for name, entry in LOCALISERS.items() if entry.make.hears]  # type: ignore[attr-defined]
    if run.settings.get("method") not in hearing:
        raise UserError(f"{run.folder}: --swap-sound is for runs of methods that learn from sounds: {', '.join(hearing)}.")
    items = open_source(source or run.settings["source"], bool(run.settings.get("follow_links")))
    return swap_sounds(load_model(run, device), items, callbacks)


def swapped_lines(found: dict[str, Any]) -> str:
    """For people.

    Example:
        >>> found = {"n_items": 9, "moved": 0.5, "correlation": 0.25, "other_peak": 0.75, "silent_peak": 0.5}
        >>> print(swapped_lines(found))
        9 pictures with another picture's sound, and with silence
        highest place moves          50 %  of the pictures, by a tenth of the side or more
        correlation of both maps    0.25   1 where the sound plays no part
        highest value, other sound   75 %  of that with the own sound
        highest value, silence       50 %  of that with the own sound
    """
    rows = (
        ("highest place moves", f"{100 * found['moved']:4.0f} %", "of the pictures, by a tenth of the side or more"),
        ("correlation of both maps", f"{found['correlation']:5.2f} ", "1 where the sound plays no part"),
        ("highest value, other sound", f"{100 * found['other_peak']:4.0f} %", "of that with the own sound"),
        ("highest value, silence", f"{100 * found['silent_peak']:4.0f} %", "of that with the own sound"),
    )
    first = f"{found['n_items']} pictures with another picture's sound, and with silence"
    return "\n".join([first, *(f"{name:26} {value}  {what}" for name, value, what in rows)])


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
