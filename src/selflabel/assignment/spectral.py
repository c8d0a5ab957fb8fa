"""Spectral clustering of a neighbour graph, sparse and with labels from a pivoted QR factorisation.

The leading eigenvectors of the random walk on the graph are found exactly, by ARPACK, or nearly, by subspace iteration: products
with the graph and thin QR factorisations, linear in the number of items. Labels come from the eigenvectors by one pivoted QR
(Damle, Minden & Ying, 2019, "Simple, direct and efficient multi-way spectral clustering"), so that nothing depends on starts
of k-means, and no equal sizes are assumed.

Axes: N items, K labels, k neighbours.
"""

from __future__ import annotations

import warnings

import numpy as np
import scipy.linalg
import scipy.sparse as sp
import torch
from torch import Tensor

DENSE_ROWS = 200  # items up to which all eigenvectors are computed
SPARE_DIRECTIONS = 10  # that are iterated beside those asked for: the last ones converge slowly
ITERATIONS, BETWEEN_QR = 60, 4  # of the subspace iteration, and how many between two orthogonalisations
SELF_WEIGHT = 1e-3  # of an item's edge to itself: an item whose edges all have weight 0 has a direction all the same


def neighbour_graph(neighbours_Nk: Tensor, weights_Nk: Tensor | None = None) -> sp.csr_matrix:
    """The symmetric graph of an item and its neighbours.

    Args:
        neighbours_Nk: (N, k) integer rows of the neighbours.
        weights_Nk: (N, k) weight of each edge, at least 0; None is 1 each.

    Returns:
        (N, N) float32, the mean of both directions.
    """
    N, k = neighbours_Nk.shape
    weights = torch.ones(N, k) if weights_Nk is None else weights_Nk.cpu().float()
    starts = np.arange(0, N * k + 1, k)
    graph = sp.csr_matrix((weights.reshape(-1).numpy(), neighbours_Nk.cpu().reshape(-1).numpy(), starts), shape=(N, N))
    return ((graph + graph.T) / 2 + SELF_WEIGHT * sp.eye(N, dtype=np.float32)).tocsr()


def leading_eigenvectors(graph: sp.csr_matrix, K: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The K leading eigenvectors of the random walk on a graph.

    Args:
        graph: (N, N), symmetric, with non-negative weights.
        K: how many, at most N.
        seed: of the iteration's start.

    Returns:
        Eigenvalues (K,), largest first, each at most 1, and the eigenvectors (N, K).

    Source: von Luxburg, A tutorial on spectral clustering, 2007.
    """
    scale = 1 / np.sqrt(np.maximum(np.asarray(graph.sum(axis=1), np.float64).ravel(), 1e-12))
    walk = sp.diags(scale) @ graph @ sp.diags(scale)
    values, vectors = largest_eigenpairs(walk, K, np.random.default_rng(seed))
    order = np.argsort(-values)
    return values[order], scale[:, None] * vectors[:, order]


def largest_eigenpairs(matrix: sp.csr_matrix, K: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
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


def spectral_directions(graph: sp.csr_matrix, count: int, seed: int = 0, n_iter: int = ITERATIONS) -> np.ndarray:
    """Nearly the leading eigenvectors of the random walk on a graph: as `leading_eigenvectors`, in time linear in N.

    Args:
        graph: (N, N) symmetric, no row all zero.
        count: eigenvectors, at most N.
        seed: of the iteration's start.
        n_iter: iterations, in multiples of 4.

    Returns:
        (N, count) float32, in the order of falling eigenvalues.
    """
    N = graph.shape[0]
    scale_N = np.asarray(graph.sum(axis=1), np.float32).ravel() ** -0.5
    walk = as_torch(sp.diags(scale_N) @ graph @ sp.diags(scale_N))
    width = min(N, count + SPARE_DIRECTIONS)
    x = torch.from_numpy(np.random.default_rng(seed).standard_normal((N, width), np.float32))
    for _ in range(n_iter // BETWEEN_QR):
        for _ in range(BETWEEN_QR):
            x = walk @ x + x  # walk + 1 has no negative eigenvalues
        x = torch.linalg.qr(x).Q
    _, turn = torch.linalg.eigh(x.T @ (walk @ x))
    return (x @ turn.flip(1))[:, :count].numpy() * scale_N[:, None]


def as_torch(matrix: sp.spmatrix) -> Tensor:
    """The matrix as a sparse CSR tensor, whose products use all threads."""
    csr = matrix.tocsr().astype(np.float32)
    starts, columns, values = (torch.from_numpy(x) for x in (csr.indptr, csr.indices, csr.data))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # torch says once that such tensors are new
        return torch.sparse_csr_tensor(starts, columns, values, size=csr.shape, check_invariants=False)


def cluster_qr(directions_NK: np.ndarray) -> Tensor:
    """The label of each item from the K leading eigenvectors (Damle, Minden & Ying, 2019, Algorithm 1).

    K items that are as orthogonal as possible stand for the labels; a rotation takes them to the axes, and an item gets the label
    of its largest entry.

    Args:
        directions_NK: (N, K) from `spectral_directions`.

    Returns:
        (N,) int64, 0 to K - 1.

    Example:
        >>> cluster_qr(np.array([[1.0, 1.0], [1.0, 1.0], [1.0, -1.0], [1.0, -1.0]])).tolist() in ([0, 0, 1, 1], [1, 1, 0, 0])
        True
    """
    K = directions_NK.shape[1]
    pivots = scipy.linalg.qr(directions_NK.T, mode="r", pivoting=True)[1][:K]
    u, _, v = scipy.linalg.svd(directions_NK[pivots].T)
    return torch.from_numpy(np.abs(directions_NK @ (u @ v)).argmax(axis=1)).long()


def spectral_labels(graph: sp.csr_matrix, K: int, seed: int = 0) -> Tensor:
    """(N,) int64 labels of a graph's items."""
    return cluster_qr(spectral_directions(graph, K, seed))
