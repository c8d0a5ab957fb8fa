"""Which class sounds where: `av7_scenes`, pictures of four clips' frames as quarters, of which two are heard.

Solos are the clips of the training groups, as films; 600 scenes to train are made of them (seed 1), 200 to test of the other
groups (seed 2). The tower of the pictures is EfficientNet-Lite0 (ImageNet, supervised) at 192 px and is not trained, that of the
sounds learns from scratch: `dsol` with both kinds of labels and the defaults, and `avol` on the same towers and the same pairs.
Nothing was chosen on the test scenes: how maps are shown, and how long it learns, was chosen with solos and scenes of most of the
training groups, and test scenes of the others.

python -m reproduce.mixed_scenes [--seeds 0 1 2] [--methods ...]     # rows of earlier calls are kept
"""

from __future__ import annotations

import argparse
import csv
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from reproduce.common import data_folder, read_results, write_results
from reproduce.lite0 import ENCODER, lite0_weights
from selflabel.base.settings import make_settings
from selflabel.contract import Data
from selflabel.evaluation.heatmaps import SIDE, drawn
from selflabel.evaluation.metrics import nmi
from selflabel.items import open_items
from selflabel.jobs import localise as localising
from selflabel.jobs.callbacks import Callbacks
from selflabel.jobs.model import load_model
from selflabel.jobs.score_heatmaps import HeatScores, Scenes, is_scene, picture_maps
from selflabel.methods import LOCALISERS, Entry
from selflabel.methods.find.avol import AVOL
from selflabel.methods.find.dsol import DSOL
from selflabel.runs.maps import read_maps
from selflabel.runs.region_truth import read_boxes
from selflabel.runs.run import Run

N_TRAIN, N_TEST, PX, CLASSES = 600, 200, 192, 7
TOWERS = f"{ENCODER} (ImageNet, supervised), {PX} px, fixed; sounds from scratch"
AVOL_EPOCHS = 15  # about as many pairs as `dsol` is shown by default
METHODS = {
    "dsol, transport": ("dsol", {"labels": "sela"}),
    "dsol, k-means": ("dsol", {"labels": "kmeans"}),
    "avol": ("avol-both", {"pretext": "none"}),
}


class BothSets(AVOL):
    """AVOL-Net on solos and scenes alike."""

    takes_solos = True


class Watched(DSOL):
    """`dsol` that keeps the labels of each round."""

    turns: list[Tensor] = []  # noqa: RUF012

    def solve_classes(self, data: Data, generator: torch.Generator) -> None:
        super().solve_classes(data, generator)
        self.turns.append(self.labels_N.clone())


def unpacked(name: str, split: str, limit: int | None, seed: int, *words: str) -> Path:
    """A set as a folder, made once."""
    out = Path(tempfile.gettempdir()) / "selflabel-data" / f"{name}-{split}-{limit}-{seed}"
    if not (out / "truth.csv").exists():
        sizes = ["--limit", str(limit)] if limit else []
        command = [sys.executable, str(data_folder() / "unpack.py"), name, str(out), "--split", split, "--seed", str(seed)]
        subprocess.run([*command, *sizes, *words], check=True)
    return out


def train(name: str, seed: int, out: Path) -> list[float]:
    """Train one, into a run folder. Returns the NMI of the solos' labels with their actions, of every round."""
    method, options = METHODS[name]
    solos, scenes = unpacked("ucf101_av7", "train", None, 0, "--by-group"), unpacked("av7_scenes", "train", N_TRAIN, 1)
    order: list[str] = []
    prepare, Watched.turns = localising.prepare_sets, []

    def noted(*given: Any) -> Any:
        prepared, is_solo = prepare(*given)
        order[:] = prepared.items.paths
        return prepared, is_solo

    localising.prepare_sets = noted
    try:
        epochs = None if method == "dsol" else AVOL_EPOCHS
        towers = {"encoder": f"image={ENCODER}", "weights": f"image={lite0_weights()}", "px": PX, "device": "cpu"}
        sets = {"source": str(scenes / "items"), "solos": str(solos / "items"), "clusters": CLASSES}
        settings = make_settings(method=method, seed=seed, epochs=epochs, options=options, **towers, **sets)
        localising.localise(settings, out, overwrite=True, callbacks=Callbacks(lambda text: print(text, flush=True)))
    finally:
        localising.prepare_sets = prepare
    truth = {row["path"]: row["label"] for row in csv.DictReader((solos / "truth.csv").open())}
    actions = np.array([truth.get(path.removeprefix("solos/"), "") for path in order])
    return [nmi(actions[labels.numpy() >= 0], labels[labels >= 0].numpy()) for labels in Watched.turns]


def scores_of(run: Path) -> dict[str, dict[str, float | None]]:
    """The numbers of the test scenes by a finished run."""
    scenes = unpacked("av7_scenes", "test", N_TEST, 2)
    (run / "test").mkdir(exist_ok=True)
    pairs, found = localising.localise_unseen(
        load_model(Run(run), "cpu", None), open_items(str(scenes / "items")), Callbacks(), run / "test"
    )
    maps, table = read_maps(run / "test", len(found.regions.rows)), read_boxes(scenes / "boxes.csv")
    assert maps is not None
    heat, mixed = HeatScores(), Scenes(sorted({name for true in table.of.values() for name in true.classes}))
    for row, path in enumerate(pairs.items.paths):
        true, (width, height) = table.of[path], pairs.sizes[row].tolist()
        channels = picture_maps(maps, row, (width, height))
        heat.add(channels.max(axis=0), np.zeros((SIDE, SIDE), bool), drawn(true.those(true.sounds).boxes, (width, height)))
        if is_scene(true):
            mixed.add(channels, true, (width, height))
    return {name: row for name, row in (heat.columns().rows() | mixed.rows()).items() if "regions" not in name}


def is_asked(row: dict[str, Any], given: argparse.Namespace) -> bool:
    """Whether a row is measured now."""
    return row["seed"] in given.seeds and row["method"] in given.methods


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    given = parser.parse_args()
    LOCALISERS["dsol"], LOCALISERS["avol-both"] = Entry(Watched, "", ""), Entry(BothSets, "", "")
    rows = [row for row in read_results("mixed_scenes").get("runs", []) if not is_asked(row, given)]
    for seed in given.seeds:
        for name in given.methods:
            with tempfile.TemporaryDirectory() as folder:
                began, used = time.time(), time.process_time()
                nmis = train(name, seed, Path(folder) / "run")
                spent = {"seconds": round(time.time() - began), "cpu_seconds": round(time.process_time() - used)}
                rows.append(
                    {"method": name, "seed": seed, "nmi of labels": nmis, **spent, "scores": scores_of(Path(folder) / "run")}
                )
            print(rows[-1], flush=True)
            write_results("mixed_scenes", {"towers": TOWERS, "scenes": [N_TRAIN, N_TEST], "runs": rows})


if __name__ == "__main__":
    main()
