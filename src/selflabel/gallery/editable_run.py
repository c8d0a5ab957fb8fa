"""A finished run opened for browsing and editing: its labels after all edits, recomputed when the edit log grows.

N items, K clusters. A LabelState never changes once it is built, so that request threads can read it while the next is built.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from selflabel.base.errors import UserError
from selflabel.edits import (
    LOG,
    REJECTED,
    Edit,
    EditedLabels,
    LogReader,
    append,
    apply_in_order,
    check,
    parse,
    resolve_undo,
    unedited_labels,
    used_numbers,
)
from selflabel.edits import make_split as split_by_features
from selflabel.evaluation.typical import neighbour_agreement, rows_by_label, typicality
from selflabel.runs.reading import MAX_LABEL, damaged, read_table
from selflabel.runs.run import Paths, Run, is_class, read_truth

CACHED_STATES = 12  # undo goes back this many steps without recomputing
MAX_SPLIT_PARTS = 100
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
    order: np.ndarray
    starts: np.ndarray

    def members(self, cluster: int) -> np.ndarray:
        """Rows of a cluster, most typical first."""
        return self.order[self.starts[cluster + 1] : self.starts[cluster + 2]]

    @property
    def rejected(self) -> np.ndarray:
        """Rows of the rejected items."""
        return self.members(REJECTED)

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
        self.paths: Paths = run.paths
        self.raw_labels, self.confidence = read_labels(run)
        self.top_labels, self.top_probs = read_top_labels(run, len(self.raw_labels))
        self.neighbours = run.neighbours
        self.features = run.features
        self.classes, self.truth = read_truth_classes(run, self.paths, truth)
        self.log = LogReader(run.folder)
        self.without_edits = unedited_labels(self.raw_labels)
        self.lock = threading.Lock()
        self.cached_states: list[LabelState] = []

    def __len__(self) -> int:
        return len(self.raw_labels)

    # ------------------------------------------------------------------------------------------------------- reading

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
            order=order, starts=starts, **history,
        )  # fmt: skip

    # ------------------------------------------------------------------------------------------------------- editing

    def add_edit(self, values: dict) -> LabelState:
        """Append one edit to the log.

        Args:
            values: `do` and the fields of that kind of edit; for a split, `cluster` and the number of `parts`.

        Returns:
            The state after it.

        Raises:
            UserError: the edit does not fit the labels as they are now.
        """
        now = self.state
        if values.get("do") in ("undo", "redo") and getattr(now, values["do"]) is None:
            raise UserError(f"there is nothing to {values['do']}.")
        edit = self.make_split(now, values) if values.get("do") == "split" else parse(values)
        check(edit, now.edited, len(self))
        append(self.folder, edit)
        return self.state

    def make_split(self, now: LabelState, values: dict) -> Edit:
        cluster, parts = values.get("cluster"), values.get("parts", 2)
        if not isinstance(cluster, int) or cluster not in now.edited.clusters:
            raise UserError(f"there is no cluster {cluster} (it may have been merged); reload the page.")
        if not isinstance(parts, int) or not 2 <= parts <= MAX_SPLIT_PARTS:
            raise UserError(f"{parts} parts cannot be made; ask for 2 to {MAX_SPLIT_PARTS}.")
        with single_thread():
            return split_by_features(cluster, self.features, now.members(cluster), parts, self.used_numbers(now))

    def used_numbers(self, now: LabelState) -> set[int]:
        """Every number that a cluster has or had, in undone edits too."""
        return now.edited.used_numbers | now.undone_numbers


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


def read_labels(run: Run) -> tuple[np.ndarray, np.ndarray]:
    """(N,) labels, int32, and (N,) confidences in [0, 1], float32."""
    table = run.raw_labels
    return table["label"].to_numpy().astype(np.int32), table["confidence"].to_numpy().astype(np.float32).clip(0, 1)


def read_top_labels(run: Run, n: int) -> tuple[np.ndarray, np.ndarray]:
    """(N, <= 5) best labels, int32, and their probabilities, float16. Raises UserError where they are damaged."""
    file = run.file("top.parquet")
    table = read_table(file, ["labels", "probabilities"], rows=n)
    labels, probs = (table[c].combine_chunks().flatten().to_numpy(zero_copy_only=False) for c in table.column_names)
    if (
        len(labels) != len(probs)
        or len(labels) % max(1, n)
        or (labels.size and not 0 <= labels.min() <= labels.max() <= MAX_LABEL)
    ):
        raise damaged(file, "does not have as many labels for each item, or has impossible ones")
    return labels.reshape(n, -1).astype(np.int32), probs.reshape(n, -1).astype(np.float16)


def read_truth_classes(run: Run, paths: Paths, truth: Path | None) -> tuple[list[str], np.ndarray | None]:
    """Names of the true classes and (N,) each item's class index, -1 where it is unknown; None without any truth.

    Raises:
        UserError: the file has no truth of this run.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    file = truth or run.folder / "truth.csv"
    if truth is None and not file.exists():
        return [], None
    truth_paths, classes = read_truth_columns(file)
    encoded = classes.dictionary_encode()
    are_classes = pa.array([c is not None and is_class(c) for c in encoded.dictionary.to_pylist()], pa.bool_())
    known = pc.fill_null(are_classes.take(encoded.indices), False)
    truth_paths, encoded = truth_paths.filter(known), classes.filter(known).dictionary_encode()
    if not len(truth_paths) and truth is None:  # the source has a column of classes, and all its cells are empty
        return [], None
    rows = pc.index_in(pa.array(paths), truth_paths)
    if rows.null_count == len(rows):
        raise UserError(f"{file}: none of its paths is in {run.folder}; the run's first is {paths[0]}.")
    codes = encoded.indices.take(rows).fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int32)
    return [str(c) for c in encoded.dictionary.to_pylist()], codes


def read_truth_columns(file: Path) -> tuple[Any, Any]:
    """Paths and classes as pyarrow arrays; a million lines as Python strings would take half a gigabyte."""
    import pyarrow as pa

    if file.suffix.lower() == ".csv" and file.exists():
        try:
            columns = read_csv_columns(file)
        except pa.ArrowInvalid:
            columns = None  # read_truth raises an error that says what is wrong with the file
        if columns:
            return columns
    by_path = read_truth(file)
    return pa.array(list(by_path), pa.string()), pa.array(list(by_path.values()), pa.string())


def read_csv_columns(file: Path) -> tuple[Any, Any] | None:
    """The columns of paths and of classes; None where the CSV lacks one."""
    import pyarrow as pa
    import pyarrow.csv

    from selflabel.items import TRUTH_COLUMNS

    parse_options = pyarrow.csv.ParseOptions(newlines_in_values=True)
    header = pyarrow.csv.open_csv(file, parse_options=parse_options).schema.names
    column = next((c for c in TRUTH_COLUMNS if c in header), None)
    if "path" not in header or column is None:
        return None
    text = {"path": pa.string(), column: pa.string()}
    options = pyarrow.csv.ConvertOptions(column_types=text, include_columns=["path", column])
    table = pyarrow.csv.read_csv(file, parse_options=parse_options, convert_options=options)
    return table["path"].combine_chunks(), table[column].combine_chunks()


@contextmanager
def single_thread() -> Iterator[None]:
    """Limit BLAS and faiss to one thread: on a busy machine, small computations are faster without waiting for other threads."""
    import faiss  # noqa: F401  a library that is not loaded yet cannot be limited
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        yield
