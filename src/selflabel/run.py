"""THE PRODUCT: the run folder. One writer, one reader, every file whole or absent.

It holds all that the page and the exports need, without a model: labels.csv and .parquet, top.parquet, features.npy,
neighbours.npy, report.json, clusters.png, metrics.jsonl, skipped.csv, truth.csv, run.toml, and model.safetensors for
`predict`. `checkpoint/` is what a cut run resumes from.
"""

from __future__ import annotations

import csv
import io
import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from selflabel.errors import UserError
from selflabel.files import write_text, write_whole
from selflabel.items import TRUTH_COLUMNS
from selflabel.settings import Settings, as_toml, differences, read_toml

FINISHED = "report.json"  # written last


@dataclass(frozen=True)
class Labelling:
    """What a finished labelling says of its N items.

    paths: as people see them. labels: (N,) int. top_labels, top_probs: (N, <= 5) best labels and their probabilities.
    features: (N, D). neighbours: (N, 10) rows. skipped: (path, reason). truth: (N,) text or None.
    """

    paths: list[str]
    labels: np.ndarray
    top_labels: np.ndarray
    top_probs: np.ndarray
    features: np.ndarray
    neighbours: np.ndarray
    skipped: list[tuple[str, str]]
    truth: list[str] | None
    alone: dict[str, np.ndarray] = field(default_factory=dict)


@dataclass(frozen=True)
class Run:
    """A run folder, finished or not."""

    folder: Path

    # ------------------------------------------------------------------------------------------------------- reading

    @classmethod
    def open(cls, folder: str | Path) -> Run:
        """A finished run.

        Raises:
            UserError: no run is there, or it is unfinished.
        """
        run = cls(Path(folder))
        if not run.is_finished:
            what = "is not finished; `selflabel label ... --resume` completes it" if run.exists else "holds no run"
            raise UserError(f"{folder}: {what}; a finished run folder has report.json and labels.csv.")
        return run

    @property
    def exists(self) -> bool:
        return (self.folder / "run.toml").exists() or (self.folder / "checkpoint").exists()

    @property
    def is_finished(self) -> bool:
        return (self.folder / FINISHED).exists()

    @property
    def report(self) -> dict[str, Any]:
        return json.loads((self.folder / FINISHED).read_text(encoding="utf-8"))

    @property
    def recorded(self) -> dict[str, Any]:
        """run.toml as sections: settings, task, versions."""
        return read_toml(self.folder / "run.toml")

    @property
    def labels(self):
        """A pyarrow table: id, path, label, confidence."""
        import pyarrow.parquet

        return pyarrow.parquet.read_table(self.folder / "labels.parquet")

    @property
    def features(self) -> np.ndarray:
        """(N, D) float16, memory-mapped."""
        return np.load(self.folder / "features.npy", mmap_mode="r", allow_pickle=False)

    @property
    def alone(self) -> dict[str, np.ndarray]:
        """Modality to (N,) labels that it gives by itself, -1 where an item lacks it; empty for a run of one modality."""
        import pyarrow.parquet

        file = self.folder / "modalities.parquet"
        if not file.exists():
            return {}
        table = pyarrow.parquet.read_table(file)
        return {m: table[m].to_numpy() for m in table.column_names if m != "id"}

    @property
    def truth(self) -> dict[str, str] | None:
        """path -> class, where the source carried truth."""
        file = self.folder / "truth.csv"
        return read_truth(file) if file.exists() else None

    # ------------------------------------------------------------------------------------------------------- writing

    def claim(self, settings: Settings, resume: bool, overwrite: bool) -> None:
        """Make the folder this run's own, or refuse: another run's work is never mixed in or lost unasked.

        Raises:
            UserError: a run is there and neither `resume` nor `overwrite` was given, or it was made with other settings.
        """
        if self.folder.exists() and not self.folder.is_dir():
            raise UserError(f"{self.folder}: is a file; give another folder with --out.")
        if overwrite:
            self.clear()
        elif self.exists:
            state = "a finished" if self.is_finished else "an unfinished"
            if not resume:
                raise UserError(f"{self.folder}: holds {state} run; add --resume to go on with it or --overwrite to replace it.")
            if (self.folder / "run.toml").exists():
                changed = differences(self.recorded.get("settings", {}), settings)
                if changed:
                    text = "; ".join(changed)
                    raise UserError(f"{self.folder}: --resume with other settings ({text}); use the old ones, or --overwrite.")
        elif self.folder.exists() and any(self.folder.iterdir()):
            raise UserError(f"{self.folder}: is a folder of other things; give an empty or new one with --out.")

    def clear(self) -> None:
        """Delete what a run wrote, and only if a run did write it."""
        if not self.folder.exists() or not any(self.folder.iterdir()):
            return
        if not self.exists:
            raise UserError(f"{self.folder}: --overwrite only replaces a run folder, and this is none; give another with --out.")
        (self.folder / FINISHED).unlink(missing_ok=True)
        shutil.rmtree(self.folder)

    def write_record(self, sections: dict[str, Any]) -> None:
        write_text(self.folder / "run.toml", as_toml(sections))

    def write_labelling(self, found: Labelling) -> None:
        """Everything but the report, which marks the end."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        n = len(found.paths)
        confidence = found.top_probs[:, 0].astype(np.float32)
        columns = {
            "id": np.arange(n, dtype=np.int64),
            "path": found.paths,
            "label": found.labels.astype(np.int32),
            "confidence": confidence,
        }
        rows = zip(range(n), found.paths, found.labels.tolist(), [f"{c:.4f}" for c in confidence])
        write_text(self.folder / "labels.csv", csv_text(["id", "path", "label", "confidence"], rows))
        write_whole(self.folder / "labels.parquet", lambda p: pq.write_table(pa.table(columns), p))
        top = pa.table(
            {
                "id": columns["id"],
                "labels": pa.array(found.top_labels.astype(np.int32).tolist(), pa.list_(pa.int32())),
                "probabilities": pa.array(found.top_probs.astype(np.float32).tolist(), pa.list_(pa.float32())),
            }
        )
        write_whole(self.folder / "top.parquet", lambda p: pq.write_table(top, p))
        if found.alone:
            by = pa.table({"id": columns["id"]} | {m: labels.astype(np.int32) for m, labels in found.alone.items()})
            write_whole(self.folder / "modalities.parquet", lambda p: pq.write_table(by, p))
        self.write_array("features.npy", found.features.astype(np.float16))
        self.write_array("neighbours.npy", found.neighbours.astype(np.int32))
        write_text(self.folder / "skipped.csv", csv_text(["path", "reason"], found.skipped))
        if found.truth is not None:
            write_text(self.folder / "truth.csv", csv_text(["path", "label"], zip(found.paths, found.truth)))

    def write_array(self, name: str, array: np.ndarray) -> None:
        write_whole(self.folder / name, lambda p: np.save(p, array, allow_pickle=False))

    def write_report(self, report: dict[str, Any]) -> None:
        write_text(self.folder / FINISHED, json.dumps(report, indent=1) + "\n")


def csv_text(header: list[str], rows) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue()


def read_truth(file: Path) -> dict[str, str]:
    """path -> class from a CSV with the columns path and label (or truth, or class).

    Raises:
        UserError: the file is not there or lacks the columns.
    """
    found = read_column(file, TRUTH_COLUMNS)
    if found is None:
        raise UserError(f"{file}: a truth file needs the columns 'path' and 'label'.")
    return found


def read_column(file: Path, names: tuple[str, ...]) -> dict[str, str] | None:
    """path -> the first of these columns that is there; None where none is, or no path.

    Raises:
        UserError: the file is not there.
    """
    from selflabel.items import read_rows

    if not file.exists():
        raise UserError(f"{file}: there is no such truth file.")
    rows = read_rows(file)
    column = next((name for name in names if rows and name in rows[0]), None)
    if column is None or "path" not in rows[0]:
        return None
    return {str(row["path"]): str(row[column]) for row in rows}
