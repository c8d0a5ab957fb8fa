"""What may be worth a person's while: pairs of clusters to merge, clusters to split; and where items may belong.

A pair is suggested where items of one have neighbours in the other, and it as their second-best label, far more than chance has
it. A cluster is suggested for a split where its items, seen along the line between the centres of two halves, show two modes
with a valley between; the line is learnt on half of the items and looked at on the rest, because k-means finds two halves in
anything. The halves must lie about as far apart as clusters do, or every way of writing a digit would be one of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from selflabel.gallery.album import Album, State, one_thread

SAMPLE = 100_000  # items whose neighbours are counted
LOOKED_AT = 400  # items of a cluster that a split is judged by
MOST_SPLITS_TRIED = 200
LEAST_ITEMS = 40  # a smaller cluster is not judged
SHOWN = 12
CONFUSED = 0.08  # of an item's neighbours and doubt, the least that is worth showing
VALLEY = 0.4  # of the lower mode's height, the most that is worth showing
APART = 0.9  # of the usual way from a cluster to the next, the least between halves that is worth showing
DIRECTIONS = 16
BINS = 18


@dataclass(frozen=True)
class Modes:
    """A cluster in two halves. valley: how deep it is between them, 1: there is none. share: the smaller half's of the items.
    gap: between the halves' centres. centre: (D,) of the whole.
    """

    valley: float
    share: float
    gap: float
    centre: np.ndarray


def hints(album: Album, now: State, judged: dict[bytes, Modes]) -> dict[str, Any]:
    """Merges and splits, strongest first."""
    return {"version": now.version, "merges": merges(album, now), "splits": splits(album, now, judged)}


def merges(album: Album, now: State) -> list[dict[str, Any]]:
    """Pairs of clusters that confuse each other, with the share of the smaller one's neighbours and doubt that the other has."""
    pairs, weight = confusion(album, now)
    n = len(now.sizes)
    a, b = pairs // n, pairs % n
    smaller = np.minimum(now.sizes[a], now.sizes[b]) / max(len(album) / min(SAMPLE, len(album)), 1)
    share = weight / np.maximum(smaller, 1)
    keep = (share >= CONFUSED) & (smaller >= 3)
    order = np.argsort(-share[keep])[:SHOWN]
    return [
        {"clusters": [int(x), int(y)], "share": round(float(min(s, 1)), 3)}
        for x, y, s in zip(a[keep][order], b[keep][order], share[keep][order])
    ]


def confusion(album: Album, now: State) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of clusters a < b as a * (numbers) + b, and how many sampled items' worth of neighbours and doubt they share."""
    rows = np.arange(0, len(album), max(1, len(album) // SAMPLE))
    rows = rows[now.labels[rows] >= 0]
    own = now.labels[rows]
    near = now.labels[np.asarray(album.neighbours[rows])]
    heirs = successors(album, now)
    second = heirs[np.clip(album.top_labels[rows, 1:2], 0, len(heirs) - 1)]
    doubt = album.top_probs[rows, 1:2].astype(np.float32)
    others = np.concatenate([near, second], axis=1)
    weights = np.concatenate([np.full(near.shape, 0.5 / near.shape[1], np.float32), doubt / 2], axis=1)
    counts = (others != own[:, None]) & (others >= 0)
    low, high = np.minimum(others, own[:, None])[counts], np.maximum(others, own[:, None])[counts]
    pairs, inverse = np.unique(low.astype(np.int64) * len(now.sizes) + high, return_inverse=True)
    return pairs, np.bincount(inverse, weights=weights[counts], minlength=len(pairs))


def successors(album: Album, now: State) -> np.ndarray:
    """Where most of each of the run's own clusters is now; -1 where it was empty."""
    heirs = np.full(int(album.top_labels.max(initial=0)) + 1, -1, np.int32)
    raw = album.raw
    changed = np.unique(raw[raw != now.labels])
    whole = np.setdiff1d(np.unique(raw), changed)
    heirs[whole[whole >= 0]] = whole[whole >= 0]
    for c in changed[changed >= 0]:
        numbers, counts = np.unique(now.labels[raw == c], return_counts=True)
        heirs[c] = numbers[counts.argmax()]
    return heirs


def likely(album: Album, now: State, rows: np.ndarray) -> dict[str, Any]:
    """Where items may belong: `clusters`, likeliest first, by those of their neighbours and the run's own probabilities, half
    each; without `within`, the one that all of them are in, if there is one.
    """
    near, heirs = now.labels[np.asarray(album.neighbours[rows])], successors(album, now)
    own = heirs[np.clip(album.top_labels[rows], 0, len(heirs) - 1)]
    weights = [np.full(near.shape, 1 / near.shape[1]), album.top_probs[rows].astype(np.float64)]
    numbers = np.concatenate([near, own], axis=1).ravel() + 1  # what is rejected comes first, and is cut off
    weight = np.bincount(numbers, np.concatenate(weights, axis=1).ravel(), len(now.sizes) + 1)[1:]
    inside = np.unique(now.labels[rows]).tolist()
    within = inside[0] if len(inside) == 1 and inside[0] >= 0 else None
    if within is not None:
        weight[within] = 0
    order = np.argsort(-weight, kind="stable")
    return {"clusters": order[weight[order] > 0].tolist(), "within": within}


def splits(album: Album, now: State, judged: dict[bytes, Modes]) -> list[dict[str, Any]]:
    """Clusters with two modes, the deepest valley first. `judged` remembers those whose items stay as they were."""
    order = np.argsort(-now.sizes, kind="stable")[:MOST_SPLITS_TRIED]
    modes = {}
    with one_thread():
        for c in order[now.sizes[order] >= LEAST_ITEMS].tolist():
            rows = np.sort(now.members(c))
            rows = rows[:: -(-len(rows) // LOOKED_AT)]
            key = rows.tobytes()
            if key not in judged:
                judged[key] = two_modes(np.asarray(album.features[rows], np.float32))
            modes[c] = judged[key]
    least = APART * usual_gap(np.stack([m.centre for m in modes.values()])) if modes else 0
    found = [
        {"cluster": c, "valley": round(m.valley, 3), "share": round(m.share, 3)}
        for c, m in modes.items()
        if m.valley <= VALLEY and m.gap >= least
    ]
    return sorted(found, key=lambda f: f["valley"])[:SHOWN]


def usual_gap(centres: np.ndarray) -> float:
    """The median way from one of (K, D) centres to the nearest other one; 0 for a single one.

    Example:
        >>> usual_gap(np.array([[0.0], [1.0], [5.0]]))
        1.0
    """
    if len(centres) < 2:
        return 0.0
    squares = np.square(centres).sum(axis=1)
    far = squares[:, None] + squares - 2 * centres @ centres.T
    np.fill_diagonal(far, np.inf)
    return float(np.median(np.sqrt(np.maximum(far.min(axis=1), 0))))


def two_modes(x: np.ndarray) -> Modes:
    """The two halves of a cluster's (n, D) features."""
    centre = x.mean(axis=0)
    x = np.random.default_rng(0).permutation(x - centre)  # kinds may take turns, as the eyes of a stereo camera do
    learnt, judged = x[::2], x[1::2]
    vectors = np.linalg.eigh(learnt @ learnt.T)[1][:, -DIRECTIONS:]  # of n x n: there are fewer items than features
    directions = learnt.T @ vectors[:, ::-1]
    directions /= np.maximum(np.linalg.norm(directions, axis=0), 1e-9)
    learnt, judged = learnt @ directions, judged @ directions
    centres = two_means(learnt)
    line = centres[1] - centres[0]
    along, gap = judged @ line, float(np.linalg.norm(line))
    ends = np.quantile(along, [0.01, 0.99])
    if ends[1] <= ends[0]:
        return Modes(1.0, 0.0, gap, centre)
    counts = np.histogram(along, BINS, ends)[0].astype(float)
    height = np.convolve(np.pad(counts, 2, mode="edge"), [0.1, 0.2, 0.4, 0.2, 0.1], "valid")
    return Modes(*valley_of(height), gap, centre)


def valley_of(height: np.ndarray) -> tuple[float, float]:
    """The lowest point between two modes over the lower one's height, least over all cuts; and the smaller side's share.

    Example:
        >>> valley_of(np.array([1.0, 4.0, 1.0, 4.0, 1.0]))
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


def two_means(x: np.ndarray, turns: int = 12) -> np.ndarray:
    """(2, D) centres, from the two halves of the leading direction on."""
    side = x[:, 0] > np.median(x[:, 0])
    centres = np.zeros((2, x.shape[1]), np.float32)
    for _ in range(turns):
        if side.all() or not side.any():
            break
        centres = np.stack([x[~side].mean(axis=0), x[side].mean(axis=0)])
        side = np.square(x - centres[1]).sum(axis=1) < np.square(x - centres[0]).sum(axis=1)
    return centres
