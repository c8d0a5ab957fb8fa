"""digits and MNIST-5k: sela-nn and k-means on pixels, over five seeds.

python -m reproduce.digits
"""

from __future__ import annotations

import sys

import numpy as np

from reproduce.common import kmeans_rows, label_and_score, with_summary, write_results
from selflabel.items import open_items

SEEDS = (0, 1, 2, 3, 4)


def main() -> None:
    for name in sys.argv[1:] or ("mnist5k", "digits"):
        rows = [label_and_score(name, None, clusters=10, seed=seed) for seed in SEEDS]
        items = open_items(name)
        baseline = kmeans_rows(items.array.reshape(len(items), -1).astype(np.float32), items.truth, 10, SEEDS)
        methods = {"sela-nn": with_summary(rows), "k-means on pixels": with_summary(baseline)}
        write_results(name, {"data": f"{name}, {len(items)} images", "methods": methods})


if __name__ == "__main__":
    main()
