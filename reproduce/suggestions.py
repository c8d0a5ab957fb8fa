"""How often the page's suggestions are right: runs with fewer clusters than classes, as many, and more.

    SELFLABEL_DATA=... python -m reproduce.suggestions        # needs reproduce.frozen's weights package

A suggested split is right where no class has nine tenths of the cluster, a suggested merge where both clusters have the same
commonest class. Missed are clusters of which no class has two thirds, and pairs of the same class of which none is suggested.
Writes results/suggestions.json.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from reproduce.common import write_results
from reproduce.frozen import ENCODER, features_of
from selflabel.base.settings import make_settings
from selflabel.gallery.album import Album
from selflabel.gallery.hints import merges, splits
from selflabel.jobs.label import label
from selflabel.runs.run import Run, csv_text

CLASSES = 10
CLUSTERS = (5, 7, 10, 15, 20)
SEEDS = {"digits": (0, 1, 2), "imagenette128": (0, 1, 2), "mnist5k": (0,)}
PURE, MIXED = 0.9, 2 / 3  # the commonest class's share of a cluster


def judged(album: Album) -> dict[str, int]:
    """Counts of the suggestions of a run that has truth."""
    now, truth = album.state, album.truth
    assert truth is not None
    counts = {c: np.bincount(truth[now.members(c)], minlength=len(album.classes)) for c in now.edited.clusters if now.sizes[c]}
    purity, of = {c: n.max() / n.sum() for c, n in counts.items()}, {c: int(n.argmax()) for c, n in counts.items()}
    cut = [s["cluster"] for s in splits(album, now, {})]
    joined = [m["clusters"] for m in merges(album, now)]
    right = [of[a] for a, b in joined if of[a] == of[b]]
    several = {k for k in of.values() if list(of.values()).count(k) > 1}
    return {
        "splits": len(cut),
        "right splits": sum(bool(purity[c] <= PURE) for c in cut),
        "mixed clusters": sum(bool(p < MIXED) for p in purity.values()),
        "of them suggested": sum(bool(purity[c] < MIXED) for c in cut),
        "merges": len(joined),
        "right merges": len(right),
        "classes in several clusters": len(several),
        "of these suggested": len(several & set(right)),
    }


def main() -> None:
    with tempfile.TemporaryDirectory() as place:
        folder, rows = Path(place), []
        features, names = features_of("imagenette128", "test")
        np.save(folder / "imagenette128.npy", features)
        truth = folder / "truth.csv"
        truth.write_text(csv_text(["path", "label"], [(f"row:{i:06d}", str(c)) for i, c in enumerate(names)]))
        for name, seeds in SEEDS.items():
            given = str(folder / "imagenette128.npy") if name == "imagenette128" else name
            for k in CLUSTERS:
                for seed in seeds:
                    out = folder / f"{name}-{k}-{seed}"
                    label(make_settings(source=given, clusters=k, seed=seed), out)
                    rows.append(
                        {
                            "set": name,
                            "clusters": k,
                            "seed": seed,
                            **judged(Album(Run.open(out), truth if given != name else None)),
                        }
                    )
                    print(rows[-1], flush=True)
    kinds = {"fewer clusters than classes": range(CLASSES), "as many": (CLASSES,), "more": range(CLASSES + 1, 99)}
    found = {
        kind: {c: sum(r[c] for r in rows if r["clusters"] in which) for c in list(rows[0])[3:]} for kind, which in kinds.items()
    }
    data = f"digits, mnist5k, test photos of imagenette128 on {ENCODER}, {CLASSES} classes each"
    write_results("suggestions", {"data": data, "budget": "own epochs", "found": found, "rows": rows})
    for kind, of in found.items():
        print(kind, of)


if __name__ == "__main__":
    main()
