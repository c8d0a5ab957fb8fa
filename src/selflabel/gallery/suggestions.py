"""Suggested edits: pairs of clusters to merge, clusters to split, and the clusters where given items may belong.

A merge is suggested where items of one cluster have neighbours in the other, and the other as their second-best label, far more
often than chance would give.

A split is suggested where a cluster's items, projected on the line between the centres of two halves, show two modes with a
valley between. The line is fitted on half of the items and tested on the other half, because k-means finds two halves in
anything. The halves must also lie about as far apart as whole clusters do; otherwise each way of writing a digit would be a
cluster of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from selflabel.base.sampling import drawn_rows
from selflabel.gallery.editable_run import EditableRun, LabelState, single_thread

MAX_SUGGESTIONS = 12  # of each kind

CONFUSION_SAMPLE = 100_000  # items whose neighbours are counted
MIN_CONFUSION = 0.08  # share of neighbours and doubt from which a merge is suggested

SPLIT_SAMPLE = 400  # items of a cluster that are tested
MAX_SPLIT_TESTS = 200  # clusters, the largest first
MIN_SPLIT_ITEMS = 40
MAX_VALLEY = 0.4  # height of the valley over the lower mode, up to which a split is suggested
MIN_GAP = 0.9  # distance between the halves over the usual distance between clusters, from which a split is suggested
DIRECTIONS = 16
SHOWN_OF_HALF = 4  # typical items of each half
BINS = 18


@dataclass(frozen=True)
class Modes:
    """A cluster in two halves.

    Attributes:
        valley: height between the two modes over that of the lower one; 1 where there is a single mode.
        share: of the items in the smaller half, 0 to 0.5.
        gap: distance between the halves' centres.
        centre: (D,) of the whole cluster.
        typical: places, among the items that were tested, of those nearest to the middle of the larger half, and of the smaller.
    """

    valley: float
    share: float
    gap: float
    centre: np.ndarray
    typical: tuple[np.ndarray, np.ndarray]


def suggest_edits(run: EditableRun, now: LabelState, modes_cache: dict[bytes, Modes]) -> dict[str, Any]:
    """Suggested merges and splits, strongest first.

    Args:
        run: the run.
        now: its labels.
        modes_cache: results for clusters that were tested before, by their items; new ones are added.

    Returns:
        `version` of the edit log, `merges` and `splits`, at most 12 each.
    """
    return {"version": now.version, "merges": suggest_merges(run, now), "splits": suggest_splits(run, now, modes_cache)}


# -------------------------------------------------------------------------------------------------------------- merges


def suggest_merges(run: EditableRun, now: LabelState) -> list[dict[str, Any]]:
    """Pairs of `clusters` that are confused, with the `share` of the smaller one's neighbours and doubt that the other has."""
    pairs, weight = count_confusion(run, now)
    n = len(now.sizes)
    a, b = pairs // n, pairs % n
    smaller = np.minimum(now.sizes[a], now.sizes[b]) / max(len(run) / min(CONFUSION_SAMPLE, len(run)), 1)
    share = weight / np.maximum(smaller, 1)
    keep = (share >= MIN_CONFUSION) & (smaller >= 3)
    order = np.argsort(-share[keep])[:MAX_SUGGESTIONS]
    return [
        {"clusters": [int(x), int(y)], "share": round(float(min(s, 1)), 3)}
        for x, y, s in zip(a[keep][order], b[keep][order], share[keep][order])
    ]


def count_confusion(run: EditableRun, now: LabelState) -> tuple[np.ndarray, np.ndarray]:
    """How strongly pairs of clusters are confused, over a sample of the items.

    Returns:
        (P,) pairs a < b, encoded as a * len(now.sizes) + b, and (P,) weights: an item counts half by the share of its neighbours
        that are in the other cluster, and half by the probability of its second-best label if that is the other cluster.
    """
    rows = np.arange(0, len(run), max(1, len(run) // CONFUSION_SAMPLE))
    rows = rows[now.labels[rows] >= 0]
    own = now.labels[rows]
    near = now.labels[np.asarray(run.neighbours[rows])]
    current = current_clusters(run, now)
    second = current[np.clip(run.top_labels[rows, 1:2], 0, len(current) - 1)]
    doubt = run.top_probs[rows, 1:2].astype(np.float32)
    others = np.concatenate([near, second], axis=1)
    weights = np.concatenate([np.full(near.shape, 0.5 / near.shape[1], np.float32), doubt / 2], axis=1)
    counts = (others != own[:, None]) & (others >= 0)
    low, high = np.minimum(others, own[:, None])[counts], np.maximum(others, own[:, None])[counts]
    pairs, inverse = np.unique(low.astype(np.int64) * len(now.sizes) + high, return_inverse=True)
    return pairs, np.bincount(inverse, weights=weights[counts], minlength=len(pairs))


def current_clusters(run: EditableRun, now: LabelState) -> np.ndarray:
    """For each of the run's original clusters, the cluster where most of its items are now; -1 where it was empty."""
    raw = run.raw_labels
    current = np.full(max(int(run.top_labels.max(initial=0)), int(raw.max(initial=0))) + 1, -1, np.int32)
    has_items = np.flatnonzero(np.bincount(raw[raw >= 0], minlength=len(current)))
    current[has_items] = has_items
    changed_clusters = np.unique(raw[raw != now.labels])
    for c in changed_clusters[changed_clusters >= 0]:
        numbers, counts = np.unique(now.labels[raw == c], return_counts=True)
        current[c] = numbers[counts.argmax()]
    return current


# --------------------------------------------------------------------------------------------------------------- moves


def likely_clusters(run: EditableRun, now: LabelState, rows: np.ndarray) -> dict[str, Any]:
    """Where items may belong, by the labels of their neighbours and by the run's own probabilities, in equal parts.

    Args:
        run: the run.
        now: its labels.
        rows: (n,) of the items.

    Returns:
        `clusters`, most likely first, without `within`: the cluster that all of the items are in now, or None.
    """
    near, current = now.labels[np.asarray(run.neighbours[rows])], current_clusters(run, now)
    own = current[np.clip(run.top_labels[rows], 0, len(current) - 1)]
    weights = [np.full(near.shape, 1 / near.shape[1]), run.top_probs[rows].astype(np.float64)]
    numbers = np.concatenate([near, own], axis=1).ravel() + 1  # position 0 counts rejected items, and is cut off
    weight = np.bincount(numbers, np.concatenate(weights, axis=1).ravel(), len(now.sizes) + 1)[1:]
    inside = np.unique(now.labels[rows]).tolist()
    within = inside[0] if len(inside) == 1 and inside[0] >= 0 else None
    if within is not None:
        weight[within] = 0
    order = np.argsort(-weight, kind="stable")
    return {"clusters": order[weight[order] > 0].tolist(), "within": within}


# -------------------------------------------------------------------------------------------------------------- splits


def suggest_splits(run: EditableRun, now: LabelState, modes_cache: dict[bytes, Modes]) -> list[dict[str, Any]]:
    """Clusters with two modes, the deepest valley first, each with its `valley`, the `share` of the smaller half, and typical
    `rows` of the larger half and of the smaller.
    """
    modes = modes_of_largest(run, now, modes_cache)
    min_gap = MIN_GAP * median_nearest_distance(np.stack([m.centre for m in modes.values()])) if modes else 0
    suggestions: list[dict[str, Any]] = [
        {"cluster": c, "valley": round(m.valley, 3), "share": round(m.share, 3), "rows": typical_rows(now, c, m)}
        for c, m in modes.items()
        if m.valley <= MAX_VALLEY and m.gap >= min_gap
    ]
    return sorted(suggestions, key=lambda s: s["valley"])[:MAX_SUGGESTIONS]


def modes_of_largest(run: EditableRun, now: LabelState, modes_cache: dict[bytes, Modes]) -> dict[int, Modes]:
    """Cluster to its two halves, for the largest clusters."""
    order = np.argsort(-now.sizes, kind="stable")[:MAX_SPLIT_TESTS]
    modes = {}
    with single_thread():
        for c in order[now.sizes[order] >= MIN_SPLIT_ITEMS].tolist():
            rows = tested_rows(now, c)
            key = rows.tobytes()
            if key not in modes_cache:
                modes_cache[key] = two_modes(np.asarray(run.features[rows], np.float32))
            modes[c] = modes_cache[key]
    return modes


def tested_rows(now: LabelState, cluster: int) -> np.ndarray:
    """Rows of a cluster, some of them where there are many."""
    rows = np.sort(now.members(cluster))
    return rows[drawn_rows(len(rows), SPLIT_SAMPLE)]


def typical_rows(now: LabelState, cluster: int, modes: Modes) -> list[list[int]]:
    """Rows of a few typical items of each half, those of the larger half first."""
    rows = tested_rows(now, cluster)
    return [rows[places].tolist() for places in modes.typical]


def median_nearest_distance(centres: np.ndarray) -> float:
    """The median distance from one of (K, D) centres to the nearest other one; 0 for a single centre.

    Example:
        >>> median_nearest_distance(np.array([[0.0], [1.0], [5.0]]))
        1.0
    """
    if len(centres) < 2:
        return 0.0
    squares = np.square(centres).sum(axis=1)
    distances = squares[:, None] + squares - 2 * centres @ centres.T
    np.fill_diagonal(distances, np.inf)
    return float(np.median(np.sqrt(np.maximum(distances.min(axis=1), 0))))


def two_modes(x: np.ndarray) -> Modes:
    """Divide the (n, D) features of a cluster in two, and measure on held-out items how clearly the halves are separate."""
    centre = x.mean(axis=0)
    order = np.random.default_rng(0).permutation(len(x))  # items of two kinds may alternate, as left and right stereo images do
    x = x[order] - centre
    fit, test = x[::2], x[1::2]
    vectors = np.linalg.eigh(fit @ fit.T)[1][:, -DIRECTIONS:]  # the n x n Gram matrix: there are fewer items than features
    directions = fit.T @ vectors[:, ::-1]
    directions /= np.maximum(np.linalg.norm(directions, axis=0), 1e-9)
    fit, test = fit @ directions, test @ directions
    centres = two_means(fit)
    line = centres[1] - centres[0]
    along, gap = test @ line, float(np.linalg.norm(line))
    typical = typical_of_halves(x @ directions, centres, order)
    ends = np.quantile(along, [0.01, 0.99])
    if ends[1] <= ends[0]:
        return Modes(1.0, 0.0, gap, centre, typical)
    counts = np.histogram(along, BINS, ends)[0].astype(float)
    smooth = np.convolve(np.pad(counts, 2, mode="edge"), [0.1, 0.2, 0.4, 0.2, 0.1], "valid")
    return Modes(*deepest_valley(smooth), gap, centre, typical)


def typical_of_halves(x: np.ndarray, centres: np.ndarray, order: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The entries of `order` for the rows of x nearest to each of two centres, the centre of more rows first."""
    squares = np.square(x[:, None] - centres).sum(axis=2)
    nearer = squares.argmin(axis=1)
    halves = [np.flatnonzero(nearer == i) for i in (0, 1)]
    a, b = (order[half[np.argsort(squares[half, i], kind="stable")[:SHOWN_OF_HALF]]] for i, half in enumerate(halves))
    return (a, b) if len(halves[0]) >= len(halves[1]) else (b, a)


def deepest_valley(height: np.ndarray) -> tuple[float, float]:
    """The least height of any bin over the lower of the two peaks beside it, and the smaller side's share of the total.

    Example:
        >>> deepest_valley(np.array([1.0, 4.0, 1.0, 4.0, 1.0]))
        (0.25, 0.45454545454545453)
    """
    best = (1.0, 0.0)
    for cut in range(1, len(height) - 1):
        left, right = height[:cut], height[cut + 1 :]
        share = float(min(left.sum(), right.sum()) / height.sum())
        depth = float(height[cut] / max(min(left.max(), right.max()), 1e-9))
        if share >= 0.1 and depth < best[0]:
            best = depth, share
    return best


def two_means(x: np.ndarray, iterations: int = 12) -> np.ndarray:
    """(2, D) centres by k-means, which starts from the two halves along the leading direction."""
    side = x[:, 0] > np.median(x[:, 0])
    centres = np.zeros((2, x.shape[1]), np.float32)
    for _ in range(iterations):
        if side.all() or not side.any():
            break
        centres = np.stack([x[~side].mean(axis=0), x[side].mean(axis=0)])
        side = np.square(x - centres[1]).sum(axis=1) < np.square(x - centres[0]).sum(axis=1)
    return centres
