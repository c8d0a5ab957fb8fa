"""The maps of an encoder, streamed from the data set to the run folder.

Axes: B items of a block, D features, h x w places, F frames.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from selflabel.runs.maps import MapsInfo, write_maps
from selflabel.training.data import ResidentData

SAMPLE = 512  # items by which the range of every channel is found
MARGIN = 0.05  # of that range, by which others may exceed it on either side


def stream_maps(folder: Path, data: ResidentData, modality: str, geometry: str = "square", seconds: float = 0.0) -> MapsInfo:
    """Write the map of every item; in memory is one block at a time.

    Args:
        folder: of the run.
        data: the set, with its encoders, on one rank.
        modality: whose encoder.
        geometry, seconds: as in `runs.maps.MapsInfo`.

    Raises:
        CannotWrite: the folder cannot be written, or there is no room on the disk.
        ValueError: a map is not finite.
    """
    rows = torch.linspace(0, data.n_items - 1, min(SAMPLE, data.n_items)).long()
    low, high, frames = ranges(data, modality, rows)
    shape = (data.n_items, *block_of_maps(data, modality, rows[:1]).shape[1:])
    info = MapsInfo.between(low, high, geometry=geometry, seconds=seconds, frames=frames)
    return write_maps(folder, shape, info, streamed(data, modality))  # type: ignore[arg-type]


def ranges(data: ResidentData, modality: str, rows: Tensor) -> tuple[np.ndarray, np.ndarray, int]:
    """((D,) lowest and (D,) highest value of each channel in some items' maps, with a margin; the frames of a map)."""
    lows, highs, frames = [], [], 1
    for part in rows.split(data.eval_batch()):
        maps = data.block(part, maps=True).maps[modality]
        frames = maps.shape[2] if maps.ndim == 5 else 1
        flat = maps.transpose(0, 1).flatten(1)
        lows.append(flat.amin(dim=1))
        highs.append(flat.amax(dim=1))
    low, high = torch.stack(lows).amin(dim=0), torch.stack(highs).amax(dim=0)
    margin = MARGIN * (high - low)
    return (low - margin).cpu().numpy(), (high + margin).cpu().numpy(), frames


def streamed(data: ResidentData, modality: str) -> Iterator[tuple[int, np.ndarray]]:
    """(first row, (B, D, F * h, w) float32) of every block."""
    for rows, features in data.blocks(maps=True):
        yield int(rows[0]), stacked(features.maps[modality])


def block_of_maps(data: ResidentData, modality: str, rows: Tensor) -> np.ndarray:
    """(B, D, F * h, w) float32 maps of some items."""
    return stacked(data.block(rows, maps=True).maps[modality])


def stacked(maps: Tensor) -> np.ndarray:
    """Maps (B, D, h, w), or of films (B, D, F, h, w), as arrays with the frames below one another."""
    return (maps.flatten(2, 3) if maps.ndim == 5 else maps).float().cpu().numpy()
