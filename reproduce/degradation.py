"""Labels as picture or sound gets worse, beside those of the better single track: finished runs of sela-nn on items that are seen
and heard.

The picture is compressed, blurred, dropped; the sound muffled, noisy, dropped. Of every level: NMI of the labels from both, from
the spoiled modality alone and from the other alone (docs/decisions/trust-in-modalities.md).

    SELFLABEL_DATA=... python -m reproduce.degradation [SET [SEEDS [EPOCHS]]]

SET is `mnist_fsdd` (600 items) or `ucf101_av7`; SEEDS how many; EPOCHS shorter runs than the default. Rows of other sets in
results/degradation.json are kept.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np

from reproduce.common import read_results, unpack, write_results
from selflabel.base.settings import make_settings
from selflabel.jobs.degrade import Row, degrade
from selflabel.jobs.label import label
from selflabel.runs.run import Run

SETS = {
    "mnist_fsdd": {"clusters": 10, "limit": 600, "data": "600 digits, each written and spoken; the rule was chosen here"},
    "ucf101_av7": {"clusters": 7, "limit": None, "data": "278 clips with sound, seven actions of UCF-101; reported only"},
}
FLOOR = 0.05  # NMI below the better single track, at most


def run_of(name: str, seed: int, epochs: int | None) -> tuple[Run, dict[int, str]]:
    """A finished run of the set, and row to class; one that was finished before is not trained again."""
    of = SETS[name]
    folder, truth = unpack(name, limit=of["limit"])
    out = Path(tempfile.gettempdir()) / "selflabel-runs" / f"degradation-{name}-{epochs}-{seed}"
    if not (out / "report.json").exists():
        settings = {"source": str(folder), "clusters": of["clusters"], "encoder": "scratch", "seed": seed, "epochs": epochs}
        label(make_settings(**settings), out, overwrite=True)
    run = Run.open(out)
    return run, {row: truth[path] for row, path in enumerate(run.paths) if path in truth}


def columns(run: Run, classes: dict[int, str]) -> list[dict]:
    """A row for each modality, corruption and level."""
    rows = []
    for m in run.labels_by_modality:
        found = degrade(run, m, classes)
        other = next(row.nmi for row in found if (row.way, row.level) == ("dropped", "100%"))
        rows += [column(m, row, other) for row in found]
    return rows


def column(modality: str, row: Row, other: float) -> dict:
    """One level: NMI of labels from both, from each, and how far both are below the better track that is there."""
    tracks = [x for x in (row.alone_nmi, other) if x is not None]
    names = {"modality": modality, "way": row.way, "level": row.level}
    scores = {"nmi": row.nmi, "spoiled_alone": row.alone_nmi, "other_alone": other}
    return names | scores | {"below_the_better_track": round(max(tracks) - row.nmi, 4)}


def medians(by_seed: list[list[dict]]) -> list[dict]:
    """The same rows with the median of every number over seeds; None where there is none."""
    result = []
    for rows in zip(*by_seed):
        numbers = [k for k, v in rows[0].items() if isinstance(v, float)]
        result.append(rows[0] | {k: round(float(np.median([r[k] for r in rows])), 4) for k in numbers})
    return result


def main() -> None:
    name, seeds, epochs = (*sys.argv[1:], *("ucf101_av7", "5", "")[len(sys.argv) - 1 :])
    by_seed = {str(seed): columns(*run_of(name, seed, int(epochs) if epochs else None)) for seed in range(int(seeds))}
    middle = medians(list(by_seed.values()))
    worst = max(middle, key=lambda row: row["below_the_better_track"])
    print(f"{name}: at most {worst['below_the_better_track']:.3f} below the better track ({worst['way']}, {worst['level']})")
    kept = read_results("degradation").get("sets", {})
    shown = {"data": SETS[name]["data"], "epochs": int(epochs) if epochs else "default", "floor": FLOOR}
    write_results("degradation", {"sets": kept | {name: shown | {"median": middle, "seeds": by_seed}}})


if __name__ == "__main__":
    main()
