"""Writing the run folder: every file whole or absent, report.json last."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from selflabel.base.files import write_text
from selflabel.base.settings import as_toml
from selflabel.items import Pieces
from selflabel.items.piece import short_number
from selflabel.items.skipped import as_skipped
from selflabel.runs.pieces import write_pieces
from selflabel.runs.run import FINISHED, csv_text
from selflabel.runs.tables import list_column, with_nulls, write_array, write_groups, write_lines, write_table


@dataclass(frozen=True)
class Labelling:
    """The result for N items.

    Args:
        paths: (N,) what people see of the items.
        labels: (N,) int.
        top_labels: (N, <= 5) int, the most probable labels.
        top_probs: (N, <= 5) their probabilities in [0, 1].
        features: (N, D) float.
        neighbours: (N, 10) rows of the nearest items.
        skipped: (path, reason) of what was left out.
        truth: (N,) class names, where the source carries them.
        labels_by_modality: modality to (N,) labels predicted from it only, -1 where an item lacks it; empty for one modality.
        outliers: (N,) bool, whether an item fits no cluster; its label is the nearest one. None where that was not asked for.
        pieces: (N,) the pieces of files that the items are; None for whole files.
    """

    paths: Sequence[str]
    labels: np.ndarray
    top_labels: np.ndarray
    top_probs: np.ndarray
    features: np.ndarray
    neighbours: np.ndarray
    skipped: list[tuple[str, str]]
    truth: list[str] | None
    labels_by_modality: dict[str, np.ndarray] = field(default_factory=dict)
    outliers: np.ndarray | None = None
    pieces: Pieces | None = None

    @property
    def fitting_labels(self) -> np.ndarray:
        """(N,) labels, -1 for an item that fits no cluster."""
        return self.labels if self.outliers is None else np.where(self.outliers, -1, self.labels)

    @property
    def labels_in_use(self) -> np.ndarray:
        """The labels that have items which fit them, in ascending order."""
        return used_labels(self.labels, self.outliers)


def used_labels(labels: np.ndarray, outliers: np.ndarray | None) -> np.ndarray:
    """The labels that have items, in ascending order.

    Args:
        labels: (N,) int, -1 for none.
        outliers: (N,) bool, items that do not count, because they fit no cluster; None for none.
    """
    return np.unique(labels[(labels >= 0) & (True if outliers is None else ~outliers)])


def write_start(
    folder: Path,
    sections: dict[str, Any],
    skipped: Sequence[tuple[str, str]] = (),
    missing: Sequence[tuple[str, str]] = (),
    paths: Sequence[str] = (),
    pieces: Pieces | None = None,
) -> None:
    """Write what is known before training.

    Args:
        folder: of the run; made where it is not there.
        sections: of run.toml: settings, task, worked_out (modality to how it was prepared), machine, versions.
        skipped: (path, reason) of what could not be decoded, with its piece where it has one (see `items.skipped`).
        missing: (path, reason) of files that were not found, of items that are labelled by their features.
        paths: (N,) of the items; needed where they are pieces only.
        pieces: (N,) the pieces of files that the items are; None for whole files.
    """
    write_text(folder / "run.toml", as_toml(sections))
    write_text(folder / "skipped.csv", skipped_csv(skipped))
    if missing:
        write_text(folder / "missing.csv", csv_text(["path", "reason"], missing))
    if pieces is not None:
        write_pieces(folder, paths, pieces)


def write_labelling(folder: Path, labelling: Labelling) -> None:
    """Write everything but the report, which marks the end."""
    write_labels(folder, labelling)
    write_array(folder / "features.npy", labelling.features.astype(np.float16))
    write_array(folder / "neighbours.npy", labelling.neighbours.astype(np.int32))


def write_labels(folder: Path, labelling: Labelling) -> None:
    """Write the tables of the labels, some rows at a time: those of ten million items as Python objects would take 10 GB."""
    import pyarrow as pa

    n, piece = len(labelling.paths), {} if labelling.pieces is None else labelling.pieces.columns()
    paths, labels, probs, outliers = labelling.paths, labelling.labels, labelling.top_probs, labelling.outliers

    def numbers(rows: slice) -> tuple[dict[str, Any], dict[str, Any]]:
        ids = np.arange(rows.start, rows.stop, dtype=np.int64)
        return {"id": ids}, {name: with_nulls(column[rows]) for name, column in piece.items()}

    def columns(rows: slice) -> dict[str, Any]:
        ids, places = numbers(rows)
        own = labels[rows].astype(np.int32), probs[rows, 0].astype(np.float32)
        table = ids | {"path": pa.array(list(paths[rows]), pa.string())} | places | dict(zip(("label", "confidence"), own))
        return table if outliers is None else table | {"outlier": outliers[rows]}

    def top(rows: slice) -> dict[str, Any]:
        ids, places = numbers(rows)
        best = list_column(labelling.top_labels[rows], pa.int32()), list_column(probs[rows], pa.float32())
        return ids | places | dict(zip(("labels", "probabilities"), best))

    def cells(rows: slice) -> list[Any]:
        texts = [piece_cells(column[rows]) for column in piece.values()]
        confidence = [f"{c:.4f}" for c in probs[rows, 0].astype(np.float32)]
        line = [range(rows.start, rows.stop), paths[rows], *texts, labels[rows].tolist(), confidence]
        return line if outliers is None else [*line, outliers[rows].astype(int).tolist()]

    names = ["id", "path", *piece, "label", "confidence", *([] if outliers is None else ["outlier"])]
    write_lines(folder / "labels.csv", names, n, cells)
    write_groups(folder / "labels.parquet", n, columns)
    write_groups(folder / "top.parquet", n, top)
    if labelling.labels_by_modality:
        by_modality = {m: labels.astype(np.int32) for m, labels in labelling.labels_by_modality.items()}
        write_table(folder / "modalities.parquet", {"id": np.arange(n, dtype=np.int64)} | by_modality)
    truth = labelling.truth
    if truth is not None:
        write_lines(
            folder / "truth.csv",
            ["path", *piece, "label"],
            n,
            lambda rows: [paths[rows], *(piece_cells(column[rows]) for column in piece.values()), truth[rows]],
        )


def skipped_csv(skipped: Sequence[tuple[str, str]]) -> str:
    """The table skipped.csv: path, reason, and the piece of the file where something left out is one."""
    entries = [as_skipped(entry) for entry in skipped]
    pieces = Pieces.of([entry.piece for entry in entries]).columns()
    cells = [[entry[0] for entry in entries], [entry.text for entry in entries], *map(piece_cells, pieces.values())]
    return csv_text(["path", "reason", *pieces], zip(*cells))


def piece_cells(column: np.ndarray) -> list[str]:
    """(N,) seconds or pixels as texts of at most three digits after the point; "" for NaN.

    Example:
        >>> piece_cells(np.array([1.5, 20.0, 0.33333, np.nan]))
        ['1.5', '20', '0.333', '']
    """
    return ["" if value != value else short_number(value) for value in column.tolist()]


def write_report(folder: Path, report: dict[str, Any]) -> None:
    """Write report.json: the run is finished."""
    write_text(folder / FINISHED, json.dumps(report, indent=1) + "\n")
