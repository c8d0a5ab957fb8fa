"""One item: what the run and the edits say about it, and which of its media can be shown or played."""

from __future__ import annotations

from typing import Any

import numpy as np

from selflabel.gallery.editable_run import EditableRun, LabelState
from selflabel.gallery.suggestions import current_clusters
from selflabel.runs.missing import Missing
from selflabel.runs.sources import Source

SHOWN_NEIGHBOURS = 10


def item_details(run: EditableRun, now: LabelState, source: Source, row: int) -> dict[str, Any]:
    """What the page shows of one item.

    Args:
        run: the run.
        now: its labels.
        source: where its items are.
        row: of the item, 0 to N - 1.

    Returns:
        `path`, `cluster` (-1 if it is in none), `cluster_before_reject`, `is_outlier` (fits no cluster), `confidence` and
        `agreement` in [0, 1], `has_decision`, `class` ("" if unknown), the run's `top` clusters, the rows of its `neighbours`,
        its `media` and why it is `missing` ("").
    """
    media, missing = available_media(source, row)
    near = np.asarray(run.neighbours[row])[:SHOWN_NEIGHBOURS].tolist()
    truth = run.truth[row] if run.truth is not None else -1
    return {
        "row": row,
        "path": run.paths[row],
        "cluster": int(now.labels[row]),
        "cluster_before_reject": int(now.edited.item_clusters[row]),
        "is_outlier": bool(now.is_outlier[row]),
        "confidence": round(float(run.confidence[row]), 4),
        "agreement": round(float(now.agreement[row]) / 255, 4),
        "has_decision": bool(now.has_decision[row]),
        "class": run.classes[truth] if truth >= 0 else "",
        "top": top_clusters(run, now, row),
        "neighbours": [n for n in dict.fromkeys(near) if n != row],
        "media": media,
        "missing": missing,
    }


def top_clusters(run: EditableRun, now: LabelState, row: int) -> list[dict[str, Any]]:
    """The clusters that the run finds most probable for an item, as they are after the edits: merged ones add up, and one whose
    items were split or moved is where most of them are now. One that has no items is left out.
    """
    current, shares = current_clusters(run, now), dict[int, float]()
    for cluster, share in zip(run.top_labels[row].tolist(), run.top_probs[row].tolist()):
        now_called = int(current[cluster]) if cluster >= 0 else -1
        if now_called >= 0:
            shares[now_called] = shares.get(now_called, 0) + share
    return [{"cluster": c, "share": round(p, 4)} for c, p in sorted(shares.items(), key=lambda pair: -pair[1])]


def available_media(source: Source, row: int) -> tuple[str, str]:
    """An item's modalities, separated by spaces, and "" or why it cannot be shown: ("video audio", ""), ("", "no such file")."""
    try:
        blobs = source.blobs(row)
        if not blobs:
            source.values(row)
        return " ".join(blobs) or "array", ""
    except Missing as error:
        return "", str(error)
