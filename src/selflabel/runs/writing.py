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
from selflabel.runs.tables import list_column, with_nulls, write_array, write_table


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

    paths: list[str]
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
    import pyarrow as pa

    n = len(labelling.paths)
    ids = np.arange(n, dtype=np.int64)
    confidence = labelling.top_probs[:, 0].astype(np.float32)
    piece = {} if labelling.pieces is None else labelling.pieces.columns()
    numbers = {name: with_nulls(column) for name, column in piece.items()}
    labels = labelling.labels.astype(np.int32)
    columns = {"id": ids, "path": labelling.paths, **numbers, "label": labels, "confidence": confidence}
    texts = [piece_cells(column) for column in piece.values()]
    cells = [range(n), labelling.paths, *texts, labelling.labels.tolist(), [f"{c:.4f}" for c in confidence]]
    if labelling.outliers is not None:
        columns["outlier"] = labelling.outliers
        cells.append(labelling.outliers.astype(int).tolist())
    write_text(folder / "labels.csv", csv_text(list(columns), zip(*cells)))
    write_table(folder / "labels.parquet", columns)
    top, probs = list_column(labelling.top_labels, pa.int32()), list_column(labelling.top_probs, pa.float32())
    write_table(folder / "top.parquet", {"id": ids, **numbers, "labels": top, "probabilities": probs})
    if labelling.labels_by_modality:
        by_modality = {m: labels.astype(np.int32) for m, labels in labelling.labels_by_modality.items()}
        write_table(folder / "modalities.parquet", {"id": ids} | by_modality)
    write_array(folder / "features.npy", labelling.features.astype(np.float16))
    write_array(folder / "neighbours.npy", labelling.neighbours.astype(np.int32))
    if labelling.truth is not None:
        write_text(folder / "truth.csv", csv_text(["path", *piece, "label"], zip(labelling.paths, *texts, labelling.truth)))


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
