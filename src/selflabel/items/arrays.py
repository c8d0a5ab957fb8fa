"""Items of an array: images (N, H, W[, C]), or features (N, D). Their paths are row:000000, row:000001, ..."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from selflabel.base.errors import UserError
from selflabel.items.table import Items


def from_array(array: np.ndarray, source: str, truth: list[str] | None = None) -> Items:
    """The items of an array; features with a NaN or an infinite value and pictures without a finite one are skipped.

    Args:
        array: (N, H, W), (N, H, W, 1), (N, H, W, 3) or (N, H, W, 4) images, which keep their type; or (N, D) features.
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
    if array.dtype.kind not in "buif":
        raise UserError(f"{source}: {'images' if array.ndim > 2 else 'features'} must be real numbers, not {array.dtype}.")
    if array.ndim > 2:
        return with_finite_pictures(Items(source, paths, array=array, truth=truth))
    bad = np.flatnonzero(~np.isfinite(np.asarray(array, np.float32)).all(axis=1))
    if len(bad) == len(array):
        raise UserError(f"{source}: every row has a NaN or an infinite value; mend the features first.")
    good = np.setdiff1d(np.arange(len(array)), bad).tolist()
    table = Items(source, paths, array=array.astype(np.float32, copy=False), truth=truth)
    return table.take(good, [(paths[i], "a value is NaN or infinite") for i in bad])


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
