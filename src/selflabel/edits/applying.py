"""Apply edits: to the run's own labels, to a labelling that has some already, and to predictions for unseen items."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from selflabel.base.errors import UserError
from selflabel.edits.kinds import Edit, ItemEdit, Move, Redo, Split, Undo
from selflabel.edits.nearest import FeatureRows
from selflabel.edits.state import REJECTED, EditedLabels, unedited_labels


def active_edits(edits: Iterable[Edit]) -> list[Edit]:
    """The edits in effect after every undo and redo, oldest first."""
    return resolve_undo(edits)[0]


def undone_edits(edits: Iterable[Edit]) -> list[Edit]:
    """The edits that redo can bring back, the next one last."""
    return resolve_undo(edits)[1]


def resolve_undo(edits: Iterable[Edit]) -> tuple[list[Edit], list[Edit]]:
    """Follow every undo and redo of a log.

    Returns:
        The edits in effect, oldest first, and those that redo can bring back, the next one last.
    """
    active: list[Edit] = []
    undone: list[Edit] = []
    for edit in edits:
        if isinstance(edit, Undo):
            undone += [active.pop()] if active else []
        elif isinstance(edit, Redo):
            active += [undone.pop()] if undone else []
        else:
            active.append(edit)
            undone.clear()
    return active, undone


def apply(
    labels_N: np.ndarray, features: FeatureRows | None, edits: Iterable[Edit], outliers: np.ndarray | None = None
) -> EditedLabels:
    """Apply a log to the run's own labels.

    Args:
        labels_N: (N,) as the run wrote them.
        features: (N, D), which splits need; a memory map will do. None where the run has none.
        edits: as `read_edits` gives them, with undo and redo.
        outliers: (N,) bool, items that fit no cluster: they begin as rejected ones. None for none.

    Raises:
        UserError: a split does not fit the features.
    """
    return apply_in_order(unedited_labels(labels_N, outliers=outliers), features, active_edits(edits))


def apply_in_order(labels: EditedLabels, features: FeatureRows | None, edits: Iterable[Edit]) -> EditedLabels:
    """Apply edits to a labelling, which is not changed itself. An edit that does not fit changes nothing.

    Args:
        labels: a labelling, perhaps with earlier edits.
        features: (N, D), which splits need.
        edits: active ones, without undo and redo.
    """
    labels = labels.copy()
    for edit in edits:
        if not edit.problem(labels):
            edit.apply_to(labels, features)
    return labels


def apply_to_unseen(
    labels_M: np.ndarray, features_MD: FeatureRows | None, edits: Iterable[Edit], clusters: Iterable[int]
) -> EditedLabels:
    """Apply a run's edits to predictions: merges and splits concern unseen items, edits of single items do not.

    Args:
        labels_M: (M,) predicted labels, as the run knows its clusters.
        features_MD: (M, D) in the same space as the run's.
        edits: the run's log.
        clusters: of the run before any edit.

    Raises:
        UserError: a split does not fit the features.
    """
    labels = unedited_labels(labels_M, clusters)
    for edit in active_edits(edits):
        if isinstance(edit, Move):
            if edit.to not in labels.used_numbers:
                edit.add_cluster(labels)
        elif not isinstance(edit, ItemEdit) and not edit.problem(labels):
            edit.apply_to(labels, features_MD)
    return labels


def emptied_clusters(
    labels_N: np.ndarray, features: FeatureRows | None, edits: Sequence[Edit], outliers: np.ndarray | None = None
) -> dict[int, int]:
    """Clusters that edits of single items emptied, each with the cluster where most of its items are now; -1 where in none.

    Unseen items follow them: a cluster without items is none.

    Args: as in `apply`.
    """
    as_unseen = apply_to_unseen(labels_N, features, edits, np.unique(labels_N)).item_clusters
    now = apply(labels_N, features, edits, outliers).labels
    moved_to = {}
    for cluster in np.setdiff1d(as_unseen, now).tolist():
        numbers, counts = np.unique(now[as_unseen == cluster], return_counts=True)
        moved_to[cluster] = int(numbers[counts.argmax()])
    return moved_to


def check(edit: Edit, labels: EditedLabels, n_items: int) -> None:
    """Raise an error where an edit does not fit.

    Args:
        edit: not applied yet.
        labels: the labelling that it is for.
        n_items: of the run.

    Raises:
        UserError: the edit names a cluster or an item that is not there, or a number that is in use.
    """
    n_labels = len(labels.item_clusters)
    if n_items != n_labels:
        raise UserError(f"the labelling has {n_labels} items and the run {n_items}; open the run anew.")
    problem = edit.problem(labels)
    if problem:
        raise UserError(f"cannot {edit.do}: {problem}")


def used_numbers(labels_N: np.ndarray, edits: Sequence[Edit]) -> set[int]:
    """Every number that was ever a cluster's, in the run's labels or in any edit, undone ones too."""
    numbers = set(np.unique(labels_N).tolist()) - {REJECTED}
    for edit in edits:
        numbers.update(edit.parts if isinstance(edit, Split) else [edit.to] if isinstance(edit, Move) else [])
    return numbers
