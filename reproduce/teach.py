"""How much better a detector is than the boxes that it learned from, on photos apart from those it learned from.

Penn-Fudan (pedestrians) and scenes of two animals; the boxes are those of `cut` with EfficientNet-Lite0, which are also found on
the photos of the test. The settings of the detector were chosen with Penn-Fudan's photos of odd number as the test; the numbers
that count learn from these and are of the others. On the scenes nothing was chosen. Classes are clusters of boxes, matched to
the true ones by overlap (Hungarian method) with the truth of the test.

`sounding_scenes` are the same scenes with the cry of one of the two animals: the boxes are those of the heatmaps of `ssod`, which
learned pictures and sounds from scratch, and its encoder is the backbone. Scores are of the animals that cry, and of all: what
learned from sounds should find what is silent.

python -m reproduce.teach [--sets pennfudan animal_scenes sounding_scenes]
"""

from __future__ import annotations

import argparse
import csv
import shutil
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.optimize import linear_sum_assignment

from reproduce.common import data_folder, read_results, unpack_files, write_results
from reproduce.lite0 import ENCODER, lite0_weights
from reproduce.objects import PX
from reproduce.sounding_objects import TEST, TRAIN, unpacked
from selflabel.base.settings import make_settings
from selflabel.evaluation.localisation import average_precision
from selflabel.jobs.find import find
from selflabel.jobs.label import label
from selflabel.jobs.localise import localise
from selflabel.jobs.predict import predict
from selflabel.jobs.teach import teach
from selflabel.regions.boxes import box_ious
from selflabel.runs.run import Run

SCENES, SCENES_TESTED = 400, 200
CLASSES = {"pennfudan": 5, "animal_scenes": 66}  # clusters of boxes; the second is the number of animals
SEED = 0


class Boxes(NamedTuple):
    """Boxes in photos: path, box and class of each, and its score; of true ones 1."""

    paths: np.ndarray
    boxes: np.ndarray
    classes: np.ndarray
    scores: np.ndarray

    def of(self, path: str, kind: object = None) -> np.ndarray:
        """The rows in a photo, of one class or of all."""
        return np.flatnonzero((self.paths == path) & (True if kind is None else self.classes == kind))


def true_boxes(file: Path, sounding: bool = False) -> Boxes:
    """What a boxes.csv says; of what sounds only, where asked."""
    with file.open(newline="") as lines:
        rows = [row for row in csv.DictReader(lines) if not sounding or row["sounding"] == "1"]
    boxes = np.array([[float(row[c]) for c in ("x0", "y0", "x1", "y1")] for row in rows])
    kinds = np.array([row["label"] for row in rows])
    return Boxes(np.array([row["path"] for row in rows]), boxes, kinds, np.ones(len(rows)))


def ap50(found: Boxes, truth: Boxes, paths: list[str], kind: object = None, true_kind: object = None) -> float:
    """AP50 over photos; of one class where it is named."""
    own, true = [found.of(path, kind) for path in paths], [truth.of(path, true_kind) for path in paths]
    return average_precision([found.boxes[r] for r in own], [found.scores[r] for r in own], [truth.boxes[r] for r in true])


def mean_ap50(found: Boxes, truth: Boxes, paths: list[str]) -> float:
    """AP50 of the classes that occur, after each is matched to at most one cluster; one without a cluster counts 0."""
    kinds, clusters = np.unique(truth.classes[np.isin(truth.paths, paths)]), np.unique(found.classes)
    overlaps = np.zeros((len(clusters), len(kinds)))
    for path in paths:
        own, true = found.of(path), truth.of(path)
        hits = box_ious(found.boxes[own], truth.boxes[true]) >= 0.5
        for i, j in zip(*np.nonzero(hits)):
            at = np.searchsorted(clusters, found.classes[own[i]]), np.searchsorted(kinds, truth.classes[true[j]])
            overlaps[at] += found.scores[own[i]]
    pairs = zip(*linear_sum_assignment(-overlaps))
    return sum(ap50(found, truth, paths, clusters[i], kinds[j]) for i, j in pairs) / len(kinds)


def boxes_of(predicted) -> Boxes:
    """What `predict` gives."""
    return Boxes(np.array(predicted.paths), predicted.pieces.boxes, predicted.labels, predicted.pieces.scores)


def measured(learn: Path, test: Path, truth: Boxes, clusters: int, home: Path) -> dict:
    """AP50 on a folder of the boxes by `cut`, and of the detector that learned those of another folder."""
    encoder = {"encoder": f"frozen:{ENCODER}", "weights": str(lite0_weights()), "seed": SEED}
    find(make_settings(source=str(learn), method="cut", px=PX, **encoder), home / "cut")
    label(make_settings(source=str(home / "cut"), clusters=clusters, **encoder), home / "labelled")
    report = teach(make_settings(source=str(home / "labelled"), method="fcos", seed=SEED), home / "detector").report
    paths = sorted(file.name for file in test.iterdir())
    labelled = boxes_of(predict(Run.open(home / "labelled"), str(test)))  # finds as `cut` does, and labels
    scored = {"boxes learned from": labelled, "detector": boxes_of(predict(Run.open(home / "detector"), str(test)))}
    rows = {name: {"ap50": ap50(b, truth, paths), "ap50 by class": mean_ap50(b, truth, paths)} for name, b in scored.items()}
    return {"learned from": report["n_regions_learned"], "photos": len(paths), "seconds": report["seconds"], "scores": rows}


def copied(files: list[Path], folder: Path) -> Path:
    """A folder of these files."""
    folder.mkdir(parents=True)
    for file in files:
        shutil.copy(file, folder / file.name)
    return folder


def pennfudan(home: Path) -> dict:
    """Learns from the photos of odd number, is tested on the others."""
    folder = unpack_files("pennfudan")
    halves: dict[bool, list[Path]] = defaultdict(list)
    for file in sorted((folder / "items").iterdir()):
        halves[int(file.stem) % 2 == 1].append(file)
    learn, test = copied(halves[True], home / "learn"), copied(halves[False], home / "test")
    return measured(learn, test, true_boxes(folder / "boxes.csv"), CLASSES["pennfudan"], home)


def animal_scenes(home: Path) -> dict:
    """Learns from scenes of seed 1, is tested on scenes of seed 2: the same animals in new compositions."""
    folders = {1: SCENES, 2: SCENES_TESTED}
    for seed, limit in folders.items():
        words = ["animal_scenes", str(home / str(seed)), "--seed", str(seed), "--limit", str(limit)]
        subprocess.run([sys.executable, str(data_folder() / "unpack.py"), *words], check=True)
    learn, test = (copied(sorted((home / str(s) / "items").glob("*.jpg")), home / n) for s, n in ((1, "learn"), (2, "test")))
    return measured(learn, test, true_boxes(home / "2" / "boxes.csv"), CLASSES["animal_scenes"], home)


def sounding_scenes(home: Path) -> dict:
    """Learns from the heatmaps of 2,000 scenes, is tested on 500 others with the same animals."""
    learn, test = unpacked(*TRAIN) / "items", unpacked(*TEST)
    started = time.perf_counter()
    settings = make_settings(source=str(learn), method="ssod", clusters=CLASSES["animal_scenes"], seed=SEED, device="cpu")
    localise(settings, home / "found")
    found_after = round(time.perf_counter() - started)
    report = teach(make_settings(source=str(home / "found"), method="fcos", seed=SEED), home / "detector").report
    paths = sorted(file.name for file in (test / "items").glob("*.jpg"))
    scored = {
        "heatmaps": boxes_of(predict(Run.open(home / "found"), str(test / "items"))),
        "detector": boxes_of(predict(Run.open(home / "detector"), str(test / "items"))),
    }
    rows = {}
    for who, truth in (("crying", true_boxes(test / "boxes.csv", sounding=True)), ("all", true_boxes(test / "boxes.csv"))):
        for name, boxes in scored.items():
            rows[f"{name}, {who}"] = {"ap50": ap50(boxes, truth, paths), "ap50 by class": mean_ap50(boxes, truth, paths)}
    seconds = {"find": found_after, "teach": report["seconds"]}
    return {"learned from": report["n_regions_learned"], "photos": len(paths), "seconds": seconds, "scores": rows}


SETS = {"pennfudan": pennfudan, "animal_scenes": animal_scenes, "sounding_scenes": sounding_scenes}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    results = read_results("teach") | {"features": f"{ENCODER} (ImageNet, supervised), {PX} px; CPU; seed {SEED}"}
    for name in parser.parse_args().sets:
        with tempfile.TemporaryDirectory() as folder:
            results[name] = SETS[name](Path(folder))
        print(name, results[name], flush=True)
        write_results("teach", results)


if __name__ == "__main__":
    main()
