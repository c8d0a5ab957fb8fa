import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from selflabel.evaluation.metrics import accuracy, nmi
from selflabel.methods import METHODS
from selflabel.runs.run import Run

pytestmark = pytest.mark.slow  # every test starts other processes

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
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": path}
    done = subprocess.run(alone if ranks == 1 else launch, capture_output=True, text=True, timeout=300, env=environment)
    assert done.returncode == 0, done.stderr[-3000:]


def one_and_two(x, clusters, tmp_path, *methods):
    """The runs of one process and of two ranks, by method."""
    np.save(tmp_path / "x.npy", x)
    for ranks in (1, 2):
        run_on(ranks, str(tmp_path / "x.npy"), str(tmp_path / f"of{ranks}"), str(clusters), *methods)
    return {m: [Run.open(tmp_path / f"of{ranks}" / m) for ranks in (1, 2)] for m in methods}


def test_on_features_two_ranks_learn_what_one_process_learns_whatever_the_method(blobs, tmp_path):
    x, _ = blobs(n=151, k=3)  # a number that two ranks cannot halve
    for method, runs in one_and_two(x, 3, tmp_path, *METHODS).items():
        one, two = (run.labels["label"].to_numpy() for run in runs)
        assert len(two) == 151 and accuracy(one, two) > 0.9, method
        if method in ("scan", "turtle", "cliquecnn"):  # the whole batch counts, and it has no batch statistics
            a, b = (load_file(run.folder / "model.safetensors") for run in runs)
            assert all(np.allclose(a[name], b[name], atol=1e-4) for name in a), method


def test_two_ranks_give_one_process_labels_of_pictures(signs, tmp_path):
    x, truth = signs(n=151)
    runs = one_and_two(x, len(set(truth.tolist())), tmp_path, "sela")["sela"]
    one, two = (run.labels["label"].to_numpy() for run in runs)
    assert len(two) == 151 and nmi(one, two) > 0.4  # batch statistics differ by rank
