"""What every export does around its format: look, check, write beside the place, rename."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

import selflabel
from selflabel.base.errors import UserError
from selflabel.base.files import write_text, write_whole
from selflabel.exports.base import LEFT_OUT, Format, LeftOut, Progress, Taken, categories_of
from selflabel.items import ENDINGS
from selflabel.runs.run import Run
from selflabel.runs.sources import Paths, open_source

RECORD = "export.json"
LOOKED_AT = 200  # items whose endings say what kind a run's items are
WAYS = ("copy", "hard", "link")


@dataclass(frozen=True)
class Exported:
    """What an export wrote. n_left_out: items that could not be read; n_rejected: items that people took out."""

    place: Path
    n_items: int
    n_left_out: int
    n_rejected: int
    first_left_out: str = ""

    def as_dict(self) -> dict:
        return {**asdict(self), "place": str(self.place)}


def export(
    run: Run,
    to: str,
    out: Path | None = None,
    *,
    raw: bool = False,
    how: str = "copy",
    overwrite: bool = False,
    source: str | None = None,
    follow_links: bool = False,
    progress: Progress = lambda done, total: None,
) -> Exported:
    """Write a run's labels, edits applied, in a format.

    Args:
        run: a finished run.
        to: a name in EXPORTS.
        out: the file or folder to write; None is beside the run, named by it and by the format.
        raw: leave edits aside.
        how: items' files are copied ("copy"), hard-linked ("hard") or linked ("link").
        overwrite: replace what an earlier export wrote there.
        source: where the items are now, where that is not what run.toml says.
        follow_links: read what links in the source lead to, wherever that is.
        progress: called with (done, total).

    Raises:
        UserError: no such format, one that cannot hold the items, nothing that can be read, or a place that is taken.
    """
    chosen = find_format(to)
    if how not in WAYS or (how != "copy" and not chosen.links):
        raise UserError(f"--{how}: {to} writes files of its own; leave it out.")
    place = (out or default_place(run, to)).absolute()
    check_free(place, chosen, overwrite)
    taken = take(run, place.name, raw, how, source, follow_links, progress)
    check_kinds(to, chosen, taken)
    if not len(taken.rows):
        raise UserError(f"{run.folder}: every item is rejected, so nothing is left to export; add --raw, or restore some.")
    if chosen.ending:
        write_whole(place, lambda p: chosen.write(taken, p))
        return exported(place, taken)
    with whole_folder(place) as building:
        taken.left_out = LeftOut(building / LEFT_OUT)
        try:
            for row in np.flatnonzero(taken.labels < 0):
                taken.left_out.row(taken.paths[int(row)], "rejected")
            more = chosen.write(taken, building)
        finally:
            taken.left_out.close()
        done = exported(place, taken)
        if not done.n_items:
            raise UserError(f"{run.folder}: none of its {len(taken.rows)} items can be read; the first, {done.first_left_out}.")
        if not done.n_left_out + done.n_rejected:
            (building / LEFT_OUT).unlink()
        write_text(building / RECORD, json.dumps(record(to, taken, done) | (more or {}), indent=1, ensure_ascii=False) + "\n")
    return done


def exported(place: Path, taken: Taken) -> Exported:
    n, lost = len(taken.rows), taken.left_out
    return Exported(place, n - lost.count, lost.count, len(taken.labels) - n, lost.first)


def find_format(name: str) -> Format:
    from selflabel.exports import EXPORTS

    if name not in EXPORTS:
        raise UserError(f"--to {name}: there is no such format; there are {', '.join(EXPORTS)}.")
    return EXPORTS[name]


def default_place(run: Run, to: str) -> Path:
    """Beside the run: runs/photos-sela-nn-coco/, runs/photos-sela-nn.csv."""
    folder, ending = run.folder.resolve(), find_format(to).ending
    return folder.with_name(f"{folder.name}{ending}" if ending else f"{folder.name}-{to}")


# --------------------------------------------------------------------------------------------------------- what to take


def take(run: Run, name: str, raw: bool, how: str, source: str | None, follow: bool, progress: Progress) -> Taken:
    table = run.raw_labels
    edits = [] if raw else run.edits()
    edited = None if raw else run.edited(table, edits)
    labels = table["label"].to_numpy() if edited is None else edited.labels
    categories = categories_of(labels, {} if edited is None else edited.names)
    paths = Paths(table["path"].combine_chunks())
    opened, _ = open_source(run, paths, source, follow)
    confidence = table["confidence"].to_numpy()
    return Taken(run, name, raw, edits, paths, labels, confidence, categories, opened, how, LeftOut(None), progress)


def check_kinds(to: str, chosen: Format, taken: Taken) -> None:
    """Refuse at once what the format cannot hold, and a source that is not there."""
    from selflabel.exports import EXPORTS

    kind = kind_of_items(taken.run, taken.paths)
    if kind not in chosen.takes:
        able = ", ".join(name for name, other in EXPORTS.items() if kind in other.takes)
        raise UserError(
            f"--to {to}: holds {plural(chosen.takes)}, and this run's items are {plural([kind])}; {able} can hold them."
        )
    if chosen.wants_source:
        why = lost(taken)
        if why:
            raise UserError(f"--to {to} needs the items themselves: {why}.")


def lost(taken: Taken) -> str:
    """Why the source as a whole cannot be found; "" where it can."""
    from selflabel.runs.sources import Lost

    return taken.source.why.rstrip(".") if isinstance(taken.source, Lost) else ""


def kind_of_items(run: Run, paths: Sequence[str]) -> str:
    """ "image", "video", "audio" or "features": what most items are by their names."""
    shown = run.recorded.get("worked_out", {})
    if any(isinstance(part, dict) and part.get("kind") == "features" for part in shown.values()):
        return "features"
    sample = np.linspace(0, len(paths) - 1, min(len(paths), LOOKED_AT)).astype(int)
    endings = (Path(paths[int(i)]).suffix.lower() for i in sample)
    return Counter(ENDINGS.get(ending, "image") for ending in endings).most_common(1)[0][0]


def plural(kinds) -> str:
    names = {"image": "images", "video": "videos", "audio": "sounds", "features": "rows of features"}
    return " and ".join(names[kind] for kind in kinds)


def record(to: str, taken: Taken, done: Exported) -> dict:
    return {
        "format": to,
        "run": str(taken.run.folder.resolve()),
        "selflabel": selflabel.__version__,
        "edits_applied": not taken.raw,
        "n_items": done.n_items,
        "n_left_out": done.n_left_out,
        "n_rejected": done.n_rejected,
        "classes": [asdict(category) for category in taken.categories],
    }


# ------------------------------------------------------------------------------------------------------- where to put it


def check_free(place: Path, chosen: Format, overwrite: bool) -> None:
    """Refuse a place that holds something, unless an export wrote it and it may be replaced."""
    if chosen.ending:
        if place.is_dir():
            raise UserError(f"{place}: is a folder; give a file with --out, such as {place / ('labels' + chosen.ending)}.")
        if os.path.lexists(place) and not overwrite:
            raise UserError(f"{place}: is there already; add --overwrite to replace it, or give another file with --out.")
        return
    if os.path.lexists(place) and not place.is_dir():
        raise UserError(f"{place}: is a file; give a folder with --out.")
    if not place.is_dir() or not any(place.iterdir()):
        return
    if not (place / RECORD).exists():
        raise UserError(f"{place}: is a folder of other things; give an empty or new one with --out.")
    if not overwrite:
        raise UserError(f"{place}: holds an export; add --overwrite to replace it, or give another folder with --out.")


@contextmanager
def whole_folder(place: Path) -> Iterator[Path]:
    """A new folder beside `place` that takes its place once it is whole; nothing is left of one that is not."""
    place.parent.mkdir(parents=True, exist_ok=True)
    building = Path(tempfile.mkdtemp(dir=place.parent, prefix=".export-"))
    try:
        yield building
        building.chmod(0o755)
        old = building.with_name(f"{building.name}.old")
        if place.exists():
            place.rename(old)
        building.rename(place)
        shutil.rmtree(old, ignore_errors=True)
    except OSError as error:
        raise UserError(f"{place}: cannot be written ({error.strerror or error}); make room, or give another place.") from error
    finally:
        shutil.rmtree(building, ignore_errors=True)
