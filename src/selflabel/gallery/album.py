"""A run as the page shows it: its labels with the edits applied, and what follows from them, kept until the log grows.

N items, K clusters. A state is never changed once made, so that requests in other threads can read it while the next is made.
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
from selflabel.edits import LOG, REJECTED, Edit, Edited, Reader, append, check, continued, parse, unedited, used_numbers
from selflabel.edits import make_split as split_by_features
from selflabel.edits.applying import resolved
from selflabel.evaluation.typical import grouped, neighbour_agreement, sureness_of
from selflabel.runs.run import Run, read_truth
from selflabel.runs.sources import Paths, paths_of

KEPT_STATES = 12  # steps that undo takes back at once; more are worked out from the start
MOST_PARTS = 100
NEEDED = ("labels.parquet", "top.parquet", "neighbours.npy", "features.npy")


@dataclass(frozen=True)
class State:
    """The labelling after some edits.

    version: length of the log in bytes: it only grows. standing: ids of the edits that stand. edited: their work.
    undo, redo: the edits that these would take back and bring back, or None. undone: numbers that edits now
    taken back had for clusters. agreement: (N,) share of nearest neighbours with
    the same label, in 255ths. sureness: (N,) of confidence and agreement together, 0 to 65535. settled: (N,) whether a person
    decided on the item itself. order, starts: rows by label, most typical first, and where each label from -1 on begins.
    """

    version: int
    standing: tuple[str, ...]
    edited: Edited
    undo: Edit | None
    redo: Edit | None
    undone: set[int]
    labels: np.ndarray
    agreement: np.ndarray
    sureness: np.ndarray
    settled: np.ndarray
    order: np.ndarray
    starts: np.ndarray

    def members(self, cluster: int) -> np.ndarray:
        """A cluster's rows, most typical first."""
        return self.order[self.starts[cluster + 1] : self.starts[cluster + 2]]

    @property
    def rejected(self) -> np.ndarray:
        return self.members(REJECTED)

    @cached_property
    def sizes(self) -> np.ndarray:
        """(largest number + 1,) items of every cluster."""
        return np.diff(self.starts)[1:]


class Album:
    """A finished run, opened for looking at and for mending."""

    def __init__(self, run: Run, truth: Path | None = None):
        import pyarrow.parquet as pq

        self.run, self.folder = run, run.folder
        for name in NEEDED:
            if not (run.folder / name).exists():
                raise UserError(f"{run.folder}: lacks {name}, which the page needs; copy the whole run folder, or label anew.")
        self.paths: Paths = paths_of(run)
        table = pq.read_table(self.folder / "labels.parquet", columns=["label", "confidence"])
        self.raw = table["label"].to_numpy().astype(np.int32)
        self.confidence = table["confidence"].to_numpy().astype(np.float32).clip(0, 1)
        self.top_labels, self.top_probs = read_top(self.folder / "top.parquet")
        self.neighbours = np.load(self.folder / "neighbours.npy", mmap_mode="r", allow_pickle=False)
        self.features = run.features
        self.classes, self.truth = read_classes(run, self.paths, truth)
        self.lock = threading.Lock()
        self.states: list[State] = []
        self.first, self.log = unedited(self.raw), Reader(run.folder)

    def __len__(self) -> int:
        return len(self.raw)

    # ------------------------------------------------------------------------------------------------------- reading

    @property
    def state(self) -> State:
        """The labelling as the log has it now."""
        with self.lock:
            version = log_length(self.folder)
            if not self.states or self.states[-1].version != version:
                self.states = [*self.states, self.next_state(version)][-KEPT_STATES:]
            return self.states[-1]

    def next_state(self, version: int) -> State:
        edits = self.log.edits()
        standing, undone = resolved(edits)
        ids = tuple(e.id for e in standing)
        before = max(
            (s for s in self.states if s.standing == ids[: len(s.standing)]), key=lambda s: len(s.standing), default=None
        )
        ends: dict[str, Any] = {
            "version": version,
            "undo": standing[-1] if standing else None,
            "redo": undone[-1] if undone else None,
            "undone": used_numbers(self.raw[:0], edits),
        }
        if before and before.standing == ids:
            return replace(before, **ends)
        return self.worked_out(before, standing, ids, ends)

    def worked_out(self, before: State | None, standing: list[Edit], ids: tuple[str, ...], ends: dict[str, Any]) -> State:
        """The state after the standing edits, from one before some of them or from the run's own labels."""
        new = standing[len(before.standing) if before else 0 :]
        edited = continued(before.edited if before else self.first, self.features, new)
        settled = before.settled.copy() if before else np.zeros(len(self), bool)
        for edit in new:
            settled[getattr(edit, "items", [])] = True
        labels = edited.labels
        agreement = neighbour_agreement(labels, self.neighbours)
        sureness = sureness_of(self.confidence, agreement)
        order, starts = grouped(labels, sureness, max(edited.clusters, default=0))
        return State(
            standing=ids, edited=edited, labels=labels, agreement=agreement, sureness=sureness, settled=settled,
            order=order, starts=starts, **ends,
        )  # fmt: skip

    # ------------------------------------------------------------------------------------------------------- mending

    def edit(self, values: dict) -> State:
        """Add an edit to the log; the state after it.

        Raises:
            UserError: it does not fit.
        """
        now = self.state
        if values.get("do") in ("undo", "redo") and getattr(now, values["do"]) is None:
            raise UserError(f"there is nothing to {values['do']}.")
        edit = self.split(now, values) if values.get("do") == "split" else parse(values)
        check(edit, now.edited, len(self))
        append(self.folder, edit)
        return self.state

    def split(self, now: State, values: dict) -> Edit:
        cluster, parts = values.get("cluster"), values.get("parts", 2)
        if not isinstance(cluster, int) or cluster not in now.edited.clusters:
            raise UserError(f"there is no cluster {cluster} (it may have been merged); look at the clusters anew.")
        if not isinstance(parts, int) or not 2 <= parts <= MOST_PARTS:
            raise UserError(f"{parts} parts cannot be made; ask for 2 to {MOST_PARTS}.")
        with one_thread():
            return split_by_features(cluster, self.features, now.members(cluster), parts, self.used(now))

    def used(self, now: State) -> set[int]:
        """Every number that was ever a cluster's, those of undone edits too."""
        return now.edited.used | now.undone


# ------------------------------------------------------------------------------------------------------------- reading


def log_length(folder: Path) -> int:
    try:
        return (folder / LOG).stat().st_size
    except FileNotFoundError:
        return 0


def read_top(file: Path) -> tuple[np.ndarray, np.ndarray]:
    """(N, <= 5) best labels, int32, and their probabilities, float16."""
    import pyarrow.parquet as pq

    table = pq.read_table(file, columns=["labels", "probabilities"])
    n = table.num_rows
    labels, probs = (table[c].combine_chunks().flatten().to_numpy(zero_copy_only=False) for c in table.column_names)
    return labels.reshape(n, -1).astype(np.int32), probs.reshape(n, -1).astype(np.float16)


def read_classes(run: Run, paths: Paths, truth: Path | None) -> tuple[list[str], np.ndarray | None]:
    """Names of the true classes, and (N,) which one each item is of, -1 where that is not known; None without truth.

    Raises:
        UserError: the file has no truth of this run.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    file = truth or run.folder / "truth.csv"
    if truth is None and not file.exists():
        return [], None
    named, classes = truth_columns(file)
    names = classes.dictionary_encode()
    rows = pc.index_in(pa.array(paths), named)
    if rows.null_count == len(rows):
        raise UserError(f"{file}: none of its paths is in {run.folder}; the run's first is {paths[0]}.")
    codes = names.indices.take(rows).fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int32)
    return [str(c) for c in names.dictionary.to_pylist()], codes


def truth_columns(file: Path) -> tuple[Any, Any]:
    """Paths and classes as packed columns; a million lines as Python strings would take half a gigabyte."""
    import pyarrow as pa
    import pyarrow.csv

    from selflabel.items import TRUTH_COLUMNS

    if file.suffix.lower() == ".csv" and file.exists():
        parse = pyarrow.csv.ParseOptions(newlines_in_values=True)
        try:
            head = pyarrow.csv.open_csv(file, parse_options=parse).schema.names
            column = next((c for c in TRUTH_COLUMNS if c in head), None)
            if "path" in head and column:
                text = {"path": pa.string(), column: pa.string()}
                options = pyarrow.csv.ConvertOptions(column_types=text, include_columns=["path", column])
                table = pyarrow.csv.read_csv(file, parse_options=parse, convert_options=options)
                return table["path"].combine_chunks(), table[column].combine_chunks()
        except pa.ArrowInvalid:
            pass  # read_truth says what is wrong with it
    known = read_truth(file)
    return pa.array(list(known), pa.string()), pa.array(list(known.values()), pa.string())


@contextmanager
def one_thread() -> Iterator[None]:
    """Small sums on one thread: a page must answer while the machine is busy, and threads that wait for one another do not."""
    import faiss  # noqa: F401  what is not loaded yet is not limited
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        yield
