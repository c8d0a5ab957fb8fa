"""Our labels beside the public table of k-means by backbone: the image clustering tasks of MTEB, on the same features.

    python -m reproduce.mteb_images [--encoder hf:facebook/dinov2-small] [--tasks CIFAR10Clustering,...] [--weights FILE]
    python -m reproduce.mteb_images --source PATH     # any set with truth instead: a manifest, or an .npz with x and y

The first needs network, once: `datasets` fetches the tasks' pictures (pip install datasets), and a hub the encoder. Pictures are
kept in runs/mteb, so that a second call needs no network. Features go through k-means as MTEB runs it and through sela-nn; truth
is used for scoring only. Writes results/mteb-images.json, where other encoders and tasks keep their rows.

MTEB (2.26.24) clusters with scikit-learn's mini-batch k-means of 500 rows, as many clusters as classes, seed 42.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from reproduce.common import read_results, with_summary, write_results
from reproduce.features import run as run_sela_nn
from reproduce.field import parse_seeds
from selflabel.base.errors import UserError
from selflabel.evaluation.metrics import encode_labels, score
from selflabel.items import open_items
from selflabel.jobs.callbacks import Callbacks
from selflabel.jobs.prepare import prepare
from selflabel.runs.run import csv_text
from selflabel.training.distributed import pick_device

RESULTS = "mteb-images"
BATCH, SEED = 500, 42  # of MTEB's k-means


@dataclass(frozen=True)
class Task:
    """A task of MTEB: where its pictures are, as of MTEB 2.26.24.

    Attributes:
        dataset, revision: on the hub of Hugging Face.
        split: that is clustered.
        image, label: columns.
    """

    dataset: str
    revision: str
    split: str = "test"
    image: str = "image"
    label: str = "label"


TASKS = {
    "CIFAR10Clustering": Task("mteb/cifar10", "69a62dd171e24a133d193073e73fda4dbb823266", image="img"),
    "CIFAR100Clustering": Task("mteb/cifar100", "ac5511f885f65fb75d31a9d8810a8440913f7721", image="img", label="fine_label"),
    "ImageNetDog15Clustering": Task("mteb/imagenet-dog-15", "16b4f3ff0eba385e23756afc3fdefc460a5c3444"),
    "ImageNet10Clustering": Task("mteb/imagenet-10", "6ee8458695d029cc225d046deb33342dfca9d4ce"),
    "TinyImageNetClustering": Task("mteb/tiny-imagenet", "e04e259f646f750bd0bdb2a56c2a4577d89bee3d", split="valid"),
}


# ------------------------------------------------------------------------------------------------------------ the pictures


def fetched(name: str, folder: Path, limit: int | None = None) -> Path:
    """The manifest of a task's pictures, which are fetched where they are not in the folder yet."""
    manifest = folder / f"{name}-{limit}.csv"
    if not manifest.exists():
        task = TASKS[name]
        rows = hub_rows(task)
        listed = save_pictures(rows.select(range(min(limit or len(rows), len(rows)))), task, folder / name)
        manifest.write_text(csv_text(["path", "truth"], listed))
    return manifest


def hub_rows(task: Task) -> Any:
    """The rows of a task, pictures as bytes."""
    try:
        from datasets import Image, load_dataset
    except ImportError:
        raise SystemExit("the pictures of MTEB's tasks are fetched by datasets: pip install datasets") from None
    try:
        rows = load_dataset(task.dataset, revision=task.revision, split=task.split)
    except OSError as error:
        raise SystemExit(f"{task.dataset}: its pictures cannot be fetched ({error}); --source takes a set on disk") from None
    return rows.cast_column(task.image, Image(decode=False))


def save_pictures(rows: Iterable[dict[str, Any]], task: Task, folder: Path) -> list[tuple[str, str]]:
    """Write the pictures as files, bytes as they are. Returns (path, class) of each."""
    folder.mkdir(parents=True, exist_ok=True)
    listed = []
    for i, row in enumerate(rows):
        data = row[task.image]["bytes"]
        file = folder / f"{i:06d}{'.jpg' if data.startswith(bytes([0xFF, 0xD8])) else '.png'}"
        file.write_bytes(data)
        listed.append((str(file.resolve()), str(row[task.label])))
    return listed


# ------------------------------------------------------------------------------------------------- features and labels


def features_and_truth(source: str, encoder: str, weights: str | None) -> tuple[np.ndarray, np.ndarray]:
    """(features (N, D), truth (N,)) of pictures as the frozen encoder sees them, or of given features as they are."""
    given = open_items(source).are_features
    chosen, file = ("auto", None) if given else (f"frozen:{encoder}", weights)
    prepared = prepare(source, pick_device("auto"), encoder=chosen, weights=file, callbacks=Callbacks(print))
    if prepared.items.truth is None:
        raise SystemExit(f"{source}: has no truth; give a manifest with the columns path and truth, or an .npz with x and y")
    assert prepared.first.tensor is not None
    return np.array(prepared.first.tensor, np.float32), np.array(prepared.items.truth)


def kmeans_as_mteb(x: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """Scores of k-means exactly as MTEB's image clustering runs it. Its V-measure is the NMI."""
    from sklearn.cluster import MiniBatchKMeans

    found = MiniBatchKMeans(len(np.unique(truth)), batch_size=BATCH, n_init="auto", compute_labels=True, random_state=SEED).fit(x)
    scores = score(encode_labels(truth), found.labels_)
    return {name: round(scores[name], 4) for name in ("accuracy", "nmi", "ari")}


def compare(x: np.ndarray, truth: np.ndarray, seeds: list[int]) -> dict[str, Any]:
    """The entry of one task: k-means as MTEB runs it, and sela-nn."""
    rows = [run_sela_nn(x, truth, "sela-nn", seed) for seed in seeds]
    known = {"rows": len(x), "dimensions": x.shape[1], "classes": len(np.unique(truth))}
    return known | {"k-means as MTEB": kmeans_as_mteb(x, truth), "sela-nn": with_summary(rows)}


def add_entry(encoder: str, task: str, entry: dict[str, Any]) -> None:
    """Write the entry of a task, beside those of other tasks and encoders."""
    encoders = read_results(RESULTS).get("encoders", {})
    encoders[encoder] = encoders.get(encoder, {}) | {task: entry}
    write_results(RESULTS, {"data": "image clustering tasks of MTEB", "encoders": encoders})


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoder", default="hf:facebook/dinov2-small", help="timm:NAME, hf:NAME or hf:FOLDER")
    parser.add_argument("--weights", help="weights of the encoder, as in `selflabel label`")
    parser.add_argument("--tasks", default=",".join(TASKS))
    parser.add_argument("--source", help="a set with truth instead of the tasks; nothing is written")
    parser.add_argument("--folder", default="runs/mteb", help="where fetched pictures are kept")
    parser.add_argument("--limit", type=int, help="the first pictures of each task only")
    parser.add_argument("--seeds", type=parse_seeds, default="0-2")
    return parser.parse_args()


def main() -> None:
    options = parse_options()
    try:
        for name in [options.source] if options.source else options.tasks.split(","):
            source = name if options.source else str(fetched(name, Path(options.folder), options.limit))
            x, truth = features_and_truth(source, options.encoder, options.weights)
            entry = compare(x, truth, options.seeds)
            summary = {k: entry["sela-nn"]["summary"][k]["median"] for k in ("accuracy", "nmi")}
            print(name, {"k-means as MTEB": entry["k-means as MTEB"], "sela-nn": summary}, flush=True)
            if not options.source and not options.limit:
                add_entry(options.encoder, name, entry)
    except UserError as error:
        raise SystemExit(str(error)) from None


if __name__ == "__main__":
    main()
