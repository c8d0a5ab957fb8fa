"""The layout of the map: every item at a point in the plane, near its neighbours. Computed once per run and kept in map.npy.

UMAP (McInnes et al., 2018, arXiv:1802.03426) lays out a sample from its neighbours in the run's features; every other item is put
among its nearest items of the sample. This runs in a process of its own, because UMAP's compiler would take the page's memory
and delay its responses.

    python -m selflabel.gallery.projection RUN

prints a line for each step, and whenever one gets on: the share that is done, 0 to 1, and what is being done.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np

from selflabel.base.files import write_atomically
from selflabel.base.sampling import drawn_rows

MAP_FILE = "map.npy"
SAMPLE = 20_000
MIN_UMAP_ITEMS = 50  # fewer items have no neighbourhoods that UMAP could use
UMAP_NEIGHBOURS = 15
PLACING_NEIGHBOURS = 5  # items of the sample that place one of the others
DIRECTIONS = 50
BLOCK = 16_384  # items that are placed together
SEED = 0
EPOCHS = 200
LAYOUT_FROM, LAYOUT_TO = 0.15, 0.7  # share of the work that is done when UMAP begins to lay out, and when it ends

Report = Callable[[float, str], None]  # (share done, step)


def project(features_ND: np.ndarray, sample: int = SAMPLE, report: Report = lambda share, step: None) -> np.ndarray:
    """Lay out all items in the plane.

    Args:
        features_ND: floats; may be memory-mapped.
        sample: number of items that UMAP lays out.
        report: called at each step, and as it gets on.

    Returns:
        (N, 2) float32 positions, in [0, 1] apart from rare outliers.
    """
    report(0, "reading the features")
    N = len(features_ND)
    rows = np.sort(np.random.default_rng(SEED).permutation(N)[:sample])
    mean, directions = principal_directions(np.asarray(features_ND[rows], np.float32))
    base = reduce_features(features_ND[rows], mean, directions)
    report(0.05, "finding neighbours")
    base_layout = umap_layout(base, report)
    positions = np.empty((N, 2), np.float32)
    positions[rows] = base_layout
    rest = np.setdiff1d(np.arange(N), rows)
    for start in range(0, len(rest), BLOCK):
        block = rest[start : start + BLOCK]
        positions[block] = place_among(reduce_features(features_ND[block], mean, directions), base, base_layout)
        report(LAYOUT_TO + (1 - LAYOUT_TO) * (start + len(block)) / len(rest), "placing the other items")
    return to_unit_square(positions)


def principal_directions(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(D,) mean and (D, <= 50) principal directions of at most 5,000 rows."""
    mean = x.mean(axis=0)
    subset = x[drawn_rows(len(x), 5_000)] - mean
    _, vectors = np.linalg.eigh(subset.T @ subset)
    return mean, np.ascontiguousarray(vectors[:, ::-1][:, : min(DIRECTIONS, x.shape[1])])


def reduce_features(x: np.ndarray, mean: np.ndarray, directions: np.ndarray) -> np.ndarray:
    """(n, d) rows of unit length, because neighbours in a run are by cosine."""
    x = (np.asarray(x, np.float32) - mean) @ directions
    return np.ascontiguousarray(x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-9))


def umap_layout(x: np.ndarray, report: Report = lambda share, step: None) -> np.ndarray:
    """(n, 2) by UMAP; the two leading directions where there are too few items for it."""
    if len(x) < MIN_UMAP_ITEMS:
        return np.pad(x[:, :2], ((0, 0), (0, max(0, 2 - x.shape[1]))))
    near, distances = nearest(x, x, UMAP_NEIGHBOURS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        report(0.1, "starting UMAP")
        import umap

        bar = {"disable": False, "file": EpochReport(report), "bar_format": "{n}", "mininterval": 0.3}
        reducer = umap.UMAP(
            n_neighbors=UMAP_NEIGHBOURS, init="pca", random_state=SEED, n_epochs=EPOCHS, precomputed_knn=(near, distances, None),
            tqdm_kwds=bar,
        )  # fmt: skip
        return reducer.fit_transform(x)


class EpochReport:
    """A file for UMAP's progress bar, which writes the number of epochs done into it."""

    def __init__(self, report: Report):
        self.report = report

    def write(self, text: str) -> None:
        if text.strip().isdecimal():
            self.report(LAYOUT_FROM + (LAYOUT_TO - LAYOUT_FROM) * min(1, int(text) / EPOCHS), "laying out")

    def flush(self) -> None:
        """Nothing is kept back."""


def place_among(x: np.ndarray, base: np.ndarray, base_layout: np.ndarray) -> np.ndarray:
    """(n, 2) mean position of each row's nearest rows in `base`, weighted by inverse distance."""
    near, distances = nearest(x, base, min(PLACING_NEIGHBOURS, len(base)))
    weights = 1 / (distances + 1e-6)
    return (base_layout[near] * (weights / weights.sum(axis=1, keepdims=True))[..., None]).sum(axis=1)


def nearest(queries: np.ndarray, base: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """(n, k) rows of the nearest in `base` and their Euclidean distances; a query that is in `base` comes first itself."""
    import faiss

    index = faiss.IndexFlatL2(base.shape[1])
    index.add(base)
    squares, near = index.search(queries, k)
    return near.astype(np.int32), np.sqrt(np.maximum(squares, 0))


def to_unit_square(positions: np.ndarray) -> np.ndarray:
    """Scale both axes alike, so that all but a thousandth of the items at each end lie in [0.02, 0.98]."""
    low, high = np.quantile(positions[:: max(1, len(positions) // 100_000)], [0.001, 0.999], axis=0)
    side = max(float((high - low).max()), 1e-9)
    return ((positions - (low + high) / 2) / side * 0.96 + 0.5).clip(-0.1, 1.1).astype(np.float32)


def main() -> None:
    """Compute the map of the run folder in the first argument and write it whole."""
    folder = Path(sys.argv[1])
    features = np.load(folder / "features.npy", mmap_mode="r", allow_pickle=False)
    positions = project(features, report=lambda share, step: print(f"{share:.2f} {step}", flush=True))
    write_atomically(folder / MAP_FILE, lambda path: np.save(path, positions, allow_pickle=False))


if __name__ == "__main__":
    main()
