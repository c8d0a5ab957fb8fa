"""How much each modality counts in an item's label: less where the network sees in it what it has not seen in the run.

A network gives noise a label, too, and may be sure of it; the product of the modalities' posteriors then believes it. Confidence
does not show it, but distances do: an item's distance to its nearest neighbours among the run's items, in the modality's own
features. A modality counts by how many items of the run are as far from their neighbours, as a share of how many of the unseen
items are; up to `SLACK` times as many are put down to chance. It is 1 where unseen items are like the run's, and small for a
single item that is far away, and for all items where all are further away than the run's. But for the slack it is the false
discovery rate (Benjamini & Hochberg, 1995; Efron, 2008) of calling the item unusual.

Axes: N items.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from selflabel.evaluation.seen import Seen

SLACK = 2.0  # how many times as many unseen items as items of the run have to be as far away before it counts as unusual
SUPPOSED = 20  # items like the run's that are added to the unseen ones: a few files do not show what is usual among them


def modality_weights(seen: dict[str, Seen], pooled: dict[str, Tensor], present: dict[str, Tensor]) -> dict[str, Tensor]:
    """How much each modality counts for each item, without truth.

    Args:
        seen: what the run has seen (`jobs.seen`).
        pooled: modality to (N, D) the network's features.
        present: modality to (N,) bool, whether an item has it.

    Returns:
        Modality to (N,) float32 in [0, 1] on the CPU; of the modalities that an item has, the most usual one counts 1. Empty
        where there is only one modality, or where the run does not say what it has seen in each.
    """
    spaces = {m: seen.get(f"pooled.{m}") for m in pooled}
    if len(pooled) == 1 or not all(fits(spaces[m], x) for m, x in pooled.items()):
        return {}
    logs = {m: torch.full((len(x),), -math.inf, dtype=torch.float64) for m, x in pooled.items()}
    for m, what in spaces.items():
        has = present[m].cpu()
        assert what is not None
        logs[m][has] = log_usualness(what.log_tail(pooled[m][has.to(pooled[m].device)]))
    most = torch.stack(list(logs.values())).amax(dim=0)
    return {m: torch.where(most > -math.inf, (x - most).exp(), 1.0).float() for m, x in logs.items()}


def fits(what: Seen | None, x_ND: Tensor) -> bool:
    """Whether a run says how far its own items are from each other in features of this length."""
    return what is not None and what.median is not None and what.sample.shape[1] == x_ND.shape[1]


def log_usualness(log_tail_N: Tensor) -> Tensor:
    """(N,) logarithm, at most 0, of SLACK times the share of the run's items that are as far away over that of the unseen ones.

    Args:
        log_tail_N: (N,) logarithm of the share of the run's items that are at least as far away.

    Example:
        >>> [round(x, 2) for x in log_usualness(torch.tensor([0.5, 1e-9]).log()).exp().tolist()]
        [1.0, 0.0]
    """
    N = len(log_tail_N)
    ascending = log_tail_N.sort().values
    further_N = torch.searchsorted(ascending, log_tail_N, right=True)  # unseen items that are at least as far away
    share_N = (further_N + SUPPOSED * log_tail_N.exp()) / (N + SUPPOSED)
    return (math.log(SLACK) + log_tail_N - share_N.log()).clamp(max=0)
