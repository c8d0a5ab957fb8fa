"""The data set as a method sees it: views of some items, and features of all."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from torch import Tensor, nn

from selflabel.base.blocks import filled
from selflabel.base.errors import UserError
from selflabel.contract import Features, Texts
from selflabel.training.distributed import Ranks, fast_bfloat16
from selflabel.training.stored import Stored
from selflabel.views import Preset, View, Window, draw_windows, fit_first_features, key_of

CPU_EVAL_BATCH, GPU_EVAL_BATCH = 128, 1024  # on a CPU the activations of a batch should stay in cache
FEATURE_BATCH = 2048  # given features of a block: nothing is computed but their views
SAMPLE, SAMPLE_BYTES = 2000, 1 << 29  # first features are fitted to at most so many items, and bytes
FEATURE_PASS = 0x5EED  # mixed into the key for the views of a pass over all items


class ResidentData:
    """The data set: on the GPU if it fits, else memory-mapped on the host.

    Args:
        stored: modality to its stored items.
        device: where views and features are computed.
        ranks: of this process.
        seed: of the random views of passes over all items.

    Attributes:
        present: modality to (N,) bool on the device, which items have it.
        lacking: modalities that some items lack.
        encoders: modality to encoder; set by whoever trains.
        groups_N, texts: as in `contract.Data`; set by whoever knows.
    """

    def __init__(self, stored: dict[str, Stored], device: torch.device, ranks: Ranks, seed: int):
        self.stored = {m: s.moved(device) for m, s in stored.items()}
        self.device, self.ranks, self.seed = device, ranks, seed
        self.n_items = next(iter(self.stored.values())).n_items
        self.present = {m: s.present.to(device) for m, s in self.stored.items()}
        self.lacking = {m for m, is_present in self.present.items() if not bool(is_present.all())}
        self.encoders: nn.ModuleDict | None = None
        self.groups_N: Tensor | None = None
        self.texts: Texts | None = None

    def with_stored(self, modality: str, stored: Stored) -> ResidentData:
        """The same data set with one modality stored otherwise, for example corrupted."""
        other = copy.copy(self)
        other.stored = self.stored | {modality: stored}
        return other

    def view(self, modality: str, rows: Tensor, preset: str | Preset, key: int, window: Window | None = None) -> View:
        """A random view of the items at `rows` (B,), a function of (key, row). window: which seconds to show; None draws them."""
        return self.stored[modality].view(rows, preset, key, self.device, window)

    def window(self, modalities: Sequence[str], rows: Tensor, key: int | None, whole: bool = False) -> Window:
        """A time window of each item at `rows` (B,) that modalities share, a function of (key, row); without a key the middle.

        Args:
            modalities, rows, key: see above.
            whole: all that they share, instead of the length of their random views.

        Raises:
            UserError: a modality has no time, or its items' seconds are not known.
        """
        lengths = {m: self.stored[m].window_s for m in modalities}
        for m, length in lengths.items():
            if length is None:
                raise UserError(
                    f"{m}: is stored as {self.stored[m].kind}, which has no time that it could share with other modalities; use "
                    "another method, or train on films with sound (--encoder scratch)."
                )
            if self.stored[m].spans_s is None:
                raise UserError(
                    f"{m}: which seconds of their files these items show is not known, because an older version decoded them; "
                    "empty the cache (selflabel cache --clear) and label them again."
                )
        spans = [self.stored[m].known_spans(rows) for m in modalities]
        present = [self.stored[m].present[rows.cpu()].cpu() for m in modalities]
        length = math.inf if whole else min(length for length in lengths.values() if length is not None)
        grids = [grid for m in modalities if key is not None and (grid := self.stored[m].frame_grid(rows)) is not None]
        return draw_windows(spans, present, length, key, rows.cpu(), grids[0] if grids else None)

    @torch.no_grad()
    def features(
        self,
        modality: str,
        *,
        layer: str = "pooled",
        view: str = "centre",
        draw: int = 0,
        encoder: nn.Module | None = None,
    ) -> Tensor:
        """See `contract.Data.features`."""
        net = encoder if encoder is not None else self.encoder(modality)
        with eval_mode(net):
            extract = self.first_features(modality) if layer == "input" else self.pooled_by(net)
            key = key_of(self.seed, FEATURE_PASS, draw)
            size = FEATURE_BATCH if self.stored[modality].kind == "features" else self.eval_batch()
            parts = (extract(self.view(modality, rows, view, key).pixels) for rows in self.shard_rows(size))
            shard = self.ranks.shard(self.n_items)
            own = filled(parts, shard.stop - shard.start)
            if own is None:  # more ranks than items
                own = extract(self.view(modality, torch.arange(1), "centre", 0).pixels)[:0]
        return self.ranks.gather_rows(own, self.n_items)

    def blocks(self, maps: bool = False) -> Iterator[tuple[Tensor, Features]]:
        """See `contract.Data.blocks`."""
        for rows in self.shard_rows():
            yield rows, self.block(rows, maps)

    @torch.no_grad()
    def block(self, rows: Tensor, maps: bool = False) -> Features:
        """The features of centre views of the items at `rows` (B,), with their maps where these are asked for."""
        pooled, feature_maps = dict[str, Tensor](), dict[str, Tensor]()
        for m in self.stored:
            net = self.encoder(m)
            pixels = self.view(m, rows, "centre", key_of(self.seed, FEATURE_PASS, 0)).pixels
            with eval_mode(net), self.autocast():
                pooled[m] = net(pixels).float()
                if maps:
                    feature_maps[m] = net.map(pixels).float()  # type: ignore[operator]
        present = {m: self.present[m][rows.to(self.device)] for m in self.lacking}
        return Features(pooled, present, feature_maps)

    def shard_rows(self, size: int = 0) -> Iterator[Tensor]:
        """Row numbers of this rank's items, a block of `size` rows at a time; 0 is a block of `eval_batch`."""
        shard = self.ranks.shard(self.n_items)
        if shard.start < shard.stop:
            yield from torch.arange(shard.start, shard.stop).split(size or self.eval_batch())

    def encoder(self, modality: str) -> nn.Module:
        """The encoder of a modality."""
        assert self.encoders is not None
        return self.encoders[modality]

    def first_features(self, modality: str) -> Callable[[Tensor], Tensor]:
        """The extractor of first features, fitted to centre views of items spread evenly over the set."""
        rows = self.present[modality].cpu().nonzero()[:, 0]
        item_bytes = self.view(modality, rows[:1], "centre", 0).pixels.nbytes
        count = min(len(rows), SAMPLE, max(1, SAMPLE_BYTES // item_bytes))
        sample = self.view(modality, rows[torch.linspace(0, len(rows) - 1, count).long()], "centre", 0).pixels
        return fit_first_features(sample, self.stored[modality].kind)

    def pooled_by(self, net: nn.Module) -> Callable[[Tensor], Tensor]:
        """The network as a function from pixels to float32 features."""

        def extract(x: Tensor) -> Tensor:
            with self.autocast():
                return net(x).float()

        return extract

    def eval_batch(self) -> int:
        """Items of a block in eval mode."""
        return CPU_EVAL_BATCH if self.device.type == "cpu" else GPU_EVAL_BATCH

    def autocast(self) -> AbstractContextManager:
        """bfloat16 where the device is fast at it."""
        if fast_bfloat16(self.device):
            return torch.autocast(self.device.type, torch.bfloat16)
        return nullcontext()


@contextmanager
def eval_mode(net: nn.Module) -> Iterator[None]:
    """Eval mode inside the `with`, then the mode from before."""
    was_training = net.training
    net.eval()
    try:
        yield
    finally:
        net.train(was_training)
