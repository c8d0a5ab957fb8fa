"""Nearest neighbours by cosine: exact up to EXACT_LIMIT items, approximate above with its recall measured."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

EXACT_LIMIT = 40_000  # on a CPU
PROJECT_TO = 64  # dimensions that a search compares
BLOCK = 2048


@dataclass(frozen=True)
class Neighbours:
    """rows (N, k) int64, nearest first, an item never its own; `recall` is 1 when exact, else measured on a sample."""

    rows: Tensor
    recall: float


def nearest(features_ND: Tensor, k: int, exact_limit: int = EXACT_LIMIT, project_to: int = PROJECT_TO) -> Neighbours:
    """The k nearest neighbours of every item by cosine, after projection to the leading principal directions.

    Args:
        features_ND: (N, D) floats on any device.
        k: neighbours an item; with N <= k the last ones repeat, and a lone item is its own neighbour.
        exact_limit: most items searched exactly.
        project_to: principal directions kept; features are centred first.

    Example:
        >>> x = torch.tensor([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.1, 0.9]])
        >>> nearest(x, 1).rows[:, 0].tolist()
        [1, 0, 3, 2]
    """
    N = len(features_ND)
    if N == 1:
        return Neighbours(torch.zeros(1, k, dtype=torch.int64), 1.0)
    found = min(k, N - 1)
    x = projected(features_ND, project_to)
    if exact_limit < N and x.device.type == "cpu":
        rows, recall = approximate(x, found)
    else:
        rows, recall = exact(x, x, found, own=torch.arange(N, device=x.device)), 1.0
    if found < k:
        rows = torch.cat([rows, rows[:, -1:].expand(-1, k - found)], dim=1)
    return Neighbours(rows.cpu(), recall)


def projected(features_ND: Tensor, most: int) -> Tensor:
    """Centred, projected to at most `most` principal directions, unit rows."""
    mean = block_mean(features_ND)
    D = features_ND.shape[1]
    if most < D:
        sample = features_ND[:: max(1, len(features_ND) // 20_000)].float() - mean
        basis = leading_directions(sample, most)
    else:
        basis = torch.eye(D, device=features_ND.device)
    parts = [F.normalize((block.float() - mean) @ basis, dim=1) for block in features_ND.split(65_536)]
    return torch.cat(parts)


def leading_directions(sample: Tensor, most: int, turns: int = 4) -> Tensor:
    """(D, most) orthonormal, near the span of the leading principal directions, by subspace iteration (Halko et al., 2011)."""
    start = torch.randn(sample.shape[1], most, generator=torch.Generator().manual_seed(0)).to(sample.device)
    basis = torch.linalg.qr(start).Q
    for _ in range(turns):
        basis = torch.linalg.qr(sample.T @ (sample @ basis)).Q
    return basis


def block_mean(features_ND: Tensor) -> Tensor:
    total = sum(block.double().sum(dim=0) for block in features_ND.cpu().split(65_536))
    return (total / len(features_ND)).float().to(features_ND.device)  # type: ignore[union-attr, operator]


def exact(queries: Tensor, base: Tensor, k: int, own: Tensor | None = None) -> Tensor:
    """(Q, k) rows of `base` nearest to each query, by blocked matrix products; `own` names a row to leave out."""
    if queries.device.type == "cpu" and len(base) > 4 * BLOCK:
        return exact_faiss(queries, base, k, own)
    parts = []
    for start in range(0, len(queries), BLOCK):
        block = queries[start : start + BLOCK]
        similarity = block @ base.T
        if own is not None:
            similarity[torch.arange(len(block), device=block.device), own[start : start + BLOCK]] = -torch.inf
        parts.append(similarity.topk(k, dim=1).indices)
    return torch.cat(parts)


def exact_faiss(queries: Tensor, base: Tensor, k: int, own: Tensor | None) -> Tensor:
    import faiss

    index = faiss.IndexFlatIP(base.shape[1])
    index.add(np.ascontiguousarray(base.numpy()))
    found = index.search(np.ascontiguousarray(queries.numpy()), k + (own is not None))[1]
    return torch.from_numpy(found if own is None else without_own(found, own.numpy()))


def without_own(found: np.ndarray, own: np.ndarray) -> np.ndarray:
    """Drop each item's own row, or the farthest one where duplicates crowded the own row out."""
    keep = found != own[:, None]
    keep[keep.all(axis=1), -1] = False
    return found[keep].reshape(len(found), -1)


def approximate(x: Tensor, k: int) -> tuple[Tensor, float]:
    """An inverted file (Jegou et al., 2011), with its recall on 500 sampled items."""
    import faiss

    data = np.ascontiguousarray(x.numpy())
    cells = int(4 * len(x) ** 0.5)
    index = faiss.IndexIVFFlat(faiss.IndexFlatIP(x.shape[1]), x.shape[1], cells, faiss.METRIC_INNER_PRODUCT)
    index.cp.seed = 0
    index.train(data[:: max(1, len(data) // (64 * cells))])
    index.add(data)
    index.nprobe = max(8, cells // 64)
    rows = np.empty((len(data), k), np.int64)
    for start in range(0, len(data), 65_536):
        own = np.arange(start, min(start + 65_536, len(data)))
        found = without_own(index.search(data[own], k + 1)[1], own)
        rows[own] = np.where(found < 0, own[:, None], found)
    sample = torch.arange(0, len(x), max(1, len(x) // 500))
    true = exact(x[sample], x, k, own=sample).numpy()
    recall = np.mean([len(np.intersect1d(a, b)) / k for a, b in zip(rows[sample.numpy()], true)])
    return torch.from_numpy(rows), float(recall)


def walked(neighbours_Nk: Tensor, steps: int, generator: torch.Generator) -> Tensor:
    """(N, k) where k random walks from every item end, each step to any of the k neighbours, on the CPU.

    A cut through the middle of a class is soon crossed, a border between classes seldom: at the end of a long walk the halves of
    a class tell nothing of each other, and classes still do.
    """
    N, k = neighbours_Nk.shape
    rows, at = neighbours_Nk.cpu().long(), torch.arange(N)[:, None].expand(N, k)
    for _ in range(steps):
        at = rows[at, torch.randint(k, (N, k), generator=generator)]
    return at


def smoothed(x: Tensor, neighbours_Nk: Tensor, times: int) -> Tensor:
    """Rows (N, D) averaged with their neighbours', so many times over. neighbours_Nk: int32, on x's device."""
    itself = torch.arange(len(x), dtype=torch.int32, device=x.device)[:, None]
    bags = torch.cat([itself, neighbours_Nk], dim=1)
    for _ in range(times):
        x = F.embedding_bag(bags, x, mode="mean")
    return x


def walk_directions(neighbours_Nk: Tensor, K: int, seed: int, rounds: int = 40) -> Tensor:
    """(N, K) at unit length: where every item lies in the K directions that walks among neighbours forget last.

    They are spanned by the leading eigenvectors of the walks, found by subspace iteration; items that walks seldom leave lie in
    one direction, however unequal such classes are (spectral clustering; Ng, Jordan & Weiss, 2002).

    Example:
        >>> pairs = torch.tensor([[1], [0], [3], [2]], dtype=torch.int32)
        >>> x = walk_directions(pairs, 2, 0)
        >>> (x @ x.T).abs().round().int().tolist()
        [[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 1], [0, 0, 1, 1]]
    """
    x = torch.randn(len(neighbours_Nk), K, generator=torch.Generator().manual_seed(seed)).to(neighbours_Nk.device)
    for _ in range(rounds):
        x = torch.linalg.qr(smoothed(x, neighbours_Nk, 1)).Q
    return F.normalize(x, dim=1)


def nearest_in_each(features: dict[str, Tensor], present: dict[str, Tensor], k: int, leader: str | None = None) -> Tensor:
    """(N, k) neighbours by several modalities: some in all of them side by side and some in each. Who lacks a modality has those
    in all twice.

    Args:
        features: modality to (N, D).
        present: modality to (N,), which items have it.
        k: neighbours an item.
        leader: the modality in which all that are not side by side are sought, instead of some in each.
    """
    if len(features) == 1:
        ((m, x),) = features.items()
        return nearest_among(x, present[m], k)
    some = torch.stack(list(present.values())).any(dim=0)
    each = k // (len(features) + 1)
    sought = {leader: len(features) * each} if leader else dict.fromkeys(features, each)
    together = k - len(features) * each
    every = nearest_among(side_by_side(features, present), some, max(together, *sought.values()))
    found = [nearest_among(features[m], present[m], n) for m, n in sought.items() if n]
    return torch.cat([every[:, :together], *(torch.where(x < 0, every[:, : x.shape[1]], x) for x in found)], dim=1)


def side_by_side(features: dict[str, Tensor], present: dict[str, Tensor]) -> Tensor:
    """(N, D) of all modalities: each centred, at unit length, nought where it is lacking, and weighed so that the likenesses of
    pairs of items are equally spread in each. Otherwise the modality of the fewest directions, whose pairs are very like or very
    unlike, would decide alone.
    """
    if len(features) == 1:
        return next(iter(features.values()))
    parts = []
    for m, x in features.items():
        has = present[m][:, None]
        n = has.sum().clamp(min=1)
        unit = F.normalize(x - (x * has).sum(dim=0) / n, dim=1) * has
        spread = (unit.T @ unit / n).norm()  # of unit.T @ unit over pairs: the root of their mean square
        parts.append(unit / spread.clamp(min=1e-6).sqrt())
    return torch.cat(parts, dim=1)


def nearest_among(x: Tensor, present: Tensor, k: int) -> Tensor:
    """(N, k) neighbours among the items that have the modality; -1 for one that lacks it."""
    if bool(present.all()):
        return nearest(x, k).rows.long().to(x.device)
    rows = present.nonzero()[:, 0]
    found = torch.full((len(x), k), -1, device=x.device)
    if len(rows) > 1:
        found[rows] = rows[nearest(x[rows], k).rows.long().to(x.device)]
    return found
