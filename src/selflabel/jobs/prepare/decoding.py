"""The items of a set as tensors: decoded files, or arrays as they are."""

from __future__ import annotations

import hashlib
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from selflabel.base.errors import UserError
from selflabel.base.text import printable
from selflabel.decode.cache import DecodedItems, decoded_items, has_store, usable_cache
from selflabel.decode.formats import DecodedFormat
from selflabel.decode.limits import DEFAULT_LIMITS, Limits
from selflabel.decode.scale import array_to_uint8
from selflabel.decode.store import remove
from selflabel.items import Blob, Items
from selflabel.jobs.callbacks import Callbacks
from selflabel.training.distributed import Ranks

UNEVEN = 1.25  # times its even share that a rank may decode, so that files are read by one rank only


class NoneDecoded(UserError):
    """No item can be decoded. skipped: (path, reason) of each."""

    def __init__(self, text: str, skipped: list[tuple[str, str]]):
        super().__init__(text)
        self.skipped = skipped


@dataclass(frozen=True)
class Decoded:
    """One modality of the items that could be decoded.

    Attributes:
        tensor: (M, ...) decoded items.
        lengths: (N,) frames or samples before an item repeats, 0 where it lacks the modality; None for arrays.
        index: (N,) place of each item in `tensor`; None where they are in order.
        spans_s: (N, 2) seconds of its file that an item shows before it repeats, NaN where they are not known; None of pictures.
        folder: where derived files, such as features of a fixed backbone, are kept.
        sizes: (N, 2) width and height of the upright originals, where whole frames are kept; else None.
    """

    tensor: np.ndarray
    lengths: np.ndarray | None
    index: np.ndarray | None
    folder: Path
    spans_s: np.ndarray | None = None
    sizes: np.ndarray | None = None


def decode_items(
    items: Items,
    formats: dict[str, DecodedFormat],
    cache: str | None,
    workers: int,
    callbacks: Callbacks,
    limits: Limits = DEFAULT_LIMITS,
    ranks: Ranks = Ranks(),
) -> tuple[Items, dict[str, Decoded]]:
    """Decode all items in all modalities; of several ranks each decodes its share.

    Args:
        items: the set.
        formats: modality to how it is stored.
        cache: folder for decoded items; None is the default one.
        workers: decoding processes; 0 is one for each core that may be used.
        callbacks: progress, and sentences about items that are skipped.
        limits: of one item.
        ranks: of this process.

    Returns:
        (the items that decode in some modality, modality to its tensor).

    Raises:
        UserError: no item can be decoded, or the cache cannot be written.
    """
    folder = usable_cache(cache, callbacks.say)
    if items.array is not None:
        channels, px, _ = formats["image"].shape
        pixels = array_to_uint8(items.array, formats["image"].scale)
        square = square_images(pixels, px, channels)
        return items, {"image": Decoded(square, None, None, folder / f"{array_digest(pixels)}-array")}
    stores: dict[str, DecodedItems] = {}
    for m, target in formats.items():
        step = "decoding" if len(formats) == 1 else f"decoding {m}"
        progress = partial(callbacks.on_progress, step)
        decode = partial(
            decoded_items, target=target, cache=folder, workers=workers, progress=progress, limits=limits, say=callbacks.say
        )
        if ranks.world > 1 and ranks.any(not has_store(items.blobs[m], target, folder)):
            decode_shares(items.blobs[m], decode, ranks)
        stores[m] = decode(items.blobs[m])
    return keep_decoded(items, stores, callbacks)


def decode_shares(blobs: Sequence[Blob | None], decode: Callable[[Sequence[Blob | None]], DecodedItems], ranks: Ranks) -> None:
    """Let every rank decode its share of the items, whole files where that can be, and the first one join them in the cache,
    where no item is decoded again.

    Where ranks have caches of their own, on several machines, each machine decodes what its ranks did not.

    Args:
        blobs: (N,) of all items.
        decode: `decoded_items` with all that is the same for every share.
        ranks: of this process.
    """
    bounds = bounds_of_shares([blob.file if blob is not None else "" for blob in blobs], ranks.world)
    own = decode([blobs[i] for i in range(bounds[ranks.rank], bounds[ranks.rank + 1])])
    ranks.barrier()
    if ranks.is_first:
        decode(blobs)
    ranks.barrier()
    if own.n_decoded and len(own.lengths) < len(blobs):
        remove(own.folder)  # a copy of a part


def bounds_of_shares(files: Sequence[str], world: int) -> list[int]:
    """Where the items are divided among ranks: rank r decodes those from bounds[r] to bounds[r + 1].

    A tar or a table is read by one rank where that leaves every rank some items, and none many more than the others; else the
    shares differ by one item at most.

    Args:
        files: (N,) in which file each item lies.
        world: number of ranks.

    Returns:
        (world + 1,) ascending from 0 to N.

    Example:
        >>> bounds_of_shares(["a.tar"] * 4 + ["b.tar"] * 5, 2), bounds_of_shares(["a.tar"] * 7, 2)
        ([0, 4, 9], [0, 3, 7])
    """
    n = len(files)
    even = [rank * n // world for rank in range(world + 1)]
    starts = [0, *(i for i in range(1, n) if files[i] != files[i - 1]), n]
    whole = [nearest(starts, place) for place in even]
    sizes = [end - start for start, end in pairwise(whole)]
    return whole if min(sizes) > 0 and max(sizes) <= UNEVEN * n / world else even


def nearest(places: Sequence[int], value: int) -> int:
    """The nearest of ascending places; of two as near the lower one."""
    after = bisect_left(places, value)
    return min(places[max(0, after - 1) : after + 1], key=lambda place: abs(place - value))


def keep_decoded(items: Items, stores: dict[str, DecodedItems], callbacks: Callbacks) -> tuple[Items, dict[str, Decoded]]:
    """Leave out the items that decode in no modality, and report them."""
    has = {m: store.lengths > 0 for m, store in stores.items()}
    good = np.flatnonzero(np.any(list(has.values()), axis=0)).tolist()
    skipped = [items.skip(i, failure_reason(stores, i)) for i in sorted(set(range(len(items))) - set(good))]
    if not good:
        path, reason = skipped[0][0], skipped[0].text
        text = f"{items.source}: none of its {len(items)} items can be decoded; the first, {path}: {reason}."
        raise NoneDecoded(text, list(skipped))
    if skipped:
        first = printable(f"{skipped[0][0]}: {skipped[0].text}")
        callbacks.say(f"skipped {len(skipped)} of {len(items)} items; the first, {first}")
    decoded = {}
    for m, store in stores.items():
        lacking = int((~has[m][good]).sum())
        index = None if len(good) == len(items) else np.array(good)
        spans = None if store.spans_s is None else store.spans_s[good]
        if lacking < len(good):
            sizes = None if store.sizes is None else store.sizes[good]
            decoded[m] = Decoded(store.items, store.lengths[good], index, store.folder, spans, sizes)
        if lacking:
            callbacks.say(f"{lacking} of {len(good)} items have no {m}; what they have is used where that suffices.")
    return items.take(good, list(skipped)), decoded


def failure_reason(stores: dict[str, DecodedItems], row: int) -> str:
    """Why an item is in no modality's store."""
    reasons = (store.errors[row] for store in stores.values() if row in store.errors)
    silent = ", or a silent one" if "audio" in stores else ""
    return next(reasons, f"has no {' or '.join(stores)}{silent}")


def square_images(array: np.ndarray, px: int, channels: int) -> np.ndarray:
    """(N, H, W[, C]) uint8 images as (N, channels, px, px) uint8: their middle square, resized."""
    x = array[..., None] if array.ndim == 3 else array[..., :3]
    side = min(x.shape[1:3])
    top, left = (x.shape[1] - side) // 2, (x.shape[2] - side) // 2
    x = x[:, top : top + side, left : left + side]
    if channels == 1 and x.shape[3] == 3:
        x = x[..., :1]
    elif channels == 3 and x.shape[3] == 1:
        x = np.repeat(x, 3, axis=3)
    x = np.moveaxis(x, 3, 1)
    if side == px:
        return np.ascontiguousarray(x)
    resized = np.empty((len(x), channels, px, px), np.uint8)
    for start in range(0, len(x), 1024):
        block = torch.from_numpy(np.ascontiguousarray(x[start : start + 1024])).float()
        small = F.interpolate(block, size=(px, px), mode="bilinear", antialias=True, align_corners=False)
        resized[start : start + 1024] = small.add(0.5).clamp(0, 255).to(torch.uint8).numpy()
    return resized


def array_digest(array: np.ndarray) -> str:
    """A digest of an array's shape and values."""
    digest = hashlib.blake2b(str(array.shape).encode(), digest_size=10)
    for start in range(0, len(array), 4096):
        digest.update(np.ascontiguousarray(array[start : start + 4096]).tobytes())
    return digest.hexdigest()
