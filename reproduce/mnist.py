"""Full MNIST, 70,000 digits from a folder of PNG files, one seed.

SELFLABEL_DATA=... python -m reproduce.mnist
"""

from __future__ import annotations

from reproduce.common import label_and_score, unpack, with_summary, write_results


def main() -> None:
    folder, truth = unpack("mnist")
    rows = [label_and_score(folder, truth, clusters=10, seed=0)]
    write_results("mnist", {"data": "MNIST, 70,000 PNG files", "methods": {"sela-nn": with_summary(rows)}})


if __name__ == "__main__":
    main()
