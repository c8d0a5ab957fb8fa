"""The map: every item at a place in the plane, near its neighbours. Worked out once a run, kept as map.npy.

A sample is laid out by UMAP (McInnes et al., 2018) from its neighbours in the run's features; every other item is put among the
nearest of the sample. In a process of its own, because UMAP's compiler would take the page's memory and hold up its answers.

    python -m selflabel.gallery.projection RUN
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import numpy as np

from selflabel.base.files import write_whole

MAP = "map.npy"
SAMPLE = 20_000
PLAIN = 50  # fewer items than this have no neighbourhoods to speak of
NEIGHBOURS = 15
PLACED_BY = 5  # nearest of the sample
DIRECTIONS = 50
BLOCK = 16_384
SEED = 0


def project(features_ND: np.ndarray, sample: int = SAMPLE) -> np.ndarray:
    """(N, 2) float32 places, in [0, 1] but for rare stragglers.

    Args:
        features_ND: floats, a memory map will do.
        sample: items that are laid out together.
    """
    N = len(features_ND)
    rows = np.sort(np.random.default_rng(SEED).permutation(N)[:sample])
    mean, directions = leading(np.asarray(features_ND[rows], np.float32))
    base = reduced(features_ND[rows], mean, directions)
    laid = laid_out(base)
    places = np.empty((N, 2), np.float32)
    places[rows] = laid
    rest = np.setdiff1d(np.arange(N), rows)
    for start in range(0, len(rest), BLOCK):
        block = rest[start : start + BLOCK]
        places[block] = placed(reduced(features_ND[block], mean, directions), base, laid)
    return in_unit_square(places)


def leading(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and (D, <= 50) principal directions, of 5,000 rows at most."""
    mean = x.mean(axis=0)
    some = x[:: -(-len(x) // 5_000)] - mean
    _, vectors = np.linalg.eigh(some.T @ some)
    return mean, np.ascontiguousarray(vectors[:, ::-1][:, : min(DIRECTIONS, x.shape[1])])


def reduced(x: np.ndarray, mean: np.ndarray, directions: np.ndarray) -> np.ndarray:
    """(n, d) unit rows: neighbours in the run are by cosine."""
    x = (np.asarray(x, np.float32) - mean) @ directions
    return np.ascontiguousarray(x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-9))


def laid_out(x: np.ndarray) -> np.ndarray:
    """(n, 2) by UMAP; by the two leading directions where there are too few items for it."""
    if len(x) < PLAIN:
        return np.pad(x[:, :2], ((0, 0), (0, max(0, 2 - x.shape[1]))))
    near, far = search(x, x, NEIGHBOURS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import umap

        layout = umap.UMAP(
            n_neighbors=NEIGHBOURS, init="pca", random_state=SEED, n_epochs=200, precomputed_knn=(near, far, None)
        )  # fmt: skip
        return layout.fit_transform(x)


def placed(x: np.ndarray, base: np.ndarray, laid: np.ndarray) -> np.ndarray:
    """Each row at the middle of the places that its nearest in `base` have, nearer ones counting more."""
    near, far = search(x, base, min(PLACED_BY, len(base)))
    weights = 1 / (far + 1e-6)
    return (laid[near] * (weights / weights.sum(axis=1, keepdims=True))[..., None]).sum(axis=1)


def search(queries: np.ndarray, base: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """(n, k) rows of the nearest and their distances, an item its own first."""
    import faiss

    index = faiss.IndexFlatL2(base.shape[1])
    index.add(base)
    far, near = index.search(queries, k)
    return near.astype(np.int32), np.sqrt(np.maximum(far, 0))


def in_unit_square(places: np.ndarray) -> np.ndarray:
    """Scaled alike in both directions so that all but a thousandth at each end lie in [0.02, 0.98]."""
    low, high = np.quantile(places[:: max(1, len(places) // 100_000)], [0.001, 0.999], axis=0)
    side = max(float((high - low).max()), 1e-9)
    return ((places - (low + high) / 2) / side * 0.96 + 0.5).clip(-0.1, 1.1).astype(np.float32)


def main() -> None:
    """Work out a run's map and write it whole."""
    folder = Path(sys.argv[1])
    places = project(np.load(folder / "features.npy", mmap_mode="r", allow_pickle=False))
    write_whole(folder / MAP, lambda p: np.save(p, places, allow_pickle=False))


if __name__ == "__main__":
    main()
