"""What the overview says of a labelling: a line a cluster, the counts of what is left to do, and the two distributions."""

from __future__ import annotations

from typing import Any

import numpy as np

from selflabel.gallery.album import Album, State

MOSAIC = 12  # items on a cluster's card
BINS = 20
MOST_CELLS = 10_000_000  # of a table of clusters by classes that is written out


def overview(album: Album, now: State) -> dict[str, Any]:
    """Everything the overview draws, but the pictures."""
    return {
        "version": now.version,
        "n_items": len(album),
        "fresh": max(album.used(now), default=-1) + 1,
        "clusters": lines(album, now),
        "progress": progress(album, now),
        "undo": said(now.undo, now.edited.names),
        "redo": said(now.redo, now.edited.names),
        "confidences": confidences(album, now),
        "requested": requested(album, len(now.edited.clusters)),
    }


def lines(album: Album, now: State) -> list[dict[str, Any]]:
    """A dict a cluster: number, name, size, mean agreement and confidence, purity and class, first rows."""
    sizes = now.sizes
    agreement = means(now.agreement / 255.0, now.labels, sizes)
    confidence = means(album.confidence, now.labels, sizes)
    purity, best = purities(album, now)
    mended = set(np.unique(now.labels[now.labels != album.raw]).tolist())
    found = []
    for c in now.edited.clusters:
        line = {
            "id": c,
            "name": now.edited.names.get(c, ""),
            "size": int(sizes[c]),
            "agreement": round(float(agreement[c]), 4),
            "confidence": round(float(confidence[c]), 4),
            "rows": (of_parts(now.members(c), album.raw) if c in mended else now.members(c)[:MOSAIC]).tolist(),
        }
        if purity is not None:
            line |= {"purity": round(float(purity[c]), 4), "class": album.classes[best[c]] if sizes[c] else ""}
        found.append(line)
    return found


def of_parts(members: np.ndarray, raw: np.ndarray) -> np.ndarray:
    """A card's rows where people put a cluster together: the most typical of each part, as many as fits its size.

    Example:
        >>> of_parts(np.arange(90), np.repeat([4, 7], [60, 30])).tolist()
        [0, 1, 2, 3, 4, 5, 6, 7, 60, 61, 62, 63]
    """
    _, part, counts = np.unique(raw[members], return_inverse=True, return_counts=True)
    by_part = np.argsort(part, kind="stable")
    place = np.empty(len(members))
    place[by_part] = np.arange(len(members)) - np.repeat(np.cumsum(counts) - counts, counts)
    return members[np.sort(np.argsort((place + 0.5) / counts[part], kind="stable")[:MOSAIC])]


def means(values: np.ndarray, labels: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Mean of a value over the items of every cluster; 0 for an empty one.

    Example:
        >>> means(np.array([1.0, 0.5, 0.2]), np.array([0, 0, -1]), np.array([2])).tolist()
        [0.75]
    """
    sums = np.bincount(labels + 1, weights=values, minlength=len(sizes) + 1)[1:]
    return sums / np.maximum(sizes, 1)


def purities(album: Album, now: State) -> tuple[np.ndarray | None, np.ndarray]:
    """Share of each cluster's items of known class that are of its commonest, and which that is; None without truth."""
    if album.truth is None:
        return None, np.zeros(0, int)
    known = (album.truth >= 0) & (now.labels >= 0)
    wide = len(album.classes)
    keys = now.labels[known].astype(np.int64) * wide + album.truth[known]
    pairs, counts = counted(keys, wide * len(now.sizes))
    cluster, most, total = pairs // wide, np.zeros(len(now.sizes), int), np.zeros(len(now.sizes), int)
    np.maximum.at(most, cluster, counts)
    np.add.at(total, cluster, counts)
    best = np.zeros(len(now.sizes), int)
    top = counts == most[cluster]
    best[cluster[top][::-1]] = (pairs % wide)[top][::-1]
    return most / np.maximum(total, 1), best


def counted(keys: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """The different keys, all below n, and how often each is there."""
    if n > MOST_CELLS:
        return np.unique(keys, return_counts=True)
    counts = np.bincount(keys, minlength=n)
    pairs = np.flatnonzero(counts)
    return pairs, counts[pairs]


def progress(album: Album, now: State) -> dict[str, int]:
    """What is done: clusters that have a name, items in them or put out of the labelling."""
    named = [c for c in now.edited.clusters if c in now.edited.names]
    filled = [c for c in now.edited.clusters if now.sizes[c]]
    rejected = len(now.rejected)
    return {
        "clusters": len(filled),
        "named": len([c for c in named if now.sizes[c]]),
        "items": len(album),
        "covered": int(now.sizes[named].sum()) + rejected if named else rejected,
        "rejected": rejected,
    }


def confidences(album: Album, now: State) -> list[int]:
    """Counts of the labelled items' confidences in 20 equal bins."""
    bins = np.minimum((album.confidence * BINS).astype(np.int8), BINS - 1)
    return np.bincount(bins[now.labels >= 0], minlength=BINS).tolist()


def requested(album: Album, n_clusters: int) -> dict[str, Any]:
    """The sizes that were asked for, largest first, and their title; equal sizes as a measure where the method chose."""
    mass = album.run.recorded.get("settings", {}).get("mass", "auto")
    ranks = np.arange(1, n_clusters + 1)
    shares = np.ones(n_clusters)
    if mass == "zipf":
        shares = 1 / ranks
    elif mass == "gaussian":
        from scipy.special import ndtri

        shares = np.maximum(0.1, 1 - 0.1 * ndtri((ranks - 0.5) / max(n_clusters, 1)))
    sizes = shares / max(shares.sum(), 1e-9) * len(album)
    title = "equal share" if mass in ("auto", "estimated", "relaxed") else f"asked for: {mass}"
    return {"title": title, "sizes": np.round(sizes, 1).tolist()}


def said(edit: Any, names: dict[int, str]) -> str:
    """An edit in a few words, for the buttons that take it back or bring it back; clusters by their names.

    Example:
        >>> from selflabel.edits import Move
        >>> said(Move(items=[7, 8], to=9), {9: "seven"}), said(Move(items=[7], to=2), {9: "seven"})
        ('move of 2 items to seven', 'move of 1 item to cluster 2')
    """
    if edit is None:
        return ""

    def called(cluster: int) -> str:
        return names.get(cluster) or f"cluster {cluster}"

    many = len(getattr(edit, "items", []))
    items = f"{many:,} item" + ("s" if many != 1 else "")
    words = {
        "name": lambda: f"cluster {edit.cluster} named “{edit.name}”" if edit.name else f"name of cluster {edit.cluster} gone",
        "merge": lambda: f"merge of {len(edit.clusters)} clusters into {called(edit.into)}",
        "split": lambda: f"split of {called(edit.cluster)} into {len(edit.parts)}",
        "move": lambda: f"move of {items} to {called(edit.to)}",
        "reject": lambda: f"reject of {items}",
        "restore": lambda: f"return of {items}",
    }
    return words[edit.do]()
