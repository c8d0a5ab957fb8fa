"""Photos from scratch: a network and labels from the photos alone, in a number of minutes, beside k-means on pixels.

    SELFLABEL_DATA=... python -m reproduce.photos imagenette128 [--uneven 10]     # 20 minutes; two cores
    SELFLABEL_DATA=... python -m reproduce.photos cifar10                         # 8.8 minutes; meant for one GPU

`--minutes` are for all that the call does: unpacking, decoding, a trial that shows how long an epoch takes, training, labelling.
`--uneven R` keeps a long-tailed subset, largest to smallest class R to 1. Writes a row of results/photos-scratch.json, in place
of the row of the same set, device and seed; with `--limit` nothing is written.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from reproduce.common import read_results, unpack, write_results
from reproduce.imbalance import long_tailed
from selflabel.assignment.kmeans import kmeans
from selflabel.base.settings import Settings, make_settings
from selflabel.evaluation.metrics import encode_labels, score
from selflabel.jobs.label import label
from selflabel.jobs.prepare import prepare
from selflabel.jobs.score import score_run
from selflabel.runs.run import Run, csv_text, read_truth
from selflabel.training.distributed import pick_device

# set to its split, and the minutes of a call
SETS = {"imagenette128": ("all", 20.0), "cifar10": ("train", 8.8)}
RESULTS = "photos-scratch"
TRIAL = {"cpu": 3, "cuda": 6}  # epochs of the trial; on a GPU they are of two phases
TURNS = 2.0  # label turns of a run, and all else that is no epoch, in multiples of the trial's
RESERVE = 0.05  # share of the time that is kept, because an epoch may take longer than in the trial
KMEANS_PX = 32


@dataclass(frozen=True)
class Cost:
    """Seconds that a run takes.

    Attributes:
        epoch: of a mean epoch, without label turns.
        rest: of the trial's training beside its epochs: first labels, label turns, a GPU's start.
        after: of the final labelling.
    """

    epoch: float
    rest: float
    after: float


def listed_photos(name: str, limit: int | None, uneven: float | None) -> Path:
    """A manifest of the photos of a set, with their truth: all of them, or a long-tailed subset."""
    folder, truth = unpack(name, SETS[name][0], limit)
    paths, classes = np.array(list(truth)), np.array(list(truth.values()))
    rows = np.arange(len(paths)) if uneven is None else long_tailed(encode_labels(classes), uneven, 0)
    manifest = folder.parent / ("manifest.csv" if uneven is None else f"manifest-{uneven:g}.csv")
    manifest.write_text(csv_text(["path", "truth"], [(str(folder / paths[i]), classes[i]) for i in rows]))
    return manifest


def measure(settings: Settings, epochs: int) -> Cost:
    """The cost of an epoch, from a trial of so many epochs. The last of each phase has no label turn, and they become rare."""
    with tempfile.TemporaryDirectory() as folder:
        seconds = label(replace(settings, epochs=epochs), Path(folder) / "trial").report["seconds"]
        lines = [json.loads(line) for line in (Path(folder) / "trial/metrics.jsonl").read_text().splitlines()]
    last = {line["phase"]: line["seconds"] for line in lines}
    epoch = sum(last[line["phase"]] for line in lines) / len(lines)
    cost = Cost(epoch, seconds["train"] - epoch * len(lines), seconds["label"])
    print(f"trial of {epochs} epochs: {cost}", flush=True)
    return cost


def epochs_within(seconds: float, cost: Cost) -> int:
    """The epochs that fit into the seconds, at least one.

    Example:
        >>> epochs_within(95.0, Cost(epoch=2.0, rest=10.0, after=5.0))
        35
    """
    return max(1, int((seconds - cost.after - TURNS * cost.rest) / cost.epoch))


def label_photos(settings: Settings, run: Path) -> dict[str, Any]:
    """Label into a run folder, or take the finished run in it: scores, epochs and seconds."""
    report, scores = label(settings, run, resume=True).report, score_run(Run(run), None)
    kept = {k: round(scores[k], 4) for k in ("accuracy", "macro_accuracy", "nmi", "ari")}
    estimate = {"estimated_accuracy": report["estimated_accuracy"], "no_estimate": report["no_estimate"]}
    return kept | {"labels": scores["n_clusters"], "epochs": report["epochs"], "seconds": report["seconds"]} | estimate


def kmeans_on_pixels(source: str, truth: list[str], K: int, seed: int) -> dict[str, float]:
    """Scores of k-means, ten starts, on photos of 32 px."""
    pixels = prepare(source, torch.device("cpu"), encoder="scratch", px=KMEANS_PX).first.tensor
    x = torch.from_numpy(np.array(pixels)).flatten(1).float() / 255
    scores = score(truth, kmeans(x, K, seed, n_init=10)[1].numpy())
    return {k: round(scores[k], 4) for k in ("accuracy", "macro_accuracy", "nmi", "ari")}


def device_name(device: torch.device) -> str:
    """The device as the results call it."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else f"CPU, threads: {torch.get_num_threads()}"


def add_row(row: dict[str, Any]) -> None:
    """Write the row in place of that of the same set, device and seed."""
    same = ("set", "uneven", "device", "seed")
    rows = [r for r in read_results(RESULTS).get("rows", []) if [r.get(k) for k in same] != [row[k] for k in same]]
    write_results(RESULTS, {"data": "photos from scratch, from folders of JPEG files", "rows": [*rows, row]})


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("set", choices=SETS)
    parser.add_argument("--minutes", type=float, help="of the whole call")
    parser.add_argument("--epochs", type=int, help="instead of as many as fit into the minutes")
    parser.add_argument("--uneven", type=float, help="largest over smallest class of a long-tailed subset")
    parser.add_argument("--limit", type=int, help="photos of the set, to try the script; nothing is written")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--runs", default="runs", help="where the run is kept; one that was cut goes on")
    return parser.parse_args()


def main() -> None:
    began, cpu, options = time.perf_counter(), time.process_time(), parse_options()
    device, minutes = pick_device("auto"), options.minutes or SETS[options.set][1]
    manifest = listed_photos(options.set, options.limit, options.uneven)
    truth = list(read_truth(manifest).values())
    settings = make_settings(source=str(manifest), clusters=len(set(truth)), seed=options.seed, encoder="scratch")
    epochs = options.epochs
    if epochs is None:
        cost = measure(settings, TRIAL[device.type])
        epochs = epochs_within((1 - RESERVE) * 60 * minutes - (time.perf_counter() - began), cost)
    name = "-".join(str(x) for x in (options.set, options.uneven, options.limit, options.seed, epochs) if x is not None)
    found = label_photos(replace(settings, epochs=epochs), Path(options.runs) / f"photos-{name}")
    row = {"set": options.set, "uneven": options.uneven, "device": device_name(device), "seed": options.seed}
    row |= {"photos": len(truth), "minutes": minutes if options.epochs is None else None} | found
    row |= {"seconds_of_call": round(time.perf_counter() - began, 1), "seconds_cpu": round(time.process_time() - cpu, 1)}
    row["k-means on pixels"] = kmeans_on_pixels(str(manifest), truth, len(set(truth)), options.seed)
    print(row, flush=True)
    if options.limit is None:
        add_row(row)


if __name__ == "__main__":
    main()
