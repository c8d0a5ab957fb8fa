"""How a segmenter compares with the regions that it learned from, on photos apart from those it learned from.

CamVid: `label --parts patches` of every fourth photo of the train split, `teach --method fcn` on its regions, and both on every
second photo of the val split. ECSSD: objects that `find` found in every second photo of odd number, the segmenter taught by them,
and both on every second photo of even number, where the finder looks for itself. Nothing was chosen on these photos. The encoder
is EfficientNet-Lite0 (ImageNet, supervised).

python -m reproduce.segmenter [--sets camvid ecssd] [--seeds 0 1 2] [--finders found cut]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from reproduce.common import read_results, unpack_files, write_results
from reproduce.dense import K, scored, true_map
from reproduce.lite0 import ENCODER, lite0_weights
from reproduce.objects import PX
from reproduce.teach import copied
from selflabel.base.settings import make_settings
from selflabel.evaluation.class_maps import pixel_table
from selflabel.evaluation.localisation import mask_scores
from selflabel.jobs.find import find
from selflabel.jobs.label import label
from selflabel.jobs.model import Predicted
from selflabel.jobs.predict import predict
from selflabel.jobs.teach import teach
from selflabel.runs.class_maps import class_map_of
from selflabel.runs.run import Run

EVERY = {"train": 4, "test": 2}  # of the photos of CamVid's splits


def maps_of(predicted: Predicted, n_classes: int) -> dict[str, np.ndarray]:
    """Path to the class map of each photo; -1 where it has no class."""
    paths = np.array(predicted.paths)
    maps = {}
    for path in np.unique(paths):
        rows = np.flatnonzero(paths == path)
        pieces, values = [predicted.pieces[row] for row in rows], predicted.labels[rows].tolist()
        found = class_map_of(pieces, values, predicted.confidence[rows].tolist(), n_classes)
        maps[str(path)] = np.where(found < n_classes, found.astype(np.int64), -1)
    return maps


def map_scores(run: Path, folder: Path) -> dict[str, Any]:
    """Accuracy and mean IoU of what a run finds in the photos of a folder of CamVid."""
    maps = maps_of(predict(Run.open(run), str(folder / "items")), K)
    return scored(sum(pixel_table(true_map(folder, path), found, K, K) for path, found in maps.items()))


def camvid_once(learn: Path, test: Path, seed: int) -> dict[str, Any]:
    """Scores on unseen photos of the labels that were learned from, and of the segmenter."""
    encoder = {"encoder": f"frozen:{ENCODER}", "weights": str(lite0_weights()), "device": "cpu"}
    with tempfile.TemporaryDirectory() as home:
        patches, taught = Path(home) / "patches", Path(home) / "segmenter"
        label(make_settings(source=str(learn / "items"), clusters=K, parts="patches", seed=seed, **encoder), patches)
        began = time.process_time()
        report = teach(make_settings(source=str(patches), method="fcn", seed=seed, device="cpu"), taught).report
        seconds = round(time.process_time() - began, 1)
        row = {"seed": seed, "labels learned from": map_scores(patches, test), "segmenter": map_scores(taught, test)}
    return row | {"regions learned from": report["n_regions_learned"], "cpu_seconds": seconds}


def camvid(seed: int) -> dict[str, Any]:
    """Learned from photos of the train split, tested on photos of the val split."""
    with tempfile.TemporaryDirectory() as home:
        parts = {split: part_of(unpack_files("camvid", split), Path(home) / split, EVERY[split]) for split in EVERY}
        return camvid_once(parts["train"], parts["test"], seed)


def part_of(folder: Path, place: Path, every: int, first: int = 0) -> Path:
    """A folder with every n-th photo of a set, and the masks of all."""
    copied(sorted((folder / "items").iterdir())[first::every], place / "items")
    (place / "masks").symlink_to(folder / "masks")
    return place


def foreground_scores(run: Path, folder: Path, best_only: bool) -> dict[str, float]:
    """IoU, accuracy and maxF of the foreground that a run finds. best_only: the best object of each photo, not all of them."""
    predicted = predict(Run.open(run), str(folder / "items"))
    paths, truths, masks = np.array(predicted.paths), [], []
    for file in sorted((folder / "items").iterdir()):
        truth = np.asarray(Image.open(folder / "masks" / f"{file.stem}.png").convert("L")) > 127
        rows = np.flatnonzero(paths == file.name)
        if best_only and len(rows):
            rows = rows[[predicted.confidence[rows].argmax()]]
        found = np.zeros(truth.shape, bool)
        for row in rows:
            found |= predicted.pieces[row].mask.decode()
        truths.append(truth)
        masks.append(found)
    return mask_scores(masks, truths)


def ecssd_once(learn: Path, test: Path, finder: str, seed: int) -> dict[str, Any]:
    """Scores on unseen photos of the finder, and of the segmenter that learned its objects."""
    encoder = {"encoder": f"frozen:{ENCODER}", "weights": str(lite0_weights()), "px": PX, "device": "cpu"}
    with tempfile.TemporaryDirectory() as home:
        found, taught = Path(home) / "found", Path(home) / "segmenter"
        find(make_settings(source=str(learn / "items"), method=finder, seed=seed, **encoder), found)
        began = time.process_time()
        report = teach(make_settings(source=str(found), method="fcn", seed=seed, device="cpu"), taught).report
        seconds = round(time.process_time() - began, 1)
        row: dict[str, Any] = {"seed": seed, "regions learned from": report["n_regions_learned"]}
        row["best object of the finder"] = foreground_scores(found, test, best_only=True)
        row["all objects of the finder"] = foreground_scores(found, test, best_only=False)
        row["segmenter"] = foreground_scores(taught, test, best_only=False)
    return row | {"cpu_seconds": seconds}


def ecssd(finder: str, seed: int) -> dict[str, Any]:
    """Learned from the objects of a finder in photos of odd number, tested on photos of even number."""
    with tempfile.TemporaryDirectory() as home:
        learn, test = (part_of(unpack_files("ecssd"), Path(home) / name, 4, first) for name, first in (("odd", 1), ("even", 0)))
        return ecssd_once(learn, test, finder, seed)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--sets", nargs="+", choices=("camvid", "ecssd"), default=["camvid", "ecssd"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--finders", nargs="+", default=["found", "cut"])
    given = parser.parse_args()
    about = f"{ENCODER} (ImageNet, supervised); camvid 448 px, ecssd {PX} px; CPU, one thread"
    tries: list[tuple[str, Callable[[int], dict[str, Any]]]] = [("camvid", camvid)] if "camvid" in given.sets else []
    tries += [(f"ecssd, {finder}", partial(ecssd, finder)) for finder in given.finders if "ecssd" in given.sets]
    for name, measure in tries:
        for seed in given.seeds:
            row = measure(seed)
            print(name, row, flush=True)
            results = read_results("segmenter") | {"features": about}
            rows = [old for old in results.get(name, []) if old["seed"] != seed] + [row]
            write_results("segmenter", results | {name: sorted(rows, key=lambda r: r["seed"])})


if __name__ == "__main__":
    main()
