"""THE PRODUCT: the run folder, read. `runs/writing.py` writes it, and `runs/claiming.py` reserves it.

It holds all that the page and the exports need, without a model: labels.csv and .parquet, top.parquet, features.npy,
neighbours.npy, report.json, clusters.png, metrics.jsonl, skipped.csv, truth.csv, run.toml, and model.safetensors for
`predict`. `checkpoint/` is what an interrupted run resumes from. What people changed since is in edits.jsonl and is applied on
reading.
"""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from selflabel.base.csv_writer import csv_writer
from selflabel.base.errors import UserError
from selflabel.base.settings import read_toml
from selflabel.edits import Edit, EditedLabels, active_edits, apply, read_edits
from selflabel.items import TRUTH_COLUMNS, Pieces
from selflabel.runs.maps import Maps, read_maps
from selflabel.runs.opening import OpenedSource, images_of, open_source, place_of
from selflabel.runs.pieces import PiecesOfSource, read_pieces
from selflabel.runs.reading import (
    check_sections,
    damaged,
    file_in,
    outliers_in,
    read_array,
    read_bounded,
    read_labels_table,
    read_object,
    read_table,
)
from selflabel.runs.shown import ShownSource
from selflabel.runs.truth import ValueTable, classes_of, is_class, read_values, values_of_items

if TYPE_CHECKING:  # outside packages that take long to import
    import pyarrow as pa
    from PIL.Image import Image

FINISHED = "report.json"  # written last
MODEL = "model.safetensors"  # what `predict` needs
MODALITIES = "worked_out"  # the section of run.toml with how each modality was prepared


class Paths(Sequence):
    """Paths by row, packed in one pyarrow column: a million take 30 MB, as Python strings 100 MB."""

    def __init__(self, column: pa.Array):
        self.column = column

    def __len__(self) -> int:
        return len(self.column)

    def __getitem__(self, row):  # a whole number, never a slice
        return self.column[int(row)].as_py()

    def __arrow_array__(self, type=None):
        return self.column


class LazyPaths(Paths):
    """Paths by row that are read when the first one is asked for.

    Args:
        n: how many.
        read: reads them.
    """

    def __init__(self, n: int, read: Callable[[], pa.Array]):
        self.n, self.read, self.lock = n, read, threading.Lock()

    def __len__(self) -> int:
        return self.n

    @property
    def column(self) -> pa.Array:  # type: ignore[override]
        with self.lock:
            return self.read_once

    @cached_property
    def read_once(self) -> pa.Array:
        return self.read()


@dataclass(frozen=True)
class Run:
    """A run folder, finished or not.

    Example:
        run = Run.open("runs/photos-sela-nn")
        run.labels.to_pandas()
    """

    folder: Path

    @classmethod
    def open(cls, folder: str | Path) -> Run:
        """A finished run.

        Raises:
            UserError: there is no run, or it is unfinished.
        """
        run = cls(Path(folder))
        if not run.is_finished:
            what = "is not finished; `selflabel label ... --resume` completes it" if run.exists else "holds no run"
            raise UserError(f"{folder}: {what}; a finished run folder has report.json and labels.csv.")
        return run

    @property
    def exists(self) -> bool:
        """Whether a run was begun in the folder."""
        return (self.folder / "run.toml").exists() or (self.folder / "checkpoint").exists()

    @property
    def is_finished(self) -> bool:
        """Whether the run has its labels."""
        return (self.folder / FINISHED).exists()

    def file(self, name: str) -> Path:
        """The place of a file in the folder, which need not be there. Raises UserError for a link."""
        return file_in(self.folder, name)

    # ------------------------------------------------------------------------------------------- how it was made

    @property
    def report(self) -> dict[str, Any]:
        """report.json of a finished run: sizes, measures without truth, times."""
        return read_object(self.file(FINISHED))

    @property
    def recorded(self) -> dict[str, Any]:
        """run.toml as sections: settings, task, versions. Raises UserError where it cannot be read."""
        file = self.file("run.toml")
        read_bounded(file)
        recorded = read_toml(file)
        check_sections(file, recorded)
        return recorded

    @property
    def settings(self) -> dict[str, Any]:
        """The settings of the run, as in run.toml."""
        return self.recorded.get("settings", {})

    @property
    def modalities(self) -> dict[str, dict[str, Any]]:
        """Modality to how its items were prepared: encoder, px, channels, kind, seconds, rate, frames, scale of deep ones."""
        return self.recorded.get(MODALITIES, {})

    # ---------------------------------------------------------------------------------------------- what it gave

    @property
    def labels(self) -> pa.Table:
        """A pyarrow table with edits applied: id, path, label (-1 for an item that is rejected or fits no cluster), confidence,
        name (null without one); with `--outliers` also outlier, as the run found it.
        """
        import pyarrow as pa

        raw = self.raw_labels
        edited = self.edited(raw)
        names = pa.array([*(edited.names.get(c) for c in edited.clusters), None], pa.string())
        places = np.searchsorted(edited.clusters, edited.item_clusters)
        places[edited.rejected] = len(edited.clusters)
        table = raw.set_column(raw.schema.get_field_index("label"), "label", pa.array(edited.labels))
        return table.append_column("name", names.take(pa.array(places)))

    @property
    def raw_labels(self) -> pa.Table:
        """A pyarrow table as the run wrote it: id, path, label, confidence. Raises UserError where it is damaged."""
        return read_labels_table(self.file("labels.parquet"))

    @property
    def paths(self) -> Paths:
        """(N,) what people see of the items, packed."""
        return Paths(read_table(self.file("labels.parquet"), ["path"])["path"].combine_chunks())

    def edits(self) -> list[Edit]:
        """What people changed, oldest first, with every undo and redo."""
        return read_edits(self.folder)

    def edited(self, raw: pa.Table | None = None, edits: list[Edit] | None = None) -> EditedLabels:
        """The labelling with edits applied: labels, names and clusters.

        Args:
            raw: `raw_labels`, where they were read before.
            edits: `edits()`, where they were read before.
        """
        table = self.raw_labels if raw is None else raw
        features = self.features if (self.folder / "features.npy").exists() else None
        return apply(table["label"].to_numpy(), features, self.edits() if edits is None else edits, outliers_in(table))

    def labels_without_edits(self, raw: pa.Table | None = None) -> np.ndarray:
        """(N,) int32 labels as the run gave them, -1 for an item that fits no cluster. raw: as in `edited`."""
        return self.edited(raw, []).labels

    def outliers(self, raw: pa.Table | None = None, edits: list[Edit] | None = None) -> np.ndarray | None:
        """(N,) bool, items that fit no cluster and that no person has decided on; None for a run that looked for none.

        Args: as in `edited`.
        """
        found = outliers_in(self.raw_labels if raw is None else raw)
        if found is None:
            return None
        result = found.copy()
        for edit in active_edits(self.edits() if edits is None else edits):
            result[getattr(edit, "items", [])] = False
        return result

    @property
    def features(self) -> np.ndarray:
        """(N, D) float16, memory-mapped. Raises UserError where they are damaged."""
        return read_array(self.file("features.npy"))

    @property
    def neighbours(self) -> np.ndarray:
        """(N, 10) rows of the nearest items, memory-mapped. Raises UserError where they are damaged."""
        file = self.file("neighbours.npy")
        rows = read_array(file)
        if rows.size and not (rows.min() >= 0 and rows.max() < len(rows)):
            raise damaged(file, "names items that the run does not have")
        return rows

    @property
    def maps(self) -> Maps | None:
        """The map of every item, memory-mapped; None where the run has none. Raises UserError where they are damaged."""
        return read_maps(self.folder, len(self.features))

    @property
    def labels_by_modality(self) -> dict[str, np.ndarray]:
        """Modality to (N,) labels predicted from it only, -1 where an item lacks it; empty for a run of one modality."""
        file = self.file("modalities.parquet")
        if not file.exists():
            return {}
        table = read_table(file)
        return {m: table[m].to_numpy() for m in table.column_names if m != "id"}

    alone = labels_by_modality  # its name in version 0.1.0

    @cached_property
    def truth(self) -> dict[str, str] | None:
        """path -> class, where the source carried truth; of a path with several classes the last. `classes` has them by row."""
        file = self.file("truth.csv")
        return (read_truth(file) or None) if file.exists() else None

    @cached_property
    def classes(self) -> list[str] | None:
        """(N,) the class of every item, "" where it is not known; None where the source carried no truth."""
        file = self.file("truth.csv")
        if not file.exists():
            return None
        found = values_of_items(read_truth_table(file), self.paths.column.to_pylist(), self.pieces, in_order=True)
        classes = classes_of(found)
        return classes if any(classes) else None

    # ----------------------------------------------------------------------------------------------- its items

    @cached_property
    def pieces(self) -> Pieces | None:
        """(N,) the pieces of files that the items are; None for whole files. Raises UserError where they are damaged."""
        return read_pieces(self.folder, len(self.paths))

    def source(self, moved_to: str | None = None, follow: bool = False, paths: Sequence[str] | None = None) -> OpenedSource:
        """The items' own bytes or rows, and "" or why they cannot be found.

        Args:
            moved_to: where the source is now, where that is not what the run recorded.
            follow: read what links in a folder lead to, wherever that is.
            paths: `paths`, where they were read before.

        Raises:
            UserError: run.toml cannot be read.
        """
        settings, paths = self.settings, self.paths if paths is None else paths
        name, followed = self.place_of_files, settings.get("follow_links") is True
        opened = open_source(self.folder, name, paths, "audio" in self.modalities, follow, moved_to, followed)
        if opened.error:
            return opened
        source = opened.source if self.pieces is None else PiecesOfSource(opened.source, self.pieces)
        return OpenedSource(ShownSource.of(source, self.modalities), "")

    @property
    def place_of_files(self) -> str:
        """The source as run.toml has it; of features with files, where these are."""
        return str(self.settings.get("items") or self.settings.get("source", ""))

    @property
    def place(self) -> str | list[str]:
        """The whole source, for `open_items`. Raises UserError where the run may not read it, or it is gone."""
        return place_of(self.folder, str(self.settings.get("source", "")), bool(self.settings.get("images")))

    @property
    def images(self) -> str | None:
        """The folder of the pictures of a COCO file, for `open_items`; None where the user named none."""
        return images_of(self.folder, self.settings.get("images"))

    def show(self, across: int = 16, source: str | None = None, raw: bool = False, follow_links: bool = False) -> Image:
        """A contact sheet of the clusters, edits applied; a notebook shows it by itself.

        Args:
            across: items shown of each cluster, the most confident ones.
            source: where the items are now, where that is not what run.toml says.
            raw: leave edits aside.
            follow_links: read what links in the source lead to, wherever that is.

        Raises:
            UserError: none of the items to be shown can be read.
        """
        from selflabel.runs.sheet import run_sheet
        from selflabel.runs.thumbs import thumbnail_reader

        table = self.raw_labels
        edited = None if raw else self.edited(table)
        labels, names = (self.labels_without_edits(table), {}) if edited is None else (edited.labels, edited.names)
        opened = self.source(source, follow_links, Paths(table["path"].combine_chunks()))
        read = thumbnail_reader(self.folder / "thumbs", opened.source, len(table))
        return run_sheet(self.folder, labels, table["confidence"].to_numpy(), names, read, across)


# -------------------------------------------------------------------------------------------------------------- tables


def csv_text(header: list[str], rows: Iterable[Iterable[Any]]) -> str:
    """A CSV table as text, with "\\n" at the end of every line."""
    text = io.StringIO()
    writer = csv_writer(text)
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue()


def read_truth(file: Path) -> dict[str, str]:
    """path -> class of a table with the columns path and label (or truth, or class), without items that have no class.

    Raises:
        UserError: the file is not there or lacks the columns.
    """
    return {path: name for path, name in read_truth_table(file).by_path.items() if is_class(name)}


def read_truth_table(file: Path) -> ValueTable:
    """The classes in a table with the columns path and label (or truth, or class), and perhaps those of spans and boxes.

    Raises:
        UserError: the file is not there, lacks the columns, or has a span or box that is none.
    """
    table = read_values(file, TRUTH_COLUMNS)
    if table is None:
        raise UserError(f"{file}: a truth file needs the columns 'path' and 'label'.")
    return table


def read_column(file: Path, names: tuple[str, ...]) -> dict[str, str] | None:
    """path -> value of the first of these columns that is there; None where none is, or no path.

    Raises:
        UserError: the file is not there.
    """
    table = read_values(file, names)
    return None if table is None else table.by_path
