"""Sums over the items, on one process and over the ranks of a group."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from selflabel.assignment import sinkhorn
from selflabel.assignment.reducer import Reducer
from tests.assignment.problems import clustered_scores

ROOT = Path(__file__).parents[2]


def test_without_a_group_sums_are_those_of_the_process():
    reducer = Reducer()
    assert reducer.sum(2, np.array([1.0, 3.0]), 4).tolist() == [2, 1, 3, 4]
    assert reducer.max(np.array([1.0, -2.0])).tolist() == [1, -2]
    terms = reducer.mean_terms(torch.tensor([3.0, 1.0]).double(), 8.0, 4)
    assert terms.mass.tolist() == [0.75, 0.25] and terms.lse == 2.0


@pytest.mark.slow
def test_two_ranks_give_one_process_labels_however_the_rows_are_shared(tmp_path):
    of_rank_0 = (3000, 5999, 6000)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    script = Path(__file__).with_name("two_ranks.py")
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": path}
    words = [*command, str(script), str(tmp_path), *map(str, of_rank_0)]
    process = subprocess.run(words, capture_output=True, text=True, timeout=300, env=environment)
    assert process.returncode == 0, process.stderr[-3000:]
    expected = sinkhorn(clustered_scores(), 1 / 10, tol=1e-3)
    dummy = clustered_scores().features[:, 0] * 2
    with_dummy = sinkhorn(clustered_scores(), 1 / 10, relax=0.5, tol=1e-3, dummy=dummy, dummy_mass=0.1).labels.numpy()
    for share in of_rank_0:
        parts = [np.load(tmp_path / f"{share}-{rank}.npz") for rank in (0, 1)]
        labels = np.concatenate([p["labels"] for p in parts])
        assert (labels == expected.labels.numpy()).mean() > 0.999, share
        assert (np.concatenate([p["with_dummy"] for p in parts]) == with_dummy).mean() > 0.999, share
        assert np.array_equal(parts[0]["potentials"], parts[1]["potentials"])
        assert all(p["sums"].tolist() == [1, 2] and p["highest"].tolist() == [1, 0] for p in parts)
        assert parts[0]["error"] <= 1e-3 and parts[0]["message"] == parts[1]["message"].item() != ""
