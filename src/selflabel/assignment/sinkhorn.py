"""Balanced assignment: N items to K labels at the highest total score, every label at its share of the mass.

The problem (SeLa, equation 6; Cuturi, 2013), for scores s (logits, up to a constant a row), target masses r and
temperature epsilon, has a concave dual in K potentials v alone, once each item's own potential is eliminated:

    maximise  sum_k r_k v_k  -  epsilon * mean_i logsumexp_k((s_ik + v_k) / epsilon)

A turn is one pass over the scores, in blocks: the mass every label gets under v, then v += epsilon * log(r / mass).
Everything stays in logarithms, so no label's mass underflows, however sharp the scores are. Sums over blocks and the
potentials are float64; the blocks are float32.

With `relax` = t in (0, 1] the masses need only be near r, under a Kullback-Leibler penalty of strength
epsilon (1 - t) / t (Chizat et al., 2018): 0 holds them fixed, 1 leaves them free.
"""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

BLOCK_ENTRIES = 1 << 21  # scores a block holds: 8 MB in float32


@dataclass(frozen=True)
class LinearScores:
    """Scores `features @ weight.T + bias` that never exist as a whole: features (N, D), weight (K, D), bias (K,) or None."""

    features: Tensor
    weight: Tensor
    bias: Tensor | None = None

    @property
    def shape(self) -> tuple[int, int]:
        return len(self.features), len(self.weight)

    def block(self, rows: slice) -> Tensor:
        part = self.features[rows].to(self.weight.device, torch.float32) @ self.weight.detach().float().T
        return part if self.bias is None else part + self.bias.detach().float()


@dataclass(frozen=True)
class Assignment:
    """A solved assignment.

    Attributes:
        labels: (N,) int64, `argmax_k (s_ik + v_k)`.
        potentials: (K,) float64, in the units of the scores.
        error: largest relative error of a label's mass, max_k |mass_k / target_k - 1|, at these potentials.
        n_iter: turns taken.
        n_passes: passes over the scores, the label pass included.
        seconds: wall time.
        converged: whether the error came below the tolerance.
        epsilon: the temperature solved at.
    """

    labels: Tensor
    potentials: Tensor
    error: float
    n_iter: int
    n_passes: int
    seconds: float
    converged: bool
    epsilon: float


Scores = Tensor | np.ndarray | LinearScores


def sinkhorn(
    scores: Scores | Sequence[LinearScores],
    epsilon: float = 1 / 25,
    mass: Tensor | np.ndarray | None = None,
    relax: float | None = None,
    tol: float | None = 1e-2,
    max_iter: int = 1000,
    warm_start: Tensor | None = None,
    rounding: str = "argmax",
    group: Any = None,
) -> Any:
    """Assign N items to K labels with balanced masses.

    Args:
        scores: (N, K) tensor or array of any float type on any device, or `LinearScores`, or a list of those.
        epsilon: temperature, in the units of the scores; SeLa's lambda is 1 / epsilon.
        mass: (K,) target shares, positive, summing to 1; None is uniform.
        relax: None or 0 holds the masses fixed; up to 1, which leaves them free.
        tol: stop when the largest relative error of a label's mass is below this; None runs exactly max_iter turns.
        max_iter: most turns.
        warm_start: (K,) potentials to start from.
        rounding: "argmax", the paper's.
        group: a torch.distributed group whose ranks each hold their own rows; only K-vectors are reduced.

    Returns:
        An `Assignment`; a list of them for a list of scores.

    Raises:
        ValueError: empty input, NaN or infinite scores (the first such row is named), or masses that are not shares.

    Warns:
        RuntimeWarning: the tolerance was not reached in max_iter turns.

    Example:
        >>> import torch
        >>> scores = torch.tensor([[2.0, 0.0], [1.5, 0.0], [1.0, 0.0], [0.5, 0.0]])
        >>> sinkhorn(scores, epsilon=0.1).labels.tolist()
        [0, 0, 1, 1]

    Source: SeLa (Asano et al., 2020), section 3.1.
    """
    if isinstance(scores, Sequence) and not isinstance(scores, (Tensor, np.ndarray)):
        each = warm_start if warm_start is not None else [None] * len(scores)
        return [sinkhorn(s, epsilon, mass, relax, tol, max_iter, w, rounding, group) for s, w in zip(scores, each)]
    if rounding != "argmax":
        raise ValueError(f"rounding must be 'argmax', not {rounding!r}.")
    if not epsilon > 0:
        raise ValueError(f"epsilon must be positive, not {epsilon}.")
    if relax is not None and not 0 <= relax <= 1:
        raise ValueError(f"relax must lie between 0 (fixed masses) and 1 (free), not {relax}.")
    started = time.perf_counter()
    source = as_source(scores)
    N, K = source.shape
    if N == 0 or K == 0:
        raise ValueError(f"scores are empty: {N} items and {K} labels.")
    log_r = checked_log_mass(mass, K)
    v = torch.zeros(K, dtype=torch.float64) if warm_start is None else warm_start.detach().double().cpu().clone()
    give = 1.0 - (relax or 0.0)

    error, turns, converged = math.inf, 0, False
    for turns in range(max_iter + 1):
        log_mass = log_masses(source, v, epsilon, group, check=turns == 0)
        log_target = relaxed_target(log_r, v, epsilon, give)
        error = float((torch.exp(log_mass - log_target) - 1).abs().max())
        converged = tol is not None and error <= tol
        if converged or turns == max_iter:
            break
        v = give * (v + epsilon * (log_r - log_mass))
    if tol is not None and not converged:
        text = f"sinkhorn stopped after {turns} turns with a mass error of {error:.3g} (asked: {tol:g})"
        warnings.warn(f"{text}; raise max_iter or epsilon.", RuntimeWarning, stacklevel=2)
    labels = torch.cat([(block + shifted(v, block)).argmax(dim=1) for block in blocks(source)])
    return Assignment(labels, v, error, turns, turns + 2, time.perf_counter() - started, converged, epsilon)


def plan(scores: Scores, assignment: Assignment) -> Tensor:
    """The soft rows of the transport plan: (N, K) float32, each row summing to 1.

    Example:
        >>> import torch
        >>> scores = torch.eye(3)
        >>> plan(scores, sinkhorn(scores)).sum(dim=1)
        tensor([1., 1., 1.])
    """
    epsilon, v = assignment.epsilon, assignment.potentials
    return torch.cat([torch.softmax((b + shifted(v, b)) / epsilon, dim=1) for b in blocks(as_source(scores))])


# ----------------------------------------------------------------------------------------------------- the arithmetic


def log_masses(source: Tensor | LinearScores, v: Tensor, epsilon: float, group: Any, check: bool) -> Tensor:
    """(K,) float64: log of the share each label gets when every item gives its unit away under potentials v."""
    total, count, first = None, 0, 0
    for block in blocks(source):
        if check:
            refuse_bad(block, first)
        first += len(block)
        log_q = torch.log_softmax((block + shifted(v, block)) / epsilon, dim=1)
        part = torch.logsumexp(log_q, dim=0).cpu().double()
        total = part if total is None else torch.logaddexp(total, part)
        count += len(block)
    assert total is not None
    if group is not None:
        total, count = reduced(total, count, group)
    return total - math.log(count)


def reduced(total: Tensor, count: int, group: Any) -> tuple[Tensor, int]:
    """Log-sums and counts over all ranks of a group."""
    import torch.distributed as dist

    gathered: list = [None] * dist.get_world_size(group)
    dist.all_gather_object(gathered, (total, count), group=group)
    return torch.logsumexp(torch.stack([t for t, _ in gathered]), dim=0), sum(c for _, c in gathered)


def relaxed_target(log_r: Tensor, v: Tensor, epsilon: float, give: float) -> Tensor:
    """Log of the masses that the penalty asks for at v: r itself when fixed, r exp(-v / strength) when relaxed."""
    if give == 1.0:
        return log_r
    if give == 0.0:
        return torch.full_like(log_r, math.nan)  # free masses have no target: no error
    return log_r - v * (1 - give) / (give * epsilon)


def shifted(v: Tensor, block: Tensor) -> Tensor:
    return v.float().to(block.device)


def as_source(scores: Scores) -> Tensor | LinearScores:
    if isinstance(scores, LinearScores):
        return scores
    tensor = torch.as_tensor(scores)
    if tensor.ndim != 2:
        raise ValueError(f"scores must be N x K, found {tensor.ndim} axes.")
    return tensor


def blocks(source: Tensor | LinearScores) -> Iterator[Tensor]:
    """Row blocks as float32, each row shifted so that its largest score is 0: the answer does not change, precision gains."""
    N, K = source.shape
    step = max(1, BLOCK_ENTRIES // K)
    for start in range(0, N, step):
        rows = slice(start, min(start + step, N))
        block = source.block(rows) if isinstance(source, LinearScores) else source[rows].detach()
        peak = block.max(dim=1, keepdim=True).values
        yield (block - peak).float()


def refuse_bad(block: Tensor, first_row: int) -> None:
    bad = (~torch.isfinite(block)).any(dim=1).nonzero()
    if len(bad):
        raise ValueError(f"scores have a NaN or infinite value in row {first_row + int(bad[0, 0])}.")


def checked_log_mass(mass: Tensor | np.ndarray | None, K: int) -> Tensor:
    if mass is None:
        return torch.full((K,), -math.log(K), dtype=torch.float64)
    r = torch.as_tensor(mass).detach().double().cpu()
    if r.shape != (K,):
        raise ValueError(f"mass must have one share for each of the {K} labels, found shape {tuple(r.shape)}.")
    if not bool(torch.isfinite(r).all()) or float(r.min()) <= 0:
        raise ValueError(f"every share of mass must be positive; the least is {float(r.min()):g}.")
    if abs(float(r.sum()) - 1) > 1e-4:
        raise ValueError(f"the shares of mass must sum to 1; they sum to {float(r.sum()):g}.")
    return (r / r.sum()).log()
