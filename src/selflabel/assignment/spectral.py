"""Spectral clustering of a sparse graph of neighbours: its leading eigenvectors, and labels from them.

Axes: N items, k neighbours, K labels.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

DENSE_ROWS = 200  # items up to which all eigenvectors are computed


def neighbour_graph(neighbours_Nk: np.ndarray) -> Any:
    """The symmetric graph of neighbours: an edge weighs 1 where both items are neighbours of each other, else 1/2.

    Args:
        neighbours_Nk: (N, k) rows of the neighbours of each item.

    Returns:
        A SciPy CSR array (N, N).
    """
    from scipy.sparse import csr_array

    N, k = neighbours_Nk.shape
    directed = csr_array((np.ones(N * k), (np.repeat(np.arange(N), k), neighbours_Nk.reshape(-1))), shape=(N, N))
    directed.sum_duplicates()
    directed.data[:] = 1
    directed.setdiag(0)
    return ((directed + directed.T) / 2).tocsr()


def leading_eigenvectors(graph: Any, K: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The K leading eigenvectors of the random walk on a graph.

    Args:
        graph: SciPy array (N, N), symmetric, with non-negative weights.
        K: how many, at most N.
        seed: of the iteration's start.

    Returns:
        Eigenvalues (K,), largest first, each at most 1, and the eigenvectors (N, K).

    Source: von Luxburg, A tutorial on spectral clustering, 2007.
    """
    from scipy.sparse import diags_array

    scale = 1 / np.sqrt(np.maximum(graph.sum(axis=1), 1e-12))
    walk = diags_array(scale) @ graph @ diags_array(scale)
    values, vectors = largest_eigenpairs(walk, K, np.random.default_rng(seed))
    order = np.argsort(-values)
    return values[order], scale[:, None] * vectors[:, order]


def largest_eigenpairs(matrix: Any, K: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """The largest eigenvalues (K,) of a symmetric matrix, and their vectors (N, K), in any order."""
    from scipy.sparse.linalg import ArpackNoConvergence, eigsh, lobpcg

    N = matrix.shape[0]
    if max(DENSE_ROWS, 3 * K) >= N:
        values, vectors = np.linalg.eigh(matrix.toarray())
        return values[-K:], vectors[:, -K:]
    try:  # to machine precision, or it misses equal eigenvalues, of which each connected part of a graph has one
        return eigsh(matrix, K, which="LA", v0=rng.normal(size=N), tol=0, ncv=min(N, max(2 * K + 1, 40)))
    except ArpackNoConvergence:
        return lobpcg(matrix, rng.normal(size=(N, K)), maxiter=200)


def cluster_qr(vectors_NK: np.ndarray) -> Tensor:
    """Labels from eigenvectors: those K items that point furthest apart become axes, and each item goes to its nearest axis.

    Args:
        vectors_NK: (N, K) leading eigenvectors of a graph, N at least K.

    Returns:
        (N,) int64 labels.

    Source: Damle, Minden & Ying, Simple, direct and efficient multi-way spectral clustering, 2019.
    """
    from scipy.linalg import qr, svd

    K = vectors_NK.shape[1]
    _, _, order = qr(vectors_NK.T, mode="economic", pivoting=True)
    left, _, right = svd(vectors_NK[order[:K]].T)
    return torch.from_numpy(np.abs(vectors_NK @ (left @ right)).argmax(axis=1))
