"""Writing the run folder: every file whole or absent, report.json last."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from selflabel.base.files import write_atomically, write_text
from selflabel.base.settings import as_toml
from selflabel.runs.run import FINISHED, csv_text


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
) -> None:
    """Write what is known before training.

    Args:
        folder: of the run; made where it is not there.
        sections: of run.toml: settings, task, worked_out (modality to how it was prepared), machine, versions.
        skipped: (path, reason) of what could not be decoded.
        missing: (path, reason) of files that were not found, of items that are labelled by their features.
    """
    write_text(folder / "run.toml", as_toml(sections))
    write_text(folder / "skipped.csv", csv_text(["path", "reason"], skipped))
    if missing:
        write_text(folder / "missing.csv", csv_text(["path", "reason"], missing))


def write_labelling(folder: Path, labelling: Labelling) -> None:
    """Write everything but the report, which marks the end."""
    import pyarrow as pa

    n = len(labelling.paths)
    ids = np.arange(n, dtype=np.int64)
    confidence = labelling.top_probs[:, 0].astype(np.float32)
    columns = {"id": ids, "path": labelling.paths, "label": labelling.labels.astype(np.int32), "confidence": confidence}
    cells = [range(n), labelling.paths, labelling.labels.tolist(), [f"{c:.4f}" for c in confidence]]
    if labelling.outliers is not None:
        columns["outlier"] = labelling.outliers
        cells.append(labelling.outliers.astype(int).tolist())
    write_text(folder / "labels.csv", csv_text(list(columns), zip(*cells)))
    write_table(folder / "labels.parquet", columns)
    labels, probs = list_column(labelling.top_labels, pa.int32()), list_column(labelling.top_probs, pa.float32())
    write_table(folder / "top.parquet", {"id": ids, "labels": labels, "probabilities": probs})
    if labelling.labels_by_modality:
        by_modality = {m: labels.astype(np.int32) for m, labels in labelling.labels_by_modality.items()}
        write_table(folder / "modalities.parquet", {"id": ids} | by_modality)
    write_array(folder / "features.npy", labelling.features.astype(np.float16))
    write_array(folder / "neighbours.npy", labelling.neighbours.astype(np.int32))
    if labelling.truth is not None:
        write_text(folder / "truth.csv", csv_text(["path", "label"], zip(labelling.paths, labelling.truth)))


def write_report(folder: Path, report: dict[str, Any]) -> None:
    """Write report.json: the run is finished."""
    write_text(folder / FINISHED, json.dumps(report, indent=1) + "\n")


def write_array(file: Path, array: np.ndarray) -> None:
    """Write an .npy file."""
    write_atomically(file, lambda p: np.save(p, array, allow_pickle=False))


def write_table(file: Path, columns: dict[str, Any]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table(columns)
    write_atomically(file, lambda p: pq.write_table(table, p))


def list_column(values: np.ndarray, kind: Any) -> Any:
    """A pyarrow column of lists, one for each row of (N, k) values of a pyarrow type."""
    import pyarrow as pa

    n, k = values.shape
    flat = pa.array(np.ascontiguousarray(values).reshape(-1).astype(kind.to_pandas_dtype()), kind)
    return pa.ListArray.from_arrays(pa.array(np.arange(n + 1, dtype=np.int32) * k), flat)
