"""Scores of a labelling against truth, from the contingency table alone."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import torch

from selflabel.assignment.alignment import contingency, hungarian

MOST_PAIRS = 45  # pairs of heads compared for the mean agreement


def codes(values) -> np.ndarray:
    """Any labels as 0..n-1."""
    return np.unique(np.asarray(values), return_inverse=True)[1].reshape(-1)


def accuracy(truth, labels) -> float:
    """Share of items right under the best one-to-one matching of labels to classes (Kuhn, 1955).

    Example:
        >>> accuracy(["a", "a", "b", "b"], [1, 1, 0, 1])
        0.75
    """
    table = contingency(codes(truth), codes(labels))
    return float(table[hungarian(table)].sum() / table.sum())


def entropy(counts: np.ndarray) -> float:
    p = counts[counts > 0] / counts.sum()
    return float(-(p * np.log(p)).sum())


def nmi(a, b) -> float:
    """Normalised mutual information, arithmetic mean of the entropies; 1 when both are one cluster."""
    return nmi_of(contingency(codes(a), codes(b)))


def nmi_of(table: np.ndarray) -> float:
    rows, columns = entropy(table.sum(axis=1)), entropy(table.sum(axis=0))
    if rows == 0 and columns == 0:
        return 1.0
    return max(0.0, 2 * (rows + columns - entropy(table.reshape(-1))) / (rows + columns))


def mean_pairwise_nmi(labellings: list[np.ndarray]) -> float:
    """Mean NMI over pairs of labellings with integer labels; 1 for fewer than two. At most 45 pairs, evenly chosen."""
    pairs = list(combinations(range(len(labellings)), 2))
    if not pairs:
        return 1.0
    pairs = [pairs[i] for i in np.linspace(0, len(pairs) - 1, min(len(pairs), MOST_PAIRS)).astype(int)]
    return float(np.mean([nmi_of(contingency(labellings[i], labellings[j])) for i, j in pairs]))


def score(truth, labels) -> dict[str, float | int | None]:
    """All numbers that `selflabel score` prints; the truth-based ones are None where truth is None.

    mean_entropy (nats) and mean_max_purity are of the true classes within a cluster, averaged over clusters unweighted
    (SeLaVi, section 4.1).
    """
    found = codes(labels)
    sizes: dict[str, float | int | None] = {"n_items": len(found), "n_clusters": int(found.max(initial=-1)) + 1}
    if truth is None:
        return sizes | dict.fromkeys(["accuracy", "nmi", "ami", "ari", "mean_entropy", "mean_max_purity"])
    from sklearn.metrics import adjusted_mutual_info_score, adjusted_rand_score

    known = codes(truth)
    table = contingency(known, found).astype(float)
    return sizes | {
        "accuracy": accuracy(known, found),
        "nmi": nmi_of(table),
        "ami": float(adjusted_mutual_info_score(known, found)),
        "ari": float(adjusted_rand_score(known, found)),
        "mean_entropy": float(np.mean([entropy(column) for column in table.T])),
        "mean_max_purity": float(np.mean(table.max(axis=0) / table.sum(axis=0))),
    }


def most_agreed(labels: list[torch.Tensor]) -> int:
    """The head whose labels share most with the other heads': mean NMI, and the first of equals."""
    arrays = [x.cpu().numpy() for x in labels]
    if len(arrays) == 1:
        return 0
    mean = [sum(nmi_of(contingency(a, b)) for b in arrays) for a in arrays]
    return int(max(range(len(arrays)), key=lambda h: (round(mean[h], 9), -h)))
