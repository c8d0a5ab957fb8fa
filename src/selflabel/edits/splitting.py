"""Split a cluster by k-means on the features of its items."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from selflabel.base.errors import UserError
from selflabel.base.sampling import drawn_rows
from selflabel.edits.kinds import Split
from selflabel.edits.nearest import FeatureRows, nearest_centre

MAX_SAMPLE = 100_000  # rows to which k-means is fitted
DIGITS = 6  # of the centres, as the log keeps them


def fresh_numbers(used: Iterable[int], n: int) -> list[int]:
    """n numbers above all that were ever a cluster's."""
    first = max(used, default=-1) + 1
    return list(range(first, first + n))


def make_split(cluster: int, features: FeatureRows, rows: np.ndarray, parts: int, used: Iterable[int], seed: int = 0) -> Split:
    """Split a cluster by k-means on its items' features; the largest part keeps its number.

    Args:
        cluster: its number.
        features: (N, D).
        rows: of its items.
        parts: how many clusters to make of it.
        used: every number that was ever a cluster's.
        seed: of the first centres.

    Returns:
        The edit, which is not in the log yet.

    Raises:
        UserError: it has too few different items.

    Source: Johnson et al., 2019 (faiss).
    """
    rows = np.sort(np.asarray(rows))
    if parts < 2 or len(rows) < parts:
        raise UserError(f"cluster {cluster}: its {len(rows)} items cannot be split into {parts}; ask for 2 to {len(rows)} parts.")
    centres = kmeans_centres(features, rows, parts, seed)
    sizes = np.bincount(nearest_centre(features, rows, centres.astype(np.float32)), minlength=parts)
    if not sizes.all():
        raise UserError(f"cluster {cluster}: its items are too alike to be split into {parts}; ask for fewer parts.")
    order = np.argsort(-sizes, kind="stable")
    return Split(cluster=cluster, parts=[cluster, *fresh_numbers(used, parts - 1)], centres=centres[order].tolist())


def kmeans_centres(features: FeatureRows, rows: np.ndarray, n_centres: int, seed: int) -> np.ndarray:
    """(n_centres, D) centres, rounded to the digits that the log keeps."""
    import faiss

    sample = rows[drawn_rows(len(rows), MAX_SAMPLE)]
    x = np.ascontiguousarray(features[sample], dtype=np.float32)
    options = {"niter": 25, "nredo": 3, "seed": seed, "min_points_per_centroid": 1, "max_points_per_centroid": MAX_SAMPLE}
    clustering = faiss.Kmeans(x.shape[1], n_centres, **options)
    clustering.train(x)
    return np.array([[float(f"{v:.{DIGITS}g}") for v in centre] for centre in np.asarray(clustering.centroids)])
