"""Photos from scratch, end to end from folders of JPEG files: CIFAR-10 and Imagenette-128 for a few epochs.

On two cores this shows that the route runs and how fast; the accuracy means little. `--full`, for a GPU, trains CIFAR-10 for as
long as the defaults say.

    SELFLABEL_DATA=... python -m reproduce.photos [--full]
"""

from __future__ import annotations

import sys

from reproduce.common import label_and_score, unpack, write_results

LIMITS = {"cifar10": 5_000, "imagenette128": 1_000}  # items
EPOCHS = {"sela-nn": 4, "sela": 2}


def main() -> None:
    if "--full" in sys.argv:
        folder, truth = unpack("cifar10")
        rows = [label_and_score(folder, truth, clusters=10)]
        return write_results("cifar10-scratch", {"data": "CIFAR-10, 60,000 JPEG files, from scratch", "rows": rows})
    rows = []
    for name, limit in LIMITS.items():
        folder, truth = unpack(name, "all", limit)
        for method, epochs in EPOCHS.items():
            scores = label_and_score(folder, truth, clusters=10, method=method, epochs=epochs)
            rows.append({"set": name, "items": limit, "method": method, "epochs": epochs} | scores)
    return write_results("photos-scratch", {"data": "a few epochs from scratch, from folders of JPEG files", "rows": rows})


if __name__ == "__main__":
    main()
