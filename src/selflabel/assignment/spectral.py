"""Spectral clustering of a neighbour graph, sparse and with labels from a pivoted QR factorisation.

The leading eigenvectors of the random walk on the graph are found exactly, by ARPACK, or nearly, by subspace iteration: products
with the graph and thin QR factorisations, linear in the number of items. On large graphs products are combined to Chebyshev
polynomials, and everything is done in place, so that memory is little more than the eigenvectors. Labels come from these by one
pivoted QR (Damle, Minden & Ying, 2019, "Simple, direct and efficient multi-way spectral clustering"), so that nothing depends on
starts of k-means, and no equal sizes are assumed.

Axes: N items, K labels, k neighbours, W iterated directions.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
import scipy.linalg
import scipy.sparse as sp
import torch
import torch.nn.functional as F
from torch import Tensor

from selflabel.base.sampling import drawn_rows

DENSE_ROWS = 200  # items up to which all eigenvectors are computed
SPARE_DIRECTIONS = 10  # that are iterated beside those asked for: the last ones converge slowly
ITERATIONS, BETWEEN_QR = 60, 4  # of the subspace iteration, and how many between two orthogonalisations
LARGE_GRAPH, LARGE_DIRECTIONS = 10_000, 1 << 22  # items and entries of directions above which polynomials and samples are used
ROUNDS, DEGREE = 3, 8  # how many polynomials, and their degree
FIRST_CUT = 0.5  # the eigenvalue below which the first of them damps
BLOCK_ROWS, BLOCK_COLUMNS = 16_384, 64
PIVOT_ROWS, PIVOTS_PER_LABEL = 20_000, 100  # items in which pivots are sought on large sets: so many, or so many for a label
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
        n_iter: iterations, in multiples of 4; without effect on large graphs.

    Returns:
        (N, count) float32, in the order of falling eigenvalues.
    """
    N = graph.shape[0]
    scale_N = np.asarray(graph.sum(axis=1), np.float32).ravel() ** -0.5
    matrix = sp.diags(scale_N) @ graph @ sp.diags(scale_N)
    width = min(N, count + SPARE_DIRECTIONS)
    x = torch.from_numpy(np.random.default_rng(seed).standard_normal((N, width), np.float32))
    if is_large(N, width):
        directions = filtered_directions(bag_product(matrix.tocsr()), x, count)
        directions *= scale_N[:, None]
        return directions
    walk = as_torch(matrix)
    for _ in range(n_iter // BETWEEN_QR):
        for _ in range(BETWEEN_QR):
            x = walk @ x + x  # walk + 1 has no negative eigenvalues
        x = torch.linalg.qr(x).Q
    _, turn = torch.linalg.eigh(x.T @ (walk @ x))
    return (x @ turn.flip(1))[:, :count].numpy() * scale_N[:, None]


def is_large(N: int, K: int) -> bool:
    """Whether N items in K directions cost so much that they are worth another way of computing them."""
    return N > LARGE_GRAPH and N * K > LARGE_DIRECTIONS


def filtered_directions(product: Callable[[Tensor], Tensor], x_NW: Tensor, count: int) -> np.ndarray:
    """The leading eigenvectors (N, count) of a symmetric matrix with eigenvalues in [-1, 1], by Chebyshev-filtered iteration.

    Args:
        product: of the matrix with (N, n) columns.
        x_NW: the random start, which is overwritten; the result is its first columns.
        count: eigenvectors, at most W.

    Source: Zhou, Saad, Tiago & Chelikowsky, Self-consistent-field calculations using Chebyshev-filtered subspace iteration, 2006.
    """
    cut = FIRST_CUT
    for _ in range(ROUNDS):
        for columns in x_NW.split(BLOCK_COLUMNS, dim=1):
            columns.copy_(chebyshev(product, columns.contiguous(), cut))
        orthonormalise(x_NW)
        values, turn = torch.linalg.eigh(rayleigh(product, x_NW))
        cut = float(values[0].clamp(0, 0.999))  # the next polynomial damps what is below all that were found
    for rows in x_NW.split(BLOCK_ROWS):
        rows.copy_(rows @ turn.flip(1).float())
    return x_NW.numpy()[:, :count]


def chebyshev(product: Callable[[Tensor], Tensor], x: Tensor, cut: float) -> Tensor:
    """The Chebyshev polynomial of a matrix times x: small for eigenvalues in [-1, cut], and growing fast above."""
    centre, half = (cut - 1) / 2, (cut + 1) / 2
    last, x = x, (product(x) - centre * x) / half
    for _ in range(DEGREE - 1):
        last, x = x, 2 / half * (product(x) - centre * x) - last
    return x


def bag_product(matrix: sp.csr_matrix) -> Callable[[Tensor], Tensor]:
    """The product of a sparse matrix with a dense one of few columns, as sums over bags: quicker than torch's own."""
    starts, columns = (torch.from_numpy(x.astype(np.int32)) for x in (matrix.indptr[:-1], matrix.indices))
    weights = torch.from_numpy(matrix.data.astype(np.float32))
    return lambda x: F.embedding_bag(columns, x, starts, mode="sum", per_sample_weights=weights)


def orthonormalise(x_NW: Tensor) -> None:
    """Make columns orthonormal in place, by the eigenvectors of their inner products in float64."""
    gram = sum(rows.double().T @ rows.double() for rows in x_NW.split(BLOCK_ROWS))
    assert isinstance(gram, Tensor)
    scale = gram.diagonal().rsqrt()
    values, vectors = torch.linalg.eigh(gram * scale[:, None] * scale)
    turn = (scale[:, None] * vectors * values.clamp(min=1e-12).rsqrt()).float()
    for rows in x_NW.split(BLOCK_ROWS):
        rows.copy_(rows @ turn)


def rayleigh(product: Callable[[Tensor], Tensor], x_NW: Tensor) -> Tensor:
    """(W, W) float64 inner products of orthonormal columns with the products of a matrix with them, symmetric."""
    parts = [
        sum(rows.double().T @ own.double() for rows, own in zip(x_NW.split(BLOCK_ROWS), y.split(BLOCK_ROWS)))
        for y in (product(columns.contiguous()) for columns in x_NW.split(BLOCK_COLUMNS, dim=1))
    ]
    inner = torch.cat(parts, dim=1)  # type: ignore[arg-type]
    return (inner + inner.T) / 2


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
    of its largest entry. On large sets these items are sought in a sample, as the authors propose.

    Args:
        directions_NK: (N, K) from `spectral_directions`.

    Returns:
        (N,) int64, 0 to K - 1.

    Example:
        >>> cluster_qr(np.array([[1.0, 1.0], [1.0, 1.0], [1.0, -1.0], [1.0, -1.0]])).tolist() in ([0, 0, 1, 1], [1, 1, 0, 0])
        True
    """
    N, K = directions_NK.shape
    sample = directions_NK[drawn_rows(N, max(PIVOT_ROWS, PIVOTS_PER_LABEL * K))] if is_large(N, K) else directions_NK
    pivots = scipy.linalg.qr(sample.T, mode="r", pivoting=True)[1][:K]
    u, _, v = scipy.linalg.svd(sample[pivots].T)
    blocks = np.array_split(directions_NK, -(-N // LARGE_GRAPH))
    return torch.from_numpy(np.concatenate([np.abs(block @ (u @ v)).argmax(axis=1) for block in blocks])).long()


def spectral_labels(graph: sp.csr_matrix, K: int, seed: int = 0) -> Tensor:
    """(N,) int64 labels of a graph's items."""
    return cluster_qr(spectral_directions(graph, K, seed))
