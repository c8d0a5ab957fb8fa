"""One item: what the run knows of it, and how it can be looked at and heard."""

from __future__ import annotations

from typing import Any

import numpy as np

from selflabel.gallery.album import Album, State
from selflabel.runs.sources import Missing, Source

NEAREST = 10


def details(album: Album, now: State, source: Source, row: int) -> dict[str, Any]:
    """Path, cluster, confidence, five best clusters of the run, neighbours, class, and what can be played."""
    media, why = playable(source, row)
    near = np.asarray(album.neighbours[row])[:NEAREST].tolist()
    truth = album.truth[row] if album.truth is not None else -1
    return {
        "row": row,
        "path": album.paths[row],
        "cluster": int(now.labels[row]),
        "had": int(now.edited.under[row]),
        "confidence": round(float(album.confidence[row]), 4),
        "agreement": round(float(now.agreement[row]) / 255, 4),
        "settled": bool(now.settled[row]),
        "class": album.classes[truth] if truth >= 0 else "",
        "top": best(album, row),
        "neighbours": [n for n in dict.fromkeys(near) if n != row],
        "media": media,
        "missing": why,
    }


def best(album: Album, row: int) -> list[dict[str, Any]]:
    """The run's own best clusters of an item, with their probabilities."""
    pairs = zip(album.top_labels[row].tolist(), album.top_probs[row].tolist())
    return [{"cluster": c, "share": round(p, 4)} for c, p in pairs]


def playable(source: Source, row: int) -> tuple[str, str]:
    """The modalities of an item, and "" or why it cannot be shown: ("image", ""), ("video audio", "")."""
    try:
        blobs = source.blobs(row)
        if not blobs:
            source.values(row)
        return " ".join(blobs) or "array", ""
    except Missing as error:
        return "", str(error)
