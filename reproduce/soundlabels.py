"""What sounds teach about pictures: `soundlabels` on `ucf101_av7`, 278 clips with sound of seven actions of UCF-101.

Labels, at seven clusters and at the 30 that were published: NMI with the actions of the clusters of the sounds, of what the
network of the pictures predicts for the clips that it learned from, and for clips of other groups, which it has not seen (trained
on the clips of odd groups, tested on those of even ones, and the other way round). Beside them k-means of the pixels of the
middle frame. Nothing was chosen on these numbers; the sounds of unseen clips are not heard.

Heatmaps: cIoU@.5 and AUC of the class activation maps on the boxes of 61 clips, beside the middle of the picture, with 95 of 100
redrawn sets.

    SELFLABEL_DATA=... python -m reproduce.soundlabels [--seeds 0 1 2] [--labels kmeans binary sela] [--clusters 7 30]
        [--parts pixels sounds whole unseen maps] [--epochs N]

The network is shown a frame a time (`--set frames=1`), as published, and is trained from scratch.
"""

from __future__ import annotations

import argparse
import csv
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from reproduce.common import kmeans_rows, read_results, unpack_files, with_summary, write_results
from selflabel.base.settings import make_settings
from selflabel.evaluation.metrics import accuracy, nmi
from selflabel.items import open_items
from selflabel.jobs.callbacks import Callbacks
from selflabel.jobs.label import label
from selflabel.jobs.localise import localise
from selflabel.jobs.model import load_model
from selflabel.jobs.prepare import prepare
from selflabel.jobs.score import score_modalities, score_run
from selflabel.jobs.score_regions import score_regions
from selflabel.methods.label.soundlabels import SoundClusters
from selflabel.runs.run import Run

NAME, SET, CPU = "soundlabels", "ucf101_av7", torch.device("cpu")
CLUSTERS, PIXELS = (7, 30), 16
PARTS = ("pixels", "sounds", "whole", "unseen", "maps")
FRAME = {"encoder": "video=resnet9", "frames": 1, "method": "soundlabels", "device": "cpu"}


def truth_table(folder: Path) -> dict[str, dict[str, str]]:
    """Path to its row in truth.csv."""
    return {row["path"]: row for row in csv.DictReader((folder / "truth.csv").open(newline=""))}


def pixel_rows(folder: Path, seeds: list[int]) -> dict[str, Any]:
    """K-means of the pixels of the middle frame, shrunk to PIXELS x PIXELS."""
    prepared = prepare(str(folder / "items"), CPU, modality="video", encoder="scratch")
    frames, lengths = prepared.first.tensor, prepared.first.lengths
    assert frames is not None and lengths is not None
    middle = torch.from_numpy(np.stack([clip[n // 2] for clip, n in zip(frames, lengths.tolist())])).float()
    x = torch.nn.functional.adaptive_avg_pool2d(middle, PIXELS).flatten(1).numpy()
    table = truth_table(folder)
    actions = [table[path]["label"] for path in prepared.items.paths]
    return {str(k): with_summary(kmeans_rows(x, actions, k, seeds)) for k in CLUSTERS}


def sound_rows(folder: Path, labels: str, seeds: list[int]) -> dict[str, Any]:
    """The clusters of the sounds by themselves, of the clips that have one; nothing is trained."""
    prepared = prepare(str(folder / "items"), CPU, modality="audio", encoder="frozen:texture")
    table, x = truth_table(folder), torch.from_numpy(np.array(prepared.first.tensor))
    actions, found = [table[path]["label"] for path in prepared.items.paths], {}
    for k in CLUSTERS:
        rows = []
        for seed in seeds:
            began = time.perf_counter()
            clusters = SoundClusters(k, equal=labels == "sela").fit(x, seed).numpy()
            scores = {"accuracy": accuracy(actions, clusters), "nmi": nmi(actions, clusters)}
            rows.append({"seed": seed, **scores, "seconds": round(time.perf_counter() - began, 1)})
        found[str(k)] = with_summary(rows)
    return found


def whole_set(folder: Path, k: int, labels: str, seed: int, epochs: int | None) -> dict[str, Any]:
    """A run on all clips: NMI of its labels, and of the clusters of the sounds."""
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as home:
        given = {"clusters": k, "seed": seed, "epochs": epochs, "options": {"labels": labels}}
        label(make_settings(source=str(folder / "items"), **FRAME, **given), Path(home) / "run")
        run, truth = Run.open(Path(home) / "run"), str(folder / "truth.csv")
        scores, by_modality = score_run(run, truth), score_modalities(run, truth)
    row = {"seed": seed, "accuracy": scores["accuracy"], "nmi": scores["nmi"], "seconds": round(time.perf_counter() - began, 1)}
    return row | {"sounds": dict(zip(("accuracy", "nmi"), by_modality["audio"]))}


def unseen(folder: Path, k: int, labels: str, seed: int, epochs: int | None) -> dict[str, Any]:
    """Both halves of the groups: NMI and accuracy of what is predicted from the pictures alone of the half that was not seen."""
    table, began, found = truth_table(folder), time.perf_counter(), []
    halves = [[p for p, row in table.items() if int(row["group"].rpartition("-")[2]) % 2 == half] for half in (0, 1)]
    for learn, test in (halves, halves[::-1]):
        with tempfile.TemporaryDirectory() as home:
            sources = []
            for name, paths in (("learn", learn), ("test", test)):
                sources.append(Path(home) / f"{name}.csv")
                sources[-1].write_text("path\n" + "".join(f"{folder / 'items' / p}\n" for p in paths))
            given = {"clusters": k, "seed": seed, "epochs": epochs, "options": {"labels": labels}}
            label(make_settings(source=str(sources[0]), **FRAME, **given), Path(home) / "run")
            pictures = open_items(str(sources[1])).only(("video",))
            predicted = load_model(Run.open(Path(home) / "run"), "cpu").predict(pictures)
        actions = [table[Path(path).name]["label"] for path in predicted.paths]
        found.append((nmi(actions, predicted.labels), accuracy(actions, predicted.labels)))
    means = dict(zip(("nmi", "accuracy"), np.mean(found, axis=0).tolist()))
    return {"seed": seed, **means, "halves": found, "seconds": round(time.perf_counter() - began, 1)}


def heatmaps(folder: Path, labels: str, seed: int, epochs: int | None) -> dict[str, Any]:
    """Class activation maps on the boxes."""
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as home:
        given = {"seed": seed, "epochs": epochs, "options": {"labels": labels}}
        settings = make_settings(source=str(folder / "items"), method="soundlabels", device="cpu", **given)
        localise(settings, Path(home) / "run", callbacks=Callbacks(print))
        scores = score_regions(Run.open(Path(home) / "run"), str(folder / "boxes.csv"))
    numbers = scores["groups"]["heatmaps"]
    return {"seed": seed, **numbers, "seconds": round(time.perf_counter() - began, 1)}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--labels", nargs="+", default=["kmeans", "binary", "sela"])
    parser.add_argument("--clusters", type=int, nargs="+", default=list(CLUSTERS))
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--epochs", type=int)
    own = parser.parse_args()
    folder, results = unpack_files(SET), read_results(NAME)
    results = {k: v for k, v in results.items() if k not in ("date", "commit", "machine")} | {"data": __doc__.split("\n")[0]}

    def add(part: str, name: str, rows: Any) -> None:
        results.setdefault(part, {})[name] = rows
        write_results(NAME, results)

    if "pixels" in own.parts:
        results["k-means of pixels"] = pixel_rows(folder, own.seeds)
        write_results(NAME, results)
    for how in own.labels:
        if "sounds" in own.parts and how != "binary":  # its clusters are those of k-means
            add("clusters of the sounds", how, sound_rows(folder, how, own.seeds))
        for k in own.clusters:
            if "whole" in own.parts:
                add("predicted for the clips it learned from", f"{how}, {k}", rows_of(whole_set, folder, k, how, own))
            if "unseen" in own.parts:
                add("predicted for clips of other groups", f"{how}, {k}", rows_of(unseen, folder, k, how, own))
        if "maps" in own.parts:
            add("heatmaps", how, [heatmaps(folder, how, seed, own.epochs) for seed in own.seeds])


def rows_of(measure: Any, folder: Path, k: int, how: str, own: argparse.Namespace) -> dict[str, Any]:
    """The rows of all seeds, and their summary."""
    rows = []
    for seed in own.seeds:
        rows.append(measure(folder, k, how, seed, own.epochs))
        print(measure.__name__, how, k, rows[-1], flush=True)
    return with_summary(rows)


if __name__ == "__main__":
    main()
