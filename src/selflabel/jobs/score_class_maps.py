"""`selflabel score RUN --truth FOLDER` of a run of patches: its class maps against those that people drew.

Axes: H x W pixels.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from selflabel.base.errors import UserError
from selflabel.evaluation.class_maps import class_map_scores, pixel_table
from selflabel.runs.class_maps import class_map_of, has_class_maps
from selflabel.runs.mask_file import NoMask, read_mask
from selflabel.runs.run import Run

MOST_CLASSES = 255  # a pixel of 255 is not labelled


def has_true_maps(run: Run, truth: str | None) -> bool:
    """Whether a truth is a folder of class maps, and a run has such."""
    return truth not in (None, "folders") and Path(str(truth)).is_dir() and has_class_maps(run)


def score_class_maps(run: Run, truth: str, raw: bool = False) -> dict[str, Any]:
    """How well the class maps of a run fit those that people drew.

    Args:
        run: finished, with class maps.
        truth: a folder with a PNG for each photo, named as it is: 0 and up are classes, 255 is not labelled.
        raw: ignore edits.

    Returns:
        As `evaluation.class_maps.class_map_scores`; "one_class", the accuracy and mean IoU of calling every pixel the commonest
        class; "n_photos" that have a truth, "n_without_truth", and "bad", (file, why) of maps that cannot be used.

    Raises:
        UserError: none of the maps can be used.
    """
    pieces, paths = run.pieces, run.paths.column.to_pylist()
    labels = run.labels_without_edits() if raw else run.edited().labels
    confidences, bad, n_photos = run.raw_labels["confidence"].to_numpy(), list[tuple[str, str]](), 0
    n_clusters, table = int(labels.max(initial=0)) + 1, np.zeros((MOST_CLASSES, int(labels.max(initial=0)) + 2), np.int64)
    rows_of: dict[str, list[int]] = {}
    for row, path in enumerate(paths):
        rows_of.setdefault(path, []).append(row)
    for path, file in files_of(Path(truth), rows_of).items():
        rows = rows_of[path]
        try:
            own = [pieces[row] for row in rows] if pieces is not None else []
            found = class_map_of(own, labels[rows].tolist(), confidences[rows].tolist(), n_clusters)  # type: ignore[arg-type]
            table += pixel_table(true_map(file, found.shape), found, MOST_CLASSES, n_clusters)
            n_photos += 1
        except ValueError as error:  # NoMask is one; a damaged mask of the run is another
            bad.append((file.name, str(error)))
    if not n_photos:
        reason = f"the first, {bad[0][0]}: {bad[0][1]}" if bad else "name them as its photos"
        raise UserError(f"{truth}: none of its PNGs is a class map of a photo of {run.folder}; {reason}.")
    one_class = np.zeros_like(table)
    one_class[:, 0] = table.sum(axis=1)
    plain = class_map_scores(one_class)
    return class_map_scores(table) | {
        "one_class": {name: plain[name] for name in ("accuracy", "miou")},
        "n_photos": n_photos,
        "n_without_truth": len(rows_of) - n_photos,
        "bad": bad,
    }


def files_of(folder: Path, paths: Iterable[str]) -> dict[str, Path]:
    """Path to its PNG: at the photo's place in the folder, or directly in it."""
    places = {path: (PurePosixPath(path).with_suffix(".png"), f"{PurePosixPath(path).stem}.png") for path in paths}
    candidates = {path: [folder / name for name in names if ".." not in str(name)] for path, names in places.items()}
    found = {path: next((file for file in files if file.is_file()), None) for path, files in candidates.items()}
    return {path: file for path, file in found.items() if file is not None}


def true_map(file: Path, shape: tuple[int, ...]) -> np.ndarray:
    """(H, W) the true classes of a photo of a shape (H, W). Raises NoMask where the file does not hold them."""
    numbers, _ = read_mask(file)
    if numbers.shape != shape:
        raise NoMask(f"it has {numbers.shape[1]} x {numbers.shape[0]} pixels, and its photo {shape[1]} x {shape[0]}")
    return numbers


def class_map_lines(scores: dict[str, Any]) -> str:
    """The scores for people."""
    plain, n, missing = scores["one_class"], scores["n_photos"], scores["n_without_truth"]
    lines = [
        f"{name:16} {scores[key]:.4f}   (every pixel of the commonest class: {plain[key]:.4f})"
        for name, key in (("pixel accuracy", "accuracy"), ("mean IoU", "miou"))
    ]
    lines += [f"{f'IoU of class {number}':16} {iou:.4f}" for number, iou in scores["iou"].items()]
    lines.append(f"{n:,} of {n + missing:,} photos have a map; clusters are matched one to one with classes.")
    return "\n".join(lines + [f"{file}: {reason}" for file, reason in scores["bad"]])
