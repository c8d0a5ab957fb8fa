"""Features of a fixed backbone, computed once and kept beside the decoded items."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import torch
from torch import nn

from selflabel.base.errors import CannotWrite
from selflabel.base.files import write_atomically
from selflabel.decode.room import make_room
from selflabel.encoders import to_channels_last
from selflabel.jobs.callbacks import Callbacks
from selflabel.training.data import ResidentData
from selflabel.training.distributed import Ranks

ENCODE_BATCH = 64


@torch.no_grad()
def frozen_features(
    backbone: nn.Module,
    data: ResidentData,
    modality: str,
    folder: Path,
    name: str,
    callbacks: Callbacks,
    ranks: Ranks = Ranks(),
) -> np.ndarray:
    """(N, D) float32 features of centre views; of several ranks each encodes its share.

    Args:
        backbone: in eval mode, on the data's device; its `dim` is D.
        data: the set.
        modality: which of it.
        folder: where the features are kept.
        name: of the backbone and how items are shown to it; with its weights the key of the file.
        callbacks: progress.
        ranks: of this process.
    """
    n = data.n_items
    key = hashlib.blake2b(f"{name}|{state_digest(backbone)}|{n}".encode(), digest_size=10).hexdigest()
    file = folder / f"features-{key}.npy"
    shape = (n, int(backbone.dim))  # type: ignore[arg-type]
    known = read_features(file, shape)
    if not ranks.any(known is None) and known is not None:
        return known
    features = encode_centre_views(backbone, data, modality, callbacks, ranks)
    if ranks.is_first:
        keep_features(file, features, callbacks)
    return features


@torch.no_grad()
def encode_centre_views(
    backbone: nn.Module, data: ResidentData, modality: str, callbacks: Callbacks, ranks: Ranks = Ranks()
) -> np.ndarray:
    """(N, D) float32 features of the centre views of all items. For the arguments see `frozen_features`."""
    to_channels_last(backbone)
    n, dim = data.n_items, int(backbone.dim)  # type: ignore[arg-type]
    blocks = torch.arange(n).split(ENCODE_BATCH)
    own = blocks[ranks.shard(len(blocks))]
    encoded = torch.zeros(len(own), ENCODE_BATCH, dim)
    for i, rows in enumerate(own):
        with data.autocast():
            encoded[i, : len(rows)] = backbone(data.view(modality, rows, "centre", 0).pixels).float().cpu()
        callbacks.on_progress("encoding", min(n, (i + 1) * ranks.world * ENCODE_BATCH), n)
    gathered = ranks.gather_rows(encoded if ranks.world == 1 else encoded.to(data.device), len(blocks))
    return gathered.flatten(0, 1)[:n].cpu().numpy()


def read_features(file: Path, shape: tuple[int, int]) -> np.ndarray | None:
    """The features that a file keeps; None where there is no file, or a damaged one."""
    try:
        known = np.load(file, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError, SyntaxError):
        return None
    return known if known.shape == shape and known.dtype == np.float32 else None


def keep_features(file: Path, features: np.ndarray, callbacks: Callbacks) -> None:
    """Write features for the next run; where they cannot be written, this run goes on with those in memory."""
    try:
        make_room(file.parents[1], features.nbytes, keep=file.parent)
        write_atomically(file, lambda p: np.save(p, features, allow_pickle=False))
    except CannotWrite as error:
        callbacks.say(f"the features are not kept for the next run: {error}")


def state_digest(module: nn.Module) -> str:
    """A digest of a network's weights."""
    digest = hashlib.blake2b(digest_size=10)
    for name, tensor in sorted(module.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().float().numpy().tobytes())
    return digest.hexdigest()
