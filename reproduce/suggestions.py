"""How often the page's suggestions are right: runs with fewer clusters than classes, as many, and more.

    SELFLABEL_DATA=... python -m reproduce.suggestions        # needs reproduce.lite0's weights package

A suggested split is right where no class has nine tenths of the cluster, a suggested merge where both clusters have the same most
frequent class. Splits are missing for clusters of which no class has two thirds, merges for classes that are in several clusters.
Writes results/suggestions.json.
"""

from __future__ import annotations

import tempfile
from itertools import product
from pathlib import Path

import numpy as np

from reproduce.common import write_results
from reproduce.lite0 import ENCODER, features_of
from selflabel.base.settings import make_settings
from selflabel.gallery.editable_run import EditableRun
from selflabel.gallery.suggestions import suggest_merges, suggest_splits
from selflabel.jobs.label import label
from selflabel.runs.run import Run, csv_text

CLASSES = 10
CLUSTERS = (5, 7, 10, 15, 20)
SEEDS = {"digits": (0, 1, 2), "imagenette128": (0, 1, 2), "mnist5k": (0,)}
PURE, MIXED = 0.9, 2 / 3  # the most frequent class's share of a cluster


def count_suggestions(run: EditableRun) -> dict[str, int]:
    """Counts of suggestions, right ones and missing ones, of a run that has truth."""
    now, truth = run.state, run.truth
    assert truth is not None
    counts = {c: np.bincount(truth[now.members(c)], minlength=len(run.classes)) for c in now.edited.clusters if now.sizes[c]}
    purity, class_of = {c: n.max() / n.sum() for c, n in counts.items()}, {c: int(n.argmax()) for c, n in counts.items()}
    splits = [s["cluster"] for s in suggest_splits(run, now, {})]
    merges = [m["clusters"] for m in suggest_merges(run, now)]
    right = [class_of[a] for a, b in merges if class_of[a] == class_of[b]]
    several = {k for k in class_of.values() if list(class_of.values()).count(k) > 1}
    return {
        "splits": len(splits),
        "right splits": sum(bool(purity[c] <= PURE) for c in splits),
        "mixed clusters": sum(bool(p < MIXED) for p in purity.values()),
        "of them suggested": sum(bool(purity[c] < MIXED) for c in splits),
        "merges": len(merges),
        "right merges": len(right),
        "classes in several clusters": len(several),
        "of these suggested": len(several & set(right)),
    }


def photo_features(folder: Path) -> tuple[str, Path]:
    """(file of features, file of their truth), written into a folder."""
    features, names = features_of("imagenette128", "test")
    np.save(folder / "imagenette128.npy", features)
    truth = folder / "truth.csv"
    truth.write_text(csv_text(["path", "label"], [(f"row:{i:06d}", str(c)) for i, c in enumerate(names)]))
    return str(folder / "imagenette128.npy"), truth


def label_all(folder: Path) -> list[dict]:
    """A row for each set, number of clusters and seed."""
    rows = []
    features, truth = photo_features(folder)
    for name, seeds in SEEDS.items():
        source = features if name == "imagenette128" else name
        for k, seed in product(CLUSTERS, seeds):
            out = folder / f"{name}-{k}-{seed}"
            label(make_settings(source=source, clusters=k, encoder="scratch", seed=seed), out)
            run = EditableRun(Run.open(out), truth if source == features else None)
            rows.append({"set": name, "clusters": k, "seed": seed, **count_suggestions(run)})
            print(rows[-1], flush=True)
    return rows


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        rows = label_all(Path(folder))
    kinds = {"fewer clusters than classes": range(CLASSES), "as many": (CLASSES,), "more": range(CLASSES + 1, 99)}
    columns = list(rows[0])[3:]
    sums = {kind: {c: sum(r[c] for r in rows if r["clusters"] in which) for c in columns} for kind, which in kinds.items()}
    data = f"digits, mnist5k, test photos of imagenette128 on {ENCODER}, {CLASSES} classes each"
    write_results("suggestions", {"data": data, "budget": "own epochs", "found": sums, "rows": rows})
    for kind, counts in sums.items():
        print(kind, counts)


if __name__ == "__main__":
    main()
