"""What several labellings agree on: spectral clustering of how often they put two items together.

Two items agree as much as the labels around them do, summed over the labellings. The matrix of agreements has an entry for each
pair of items, and is never formed: it is a product of a sparse factor with itself, with one column for each label, so that its
eigenvectors come from a matrix of labels by labels. Sources: Strehl & Ghosh, Cluster ensembles, 2002; Fred & Jain, Combining
multiple clusterings using evidence accumulation, 2005.

Axes: N items, K labels, L labels of all labellings together, k neighbours.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import scipy.linalg
import scipy.sparse as sp
import torch
from torch import Tensor

from selflabel.assignment.spectral import SPARE_DIRECTIONS, bag_product, filtered_directions, is_large

SMALLEST_EIGENVALUE = 1e-9  # of agreements: those below have no direction


def consensus_directions(labellings: Sequence[Tensor], neighbours_Nk: Tensor, count: int) -> np.ndarray:
    """Leading eigenvectors of the random walk by agreement: from an item to any other, as often as labellings put them together.

    Args:
        labellings: (N,) integer labels of each, from 0; they may differ in their numbers of labels.
        neighbours_Nk: (N, k) integer rows of the neighbours whose labels count, too.
        count: eigenvectors.

    Returns:
        (N, count) float32, in the order of falling eigenvalues; columns of zeros where there are fewer.
    """
    factor_NL = sp.hstack([label_shares(labels_N, neighbours_Nk) for labels_N in labellings], format="csr")
    degree_N = factor_NL @ np.asarray(factor_NL.sum(axis=0)).ravel()
    scale_N = 1 / np.sqrt(degree_N)
    walk_NL = sp.diags(scale_N) @ factor_NL
    L = walk_NL.shape[1]
    turn = filtered_turn(walk_NL, count) if is_large(L, count) else exact_turn(walk_NL, count)
    directions = scale_N[:, None] * (walk_NL @ turn)
    return np.pad(directions, ((0, 0), (0, count - directions.shape[1]))).astype(np.float32)


def exact_turn(walk_NL: sp.csr_matrix, count: int) -> np.ndarray:
    """(L, count) what makes of the factor the leading eigenvectors of its product with itself; fewer columns where L is less."""
    # thousands of labels: a copy of this matrix is a gigabyte, and LAPACK works in place only on columns that lie together
    agreement_LL = (walk_NL.T @ walk_NL).toarray(order="F").astype(np.float64, copy=False)
    L = len(agreement_LL)
    values, vectors = scipy.linalg.eigh(agreement_LL, subset_by_index=[max(0, L - count), L - 1], overwrite_a=True)
    return (vectors * inverse_roots(values))[:, ::-1]


def filtered_turn(walk_NL: sp.csr_matrix, count: int) -> np.ndarray:
    """Nearly what `exact_turn` gives, in time linear in L: of twelve thousand labels all eigenvectors would take ten minutes."""
    to_items, to_labels = bag_product(walk_NL), bag_product(walk_NL.T.tocsr())
    width = min(walk_NL.shape[1], count + SPARE_DIRECTIONS)
    start = torch.from_numpy(np.random.default_rng(0).standard_normal((walk_NL.shape[1], width), np.float32))
    vectors = filtered_directions(lambda x: to_labels(to_items(x)), start, count)
    values = np.concatenate([np.square(walk_NL @ part).sum(axis=0) for part in np.array_split(vectors, -(-count // 64), axis=1)])
    return vectors * inverse_roots(values)


def inverse_roots(values: np.ndarray) -> np.ndarray:
    """1 / sqrt of eigenvalues; 0 of those that have no direction."""
    return np.where(values > SMALLEST_EIGENVALUE, 1 / np.sqrt(np.maximum(values, SMALLEST_EIGENVALUE)), 0)


def label_shares(labels_N: Tensor, neighbours_Nk: Tensor) -> sp.csr_matrix:
    """(N, K) float32 shares of each label among an item and its neighbours, each row of unit length."""
    N, k = neighbours_Nk.shape
    labels = labels_N.cpu().numpy()
    around = np.concatenate([labels[:, None], labels[neighbours_Nk.cpu().numpy()]], axis=1)
    ones, starts = np.ones(N * (k + 1), np.float32), np.arange(0, N * (k + 1) + 1, k + 1)
    counts = sp.csr_matrix((ones, around.ravel(), starts), shape=(N, int(labels.max()) + 1))
    counts.sum_duplicates()
    length = np.sqrt(np.asarray(counts.multiply(counts).sum(axis=1))).ravel()
    return (sp.diags((1 / length).astype(np.float32)) @ counts).tocsr()
