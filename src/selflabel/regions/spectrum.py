"""The second eigenvector of a normalised cut, without a dense eigenvalue solver.

Shi & Malik (2000): (D - A) y = lambda D y, D the sums of A's rows. With z = D^1/2 y it is the second largest eigenvector of
D^-1/2 A D^-1/2, whose largest is D^1/2 1 with eigenvalue 1. That one is taken out, and Lanczos finds the largest of what is left
from products of A with vectors. A is 1 for alike patches and EPSILON for others, so a product is one of a matrix of zeros and
ones and a sum.

Axes: N patches, k steps.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.linalg import eigh_tridiagonal

EPSILON = 1e-5  # weight between patches that are not alike (TokenCut, section 3.2)
MAX_STEPS = 160
CHECK_EVERY = 8  # steps
TOLERANCE = 1e-8  # of the residual; eigenvalues are 1 at most
SMALLEST = 1e-7  # length of a next vector from which on the space is complete


class SecondVector(NamedTuple):
    """vector: (N,) y, of length 1 in z. value: eigenvalue of D^-1/2 A D^-1/2, 1 - lambda. residual: of it. steps: of Lanczos."""

    vector: np.ndarray
    value: float
    residual: float
    steps: int


def second_vector(alike_NN: np.ndarray, tolerance: float = TOLERANCE, max_steps: int = MAX_STEPS) -> SecondVector:
    """The second eigenvector y of (D - A) y = lambda D y.

    Args:
        alike_NN: symmetric matrix of zeros and ones, float32, the diagonal 1; N is 2 at least.
        tolerance: the residual at which it stops.
        max_steps: products with the matrix, at most.

    Returns:
        It; of the two signs the one with which the first entry that is largest by size is positive.
    """
    n = len(alike_NN)
    degrees = (1 - EPSILON) * alike_NN.sum(axis=1, dtype=np.float64) + EPSILON * n
    root = np.sqrt(degrees)
    first = root / np.linalg.norm(root)

    def product(z: np.ndarray) -> np.ndarray:
        """D^-1/2 A D^-1/2 z, without the share of the first eigenvector."""
        x = z / root
        ax = (1 - EPSILON) * (alike_NN @ x.astype(np.float32)).astype(np.float64) + EPSILON * x.sum()
        out = ax / root
        return out - first * (first @ out)

    start = np.cos(np.arange(n) * 2.399963) + 1.5 * (degrees - degrees.mean()) / (degrees.std() + 1e-12)
    z, value, residual, steps = lanczos(product, start - first * (first @ start), tolerance, min(max_steps, n - 1))
    y = z / root
    return SecondVector(y if y[np.abs(y).argmax()] >= 0 else -y, value, residual, steps)


def lanczos(product, start: np.ndarray, tolerance: float, max_steps: int) -> tuple[np.ndarray, float, float, int]:
    """(vector, value, residual, steps) of the largest eigenvalue of a symmetric operator; every vector is made orthogonal to all
    before it, twice, so that rounding makes no copies of eigenvalues (Golub & Van Loan, section 10.3).

    Args:
        product: the operator.
        start: (N,) any vector that is not orthogonal to the one looked for.
        tolerance, max_steps: as in `second_vector`.
    """
    basis_kN = np.empty((max(1, max_steps), len(start)))
    basis_kN[0] = start / np.linalg.norm(start)
    diagonal, beside = list[float](), list[float]()
    while True:
        k = len(diagonal) + 1
        w = product(basis_kN[k - 1])
        diagonal.append(float(basis_kN[k - 1] @ w))
        for _ in range(2):
            w -= basis_kN[:k].T @ (basis_kN[:k] @ w)
        length = float(np.linalg.norm(w))
        is_last = k >= max_steps or length < SMALLEST
        if is_last or k % CHECK_EVERY == 0:
            values, vectors = eigh_tridiagonal(diagonal, beside, select="i", select_range=(k - 1, k - 1))
            residual = length * abs(float(vectors[-1, 0]))
            if is_last or residual < tolerance:
                return vectors[:, 0] @ basis_kN[:k], float(values[0]), residual, k
        beside.append(length)
        basis_kN[k] = w / length
