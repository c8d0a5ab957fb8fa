"""Boxes as rows: labels of crops beside labels of the whole photos, on features of the same frozen backbone.

    python -m reproduce.boxes

Every set is a manifest with the columns path, x0, y0, x1, y1 and truth, a row for each box, read by the package itself; for the
whole photos the same manifest without the box, so that a photo with two boxes has two equal rows. `pennfudan` has people only:
beside each stands a box of the same size, drawn in the same photo, that no person overlaps. The backbone is EfficientNet-Lite0
(`reproduce.lite0`). Writes results/boxes.json.
"""

from __future__ import annotations

import csv
import tempfile
from collections import defaultdict
from pathlib import Path

import numpy as np
from PIL import Image

from reproduce.common import kmeans_rows, label_and_score, unpack_files, with_summary, write_results
from reproduce.lite0 import encoded
from selflabel.base.csv_writer import csv_writer
from selflabel.evaluation.probes import probe
from selflabel.items import open_items
from selflabel.regions.boxes import box_ious

SEEDS, TRIES = (0, 1, 2), 200
SETS = {  # name to how many files are unpacked, and what the set is
    "pennfudan": (None, "pennfudan: 423 pedestrians and boxes without people, in 170 street photos"),
    "tinyimagenet20": (2000, "tinyimagenet20: the box of each of 2,000 photos of 64 px, 20 classes"),
    "animal_scenes": (None, "animal_scenes: two of 66 animals on each of 500 photos"),
}
Row = tuple[str, np.ndarray, str]  # path, box (4,), class


def boxes_of(folder: Path) -> list[Row]:
    """The boxes of a set that was unpacked."""
    with (folder / "boxes.csv").open(newline="") as file:
        rows = [(r["path"], np.array([float(r[c]) for c in ("x0", "y0", "x1", "y1")]), r["label"]) for r in csv.DictReader(file)]
    return rows


def with_background(folder: Path, rows: list[Row]) -> list[Row]:
    """The rows, each followed by a box of its size in its photo that overlaps none of the others, where one is found."""
    rng, of_photo, found = np.random.default_rng(0), defaultdict(list), []
    for path, box, _ in rows:
        of_photo[path].append(box)
    for path, box, name in rows:
        found.append((path, box, name))
        with Image.open(folder / "items" / path) as photo:
            room = np.maximum(np.array(photo.size) - (box[2:] - box[:2]), 0)
        for _ in range(TRIES):
            corner = np.round(rng.random(2) * room, 2)
            drawn = np.concatenate([corner, corner + box[2:] - box[:2]])
            if box_ious(np.array(of_photo[path]), np.array([drawn])).max() == 0:
                found.append((path, drawn, "background"))
                break
    return found


def write_manifests(folder: Path, rows: list[Row]) -> tuple[str, str]:
    """The manifests of the crops and of the whole photos, beside the folder of the files."""
    crops, photos = folder / "crops.csv", folder / "photos.csv"
    for file, names in ((crops, ["path", "x0", "y0", "x1", "y1", "truth"]), (photos, ["path", "truth"])):
        with file.open("w", newline="") as out:
            writer = csv_writer(out)
            writer.writerow(names)
            for path, box, name in rows:
                writer.writerow([f"items/{path}", *(box.round(3).tolist() if file is crops else []), name])
    return str(crops), str(photos)


def measured(x: np.ndarray, truth: np.ndarray, paths: list[str]) -> dict:
    """What is found in features (N, D): labels of sela-nn and of k-means, and what neighbours of other photos tell."""
    unit, k = x / np.linalg.norm(x, axis=1, keepdims=True), len(np.unique(truth))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "x.npz"
        np.savez(file, x=x, y=truth.astype(str))
        ours = [label_and_score(file, None, clusters=k, seed=seed) for seed in SEEDS]
    methods = {"sela-nn": with_summary(ours), "k-means": with_summary(kmeans_rows(unit, truth, k, SEEDS))}
    return {"methods": methods, "nearest neighbours": round(probe(unit, truth.tolist(), paths)["knn"], 4)}


def main() -> None:
    sets = {}
    for name, (limit, what) in SETS.items():
        folder = unpack_files(name, "all", limit)
        given = boxes_of(folder)
        rows = [(path, box, c) for path, box, c in given if (box[2:] > box[:2]).all()]  # tinyimagenet20 has a few empty ones
        n_empty = len(given) - len(rows)
        rows = with_background(folder, rows) if name == "pennfudan" else rows
        by_rows = {}
        for shown, manifest in zip(("crops", "whole photos"), write_manifests(folder, rows)):
            x, paths = encoded(manifest)
            truth = open_items(manifest).truth
            assert truth is not None and len(truth) == len(x) == len(rows)
            by_rows[shown] = measured(x, np.array(truth), paths)
        sets[name] = {
            "data": what,
            "n_boxes": len(rows),
            "n_empty": n_empty,
            "n_classes": len({c for _, _, c in rows}),
            "rows": by_rows,
        }
    write_results("boxes", {"sets": sets})


if __name__ == "__main__":
    main()
