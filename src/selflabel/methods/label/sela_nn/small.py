"""Small sets: what is different where a set, or an average class, has few items.

A network that is trained on a few dozen items memorises them, and its features are no better than first features. So on small
sets neighbours are found once, in first features by distance, and are fewer than a class has items. The last head (the anchor)
keeps the labels of k-means of first features. The head whose labels neighbours support best is reported.

Axes: N items, D features, K labels, k neighbours.
"""

from __future__ import annotations

import math
import warnings

import numpy as np
import torch
from torch import Tensor

from selflabel.assignment.merit import neighbour_merit

SMALL_SET, SMALL_CLASS = 250, 10  # items below which a set, and an average class, is small
STARTS = 10  # of k-means
MOST_CLUSTERS, FEW_NEIGHBOURS = 20, 5  # that are tried where K is to be found, and neighbours by which each is judged
BLOCK_ROWS = 2048  # items whose distances are computed at a time


def is_small(n_items: int, K: int) -> bool:
    """Whether a set of N items in K classes is small.

    Example:
        >>> is_small(30, 3), is_small(1797, 10), is_small(600, 100)
        (True, False, True)
    """
    return n_items < max(SMALL_SET, SMALL_CLASS * K)


def neighbours_within_class(n_items: int, K: int, most: int) -> int:
    """Neighbours of an item: at most half an average class, at least one.

    Example:
        >>> neighbours_within_class(12, 3, 10), neighbours_within_class(200, 4, 10), neighbours_within_class(2, 2, 10)
        (2, 10, 1)
    """
    return max(1, min(most, n_items // (2 * K)))


def nearest_by_distance(x_ND: Tensor, k: int) -> Tensor:
    """(N, at most k) int64 rows of the nearest other items by Euclidean distance; a single item is its own neighbour."""
    N, parts = len(x_ND), []
    for start in range(0, N, BLOCK_ROWS):
        distances = torch.cdist(x_ND[start : start + BLOCK_ROWS], x_ND)
        own = torch.arange(len(distances), device=x_ND.device)
        distances[own, own + start] = torch.inf
        parts.append(distances.topk(max(1, min(k, N - 1)), largest=False).indices)
    return torch.cat(parts)


def best_kmeans(x_ND: Tensor, K: int, seed: int) -> Tensor:
    """(N,) int64 labels on the CPU of the best of several starts of k-means, each with k-means++ (Arthur & Vassilvitskii, 2007).

    Starts at random items, as in `assignment.kmeans`, miss small classes.
    """
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # of fewer distinct items than labels
        labels = KMeans(K, n_init=STARTS, random_state=seed).fit_predict(x_ND.double().cpu().numpy())
    return torch.from_numpy(labels.astype(np.int64))


def number_of_clusters(x_ND: Tensor, seed: int) -> int:
    """The K of the k-means labelling that distances and neighbours support best: at most half the items, 1 where all are equal.

    Args:
        x_ND: (N, D) features.
        seed: of k-means.
    """
    most = min(MOST_CLUSTERS, len(x_ND) // 2)
    if most < 2 or not bool((x_ND != x_ND[:1]).any()):
        return 1
    neighbours_Nk = nearest_by_distance(x_ND, max(1, min(FEW_NEIGHBOURS, len(x_ND) // 8))).cpu()
    scores = {K: support(x_ND, best_kmeans(x_ND, K, seed), neighbours_Nk, K) for K in range(2, most + 1)}
    return max(scores, key=lambda K: scores[K])


def support(x_ND: Tensor, labels_N: Tensor, neighbours_Nk: Tensor, K: int) -> float:
    """How well distances and neighbours support a labelling, 0 to 1, comparable between numbers of labels.

    It is the mean silhouette (Rousseeuw, 1987) times the merit between neighbours, as a share of the most that K labels can have,
    ln K. The silhouette alone takes classes that are near each other for one, and the merit alone prefers many labels.
    """
    from sklearn.metrics import silhouette_score

    if len(labels_N.unique()) < K:
        return 0.0
    silhouette = float(silhouette_score(x_ND.double().cpu().numpy(), labels_N.numpy()))
    return max(0.0, silhouette) * neighbour_merit(labels_N, neighbours_Nk, K) / math.log(K)


def best_labelling(labels: list[Tensor], neighbours_Nk: Tensor, K: int, anchor: int) -> int:
    """The head to report on a small set: of those that use every label the one of the highest merit between neighbours.

    Args:
        labels: (N,) int64 labels of each head.
        neighbours_Nk: (N, k) int64 rows of the neighbours.
        K: number of labels.
        anchor: the head with the labels of k-means. Where these are all the same, so are the items, and it is reported.
    """
    if len(labels[anchor].unique()) == 1:
        return anchor
    eligible = [h for h, y in enumerate(labels) if len(y.unique()) == K] or range(len(labels))
    return max(eligible, key=lambda h: neighbour_merit(labels[h], neighbours_Nk, K))
