"""Full MNIST, 70,000 digits from a folder of PNG files, one seed.

SELFLABEL_DATA=... python -m reproduce.mnist
"""

from __future__ import annotations

from reproduce.common import measured, summary, unpacked, write_results


def main() -> None:
    folder, truth = unpacked("mnist")
    rows = [measured(folder, truth, clusters=10, seed=0)]
    write_results("mnist", {"data": "MNIST, 70,000 PNG files", "methods": {"sela-nn": {"summary": summary(rows), "rows": rows}}})


if __name__ == "__main__":
    main()
