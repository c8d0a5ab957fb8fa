"""What the overview shows of the labels: one record per cluster, what is left to do, and two histograms."""

from __future__ import annotations

from typing import Any

import numpy as np

from selflabel.edits import Edit
from selflabel.gallery.editable_run import EditableRun, LabelState

CARD_ITEMS = 12  # on a cluster's card
BINS = 20
MAX_TABLE_CELLS = 10_000_000  # of a dense table of clusters by classes; larger ones are counted sparsely


def overview(run: EditableRun, now: LabelState) -> dict[str, Any]:
    """Everything that the overview draws, except for the pictures.

    Args:
        run: the run.
        now: its labels.

    Returns:
        `version` of the log, `n_items`, `next_number` for a new cluster, `clusters`, `progress`, the number and first rows
        of the `outliers`, which fit no cluster, descriptions of what `undo` and
        `redo` would do ("" for nothing), counts of the `confidences`, and the `requested` sizes.
    """
    return {
        "version": now.version,
        "n_items": len(run),
        "next_number": max(run.used_numbers(now), default=-1) + 1,
        "clusters": cluster_records(run, now),
        "progress": progress(run, now),
        "outliers": {"size": len(now.outliers), "rows": now.outliers[:CARD_ITEMS].tolist()},
        "undo": describe_edit(now.undo, now.edited.names),
        "redo": describe_edit(now.redo, now.edited.names),
        "confidences": confidence_histogram(run, now),
        "requested": requested_sizes(run, now.sizes),
    }


def cluster_records(run: EditableRun, now: LabelState) -> list[dict[str, Any]]:
    """For each cluster its number (`id`), name, size, mean agreement and confidence, purity and class, and its card's `rows`."""
    sizes = now.sizes
    agreement = cluster_means(now.agreement / 255.0, now.labels, sizes)
    confidence = cluster_means(run.confidence, now.labels, sizes)
    purity, majority = cluster_purities(run, now)
    edited_clusters = set(np.unique(now.labels[now.labels != run.raw_labels]).tolist())
    records = []
    for c in now.edited.clusters:
        members = now.members(c)
        record = {
            "id": c,
            "name": now.edited.names.get(c, ""),
            "size": int(sizes[c]),
            "agreement": round(float(agreement[c]), 4),
            "confidence": round(float(confidence[c]), 4),
            "rows": (card_rows(members, run.raw_labels) if c in edited_clusters else members[:CARD_ITEMS]).tolist(),
        }
        if purity is not None:
            record |= {"purity": round(float(purity[c]), 4), "class": run.classes[majority[c]] if sizes[c] else ""}
        records.append(record)
    return records


def card_rows(members: np.ndarray, raw_labels: np.ndarray) -> np.ndarray:
    """Rows for the card of an edited cluster: the most typical items of each original cluster in it, in proportion to its share.

    Example:
        >>> card_rows(np.arange(90), np.repeat([4, 7], [60, 30])).tolist()
        [0, 1, 2, 3, 4, 5, 6, 7, 60, 61, 62, 63]
    """
    _, part, counts = np.unique(raw_labels[members], return_inverse=True, return_counts=True)
    by_part = np.argsort(part, kind="stable")
    rank_in_part = np.empty(len(members))
    rank_in_part[by_part] = np.arange(len(members)) - np.repeat(np.cumsum(counts) - counts, counts)
    return members[np.sort(np.argsort((rank_in_part + 0.5) / counts[part], kind="stable")[:CARD_ITEMS])]


def cluster_means(values: np.ndarray, labels: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """(K,) mean of (N,) values over the items of each cluster; 0 for an empty one. Label -1 belongs to none.

    Example:
        >>> cluster_means(np.array([1.0, 0.5, 0.2]), np.array([0, 0, -1]), np.array([2])).tolist()
        [0.75]
    """
    sums = np.bincount(labels + 1, weights=values, minlength=len(sizes) + 1)[1:]
    return sums / np.maximum(sizes, 1)


def cluster_purities(run: EditableRun, now: LabelState) -> tuple[np.ndarray | None, np.ndarray]:
    """(K,) share of the most common class among a cluster's items of known class, and (K,) that class; None without truth."""
    if run.truth is None:
        return None, np.zeros(0, int)
    is_known = (run.truth >= 0) & (now.labels >= 0)
    n_classes = len(run.classes)
    keys = now.labels[is_known].astype(np.int64) * n_classes + run.truth[is_known]
    pairs, counts = count_keys(keys, n_classes * len(now.sizes))
    cluster, most, total = pairs // n_classes, np.zeros(len(now.sizes), int), np.zeros(len(now.sizes), int)
    np.maximum.at(most, cluster, counts)
    np.add.at(total, cluster, counts)
    majority = np.zeros(len(now.sizes), int)
    is_most = counts == most[cluster]
    majority[cluster[is_most][::-1]] = (pairs % n_classes)[is_most][::-1]  # reversed: among equals, the first class stays
    return most / np.maximum(total, 1), majority


def count_keys(keys: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """The distinct keys, all below n, and how often each occurs."""
    if n > MAX_TABLE_CELLS:
        return np.unique(keys, return_counts=True)
    counts = np.bincount(keys, minlength=n)
    distinct = np.flatnonzero(counts)
    return distinct, counts[distinct]


def progress(run: EditableRun, now: LabelState) -> dict[str, int]:
    """Numbers of clusters with items, of those with a name, of items, of covered ones (named, rejected or fitting none), of
    rejected ones.
    """
    named_clusters = [c for c in now.edited.clusters if c in now.edited.names]
    nonempty_clusters = [c for c in now.edited.clusters if now.sizes[c]]
    in_none = len(now.rejected) + len(now.outliers)
    return {
        "clusters": len(nonempty_clusters),
        "named": len([c for c in named_clusters if now.sizes[c]]),
        "items": len(run),
        "covered": int(now.sizes[named_clusters].sum()) + in_none if named_clusters else in_none,
        "rejected": len(now.rejected),
    }


def confidence_histogram(run: EditableRun, now: LabelState) -> list[int]:
    """Numbers of labelled items by confidence, in 20 equal bins from 0 to 1."""
    bins = np.minimum((run.confidence * BINS).astype(np.int8), BINS - 1)
    return np.bincount(bins[now.labels >= 0], minlength=BINS).tolist()


def requested_sizes(run: EditableRun, found: np.ndarray) -> dict[str, Any]:
    """The cluster sizes that were asked for, largest first, and their title; equal sizes where the method chose them itself.

    Args:
        run: the run.
        found: (K,) items in each cluster; empty ones do not count.
    """
    mass, n_clusters = run.settings.get("mass", "auto"), int((found > 0).sum())
    ranks = np.arange(1, n_clusters + 1)
    shares = np.ones(n_clusters)
    if mass == "zipf":
        shares = 1 / ranks
    elif mass == "gaussian":
        from scipy.special import ndtri

        shares = np.maximum(0.1, 1 - 0.1 * ndtri((ranks - 0.5) / max(n_clusters, 1)))
    sizes = shares / max(shares.sum(), 1e-9) * found.sum()
    title = "equal share" if mass in ("auto", "estimated", "relaxed") else f"asked for: {mass}"
    return {"title": title, "sizes": np.round(sizes, 1).tolist()}


def describe_edit(edit: Edit | None, names: dict[int, str]) -> str:
    """An edit in a few words, with clusters by name, for messages and for the undo and redo buttons; "" for None.

    Example:
        >>> from selflabel.edits import Move
        >>> describe_edit(Move(items=[7, 8], to=9), {9: "seven"}), describe_edit(Move(items=[7], to=2), {9: "seven"})
        ('move of 2 items to seven', 'move of 1 item to cluster 2')
    """
    return "" if edit is None else edit.describe(lambda cluster: cluster_title(cluster, names))


def cluster_title(cluster: int, names: dict[int, str]) -> str:
    """A cluster's name, with its number where another one has the same name; or else its number."""
    name = names.get(cluster)
    if not name:
        return f"cluster {cluster}"
    return f"{name} ({cluster})" if list(names.values()).count(name) > 1 else name
