"""What the features that a run learned are worth: nearest neighbours, a linear layer, few labels, retrieval, and fine-tuning.

    SELFLABEL_DATA=... python -m reproduce.probes [SET] [SEEDS] [METHOD ...]

Items of one group are on one side. Writes results/probes-SET.json.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from reproduce.common import read_results, unpacked, write_results
from reproduce.videos import EPOCHS, SETS, WHAT
from selflabel.base.settings import make_settings
from selflabel.jobs.finetune import finetuned
from selflabel.jobs.label import label
from selflabel.jobs.score import groups_of, probe_run
from selflabel.runs.run import Run


def probed(name: str, method: str, seed: int) -> dict:
    folder, truth = unpacked(name)
    table = str(folder.parent / "truth.csv")
    epochs = None if method == "sela-nn" else EPOCHS.get(name)
    with tempfile.TemporaryDirectory() as out:
        label(make_settings(source=str(folder), clusters=SETS[name], method=method, epochs=epochs, seed=seed), Path(out) / "run")
        run = Run.open(Path(out) / "run")
        found = probe_run(run, table, seed) | {"fine-tuned": finetuned(run, truth, groups_of(table), seed=seed)}
    print(method, seed, found, flush=True)
    return {"seed": seed, **found}


def main() -> None:
    name, *rest = sys.argv[1:] if len(sys.argv) > 1 else ["ucf101_av7"]
    seeds = range(int(rest[0])) if rest else range(3)
    for method in rest[1:] or ["sela-nn", "selavi", "xdc"]:
        rows = [probed(name, method, seed) for seed in seeds]
        others = read_results(f"probes-{name}").get("methods", {})
        write_results(f"probes-{name}", {"data": WHAT[name], "methods": others | {method: rows}})


if __name__ == "__main__":
    main()
