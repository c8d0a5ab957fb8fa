"""Edits on a labelling: which of them stand, what they make of the run's labels and of predictions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from selflabel.base.errors import UserError
from selflabel.edits.kinds import Edit, Move, OfItems, Redo, Split, Undo
from selflabel.edits.state import REJECTED, Edited, unedited


def effective(edits: Iterable[Edit]) -> list[Edit]:
    """The edits that stand, once every undo and redo is followed."""
    return resolved(edits)[0]


def undone(edits: Iterable[Edit]) -> list[Edit]:
    """The edits that redo would bring back, the next one last."""
    return resolved(edits)[1]


def resolved(edits: Iterable[Edit]) -> tuple[list[Edit], list[Edit]]:
    done: list[Edit] = []
    back: list[Edit] = []
    for edit in edits:
        if isinstance(edit, Undo):
            back += [done.pop()] if done else []
        elif isinstance(edit, Redo):
            done += [back.pop()] if back else []
        else:
            done.append(edit)
            back.clear()
    return done, back


def apply(labels_N: np.ndarray, features: np.ndarray | None, edits: Iterable[Edit]) -> Edited:
    """The labelling with every edit that stands.

    Args:
        labels_N: as the run wrote them.
        features: (N, D), which splits look at; a memory map will do.
        edits: as `read_edits` gives them.
    """
    return continued(unedited(labels_N), features, effective(edits))


def continued(now: Edited, features: np.ndarray | None, edits: Iterable[Edit]) -> Edited:
    """A labelling with further edits that stand (no undo or redo among them); the one given is left as it is."""
    now = now.copy()
    for edit in edits:
        if not edit.trouble(now):
            edit.act(now, features)
    return now


def apply_to_unseen(labels_M: np.ndarray, features_MD: np.ndarray, edits: Iterable[Edit], clusters: Iterable[int]) -> Edited:
    """Edits on predictions: merges and splits concern unseen items, edits of single items do not.

    Args:
        labels_M: predicted, as the run knows its clusters.
        features_MD: in the same space as the run's.
        edits: the run's.
        clusters: of the run before any edit.
    """
    now = unedited(labels_M, clusters)
    for edit in effective(edits):
        if isinstance(edit, Move):
            now.add([] if edit.to in now.used else [edit.to])
        elif not isinstance(edit, OfItems) and not edit.trouble(now):
            edit.act(now, features_MD)
    return now


def check(edit: Edit, edited: Edited, n_items: int) -> None:
    """Raise where an edit does not fit.

    Raises:
        UserError: it names a cluster or an item that is not there, or a number that is taken.
    """
    if n_items != len(edited.under):
        raise UserError(f"the labelling has {len(edited.under)} items and the run {n_items}; open the run anew.")
    why = edit.trouble(edited)
    if why:
        raise UserError(f"cannot {edit.do}: {why}")


def used_numbers(labels_N: np.ndarray, edits: Sequence[Edit]) -> set[int]:
    """Every number that was ever a cluster's, those of undone edits too."""
    used = set(np.unique(labels_N).tolist()) - {REJECTED}
    for edit in edits:
        used.update(edit.parts if isinstance(edit, Split) else [edit.to] if isinstance(edit, Move) else [])
    return used
