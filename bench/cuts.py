"""Three cuts of a photo's patches, by Lanczos and by a dense solver, on the same graphs in one process on one core.

The features are made: round things of five kinds on a ground, with noise. A cut is all that `find` does between the map of a
photo and the patches of its objects. Times are seconds of the processor, the least of several repeats: other processes on the
machine count little.

    OMP_NUM_THREADS=1 python -m bench.cuts
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from unittest.mock import patch

import numpy as np
from scipy.linalg import eigh

from bench.video import RESULTS
from selflabel.regions import cut, spectrum
from tests.regions.test_spectrum import patches

SIDES, FLOORS = (28, 48), {28: 0.1, 48: 0.6}  # patches a side, seconds
REPEATS, DENSE_REPEATS, DIM, NOISE = 7, 2, 384, 1.6


def dense_vector(graph: np.ndarray) -> spectrum.SecondVector:
    """The second eigenvector by LAPACK."""
    weights = np.where(graph > 0, 1.0, spectrum.EPSILON)
    degrees = np.diag(weights.sum(axis=1))
    values, vectors = eigh(degrees - weights, degrees, subset_by_index=[1, 1])
    y = vectors[:, 0]
    return spectrum.SecondVector(y if y[np.abs(y).argmax()] >= 0 else -y, 1 - float(values[0]), 0.0, 0)


def least_seconds(work: Callable[[], object], repeats: int) -> float:
    """The least of several times."""
    times = []
    for _ in range(repeats):
        began = time.process_time()
        work()
        times.append(time.process_time() - began)
    return min(times)


def main() -> None:
    rows = []
    for side in SIDES:
        features = patches(np.random.default_rng(0), side, noise=NOISE, dim=DIM)

        def three_cuts(features: np.ndarray = features) -> list[cut.Cut]:
            return cut.cut_objects(features, most=3, tau=0.2, min_area=0.01)

        found, seconds = three_cuts(), least_seconds(three_cuts, REPEATS)
        with patch.object(cut, "second_vector", dense_vector):
            same = [a.mask.tolist() == b.mask.tolist() for a, b in zip(found, three_cuts())]
            dense = least_seconds(three_cuts, DENSE_REPEATS)
        row = {"patches": f"{side} x {side}", "objects": len(found), "same as dense": all(same)}
        row |= {
            "seconds": round(seconds, 4),
            "floor": FLOORS[side],
            "dense seconds": round(dense, 3),
            "ratio": round(dense / seconds, 1),
        }
        rows.append(row)
        print(row, flush=True)
    (RESULTS / "cuts.json").write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
