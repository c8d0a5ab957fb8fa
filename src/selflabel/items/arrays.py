"""Items of an array: images (N, H, W[, C]), or features (N, D). Their paths are row:000000, row:000001, ..."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np

from selflabel.base.errors import UserError
from selflabel.base.files import open_regular
from selflabel.base.memory import free_host_memory
from selflabel.base.text import printable, shortened
from selflabel.items.endings import ending_of
from selflabel.items.row_paths import row_path
from selflabel.items.table import Items

CHANNELS = (1, 3, 4)
ROWS_CHECKED = 1 << 14  # at a time
MAX_SHARE = 0.8  # of the free memory that an array may fill


def from_array(array: np.ndarray, source: str, truth: list[str] | None = None) -> Items:
    """The items of an array; features with a NaN or an infinite value and pictures without a finite one are skipped.

    Args:
        array: (N, H, W), (N, H, W, C) or (N, C, H, W) images of C = 1, 3 or 4 channels; or (N, D) features, real numbers.
        source: what errors name.
        truth: (N,) class names.

    Raises:
        UserError: another shape, another type, or nothing that can be used.
    """
    shape = "x".join(map(str, array.shape))
    notes = []
    if array.ndim == 4 and array.shape[3] not in CHANNELS and array.shape[1] in CHANNELS:
        array = np.moveaxis(array, 1, 3)
        notes.append(f"{source}: of the shape {shape} the second number is taken for the channels, as in (N, C, H, W)")
    if array.ndim not in (2, 3, 4) or (array.ndim == 4 and array.shape[3] not in CHANNELS):
        raise UserError(
            f"{source}: an array of shape {shape} is neither images (N,H,W, or N,H,W,C or N,C,H,W with 1, 3 or 4 channels) nor "
            "features (N,D); choose channels, or save one array of another shape."
        )
    if len(array) == 0 or 0 in array.shape:
        raise UserError(f"{source}: the array is empty (shape {shape}); it needs at least one item.")
    paths = [row_path(i) for i in range(len(array))]
    if array.dtype.kind not in "buif":
        raise UserError(f"{source}: {'images' if array.ndim > 2 else 'features'} must be real numbers, not {array.dtype}.")
    if array.ndim > 2:
        return with_finite_pictures(Items(source, paths, array=array, truth=truth, notes=notes))
    with np.errstate(over="ignore"):  # what is too large for float32 counts as infinite
        array = array.astype(np.float32, copy=False)
    bad = np.flatnonzero(~finite_rows(array))
    if len(bad) == len(array):
        raise UserError(f"{source}: every row has a NaN or an infinite value; mend the features first.")
    good = np.setdiff1d(np.arange(len(array)), bad).tolist()
    table = Items(source, paths, array=array, truth=truth)
    return table.take(good, [(paths[i], "a value is NaN or infinite") for i in bad])


def finite_rows(array: np.ndarray) -> np.ndarray:
    """(N,) whether all values of each row of features are finite as float32; read in blocks, so that a map stays on the disk."""
    if array.dtype.kind in "bui":
        return np.ones(len(array), bool)
    is_finite = np.empty(len(array), bool)
    with np.errstate(over="ignore"):
        for start in range(0, len(array), ROWS_CHECKED):
            block = array[start : start + ROWS_CHECKED].astype(np.float32, copy=False)
            is_finite[start : start + ROWS_CHECKED] = np.isfinite(block).all(axis=1)
    return is_finite


def with_finite_pictures(items: Items) -> Items:
    """The pictures with at least one finite value.

    Raises:
        UserError: there is none.
    """
    array = items.array
    if array is None or array.dtype.kind != "f":
        return items
    good = [i for i, picture in enumerate(array) if np.isfinite(picture).any()]
    if not good:
        raise UserError(f"{items.source}: every value is NaN or infinite; mend the pictures first.")
    bad = sorted(set(range(len(array))) - set(good))
    return items.take(good, [(items.paths[i], "no pixel has a finite value") for i in bad])


def array_key(name: str) -> tuple[str, str]:
    """(file, key) of a name that chooses an array of an .npz file; the key is "" in any other name.

    Example:
        >>> array_key("set.npz:x_train"), array_key("set.npz")
        (('set.npz', 'x_train'), ('set.npz', ''))
    """
    file, _, key = name.rpartition(":")
    return (file, key) if ending_of(file) == ".npz" and not Path(name).exists() else (name, "")


def from_array_file(path: Path, key: str = "") -> Items:
    """An .npy file, or an .npz file with one array of items and perhaps one of labels. Pickles are never loaded.

    Args:
        path: the file.
        key: which array of an .npz file holds the items; "" where there is only one.

    Raises:
        UserError: it cannot be loaded without running code, does not hold exactly one array of items, or is too large.
    """
    if ending_of(path.name) != ".npz":
        return from_array(map_array(path), str(path))
    with array_errors(path):
        return from_npz(path, key)


def map_array(path: Path) -> np.ndarray:
    """The array of an .npy file, memory-mapped. Raises UserError where it cannot be loaded without running code."""
    with array_errors(path):
        with open_regular(path):  # a named pipe would wait for ever
            pass
        return np.load(path, allow_pickle=False, mmap_mode="r")


@contextmanager
def array_errors(path: Path) -> Iterator[None]:
    """Turn any error of reading an array file into a sentence."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:  # numpy and zipfile raise any exception on damaged headers
        reason = printable(shortened(str(error), 200))
        raise UserError(f"{path}: cannot be loaded as an array without running code ({reason}).") from error


def from_npz(path: Path, key: str) -> Items:
    """The items of an .npz file. Only the arrays that are used are unpacked."""
    with open_regular(path) as file:
        shapes = npz_shapes(file)
        candidates = [name for name, (shape, _) in shapes.items() if len(shape) >= 2]
        if key and key not in shapes:
            raise UserError(f"{path}: has no array {key!r}; it has {', '.join(shapes)}.")
        if not key and len(candidates) != 1:
            found = ", ".join(f"{name} ({'x'.join(map(str, shape))})" for name, (shape, _) in shapes.items())
            remedy = f"; choose one, as {path}:{candidates[0]}" if candidates else ""
            raise UserError(f"{path}: needs exactly one array of 2 to 4 axes, found {len(candidates)} among {found}{remedy}.")
        name = key or candidates[0]
        labels = npz_labels(name, shapes)
        arrays = np.load(file, allow_pickle=False)
        for each in filter(None, (name, labels)):
            check_fits(path, each, *shapes[each])
        truth = [str(value) for value in arrays[labels]] if labels else None
        return from_array(arrays[name], f"{path}:{key}" if key else str(path), truth)


def npz_shapes(file: BinaryIO) -> dict[str, tuple[tuple[int, ...], np.dtype]]:
    """Name to (shape, type) of every array, by their headers only."""
    found = {}
    with zipfile.ZipFile(file) as archive:
        for member in archive.infolist():
            if not member.filename.endswith(".npy"):
                continue
            with archive.open(member) as head:
                major, _ = np.lib.format.read_magic(head)
                read = np.lib.format.read_array_header_1_0 if major == 1 else np.lib.format.read_array_header_2_0
                shape, _, dtype = read(head)
            found[member.filename.removesuffix(".npy")] = (shape, dtype)
    file.seek(0)
    return found


def npz_labels(name: str, shapes: dict[str, tuple[tuple[int, ...], np.dtype]]) -> str | None:
    """The array of classes that belongs to an array of items: y_train to x_train, else the only one of the right length."""
    n = shapes[name][0][0] if shapes[name][0] else 0
    able = [k for k, (shape, dtype) in shapes.items() if shape in ((n,), (n, 1)) and k != name and dtype.kind in "iuUSb"]
    _, part, rest = name.rpartition("_") if "_" in name else (name, "", "")
    same = [k for k in able if part and k.rpartition("_")[2] == rest]
    train = [k for k in same if k[0].lower() == "y" or "label" in k.lower() or "target" in k.lower()]
    return next(iter(train or same or able), None)


def check_fits(path: Path, name: str, shape: tuple[int, ...], dtype: np.dtype) -> None:
    """Raise UserError where an array would not fit into memory when it is unpacked."""
    needed, free = math.prod(shape) * dtype.itemsize, free_host_memory()
    if needed > MAX_SHARE * free:
        sizes = f"{needed / 1e9:,.1f} GB of memory, of which {free / 1e9:,.1f} GB are free"
        raise UserError(f"{path}: its array {name} needs {sizes}; save it as .npy, which is read in place.")
