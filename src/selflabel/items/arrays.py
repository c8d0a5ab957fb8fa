"""Items of an array: images (N, H, W[, C]), or features (N, D). Their paths are row:000000, row:000001, ..."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from selflabel.base.errors import UserError
from selflabel.items.table import Items


def from_array(array: np.ndarray, source: str, truth: list[str] | None = None) -> Items:
    """The items of an array; rows of features with a NaN or an infinite value are skipped.

    Args:
        array: (N, H, W), (N, H, W, 1), (N, H, W, 3) or (N, H, W, 4) images; or (N, D) features, real numbers.
        source: what errors name.
        truth: (N,) class names.

    Raises:
        UserError: another shape, another type, or nothing that can be used.
    """
    shape = "x".join(map(str, array.shape))
    if array.ndim not in (2, 3, 4) or (array.ndim == 4 and array.shape[3] not in (1, 3, 4)):
        raise UserError(f"{source}: an array of shape {shape} is neither images (N,H,W or N,H,W,C) nor features (N,D).")
    if len(array) == 0 or 0 in array.shape:
        raise UserError(f"{source}: the array is empty (shape {shape}); it needs at least one item.")
    paths = [f"row:{i:06d}" for i in range(len(array))]
    if array.ndim > 2:
        return Items(source, paths, array=to_uint8(array, source), truth=truth)
    if not np.issubdtype(array.dtype, np.number) or np.iscomplexobj(array):
        raise UserError(f"{source}: features must be real numbers, not {array.dtype}.")
    bad = np.flatnonzero(~np.isfinite(np.asarray(array, np.float32)).all(axis=1))
    if len(bad) == len(array):
        raise UserError(f"{source}: every row has a NaN or an infinite value; mend the features first.")
    good = np.setdiff1d(np.arange(len(array)), bad).tolist()
    table = Items(source, paths, array=array.astype(np.float32, copy=False), truth=truth)
    return table.take(good, [(paths[i], "a value is NaN or infinite") for i in bad])


def to_uint8(array: np.ndarray, source: str) -> np.ndarray:
    """Images as uint8: floats in [0, 1] are scaled, 16-bit ones keep their high byte.

    Raises:
        UserError: values that are neither.
    """
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
    """An .npy file, or an .npz file with one array of items and perhaps one of labels. Pickles are never loaded.

    Raises:
        UserError: it cannot be loaded without running code, or does not hold exactly one array of items.
    """
    try:
        loaded = np.load(path, allow_pickle=False, mmap_mode="r" if path.suffix == ".npy" else None)
        arrays = {"x": loaded} if isinstance(loaded, np.ndarray) else {key: loaded[key] for key in loaded.files}
    except (ValueError, OSError, EOFError) as error:
        raise UserError(f"{path}: cannot be loaded as an array without running code ({error}).") from error
    candidates = [a for a in arrays.values() if a.ndim >= 2]
    if len(candidates) != 1:
        raise UserError(f"{path}: needs exactly one array of 2 to 4 axes, found {len(candidates)} among {', '.join(arrays)}.")
    items = candidates[0]
    labels = [a for a in arrays.values() if a.ndim == 1 and len(a) == len(items) and a.dtype.kind in "iuUSb"]
    return from_array(items, str(path), [str(v) for v in labels[0]] if labels else None)
