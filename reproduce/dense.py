"""Class maps of street photos (CamVid, 11 classes) by `label --parts patches`, beside k-means of the same patch features.

The features are those of a small network that learned ImageNet's labels, so this shows what labels add to features, and no
published quality. Settings were chosen on the photos of the train split, a quarter of them; the numbers are of the val split,
which was labelled as a folder of its own. Clusters are matched with classes one to one so that most pixels are right.

python -m reproduce.dense [SEEDS]
"""

from __future__ import annotations

import csv
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from sklearn.cluster import KMeans

from reproduce.common import unpack_files, write_results
from reproduce.lite0 import ENCODER, lite0_weights
from selflabel.base.settings import make_settings
from selflabel.evaluation.class_maps import class_map_scores, pixel_table
from selflabel.exports import export
from selflabel.jobs.callbacks import Callbacks
from selflabel.jobs.dense import open_photos
from selflabel.jobs.label import label
from selflabel.jobs.patches import shown_patches, stage_dims
from selflabel.runs.run import Run

CLASSES = ("sky", "building", "pole", "road", "pavement", "tree", "sign", "fence", "car", "pedestrian", "cyclist")
ROAD = CLASSES.index("road")
K = len(CLASSES)
FITTED = 12_000  # patches that k-means is fitted to


def settings_for(folder: Path, **given: Any):
    encoder = {"encoder": f"frozen:{ENCODER}", "weights": str(lite0_weights()), "device": "cpu"}
    return make_settings(source=str(folder / "items"), clusters=K, parts="patches", **encoder, **given)


def true_map(folder: Path, path: str) -> np.ndarray:
    """(H, W) classes of a photo, 255 where it is not labelled."""
    return np.asarray(Image.open(folder / "masks" / f"{Path(path).stem}.png"))


def by_the_product(folder: Path, **given: Any) -> dict[str, Any]:
    """Scores of the exported class maps of a run."""
    began = time.process_time()
    with tempfile.TemporaryDirectory() as out:
        report = label(settings_for(folder, **given), Path(out) / "run").report
        seconds = time.process_time() - began
        export(Run.open(Path(out) / "run"), "class-maps", Path(out) / "maps")
        rows = list(csv.DictReader((Path(out) / "maps" / "maps.csv").open()))
        values = {int(r["value"]): int(r["cluster"]) for r in csv.DictReader((Path(out) / "maps" / "classes.csv").open())}
        cluster_of = np.array([values.get(value, -1) for value in range(256)])
        pairs = ((row["path"], np.asarray(Image.open(Path(out) / "maps" / row["map"]))) for row in rows)
        table = sum(pixel_table(true_map(folder, path), cluster_of[found], K, K) for path, found in pairs)
    row = scored(table) | {"regions": report["n_items"], "cpu_seconds": round(seconds, 1)}
    print(given, row, flush=True)
    return given | row


def scored(table: np.ndarray) -> dict[str, Any]:
    """Accuracy, mean IoU and the IoU of each class, in per cent."""
    scores = class_map_scores(table)
    ious = {CLASSES[c]: round(100 * iou, 1) for c, iou in scores["iou"].items()}
    return {"accuracy": round(100 * scores["accuracy"], 1), "miou": round(100 * scores["miou"], 1), "iou": ious}


def by_kmeans(folder: Path, seeds: list[int]) -> dict[str, list[dict[str, Any]]]:
    """Scores of k-means of the encoder's maps, each place of unit length, enlarged as blocks."""
    settings = settings_for(folder)
    photos = open_photos(settings, torch.device("cpu"), Callbacks())
    encoder = photos.modality.make_encoder().eval()
    with torch.no_grad():
        shown = [shown for _, shown in shown_patches(photos, encoder, torch.device("cpu"))]
        fine, coarse = np.cumsum([0, *stage_dims(encoder, photos.modality, torch.device("cpu"))])[1:3]
    spaces = {"map of stride 16": slice(0, fine), "map of stride 32": slice(fine, coarse), "both, side by side": slice(0, coarse)}
    truths = [true_map(folder, path) for path in photos.items.paths]
    rows: dict[str, list[dict[str, Any]]] = {}
    for name, columns in spaces.items():
        maps = [unit(one.places_hwD[..., columns]) for one in shown]
        every = np.concatenate([m.reshape(-1, m.shape[2]) for m in maps])
        for seed in seeds:
            some = np.random.default_rng(seed).permutation(len(every))[:FITTED]
            model = KMeans(K, n_init=3, random_state=seed).fit(every[some])
            labels = [model.predict(m.reshape(-1, m.shape[2])).reshape(m.shape[:2]) for m in maps]
            table = sum(pixel_table(truth, as_blocks(found, truth.shape), K, K) for truth, found in zip(truths, labels))
            rows.setdefault(name, []).append({"seed": seed} | scored(table))
            print(name, rows[name][-1], flush=True)
    return rows


def unit(places_hwD: np.ndarray) -> np.ndarray:
    return places_hwD / np.maximum(np.linalg.norm(places_hwD, axis=2, keepdims=True), 1e-12)


def as_blocks(labels_hw: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """(H, W) the label of the patch that each pixel lies in."""
    y, x = ((np.arange(n) * 2 + 1) * have // (2 * n) for n, have in zip(shape, labels_hw.shape))
    return labels_hw[y[:, None], x[None]]


def all_road(folder: Path) -> dict[str, Any]:
    """Scores of calling every pixel road."""
    files = sorted((folder / "masks").iterdir())
    truths = (np.asarray(Image.open(file)) for file in files)
    return scored(sum(pixel_table(truth, np.full(truth.shape, ROAD), K, K) for truth in truths))


def main() -> None:
    seeds = list(range(int(sys.argv[1]) if len(sys.argv) > 1 else 5))
    folder = unpack_files("camvid", "test")
    content: dict[str, Any] = {
        "features": f"{ENCODER} (ImageNet, supervised), maps of stride 16 and 32, 448 px; CPU, one thread",
        "photos": len([*(folder / "items").iterdir()]),
        "all road": all_road(folder),
        "k-means of": by_kmeans(folder, seeds),
    }
    for method in ("kmeans", "sela-nn"):
        content[f"--method {method}"] = [by_the_product(folder, method=method, seed=seed) for seed in seeds]
        write_results("dense", content)


if __name__ == "__main__":
    main()
