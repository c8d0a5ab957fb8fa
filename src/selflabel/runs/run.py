"""THE PRODUCT: the run folder. One writer, one reader, every file whole or absent.

It holds all that the page and the exports need, without a model: labels.csv and .parquet, top.parquet, features.npy,
neighbours.npy, report.json, clusters.png, metrics.jsonl, skipped.csv, truth.csv, run.toml, and model.safetensors for
`predict`. `checkpoint/` is what a cut run resumes from. What people changed since lies in edits.jsonl and is applied on reading.
"""

from __future__ import annotations

import csv
import io
import itertools
import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from selflabel.edits import LOG, Edit, Edited, apply, read_edits
from selflabel.base.errors import UserError
from selflabel.base.files import held, write_text, write_whole
from selflabel.items import TRUTH_COLUMNS, read_rows
from selflabel.base.settings import Settings, as_toml, differences, read_toml

if TYPE_CHECKING:
    import pyarrow as pa
    from PIL.Image import Image

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
    def labels(self) -> pa.Table:
        """A pyarrow table with edits applied: id, path, label (-1 for a rejected item), confidence, name (null without one)."""
        import pyarrow as pa

        raw = self.raw_labels
        found = self.edited(raw)
        known = pa.array([*(found.names.get(c) for c in found.clusters), None], pa.string())
        places = np.searchsorted(found.clusters, found.under)
        places[found.rejected] = len(found.clusters)
        edited = raw.set_column(raw.schema.get_field_index("label"), "label", pa.array(found.labels))
        return edited.append_column("name", known.take(pa.array(places)))

    @property
    def raw_labels(self) -> pa.Table:
        """A pyarrow table as the run wrote it: id, path, label, confidence."""
        import pyarrow.parquet

        return pyarrow.parquet.read_table(self.folder / "labels.parquet")

    def edits(self) -> list[Edit]:
        """What people changed, oldest first, with every undo and redo."""
        return read_edits(self.folder)

    def edited(self, raw: pa.Table | None = None, edits: list[Edit] | None = None) -> Edited:
        """The labelling with edits applied: labels, names and clusters. `raw` and `edits` save reading them again."""
        table = self.raw_labels if raw is None else raw
        features = self.features if (self.folder / "features.npy").exists() else None
        return apply(table["label"].to_numpy(), features, self.edits() if edits is None else edits)

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

    @cached_property
    def truth(self) -> dict[str, str] | None:
        """path -> class, where the source carried truth."""
        file = self.folder / "truth.csv"
        return read_truth(file) if file.exists() else None

    def show(self, across: int = 16, source: str | None = None, raw: bool = False, follow_links: bool = False) -> Image:
        """A contact sheet of the clusters, edits applied; a notebook shows it by itself.

        Args:
            across: items shown a cluster, its surest ones.
            source: where the items are now, where that is not what run.toml says.
            raw: leave edits aside.
            follow_links: read what links in the source lead to, wherever that is.

        Raises:
            UserError: none of the items to be shown can be read.
        """
        from selflabel.evaluation.sheet import contact_sheet

        table = self.raw_labels
        edited = None if raw else self.edited(table)
        labels, names = (table["label"].to_numpy(), {}) if edited is None else (edited.labels, edited.names)
        gone: dict[int, str] = {}
        seen: set[int] = set()
        pictures = self.pictures(table, source, follow_links, seen, gone)
        sheet = contact_sheet(labels, table["confidence"].to_numpy(), pictures, across, names)
        if gone and not seen:
            raise UserError(f"{self.folder}: none of its items can be shown; the first: {next(iter(gone.values()))}.")
        return sheet

    def pictures(
        self, raw: pa.Table, source: str | None, follow_links: bool, seen: set[int], gone: dict[int, str]
    ) -> Callable[[int], np.ndarray]:
        """row -> (H, W[, 3]) uint8, and a grey tile for an item that cannot be read; which it was goes into `seen` and `gone`."""
        import io

        from PIL import Image

        from selflabel.runs.sources import Missing, Paths, open_source
        from selflabel.runs.thumbs import reader

        paths = Paths(raw["path"].combine_chunks())
        read = reader(self.folder / "thumbs", open_source(self, paths, source, follow_links)[0], len(raw))

        def picture(row: int) -> np.ndarray:
            try:
                found = np.asarray(Image.open(io.BytesIO(read(row))))
            except Missing as why:
                gone[row] = str(why)
                return np.full((8, 8), 200, np.uint8)
            seen.add(row)
            return found

        return picture

    # ------------------------------------------------------------------------------------------------------- writing

    @contextmanager
    def claimed(self, settings: Settings, resume: bool, overwrite: bool) -> Iterator[None]:
        """Make the folder this run's own for a while, or refuse: another run's work is never mixed in or lost unasked.

        Raises:
            UserError: a run is there and neither `resume` nor `overwrite` was given, or it was made with other settings, or
            another process is at work in it.
        """
        if self.folder.exists() and not self.folder.is_dir():
            raise UserError(f"{self.folder}: is a file; give another folder with --out.")
        with ExitStack() as stack:
            try:
                stack.enter_context(held(self.folder))
            except BlockingIOError:
                text = "another process is labelling into it; wait for it or stop it, or give another folder with --out."
                raise UserError(f"{self.folder}: {text}") from None
            except OSError as error:
                reason = error.strerror or error
                raise UserError(f"{self.folder}: cannot be made ({reason}); give another folder with --out.") from error
            self.refuse_others(settings, resume, overwrite)
            yield

    def refuse_others(self, settings: Settings, resume: bool, overwrite: bool) -> None:
        """Raise where what is in the folder would be mixed in or lost; delete what was asked to be overwritten."""
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
        elif any(self.folder.iterdir()):
            raise UserError(f"{self.folder}: is a folder of other things; give an empty or new one with --out.")

    def clear(self) -> None:
        """Delete what a run wrote, and only if a run did write it; the folder itself is held and stays."""
        if not any(self.folder.iterdir()):
            return
        if not self.exists:
            raise UserError(f"{self.folder}: --overwrite only replaces a run folder, and this is none; give another with --out.")
        self.keep_edits()
        (self.folder / FINISHED).unlink(missing_ok=True)
        for place in self.folder.iterdir():
            shutil.rmtree(place) if place.is_dir() and not place.is_symlink() else place.unlink()

    def keep_edits(self) -> None:
        """A person's work is not deleted with the run it was done on: the log is set aside, beside the folder."""
        log = self.folder / LOG
        if log.exists():
            aside = (self.folder.with_name(f"{self.folder.name}-edits-{i}.jsonl") for i in itertools.count(1))
            log.rename(next(file for file in aside if not file.exists()))

    def write_start(self, sections: dict[str, Any], skipped: Sequence[tuple[str, str]] = ()) -> None:
        """What is known before training: every setting, and what could not be decoded."""
        write_text(self.folder / "run.toml", as_toml(sections))
        write_text(self.folder / "skipped.csv", csv_text(["path", "reason"], skipped))

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
    if not file.exists():
        raise UserError(f"{file}: there is no such truth file.")
    rows = read_rows(file)
    column = next((name for name in names if rows and name in rows[0]), None)
    if column is None or "path" not in rows[0]:
        return None
    return {str(row["path"]): str(row[column]) for row in rows}
