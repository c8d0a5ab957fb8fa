"""The set as a method sees it: rows shown as views, and features of all items."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from selflabel.base.machine import free_memory
from selflabel.training.distributed import Ranks, fast_bfloat16
from selflabel.views import PRESETS, Preset, chances, first_reader, key_of, show, show_clip, show_sound
from selflabel.views.clip import SHOWN
from selflabel.views.sound import MELS

RESIDENT_SHARE = 0.5  # of the device's free memory that the set may take
CPU_EVAL_BATCH, GPU_EVAL_BATCH = 128, 1024  # on a CPU the activations of a batch should stay in cache
SAMPLE, SAMPLE_BYTES = 2000, 1 << 29  # items from which it is learned how first features are read, at most
FEATURE_DROP = 0.1  # share of a feature vector's entries that a view blanks


class ResidentData:
    """A tensor a modality, resident on the device where it fits: uint8 images (N, C, H, W) or films (N, F, 3, H, W), int16 sounds
    (N, S), or float features (N, D).

    rate: of the sounds, samples a second. levelled: whether each band of a spectrogram is shown about its mean. lengths: (N,)
    frames or samples there are before they loop, 0 where an item lacks the modality; all where it is not said. bands: of a
    spectrogram. places: (N,) where each item is in the modality's tensor; in order where it is not said. frames: of a view of a
    film; in_step: as they are stored, one after the other.
    """

    def __init__(
        self,
        items: dict[str, Any],
        px: int,
        device: torch.device,
        ranks: Ranks,
        seed: int,
        rate: int = 0,
        levelled: bool = False,
        lengths: dict[str, Tensor] | None = None,
        bands: int = MELS,
        places: dict[str, Tensor] | None = None,
        frames: int = SHOWN,
        in_step: bool = False,
    ):
        self.items = {m: resident(x, device) for m, x in items.items()}
        self.px, self.device, self.ranks, self.seed = px, device, ranks, seed
        self.rate, self.bands, self.frames, self.in_step = rate, bands, frames, in_step
        self.places = places or {}
        self.n_items = len(next(iter((self.places or self.items).values())))
        self.levelled, self.lengths = levelled, {m: x.to(device) for m, x in (lengths or {}).items()}
        everywhere = {m: torch.ones(self.n_items, dtype=torch.bool, device=device) for m in self.items}
        self.present = everywhere | {m: x > 0 for m, x in self.lengths.items()}
        self.lacking = {m for m, has in self.present.items() if not bool(has.all())}
        self.encoders: nn.ModuleDict | None = None
        self.changes: dict[str, Callable[[Tensor, Tensor], Tensor]] = {}  # what is done to stored items before they are shown

    def rows(self, modality: str, rows: Tensor) -> Tensor:
        """The items' tensors on the device."""
        store = self.items[modality]
        at = self.places[modality][rows.cpu()] if modality in self.places else rows
        x = store[at.to(store.device)].to(self.device, non_blocking=True)
        return self.changes[modality](x, rows) if modality in self.changes else x

    def view(self, modality: str, rows: Tensor, preset: str | Preset, key: int) -> Tensor:
        """A random view of these items, drawn from (key, item)."""
        x = self.rows(modality, rows)
        chosen = PRESETS[preset] if isinstance(preset, str) else preset
        lengths = self.lengths[modality][rows.to(self.device)] if modality in self.lengths else None
        if x.ndim == 5:
            return show_clip(x, chosen, key, rows, None, self.frames, lengths if self.in_step else None)
        if x.dtype == torch.int16:
            return show_sound(x, chosen, key, rows, self.rate, lengths, self.levelled, self.bands)
        if x.ndim == 2:
            if chosen.is_still:
                return x.float()
            return x.float() * chances(key, rows.to(self.device), x.shape[1], 1 - FEATURE_DROP)
        return show(x, chosen, key, rows, self.px)

    @torch.no_grad()
    def features(
        self,
        modality: str,
        *,
        layer: str = "pooled",
        view: Any = "centre",
        draw: int = 0,
        encoder: nn.Module | None = None,
    ) -> Tensor:
        """See `methods.base.Data.features`."""
        assert self.encoders is not None
        net = encoder if encoder is not None else self.encoders[modality]
        was = net.training
        net.eval()
        shard = self.ranks.shard(self.n_items)
        read, parts = self.reader(net, layer, modality), []
        for rows in torch.arange(shard.start, shard.stop).split(self.eval_batch()):
            parts.append(read(self.view(modality, rows, view, key_of(self.seed, 0x5EED, draw))))
        net.train(was)
        if not parts:  # more ranks than items
            parts = [read(self.view(modality, torch.arange(1), "centre", 0))[:0]]
        return self.ranks.gather_rows(torch.cat(parts), self.n_items)

    def sample(self, modality: str) -> Tensor:
        """Centre views of some of the items that have the modality, evenly spread."""
        seen = self.present[modality].cpu().nonzero()[:, 0]
        an_item = self.view(modality, seen[:1], "centre", 0).nbytes
        some = min(len(seen), SAMPLE, max(1, SAMPLE_BYTES // an_item))
        return self.view(modality, seen[torch.linspace(0, len(seen) - 1, some).long()], "centre", 0)

    def eval_batch(self) -> int:
        return CPU_EVAL_BATCH if self.device.type == "cpu" else GPU_EVAL_BATCH

    def reader(self, net: nn.Module, layer: str, modality: str) -> Callable[[Tensor], Tensor]:
        """How a layer is read off views."""
        if layer == "input":
            return first_reader(self.sample(modality), "" if modality != "audio" else "spoken" if self.levelled else "sound")

        def read(x: Tensor) -> Tensor:
            with self.autocast():
                made = net.map(x) if layer == "map" else net(x)  # type: ignore[operator]
            return made.float()

        return read

    def autocast(self):
        """bfloat16 where the device is fast at it."""
        if fast_bfloat16(self.device):
            return torch.autocast(self.device.type, torch.bfloat16)
        return nullcontext()


def resident(x: Any, device: torch.device) -> Tensor:
    """The set on the device when it fits, else memory-mapped on the host."""
    if isinstance(x, np.ndarray):
        fits_host = x.nbytes < RESIDENT_SHARE * free_memory(torch.device("cpu"))
        x = torch.from_numpy(np.array(x) if fits_host and isinstance(x, np.memmap) else as_writable(x))
    if device.type == "cpu" or x.numel() * x.element_size() > RESIDENT_SHARE * free_memory(device):
        return x
    return x.to(device)


def as_writable(x: np.ndarray) -> np.ndarray:
    """torch wants to be able to write; a read-only map is opened again copy-on-write, and is never written."""
    if x.flags.writeable:
        return x
    if isinstance(x, np.memmap) and x.filename is not None:
        return np.memmap(x.filename, x.dtype, "c", x.offset, x.shape)
    return x.copy()
