"""Photographs from scratch, end to end from folders of JPEG files: CIFAR-10 and Imagenette-128 for a few epochs.

On two cores this shows that the route runs and how fast; it is no quality claim. `--full`, for a GPU, trains CIFAR-10 as long as
the defaults say.

    SELFLABEL_DATA=... python -m reproduce.photos [--full]
"""

from __future__ import annotations

import sys

from reproduce.common import measured, unpacked, write_results

LIMITS = {"cifar10": 5_000, "imagenette128": 1_000}


def main() -> None:
    if "--full" in sys.argv:
        folder, truth = unpacked("cifar10")
        rows = [measured(folder, truth, clusters=10)]
        return write_results("cifar10-scratch", {"data": "CIFAR-10, 60,000 JPEG files, from scratch", "rows": rows})
    rows = []
    for name, limit in LIMITS.items():
        folder, truth = unpacked(name, "all", limit)
        for method in ("sela-nn", "sela"):
            epochs = 4 if method == "sela-nn" else 2
            rows.append(
                {"set": name, "items": limit, "method": method, "epochs": epochs}
                | measured(folder, truth, clusters=10, method=method, epochs=epochs)
            )
    return write_results("photos-scratch", {"data": "a few epochs from scratch, from folders of JPEG files", "rows": rows})


if __name__ == "__main__":
    main()
