"""Scores of a labelling against truth, from the contingency table."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import torch

from selflabel.assignment.alignment import contingency, hungarian

MAX_PAIRS = 45  # of heads compared for the mean agreement

Labels = Sequence | np.ndarray


def encode_labels(values: Labels) -> np.ndarray:
    """Labels of any type as numbers 0..n-1, in sorted order.

    Example:
        >>> encode_labels(["b", "a", "b"]).tolist()
        [1, 0, 1]
    """
    return np.unique(np.asarray(values), return_inverse=True)[1].reshape(-1)


def accuracy(truth: Labels, labels: Labels) -> float:
    """Clustering accuracy: share of items right under the best one-to-one matching of labels to classes (Kuhn, 1955).

    Args:
        truth, labels: N classes and N labels of any type; their numbers may differ.

    Returns:
        In [0, 1].

    Example:
        >>> accuracy(["a", "a", "b", "b"], [1, 1, 0, 1])
        0.75
    """
    table = contingency(encode_labels(truth), encode_labels(labels))
    return float(table[hungarian(table)].sum() / table.sum())


def class_accuracies(truth: Labels, labels: Labels) -> np.ndarray:
    """(C,) the accuracy within each class, in sorted order of the classes, under the best one-to-one matching of all items.

    Example:
        >>> class_accuracies(["a", "a", "a", "b"], [0, 0, 1, 2]).round(2).tolist()
        [0.67, 1.0]
    """
    table = contingency(encode_labels(truth), encode_labels(labels))
    right = np.zeros(len(table))
    classes, matched = hungarian(table)
    right[classes] = table[classes, matched]
    return right / table.sum(axis=1)


def entropy(counts: np.ndarray) -> float:
    """Entropy of a distribution given as counts, in nats."""
    p = counts[counts > 0] / counts.sum()
    return float(-(p * np.log(p)).sum())


def nmi(a: Labels, b: Labels) -> float:
    """Normalised mutual information of two labellings, in [0, 1].

    Normalised by the arithmetic mean of the entropies; 1 when both are one cluster.
    """
    return nmi_from_table(contingency(encode_labels(a), encode_labels(b)))


def nmi_from_table(table: np.ndarray) -> float:
    """See `nmi`; table: (labels of one, labels of the other) counts of items."""
    rows, columns = entropy(table.sum(axis=1)), entropy(table.sum(axis=0))
    if rows == 0 and columns == 0:
        return 1.0
    return max(0.0, 2 * (rows + columns - entropy(table.reshape(-1))) / (rows + columns))


def mean_pairwise_nmi(labellings: list[np.ndarray]) -> float:
    """Mean NMI over pairs of labellings with integer labels, of at most 45 pairs, evenly spaced; 1 for fewer than two."""
    pairs = list(combinations(range(len(labellings)), 2))
    if not pairs:
        return 1.0
    pairs = [pairs[i] for i in np.linspace(0, len(pairs) - 1, min(len(pairs), MAX_PAIRS)).astype(int)]
    return float(np.mean([nmi_from_table(contingency(labellings[i], labellings[j])) for i, j in pairs]))


def score(truth: Labels | None, labels: Labels) -> dict[str, float | int | None]:
    """All numbers that `selflabel score` prints.

    Args:
        truth: N classes, or None.
        labels: N labels.

    Returns:
        n_items, n_clusters, accuracy, macro_accuracy (mean over classes), nmi, ami, ari, mean_entropy (nats) and
        mean_max_purity. The last two are of the true classes within a cluster, averaged over clusters without weights (SeLaVi,
        section 4.1). Those that need truth are None without it.
    """
    label_codes = encode_labels(labels)
    sizes: dict[str, float | int | None] = {"n_items": len(label_codes), "n_clusters": int(label_codes.max(initial=-1)) + 1}
    if truth is None:
        return sizes | dict.fromkeys(["accuracy", "macro_accuracy", "nmi", "ami", "ari", "mean_entropy", "mean_max_purity"])
    from sklearn.metrics import adjusted_mutual_info_score, adjusted_rand_score

    class_codes = encode_labels(truth)
    table = contingency(class_codes, label_codes).astype(float)
    return sizes | {
        "accuracy": accuracy(class_codes, label_codes),
        "macro_accuracy": float(class_accuracies(class_codes, label_codes).mean()),
        "nmi": nmi_from_table(table),
        "ami": float(adjusted_mutual_info_score(class_codes, label_codes)),
        "ari": float(adjusted_rand_score(class_codes, label_codes)),
        "mean_entropy": float(np.mean([entropy(column) for column in table.T])),
        "mean_max_purity": float(np.mean(table.max(axis=0) / table.sum(axis=0))),
    }


def consensus_head(labels: list[torch.Tensor]) -> int:
    """The index of the head whose labels have the highest mean NMI with those of all heads; the first of equals.

    Args:
        labels: (N,) of each head.
    """
    arrays = [x.cpu().numpy() for x in labels]
    if len(arrays) == 1:
        return 0
    mean = [sum(nmi_from_table(contingency(a, b)) for b in arrays) for a in arrays]
    return int(max(range(len(arrays)), key=lambda h: (round(mean[h], 9), -h)))
