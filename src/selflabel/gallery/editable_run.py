"""A finished run opened for browsing and editing: its labels after all edits, recomputed when the edit log grows.

N items, K clusters. A LabelState never changes once it is built, so that request threads can read it while the next is built.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from selflabel.base.errors import UserError
from selflabel.edits import (
    LOG,
    REJECTED,
    Edit,
    EditedLabels,
    LogReader,
    Redo,
    Split,
    Undo,
    append_made,
    apply_in_order,
    check,
    resolve_undo,
    unedited_labels,
    used_numbers,
)
from selflabel.edits import make_split as split_by_features
from selflabel.evaluation.typical import neighbour_agreement, rows_by_label, typicality
from selflabel.gallery.edit_requests import check_request, fit_edit, fit_split
from selflabel.gallery.truth import read_truth_classes
from selflabel.runs.reading import MAX_LABEL, damaged, outliers_in, read_labels_table, read_table, rows_of_table
from selflabel.runs.run import LazyPaths, Paths, Run

if TYPE_CHECKING:  # takes long to import
    import pyarrow as pa

OUTLIER = -2  # what the page gets as the label of an item that fits no cluster; that of a rejected one is -1
CACHED_STATES = 12  # undo goes back this many steps without recomputing
READ_AT_ONCE = 1_000_000  # items up to which all is read when the page is opened; of more, paths and best labels when needed
REQUIRED_FILES = ("labels.parquet", "top.parquet", "neighbours.npy", "features.npy")


@dataclass(frozen=True)
class LabelState:
    """The labels after some edits.

    Attributes:
        version: length of the edit log in bytes; it only grows.
        edit_ids: ids of the edits in effect, in order; undone edits are not among them.
        edited: the labels, names and clusters that these edits give.
        undo: the edit that undo would take back, or None.
        redo: the edit that redo would apply again, or None.
        undone_numbers: cluster numbers that edits introduced which are now undone.
        labels: (N,) int32, -1 for a rejected item.
        agreement: (N,) uint8, share of the nearest neighbours with the same label, in 255ths.
        typicality: (N,) uint16, confidence and agreement in equal parts, 0 to 65535.
        has_decision: (N,) bool, whether a person moved, rejected or restored the item itself.
        is_outlier: (N,) bool, items that the run found to fit no cluster, as long as no person has decided on them.
        order: (N,) rows sorted by label, most typical first within a label.
        starts: (largest cluster + 3,) where each label, from -1 on, begins in `order`.
    """

    version: int
    edit_ids: tuple[str, ...]
    edited: EditedLabels
    undo: Edit | None
    redo: Edit | None
    undone_numbers: set[int]
    labels: np.ndarray
    agreement: np.ndarray
    typicality: np.ndarray
    has_decision: np.ndarray
    is_outlier: np.ndarray
    order: np.ndarray
    starts: np.ndarray

    def members(self, cluster: int) -> np.ndarray:
        """Rows of a cluster, most typical first."""
        return self.order[self.starts[cluster + 1] : self.starts[cluster + 2]]

    @property
    def rejected(self) -> np.ndarray:
        """Rows of the items that people rejected."""
        rows = self.members(REJECTED)
        return rows[~self.is_outlier[rows]]

    @property
    def outliers(self) -> np.ndarray:
        """Rows of the items that fit no cluster."""
        rows = self.members(REJECTED)
        return rows[self.is_outlier[rows]]

    def shown_labels(self, rows: np.ndarray | slice = slice(None)) -> np.ndarray:
        """(n,) int32 labels of some rows, all by default, as the page shows them: -1 rejected, -2 fits no cluster."""
        return np.where(self.is_outlier[rows], np.int32(OUTLIER), self.labels[rows])

    @cached_property
    def sizes(self) -> np.ndarray:
        """(largest cluster + 1,) number of items in each cluster."""
        return np.diff(self.starts)[1:]


class EditableRun:
    """A finished run with its labels after all edits.

    Args:
        run: a finished run.
        truth: CSV with path and label; None uses the run's own truth.csv, if it has one.

    Raises:
        UserError: the run folder lacks a file, or the truth names none of the run's items.
    """

    def __init__(self, run: Run, truth: Path | None = None):
        check_files(run.folder)
        self.folder, self.settings = run.folder, run.settings
        self.run, self.lock, self.top_lock = run, threading.Lock(), threading.Lock()
        self.paths, (self.raw_labels, self.confidence, self.outliers) = read_items(run)
        if len(self.raw_labels) <= READ_AT_ONCE:
            self.read_top()
        self.neighbours = run.neighbours
        self.features = run.features
        self.classes, self.truth = read_truth_classes(run, self.paths, truth)
        self.log = LogReader(run.folder)
        self.without_edits = unedited_labels(self.raw_labels, outliers=self.outliers)
        self.cached_states: list[LabelState] = []

    def __len__(self) -> int:
        return len(self.raw_labels)

    # ------------------------------------------------------------------------------------------------------- reading

    def read_top(self) -> tuple[np.ndarray, np.ndarray]:
        """See `read_top_labels`; read once."""
        with self.top_lock:
            return self.top

    @cached_property
    def top(self) -> tuple[np.ndarray, np.ndarray]:
        return read_top_labels(self.run, len(self))

    @property
    def top_labels(self) -> np.ndarray:
        """(N, <= 5) int32 best labels."""
        return self.read_top()[0]

    @property
    def top_probs(self) -> np.ndarray:
        """(N, <= 5) float16 probabilities of the best labels."""
        return self.read_top()[1]

    @property
    def state(self) -> LabelState:
        """The labels after every edit in the log, whichever process wrote it."""
        with self.lock:
            version = log_length(self.folder)
            if not self.cached_states or self.cached_states[-1].version != version:
                self.cached_states = [*self.cached_states, self.compute_state(version)][-CACHED_STATES:]
            return self.cached_states[-1]

    def compute_state(self, version: int) -> LabelState:
        edits = self.log.edits()
        active_edits, undone_edits = resolve_undo(edits)
        ids = tuple(e.id for e in active_edits)
        before = self.nearest_state(ids)
        history: dict[str, Any] = {
            "version": version,
            "undo": active_edits[-1] if active_edits else None,
            "redo": undone_edits[-1] if undone_edits else None,
            "undone_numbers": used_numbers(self.raw_labels[:0], edits),
        }
        if before and before.edit_ids == ids:
            return replace(before, **history)
        return self.build_state(before, active_edits, ids, history)

    def nearest_state(self, ids: tuple[str, ...]) -> LabelState | None:
        """The cached state that shares the most leading edits with `ids` and has no others."""
        usable = (s for s in self.cached_states if s.edit_ids == ids[: len(s.edit_ids)])
        return max(usable, key=lambda s: len(s.edit_ids), default=None)

    def build_state(
        self, before: LabelState | None, active_edits: list[Edit], ids: tuple[str, ...], history: dict[str, Any]
    ) -> LabelState:
        """Apply the edits that `before` lacks; all of them where it is None."""
        new = active_edits[len(before.edit_ids) if before else 0 :]
        edited = apply_in_order(before.edited if before else self.without_edits, self.features, new)
        has_decision = before.has_decision.copy() if before else np.zeros(len(self), bool)
        for edit in new:
            has_decision[getattr(edit, "items", [])] = True
        labels = edited.labels
        agreement = neighbour_agreement(labels, self.neighbours)
        scores = typicality(self.confidence, agreement)
        order, starts = rows_by_label(labels, scores, max(edited.clusters, default=0))
        return LabelState(
            edit_ids=ids, edited=edited, labels=labels, agreement=agreement, typicality=scores, has_decision=has_decision,
            is_outlier=self.outliers & ~has_decision,
            order=order, starts=starts, **history,
        )  # fmt: skip

    # ------------------------------------------------------------------------------------------------------- editing

    def add_edit(self, values: Any) -> LabelState:
        """Append one edit to the log, as `record_edit`; the state after it."""
        return self.record_edit(values)[0]

    def record_edit(self, values: Any) -> tuple[LabelState, Edit | None]:
        """Append one edit to the log, if it fits the labels as they are then, after those of every other process.

        Args:
            values: a request (see `edit_requests`). One whose `id` is in the log already is not appended again.

        Returns:
            The state after it, and the edit that was made, undone or redone; None for an undo or redo that was there already.

        Raises:
            UserError: the edit does not fit the labels as they are now.
        """
        values = check_request(values)
        before = self.state
        known = self.known_edit(values)
        split = self.make_split(before, values) if known is None and values.get("do") == "split" else None
        edit, concerned = self.fitted(values, before, split)  # what does not fit is refused before the log is opened

        def make() -> Edit | None:
            nonlocal concerned
            edit, concerned = self.fitted(values, before, split)
            return edit

        if edit is not None:
            append_made(self.folder, make)
        return self.state, concerned

    def fitted(self, values: dict[str, Any], before: LabelState, split: Split | None) -> tuple[Edit | None, Edit | None]:
        """The edit to append for a request, None where it is in the log, and the edit that it makes, undoes or redoes.

        A `split` was made in the state `before`. An edit that does not fit the labels as they are now is a UserError.
        """
        now, known = self.state, self.known_edit(values)
        if known is not None:
            return None, None if isinstance(known, Undo | Redo) else known
        if split is None:
            edit = fit_edit(values, self.used_numbers(now))
        elif same_members(before, now, split.cluster):
            edit = fit_split(split, values, self.used_numbers(now))
        else:
            raise UserError(f"another edit changed cluster {split.cluster} while it was split; look at it and split it again.")
        return edit, self.check_fits(edit, now)

    def known_edit(self, values: dict[str, Any]) -> Edit | None:
        """The edit of the log that has the id of a request, or None."""
        with self.lock:
            known = next((edit for edit in self.log.edits() if edit.id == values.get("id")), None)
        if known is not None and known.do != values.get("do"):
            raise UserError(f"not an edit: id: {known.id} is the id of another edit; take a new one.")
        return known

    def check_fits(self, edit: Edit, now: LabelState) -> Edit:
        """The edit that is made, undone or redone; an error where it does not fit the labels."""
        if isinstance(edit, Undo | Redo):
            concerned = now.undo if isinstance(edit, Undo) else now.redo
            if concerned is None:
                raise UserError(f"there is nothing to {edit.do}.")
            return concerned
        check(edit, now.edited, len(self))
        return edit

    def make_split(self, now: LabelState, values: dict[str, Any]) -> Split:
        """The split that a request asks for."""
        cluster, parts = values["cluster"], values.get("parts", 2)
        if cluster not in now.edited.clusters:
            raise UserError(f"there is no cluster {str(cluster)[:20]} (it may have been merged); reload the page.")
        with single_thread():
            return split_by_features(cluster, self.features, now.members(cluster), parts, self.used_numbers(now))

    def used_numbers(self, now: LabelState) -> set[int]:
        """Every number that a cluster has or had, in undone edits too."""
        return now.edited.used_numbers | now.undone_numbers


def same_members(before: LabelState, now: LabelState, cluster: int) -> bool:
    """Whether a cluster has the same items in two states."""
    if before is now:
        return True
    return cluster in now.edited.clusters and np.array_equal(np.sort(before.members(cluster)), np.sort(now.members(cluster)))


# ------------------------------------------------------------------------------------------------------------- reading


def check_files(folder: Path) -> None:
    for name in REQUIRED_FILES:
        if not (folder / name).exists():
            raise UserError(f"{folder}: lacks {name}, which the page needs; copy the whole run folder, or label anew.")


def log_length(folder: Path) -> int:
    try:
        return (folder / LOG).stat().st_size
    except FileNotFoundError:
        return 0


def read_items(run: Run) -> tuple[Paths, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """The paths of the items, of very many ones not read yet, and what `read_labels` gives."""
    file = run.file("labels.parquet")
    if (n := rows_of_table(file)) <= READ_AT_ONCE:
        table = run.raw_labels
        return Paths(table["path"].combine_chunks()), read_labels(table)
    return LazyPaths(n, lambda: run.raw_labels["path"].combine_chunks()), read_labels(read_labels_table(file, with_paths=False))


def read_labels(table: pa.Table) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(N,) labels, int32, (N,) confidences in [0, 1], float32, and (N,) bool, whether an item fits no cluster."""
    labels, confidence = table["label"].to_numpy().astype(np.int32), table["confidence"].to_numpy().astype(np.float32).clip(0, 1)
    outliers = outliers_in(table)
    return labels, confidence, np.zeros(len(labels), bool) if outliers is None else outliers


def read_top_labels(run: Run, n: int) -> tuple[np.ndarray, np.ndarray]:
    """(N, <= 5) best labels, int32, and their probabilities, float16. Raises UserError where they are damaged."""
    file = run.file("top.parquet")
    table = read_table(file, ["labels", "probabilities"], rows=n)
    if not all(is_list_of_numbers(column.type) for column in table.columns):
        raise damaged(file, "holds no best labels")
    labels, probs = numbers_of(table["labels"], np.int32, MAX_LABEL), numbers_of(table["probabilities"], np.float16, math.inf)
    if labels is None or probs is None or len(labels) != len(probs) or len(labels) % max(1, n):
        raise damaged(file, "does not have as many labels for each item, or has impossible ones")
    return labels.reshape(n, -1), probs.reshape(n, -1)


def numbers_of(column: pa.ChunkedArray, kind: Any, most: float) -> np.ndarray | None:
    """The numbers of all lists of a column, one after the other, converted a chunk at a time.

    Args:
        column: of lists of numbers.
        kind: that they are converted to.
        most: the largest that there may be; None is returned where one is larger, or less than 0. Infinite allows any.
    """
    parts = [chunk.flatten() for chunk in column.chunks]
    numbers, start = np.empty(sum(map(len, parts)), kind), 0
    for part in parts:
        values = part.to_numpy(zero_copy_only=False)
        if values.size and most < math.inf and not 0 <= values.min() <= values.max() <= most:
            return None
        numbers[start : start + len(values)] = values
        start += len(values)
    return numbers


def is_list_of_numbers(kind: pa.DataType) -> bool:
    import pyarrow as pa

    return pa.types.is_list(kind) and (pa.types.is_integer(kind.value_type) or pa.types.is_floating(kind.value_type))


@contextmanager
def single_thread() -> Iterator[None]:
    """Limit BLAS and faiss to one thread: on a busy machine, small computations are faster without waiting for other threads."""
    import faiss  # noqa: F401  a library that is not loaded yet cannot be limited
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        yield
