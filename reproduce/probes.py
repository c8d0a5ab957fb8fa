"""How good the features of a run are: nearest neighbours, a linear layer, few labels, retrieval, and fine-tuning.

    SELFLABEL_DATA=... python -m reproduce.probes [SET] [SEEDS] [METHOD ...]

Items of one group are on one side of every split. Writes results/probes-SET.json.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from reproduce.common import read_results, unpack, write_results
from reproduce.videos import CLUSTERS, DESCRIPTIONS, EPOCHS
from selflabel.base.settings import make_settings
from selflabel.jobs.finetune import finetune
from selflabel.jobs.label import label
from selflabel.jobs.score import groups_of, match_truth, probe_run
from selflabel.runs.run import Run


def label_and_probe(name: str, method: str, seed: int) -> dict:
    """A row for the results."""
    folder, _ = unpack(name)
    table = str(folder.parent / "truth.csv")
    epochs = None if method == "sela-nn" else EPOCHS.get(name)
    given = {"clusters": CLUSTERS[name], "method": method, "encoder": "scratch", "epochs": epochs, "seed": seed}
    settings = make_settings(source=str(folder), **given)
    with tempfile.TemporaryDirectory() as out:
        label(settings, Path(out) / "run")
        run = Run.open(Path(out) / "run")
        classes = match_truth(run, table, raw=True).by_row
        scores = probe_run(run, table, seed) | {"fine-tuned": finetune(run, classes, groups_of(run, table), seed=seed)}
    print(method, seed, scores, flush=True)
    return {"seed": seed, **scores}


def main() -> None:
    name, *rest = sys.argv[1:] if len(sys.argv) > 1 else ["ucf101_av7"]
    seeds = range(int(rest[0])) if rest else range(3)
    for method in rest[1:] or ["sela-nn", "selavi", "xdc"]:
        rows = [label_and_probe(name, method, seed) for seed in seeds]
        others = read_results(f"probes-{name}").get("methods", {})
        write_results(f"probes-{name}", {"data": DESCRIPTIONS[name], "methods": others | {method: rows}})


if __name__ == "__main__":
    main()
