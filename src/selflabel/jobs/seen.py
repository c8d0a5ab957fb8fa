"""What a run has seen, in the spaces by which unseen items are judged: the network's features, and features that need no network.

A network that learned on one kind of item may see anything as one of its clusters; the other features still tell the kinds apart.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from selflabel.base.sampling import drawn_rows
from selflabel.contract import Method
from selflabel.evaluation.seen import SAMPLE, Seen
from selflabel.training.data import ResidentData
from selflabel.views import first_features, sound_features

PREFIX = "seen."  # of the tensors of model.safetensors
BATCH = 256


def fit_seen(method: Method, data: ResidentData, features: np.ndarray, fits: np.ndarray) -> dict[str, Seen]:
    """Feature space to what the run has seen in it, for each modality.

    Args:
        method: trained.
        data: the run's items.
        features: (N, D) of its modalities, side by side.
        fits: (N,) bool, items that were not found to be outliers.
    """
    seen, start = dict[str, Seen | None](), 0
    for m in method.task.modalities:
        rows = torch.from_numpy(np.flatnonzero(fits & data.present[m].cpu().numpy()))
        rows = rows[drawn_rows(len(rows), SAMPLE)]
        own = torch.from_numpy(np.asarray(features[:, start : start + method.dim(m)]))
        start += method.dim(m)
        seen[f"pooled.{m}"] = Seen.fit(own[rows])
        if len(rows) and data.stored[m].kind != "features":
            seen[f"first.{m}"] = Seen.fit(plain_features(data, m, rows))
    return {space: what for space, what in seen.items() if what is not None}


def plain_features(data: ResidentData, modality: str, rows: Tensor) -> Tensor:
    """(n, D) of the centre views of some items, by `views.first`, without a network and fitted to nothing."""
    kind = data.stored[modality].kind
    is_sound = kind in ("sound", "spoken")
    views = (data.view(modality, part, "centre", 0).pixels for part in rows.split(BATCH))
    return torch.cat([(sound_features(x, kind == "spoken") if is_sound else first_features(x)).float().cpu() for x in views])


def is_unlike(seen: dict[str, Seen], data: ResidentData, pooled: dict[str, Tensor]) -> np.ndarray | None:
    """(N,) bool, whether an item is unlike everything that the run has seen, in any space; None where the run does not say.

    Args:
        seen: of the run.
        data: the unseen items.
        pooled: modality to (N, D) the network's features of them.
    """
    result = None
    for space, what in seen.items():
        kind, _, m = space.partition(".")
        if m not in pooled:
            continue
        x = pooled[m] if kind == "pooled" else plain_features(data, m, torch.arange(data.n_items))
        if x.shape[1] != what.sample.shape[1]:
            continue
        unlike = what.is_unlike(x) & data.present[m].cpu()
        result = unlike if result is None else result | unlike
    return None if result is None else result.numpy()


def as_tensors(seen: dict[str, Seen]) -> dict[str, Tensor]:
    """As model.safetensors holds it."""
    samples = {f"{PREFIX}{space}.sample": what.sample for space, what in seen.items()}
    numbers = {space: (what.limit, what.shortest, what.longest, what.median) for space, what in seen.items()}
    limits = {space: torch.tensor([x for x in of if x is not None]) for space, of in numbers.items()}
    return samples | {f"{PREFIX}{space}.limit": limit for space, limit in limits.items()}


def from_tensors(tensors: dict[str, Tensor]) -> dict[str, Seen]:
    """What `as_tensors` made; empty for a run of a version that stored nothing. Raises ValueError where it is damaged."""
    seen = {}
    for name, sample in tensors.items():
        if name.startswith(PREFIX) and name.endswith(".sample"):
            limit = tensors[name.removesuffix("sample") + "limit"]
            if sample.ndim != 2 or len(sample) < 1 or not bool(torch.isfinite(limit).all() and (limit[3:] > 0).all()):
                raise ValueError(f"{name} is no sample of features")
            seen[name.removeprefix(PREFIX).removesuffix(".sample")] = Seen(sample, *limit.tolist()[:4])
    return seen
