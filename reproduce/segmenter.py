"""How much better a segmenter is than the regions that it learned from, on photos apart from those it learned from.

CamVid: `label --parts patches` of the train split, `teach --method fcn` on its regions, and both on the val split. ECSSD: objects
that `find` found in the photos of odd number, the segmenter taught by them, and both on the photos of even number, where the
finder looks for itself. The settings of the segmenter were chosen within CamVid's train split (learned from every second photo,
tested on the others) and on nothing of ECSSD. The encoder is EfficientNet-Lite0 (ImageNet, supervised).

python -m reproduce.segmenter [--sets camvid ecssd] [--seeds 3]
"""

from __future__ import annotations

import argparse
import tempfile
import time
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

FINDERS = ("found", "cut")


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


def camvid_once(learn: Path, test: Path, seed: int, **given: Any) -> dict[str, Any]:
    """Scores on unseen photos of the labels that were learned from, and of the segmenter."""
    encoder = {"encoder": f"frozen:{ENCODER}", "weights": str(lite0_weights()), "device": "cpu"}
    with tempfile.TemporaryDirectory() as home:
        patches, taught = Path(home) / "patches", Path(home) / "segmenter"
        label(make_settings(source=str(learn / "items"), clusters=K, parts="patches", seed=seed, **encoder), patches)
        began = time.process_time()
        report = teach(make_settings(source=str(patches), method="fcn", seed=seed, device="cpu", **given), taught).report
        seconds = round(time.process_time() - began, 1)
        row = {"seed": seed, "labels learned from": map_scores(patches, test), "segmenter": map_scores(taught, test)}
    row |= {"regions learned from": report["n_regions_learned"], "cpu_seconds": seconds}
    print(row, flush=True)
    return row


def camvid(seeds: list[int]) -> list[dict[str, Any]]:
    """Learned from the train split, tested on the val split."""
    return [camvid_once(unpack_files("camvid", "train"), unpack_files("camvid", "test"), seed) for seed in seeds]


def halves(name: str, home: Path) -> tuple[Path, Path]:
    """(photos of odd number to learn from, of even number to test on), with the masks of all beside each."""
    folder = unpack_files(name)
    files = sorted((folder / "items").iterdir())
    parts = [copied([f for f in files if int(f.stem) % 2 == odd], home / str(odd) / "items") for odd in (1, 0)]
    for part in parts:
        (part.parent / "masks").symlink_to(folder / "masks")
    return parts[0].parent, parts[1].parent


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
        row: dict[str, Any] = {"finder": finder, "seed": seed, "regions learned from": report["n_regions_learned"]}
        row["best object of the finder"] = foreground_scores(found, test, best_only=True)
        row["all objects of the finder"] = foreground_scores(found, test, best_only=False)
        row["segmenter"] = foreground_scores(taught, test, best_only=False)
    print(row, flush=True)
    return row | {"cpu_seconds": seconds}


def ecssd(seeds: list[int]) -> list[dict[str, Any]]:
    """Learned from the objects of a finder in the photos of odd number, tested on the others."""
    with tempfile.TemporaryDirectory() as home:
        learn, test = halves("ecssd", Path(home))
        return [ecssd_once(learn, test, finder, seed) for finder in FINDERS for seed in seeds]


SETS = {"camvid": camvid, "ecssd": ecssd}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--seeds", type=int, default=3)
    given = parser.parse_args()
    about = f"{ENCODER} (ImageNet, supervised); camvid 448 px, ecssd {PX} px; CPU, one thread"
    results = read_results("segmenter") | {"features": about}
    for name in given.sets:
        results[name] = SETS[name](list(range(given.seeds)))
        write_results("segmenter", results)


if __name__ == "__main__":
    main()
