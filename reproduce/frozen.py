"""Labels on frozen features: test photos of Imagenette-128 and imbalanced sets, sela-nn beside k-means.

The backbone is EfficientNet-Lite0 (`reproduce.lite0`); the sets are three of `reproduce.feature_sets`.

    python -m reproduce.frozen [FOLDER]      # FOLDER keeps the sets, as in `reproduce.features`
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np

from reproduce.common import kmeans_rows, label_and_score, with_summary, write_results
from reproduce.feature_sets import SETS, load

SEEDS = (0, 1, 2, 3, 4)
RESULTS = {"imagenette": "imagenette128-frozen", "imagenette-uneven10": "imbalanced10-frozen", "uneven20": "imbalanced20-frozen"}


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
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "runs/feature-sets")
    for name, results in RESULTS.items():
        write_results(results, {"data": SETS[name].what, "methods": beside_kmeans(*load(name, folder))})


if __name__ == "__main__":
    main()
