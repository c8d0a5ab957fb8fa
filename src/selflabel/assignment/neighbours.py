"""Nearest neighbours by cosine, exact or approximate with its recall measured, and random walks among them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from selflabel.base.sampling import drawn_rows

EXACT_LIMIT = 40_000  # items up to which a CPU searches exactly
PROJECT_TO = 64  # principal directions that a search compares
BLOCK_ROWS = 2048  # queries of one matrix product
CHUNK_ROWS = 65_536  # rows that are projected or searched at a time
BASIS_ROWS = 40_000  # rows that principal directions are estimated from, at most
RECALL_ROWS = 500  # queries that recall is measured on, about
SMOOTHED_COLUMNS = 128  # that are averaged at a time: copies of all would take as much memory as x each


# ----------------------------------------------------------------------------------------------------------- search


@dataclass(frozen=True)
class Neighbours:
    """The nearest neighbours of every item.

    Attributes:
        rows: (N, k) int64 on the CPU, nearest first; an item is never its own neighbour, unless it is the only one.
        recall: the share of the true neighbours that was found, 0 to 1: 1 where the search was exact, otherwise measured on a
            sample.
    """

    rows: Tensor
    recall: float


def nearest(
    features_ND: Tensor,
    k: int,
    exact_limit: int = EXACT_LIMIT,
    project_to: int = PROJECT_TO,
    groups_N: Tensor | None = None,
) -> Neighbours:
    """The k nearest neighbours of every item by cosine, after projection to the leading principal directions.

    Args:
        features_ND: (N, D) floats on any device.
        k: neighbours per item; with N <= k the last ones repeat, and a single item is its own neighbour.
        exact_limit: most items that a CPU searches exactly.
        project_to: principal directions kept; features are centred first.
        groups_N: (N,) the group of every item, whose neighbours are sought in other groups only, always exactly. Where there are
            fewer than k items outside some group, groups do not count.

    Example:
        >>> x = torch.tensor([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.1, 0.9]])
        >>> nearest(x, 1).rows[:, 0].tolist()
        [1, 0, 3, 2]
    """
    N = len(features_ND)
    if N == 1:
        return Neighbours(torch.zeros(1, k, dtype=torch.int64), 1.0)
    available = min(k, N - 1)
    x = project(features_ND, project_to)
    if groups_N is not None and N - int(groups_N.unique(return_counts=True)[1].max()) >= k:
        rows, recall = search_other_groups(x, groups_N.to(x.device), k), 1.0
    elif exact_limit < N and x.device.type == "cpu":
        rows, recall = approximate_search(x, available)
    else:
        rows, recall = exact_search(x, x, available, exclude=torch.arange(N, device=x.device)), 1.0
    if available < k:
        rows = torch.cat([rows, rows[:, -1:].expand(-1, k - available)], dim=1)
    return Neighbours(rows.cpu(), recall)


def project(features_ND: Tensor, max_dims: int) -> Tensor:
    """Rows centred, projected to at most `max_dims` principal directions and scaled to unit length: (N, min(D, max_dims))."""
    projection = Projection.fit(features_ND, max_dims)
    return torch.cat([projection(block) for block in features_ND.split(CHUNK_ROWS)])


@dataclass(frozen=True)
class Projection:
    """The centre (D,) of features, and principal directions (D, d) or their own axes."""

    mean: Tensor
    basis: Tensor

    @classmethod
    def fit(cls, features_ND: Tensor, max_dims: int) -> Projection:
        """The projection of features to at most `max_dims` principal directions."""
        mean, D = blockwise_mean(features_ND), features_ND.shape[1]
        if max_dims >= D:
            return cls(mean, torch.eye(D, device=features_ND.device))
        sample = features_ND[drawn_rows(len(features_ND), BASIS_ROWS)].float() - mean
        return cls(mean, leading_directions(sample, max_dims))

    def __call__(self, features_BD: Tensor) -> Tensor:
        """(B, d) rows of unit length."""
        return F.normalize((features_BD.float() - self.mean) @ self.basis, dim=1)


def leading_directions(sample: Tensor, count: int, n_iter: int = 4) -> Tensor:
    """(D, count) orthonormal, near the span of the leading principal directions, by subspace iteration (Halko et al., 2011)."""
    start = torch.randn(sample.shape[1], count, generator=torch.Generator().manual_seed(0)).to(sample.device)
    basis = torch.linalg.qr(start).Q
    for _ in range(n_iter):
        basis = torch.linalg.qr(sample.T @ (sample @ basis)).Q
    return basis


def blockwise_mean(features_ND: Tensor) -> Tensor:
    """(D,) mean row, summed in float64."""
    total = sum(block.double().sum(dim=0) for block in features_ND.cpu().split(CHUNK_ROWS))
    return (total / len(features_ND)).float().to(features_ND.device)  # type: ignore[union-attr, operator]


def exact_search(queries: Tensor, base: Tensor, k: int, exclude: Tensor | None = None) -> Tensor:
    """The most similar rows by inner product.

    Args:
        queries: (Q, D).
        base: (N, D) rows to search.
        k: neighbours per query.
        exclude: (Q,) the row of `base` that each query must not return, or None.

    Returns:
        (Q, k) int64 rows of `base`, most similar first.
    """
    if queries.device.type == "cpu" and len(base) > 4 * BLOCK_ROWS:
        return exact_search_faiss(queries, base, k, exclude)
    parts = []
    for start in range(0, len(queries), BLOCK_ROWS):
        block = queries[start : start + BLOCK_ROWS]
        similarity = block @ base.T
        if exclude is not None:
            similarity[torch.arange(len(block), device=block.device), exclude[start : start + BLOCK_ROWS]] = -torch.inf
        parts.append(similarity.topk(k, dim=1).indices)
    return torch.cat(parts)


def search_other_groups(x_ND: Tensor, groups_N: Tensor, k: int) -> Tensor:
    """(N, k) the rows of the most similar items that are of another group than an item's own."""
    parts = []
    for rows, own in zip(x_ND.split(BLOCK_ROWS), groups_N.split(BLOCK_ROWS)):
        similarity = (rows @ x_ND.T).masked_fill_(own[:, None] == groups_N, -torch.inf)
        parts.append(similarity.topk(k, dim=1).indices)
    return torch.cat(parts)


def exact_search_faiss(queries: Tensor, base: Tensor, k: int, exclude: Tensor | None) -> Tensor:
    """`exact_search` by faiss, which is quicker on a CPU with many rows."""
    import faiss

    index = faiss.IndexFlatIP(base.shape[1])
    index.add(np.ascontiguousarray(base.numpy()))
    rows = index.search(np.ascontiguousarray(queries.numpy()), k + (exclude is not None))[1]
    return torch.from_numpy(rows if exclude is None else drop_excluded(rows, exclude.numpy()))


def drop_excluded(rows: np.ndarray, exclude: np.ndarray) -> np.ndarray:
    """Drop the excluded row (Q,) of each query from rows (Q, k + 1), or the last one where duplicates displaced it."""
    keep = rows != exclude[:, None]
    keep[keep.all(axis=1), -1] = False
    return rows[keep].reshape(len(rows), -1)


def approximate_search(x: Tensor, k: int) -> tuple[Tensor, float]:
    """Neighbours (N, k) of every row of x (N, D) by an inverted file (Jegou et al., 2011), and their recall on a sample."""
    import faiss

    data = np.ascontiguousarray(x.numpy())
    n_cells = int(4 * len(x) ** 0.5)
    index = faiss.IndexIVFFlat(faiss.IndexFlatIP(x.shape[1]), x.shape[1], n_cells, faiss.METRIC_INNER_PRODUCT)
    index.cp.seed = 0
    index.train(data[:: max(1, len(data) // (64 * n_cells))])
    index.add(data)
    index.nprobe = max(8, n_cells // 64)
    rows = np.empty((len(data), k), np.int64)
    for start in range(0, len(data), CHUNK_ROWS):
        own = np.arange(start, min(start + CHUNK_ROWS, len(data)))
        result = drop_excluded(index.search(data[own], k + 1)[1], own)
        rows[own] = np.where(result < 0, own[:, None], result)
    return torch.from_numpy(rows), measure_recall(x, rows, k)


def measure_recall(x: Tensor, rows: np.ndarray, k: int) -> float:
    """The share, 0 to 1, of the true neighbours in rows (N, k), on a sample of the items."""
    sample = torch.arange(0, len(x), max(1, len(x) // RECALL_ROWS))
    truth = exact_search(x[sample], x, k, exclude=sample).numpy()
    return float(np.mean([len(np.intersect1d(a, b)) / k for a, b in zip(rows[sample.numpy()], truth)]))


# ------------------------------------------------------------------------------------------- walks among neighbours


def random_walk_ends(neighbours_Nk: Tensor, n_steps: int, generator: torch.Generator) -> Tensor:
    """Where random walks end that start from every item, each step going to any of the k neighbours.

    Walks soon cross a split within a class, and seldom a border between classes. So at the ends of long walks the two halves of a
    split class tell nothing about each other, and classes still do.

    Args:
        neighbours_Nk: (N, k) rows of the neighbours.
        n_steps: of each walk.
        generator: on the CPU.

    Returns:
        (N, k) int64 on the CPU: the ends of k walks from each item.
    """
    N, k = neighbours_Nk.shape
    rows, position = neighbours_Nk.cpu().long(), torch.arange(N)[:, None].expand(N, k)
    for _ in range(n_steps):
        position = rows[position, torch.randint(k, (N, k), generator=generator)]
    return position


def smooth_over_neighbours(x: Tensor, neighbours_Nk: Tensor, times: int) -> Tensor:
    """Average every row with those of its neighbours.

    Args:
        x: (N, D).
        neighbours_Nk: (N, k) int32, on x's device.
        times: how often in succession.

    Returns:
        (N, D).
    """
    if not times:
        return x
    own = torch.arange(len(x), dtype=torch.int32, device=x.device)[:, None]
    bags, result = torch.cat([own, neighbours_Nk], dim=1), torch.empty_like(x)
    for columns, out in zip(x.split(SMOOTHED_COLUMNS, dim=1), result.split(SMOOTHED_COLUMNS, dim=1)):
        for _ in range(times):
            columns = F.embedding_bag(bags, columns.contiguous(), mode="mean")
        out.copy_(columns)
    return result


# ------------------------------------------------------------------------------------------------ several modalities


def multimodal_neighbours(
    features: dict[str, Tensor],
    present: dict[str, Tensor],
    k: int,
    leader: str | None = None,
    groups_N: Tensor | None = None,
) -> Tensor:
    """Neighbours by several modalities: some by all modalities together, and some by each alone.

    An item that lacks a modality gets further neighbours by all together in place of those by that modality.

    Args:
        features: (N, D) of each modality.
        present: (N,) bool of each modality, whether an item has it.
        k: neighbours per item.
        leader: the one modality that supplies all neighbours which are not by all together; None is some by each.
        groups_N: as in `nearest`, of items that all have the only modality.

    Returns:
        (N, k) int64.
    """
    if len(features) == 1:
        ((m, x),) = features.items()
        return neighbours_by_modality(x, present[m], k, groups_N)
    has_any = torch.stack(list(present.values())).any(dim=0)
    each = k // (len(features) + 1)
    counts = {leader: len(features) * each} if leader else dict.fromkeys(features, each)
    n_joint = k - len(features) * each
    joint_features = concatenate_modalities(features, present)
    joint = neighbours_by_modality(joint_features, has_any, max(n_joint, *counts.values()))
    single = [neighbours_by_modality(features[m], present[m], n) for m, n in counts.items() if n]
    return torch.cat([joint[:, :n_joint], *(torch.where(x < 0, joint[:, : x.shape[1]], x) for x in single)], dim=1)


def concatenate_modalities(features: dict[str, Tensor], present: dict[str, Tensor]) -> Tensor:
    """The features of all modalities, concatenated so that none dominates the similarities of items.

    Each modality is centred, scaled to unit rows, and weighted so that the similarities of pairs of items are equally spread in
    each. Otherwise the modality with the fewest directions, whose pairs are very similar or very dissimilar, would dominate.

    Args:
        features: (N, D) of each modality.
        present: (N,) bool of each modality; rows that lack it are zero.

    Returns:
        (N, sum of D). A single modality is returned as it is.
    """
    if len(features) == 1:
        return next(iter(features.values()))
    parts = []
    for m, x in features.items():
        has = present[m][:, None]
        n = has.sum().clamp(min=1)
        unit = F.normalize(x - (x * has).sum(dim=0) / n, dim=1) * has
        spread = (unit.T @ unit / n).norm()  # root mean square of the inner products of pairs
        parts.append(unit / spread.clamp(min=1e-6).sqrt())
    return torch.cat(parts, dim=1)


def neighbours_by_modality(x: Tensor, present: Tensor, k: int, groups_N: Tensor | None = None) -> Tensor:
    """(N, k) neighbours among the items that have the modality; -1 for an item that lacks it."""
    if bool(present.all()):
        return nearest(x, k, groups_N=groups_N).rows.long().to(x.device)
    rows = present.nonzero()[:, 0]
    result = torch.full((len(x), k), -1, device=x.device)
    if len(rows) > 1:
        result[rows] = rows[nearest(x[rows], k).rows.long().to(x.device)]
    return result
