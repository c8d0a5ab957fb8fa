"""Which items a view of the page lists, and in what order."""

from __future__ import annotations

from typing import Literal

import numpy as np

from selflabel.base.errors import UserError
from selflabel.gallery.editable_run import EditableRun, LabelState

MAX_SEARCH_RESULTS = 100_000
MAX_DIGITS = 12  # of a cluster's number; Python refuses to convert thousands

Order = Literal["typical", "unsure", "row"]


def list_rows(run: EditableRun, now: LabelState, view: str, order: Order, query: str) -> np.ndarray:
    """The rows of a view.

    Args:
        run: the run.
        now: its labels.
        view: a cluster's number; "all" for the labelled items that no person has decided on; "rejected"; "outliers", which
            fit no cluster; or "search".
        order: "typical": most typical first; "unsure": least typical first; "row": as in the run.
        query: for "search", a part of the path.

    Returns:
        (n,) int.

    Raises:
        UserError: there is no such cluster.
    """
    if view == "rejected":
        rows = now.rejected
    elif view == "outliers":
        rows = now.outliers
    elif view == "all":
        rows = now.order[now.starts[1] :]
        rows = rows[~now.has_decision[rows]]
    elif view == "search":
        rows = search_paths(run, query)
    else:
        is_number = view.isascii() and view.isdecimal() and len(view) < MAX_DIGITS
        if not is_number or int(view) not in now.edited.clusters:
            raise UserError(f"there is no cluster {view[:20]} (it may have been merged); reload the page.")
        rows = now.members(int(view))
    if view in ("all", "search") and order != "row":
        rows = rows[np.argsort(np.uint16(65_535) - now.typicality[rows], kind="stable")]
    return np.sort(rows) if order == "row" else rows[::-1] if order == "unsure" else rows


def search_paths(run: EditableRun, query: str) -> np.ndarray:
    """Rows of the items whose path contains the query, in upper or lower case; none for an empty one."""
    import pyarrow.compute as pc

    if not query:
        return np.zeros(0, np.int32)
    matches = pc.match_substring(run.paths.column, query, ignore_case=True).to_numpy(zero_copy_only=False)
    return np.flatnonzero(matches)[:MAX_SEARCH_RESULTS].astype(np.int32)
