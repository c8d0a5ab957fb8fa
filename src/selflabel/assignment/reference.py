"""The solver in twenty lines: plain alternation in float64, as the papers write it. What `sinkhorn` must equal."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor


def sinkhorn_reference(
    scores: Tensor | np.ndarray,
    epsilon: float,
    mass: Tensor | np.ndarray | None = None,
    relax: float = 0.0,
    tol: float = 1e-9,
    max_iter: int = 10_000,
) -> Tensor:
    """The transport plan by plain alternation in log space.

    Args:
        scores: (N, K) of any float type.
        epsilon: temperature, in the units of the scores; SeLa's lambda is 1 / epsilon.
        mass: (K,) target shares, positive, summing to 1; None is uniform.
        relax: 0 holds the masses fixed, 1 leaves them free.
        tol: stop when no potential moves by more than this many epsilons; 0 runs exactly max_iter iterations.
        max_iter: most iterations.

    Returns:
        (N, K) float64, the plan's rows, each scaled to sum to 1. Labels are its `argmax(dim=1)`, masses its `mean(dim=0)`.

    Example:
        >>> import torch
        >>> scores = torch.tensor([[2.0, 0.0], [1.5, 0.0], [1.0, 0.0], [0.5, 0.0]])
        >>> sinkhorn_reference(scores, epsilon=0.1).argmax(dim=1).tolist()
        [0, 0, 1, 1]

    Source: Cuturi (2013), algorithm 1; SeLa (Asano et al., 2020), section 3.1; Chizat et al. (2018) for relaxed masses.
    """
    # --- the kernel P ** lambda, as a logarithm
    log_kernel = torch.as_tensor(scores).double() / epsilon
    N, K = log_kernel.shape
    log_r = torch.full((K,), -math.log(K)).double() if mass is None else torch.as_tensor(mass).double().log()
    log_alpha = torch.zeros(K, dtype=torch.float64)
    for _ in range(max_iter):
        # --- scale the rows: every item gives away 1 / N
        log_beta = -math.log(N) - torch.logsumexp(log_kernel + log_alpha, dim=1)
        # --- scale the columns: every label gets r_k; relaxed, by a power below 1
        before, log_alpha = log_alpha, (1 - relax) * (log_r - torch.logsumexp(log_kernel + log_beta[:, None], dim=0))
        if (log_alpha - before).abs().max() <= tol:
            break
    return torch.softmax(log_kernel + log_alpha, dim=1)
