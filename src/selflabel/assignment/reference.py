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
    dummy: Tensor | np.ndarray | None = None,
    dummy_mass: float = 0.0,
) -> Tensor:
    """The transport plan by plain alternation in log space.

    Args:
        scores: (N, K) of any float type.
        epsilon: temperature, in the units of the scores; SeLa's lambda is 1 / epsilon.
        mass: (K,) target shares, positive, summing to 1; None is uniform.
        relax: 0 holds the masses fixed, 1 leaves them free.
        tol: stop when no potential moves by more than this many epsilons; 0 runs exactly max_iter iterations.
        max_iter: most iterations.
        dummy: (N,) scores of a dummy column, for items that fit no label; None for no such column.
        dummy_mass: its share of the mass, which holds exactly even where `relax` leaves the others free.

    Returns:
        (N, K) float64, the plan's rows, each scaled to sum to 1; with a dummy (N, K + 1), the dummy last. Labels are its
        `argmax(dim=1)`, masses its `mean(dim=0)`.

    Example:
        >>> import torch
        >>> scores = torch.tensor([[2.0, 0.0], [1.5, 0.0], [1.0, 0.0], [0.5, 0.0]])
        >>> sinkhorn_reference(scores, epsilon=0.1).argmax(dim=1).tolist()
        [0, 0, 1, 1]

    Source: Cuturi (2013), algorithm 1; SeLa (Asano et al., 2020), section 3.1; Chizat et al. (2018) for relaxed masses, and for
    the dummy column partial optimal transport (Chapel, Alaya & Gasso, 2020).
    """
    # --- the kernel P ** lambda, as a logarithm
    log_kernel = torch.as_tensor(scores).double() / epsilon
    N, K = log_kernel.shape
    log_r = torch.full((K,), -math.log(K)).double() if mass is None else torch.as_tensor(mass).double().log()
    damping = torch.full((K,), 1 - relax, dtype=torch.float64)
    if dummy is not None:  # a column more, never damped
        log_kernel = torch.cat([log_kernel, torch.as_tensor(dummy).double()[:, None] / epsilon], dim=1)
        log_r = torch.cat([log_r + math.log1p(-dummy_mass), log_r.new_tensor([math.log(dummy_mass)])])
        damping = torch.cat([damping, damping.new_ones(1)])
    log_alpha = torch.zeros_like(log_r)
    for _ in range(max_iter):
        # --- scale the rows: every item gives away 1 / N
        log_beta = -math.log(N) - torch.logsumexp(log_kernel + log_alpha, dim=1)
        # --- scale the columns: every label gets r_k; relaxed, by a power below 1
        before, log_alpha = log_alpha, damping * (log_r - torch.logsumexp(log_kernel + log_beta[:, None], dim=0))
        if (log_alpha - before).abs().max() <= tol:
            break
    return torch.softmax(log_kernel + log_alpha, dim=1)
