import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from selflabel.evaluation.metrics import accuracy, nmi
from selflabel.run import Run

SCRIPT = Path(__file__).with_name("two_ranks.py")
ROOT = SCRIPT.parents[2]


def run_on(ranks, *words):
    alone = [sys.executable, str(SCRIPT), *words]
    launch = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        f"--nproc-per-node={ranks}",
        str(SCRIPT),
        *words,
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(alone if ranks == 1 else launch, capture_output=True, text=True, timeout=300, env=environment)
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.mark.parametrize("method", ["sela", "sela-nn"])
def test_two_ranks_give_one_process_labels(method, blobs, signs, tmp_path):
    if method == "sela-nn":
        x, truth = blobs(n=151, k=3)  # a number that two ranks cannot halve
    else:
        x, truth = signs(n=151)
    np.save(tmp_path / "x.npy", x)
    clusters = str(len(set(truth.tolist())))
    for ranks in (1, 2):
        run_on(ranks, str(tmp_path / "x.npy"), str(tmp_path / f"run{ranks}"), method, clusters)
    one, two = (Run.open(tmp_path / f"run{r}").labels["label"].to_numpy() for r in (1, 2))
    assert len(two) == 151
    if method == "sela-nn":
        assert accuracy(one, two) > 0.98 and accuracy(truth, two) > 0.98
    else:
        assert nmi(one, two) > 0.4
