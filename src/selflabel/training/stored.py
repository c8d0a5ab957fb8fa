"""One modality of a set as it is stored, and how it is shown: one class for each kind of tensor."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from selflabel.base.machine import free_memory
from selflabel.items.shards import ShardedRows
from selflabel.views import PRESETS, Preset, View, Window, bernoulli, view_clips, view_images, view_sounds
from selflabel.views.clip import FRAMES
from selflabel.views.sound import MELS, cut_windows, window_samples

RESIDENT_SHARE = 0.5  # share of the device's free memory that the data set may take
FEATURE_DROPOUT = 0.1  # share of a feature vector's entries that a random view sets to zero

Corruption = Callable[[Tensor, Tensor], Tensor]  # (stored items, their row numbers) to changed items


@dataclass(frozen=True)
class Stored(ABC):
    """A modality of N items.

    Attributes:
        items: (M, ...) stored tensor, on the device or on the host; `MappedRows` where features are in several files.
        kind: "glyph", "photo", "video", "sound", "spoken" or "features".
        lengths: (N,) frames or samples before an item repeats, 0 where it lacks the modality; None where all have it.
        index: (N,) place of each item in `items`; None where they are in order.
        spans_s: (N, 2) float64 seconds of its file that an item shows before it repeats, NaN where they are not known; None where
            nothing is known of any item's.
        corrupt: change of the stored items before they are shown.
    """

    items: Any
    kind: str
    lengths: Tensor | None = None
    index: Tensor | None = None
    spans_s: Tensor | None = None
    corrupt: Corruption | None = None

    @property
    def n_items(self) -> int:
        """The number of items N."""
        return len(self.items if self.index is None else self.index)

    @property
    def present(self) -> Tensor:
        """(N,) bool on the host: which items have the modality."""
        return torch.ones(self.n_items, dtype=torch.bool) if self.lengths is None else self.lengths > 0

    @property
    def window_s(self) -> float | None:
        """Seconds of a view that is cut from a window in time, at most; infinite where any will do, None where none can be."""
        return None

    def view(self, rows: Tensor, preset: str | Preset, key: int, device: torch.device, window: Window | None = None) -> View:
        """A view of some items, random unless the preset is "centre".

        Args:
            rows: (B,) int64 row numbers.
            preset: a preset, or its name in PRESETS.
            key: fixes the random numbers, together with the rows.
            device: where the view is computed.
            window: which seconds to show; None draws them.
        """
        preset = PRESETS[preset] if isinstance(preset, str) else preset
        index = rows if self.index is None else self.index[rows.cpu()]
        x = self.items[index.to(self.items.device)].to(device, non_blocking=True)
        if self.corrupt is not None:
            x = self.corrupt(x, rows)
        lengths = None if self.lengths is None else self.lengths[rows.to(self.lengths.device)].to(device)
        if window is None:
            return self.show(x, preset, key, rows, lengths)
        return self.show_window(x, preset, key, rows, self.shares_of(window.span_s, rows).to(device), window.length_s)

    @abstractmethod
    def show(self, x: Tensor, preset: Preset, key: int, rows: Tensor, lengths: Tensor | None) -> View:
        """A view of these items, which are on the device."""

    def show_window(self, x: Tensor, preset: Preset, key: int, rows: Tensor, window: Tensor, window_s: float) -> View:
        """A view of a window in time. window: (B, 2) shares of the stored items; window_s: its length in seconds."""
        raise ValueError(f"{type(self).__name__} has no time")

    def known_spans(self, rows: Tensor) -> Tensor:
        """(B, 2) float64 on the host: which seconds of their files some items show before they repeat; NaN if not known."""
        assert self.spans_s is not None
        return self.spans_s[rows.cpu()]

    def real_shares(self, rows: Tensor) -> Tensor:
        """(B, 1) float64 on the host: the share of each stored item that comes before it repeats."""
        if self.lengths is None:
            return torch.ones(len(rows), 1, dtype=torch.float64)
        return self.lengths.cpu()[rows.cpu(), None].double() / self.items.shape[1]

    def frame_grid(self, rows: Tensor) -> tuple[Tensor, Tensor] | None:
        """((B,) seconds of the first stored frame, (B,) seconds from a frame to the next); None of what has no frames."""
        return None

    def shares_of(self, span_s: Tensor, rows: Tensor) -> Tensor:
        """(B, 2) seconds of the files as shares of the stored items; all that comes before a repeat where they are NaN."""
        own, real = self.known_spans(rows), self.real_shares(rows)
        shares = (span_s.cpu() - own[:, :1]) / (own[:, 1:] - own[:, :1]) * real
        return torch.where(shares.isnan().any(dim=1, keepdim=True), torch.cat([torch.zeros_like(real), real], dim=1), shares)

    def clock(self) -> Tensor:
        """(N, 2) float64 on the host: the second of its file at which a stored item starts, and its length; NaN if not known."""
        if self.spans_s is None:
            return torch.full((self.n_items, 2), torch.nan, dtype=torch.float64)
        rows = torch.arange(self.n_items)
        own = self.known_spans(rows)
        clock = torch.cat([own[:, :1], (own[:, 1:] - own[:, :1]) / self.real_shares(rows)], dim=1)
        return torch.where(clock.isfinite().all(dim=1, keepdim=True), clock, torch.nan)

    def moved(self, device: torch.device) -> Stored:
        """The modality with its tensor on the device where it fits, else memory-mapped on the host."""
        lengths = None if self.lengths is None else self.lengths.to(device)
        return replace(self, items=resident(self.items, device), lengths=lengths)


@dataclass(frozen=True)
class StoredImages(Stored):
    """(M, C, H, W) uint8 images. px: side of a view."""

    px: int = 0

    def show(self, x: Tensor, preset: Preset, key: int, rows: Tensor, lengths: Tensor | None) -> View:
        return view_images(x, preset, key, rows, self.px)


@dataclass(frozen=True)
class StoredClips(Stored):
    """(M, F, 3, H, W) uint8 videos, shown at their stored side.

    Attributes:
        frames: frames of a view.
        consecutive: views show frames as they are stored, one after the other; else frames evenly spread over the video.
        rate: stored frames a second, 0 where they are spread over the video.
    """

    frames: int = FRAMES
    consecutive: bool = False
    rate: float = 0.0

    @property
    def window_s(self) -> float | None:
        return self.frames / self.rate if self.consecutive and self.rate else math.inf

    def frame_grid(self, rows: Tensor) -> tuple[Tensor, Tensor] | None:
        own, n_frames = self.known_spans(rows), self.real_shares(rows)[:, 0] * self.items.shape[1]
        return own[:, 0], (own[:, 1] - own[:, 0]) / n_frames

    def show_window(self, x: Tensor, preset: Preset, key: int, rows: Tensor, window: Tensor, window_s: float) -> View:
        return view_clips(x, preset, key, rows, self.frames, window=window)

    def show(self, x: Tensor, preset: Preset, key: int, rows: Tensor, lengths: Tensor | None) -> View:
        return view_clips(x, preset, key, rows, self.frames, lengths if self.consecutive else None)


@dataclass(frozen=True)
class StoredSounds(Stored):
    """(M, S) int16 waveforms.

    Attributes:
        rate: samples a second.
        bands: height of the spectrogram.
        as_waves: shown as they are, (B, S) in [-1, 1], for an encoder that makes its own spectrogram; no preset changes them.
    """

    rate: int = 0
    bands: int = MELS
    as_waves: bool = False

    @property
    def window_s(self) -> float | None:
        samples = self.items.shape[1]
        return (samples if self.as_waves or self.kind == "spoken" else window_samples(samples, self.rate)) / self.rate

    def show_window(self, x: Tensor, preset: Preset, key: int, rows: Tensor, window: Tensor, window_s: float) -> View:
        if self.as_waves:
            return View(cut_windows(x.float() / 32768, window, round(window_s * self.rate)), span=window.float())
        spoken = self.kind == "spoken"
        return view_sounds(x, preset, key, rows, self.rate, None, spoken, self.bands, window, window_s)

    def show(self, x: Tensor, preset: Preset, key: int, rows: Tensor, lengths: Tensor | None) -> View:
        if self.as_waves:
            return View(x.float() / 32768)
        return view_sounds(x, preset, key, rows, self.rate, lengths, self.kind == "spoken", self.bands)


@dataclass(frozen=True)
class StoredFeatures(Stored):
    """(M, D) float features. A random view sets some entries to zero."""

    def show(self, x: Tensor, preset: Preset, key: int, rows: Tensor, lengths: Tensor | None) -> View:
        if preset.is_identity:
            return View(x.float())
        return View(x.float() * bernoulli(key, rows.to(x.device), x.shape[1], 1 - FEATURE_DROPOUT))


class MappedRows:
    """Features in several files that do not fit into memory, read by rows; as much of a tensor as `Stored` needs."""

    device = torch.device("cpu")

    def __init__(self, rows: ShardedRows):
        self.rows, self.shape = rows, rows.shape

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, rows: Tensor) -> Tensor:
        return torch.from_numpy(self.rows[rows.numpy()])


def resident(x: Any, device: torch.device) -> Any:
    """A tensor or array on the device where it fits, else memory-mapped on the host."""
    if isinstance(x, ShardedRows):
        if x.nbytes >= RESIDENT_SHARE * free_memory(torch.device("cpu")):
            return MappedRows(x)
        x = np.asarray(x)
    if isinstance(x, np.ndarray):
        fits_host = x.nbytes < RESIDENT_SHARE * free_memory(torch.device("cpu"))
        x = torch.from_numpy(np.array(x) if fits_host and isinstance(x, np.memmap) else writeable(x))
    if device.type == "cpu" or x.numel() * x.element_size() > RESIDENT_SHARE * free_memory(device):
        return x
    return x.to(device)


def writeable(x: np.ndarray) -> np.ndarray:
    """An array that torch accepts: a read-only map is opened again copy-on-write, and is never written."""
    if x.flags.writeable:
        return x
    if isinstance(x, np.memmap) and x.filename is not None:
        return np.memmap(x.filename, x.dtype, "c", x.offset, x.shape)
    return x.copy()
