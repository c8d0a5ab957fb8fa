import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from safetensors.numpy import load_file
from safetensors.torch import save_file

from selflabel.base.errors import UserError
from selflabel.evaluation.metrics import accuracy, nmi
from selflabel.methods import METHODS
from selflabel.runs.run import Run
from selflabel.training.distributed import Ranks, losing_no_rank

pytestmark = pytest.mark.slow  # every test starts other processes

SCRIPT, PREPARE = (Path(__file__).with_name(name) for name in ("two_ranks.py", "prepare_on_ranks.py"))
ROOT = SCRIPT.parents[2]
KILLED = ROOT / "tests" / "methods" / "killed.py"


def run_on(ranks, *words, script=SCRIPT, restarts=0):
    alone = [sys.executable, str(script), *words]
    launch = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        f"--nproc-per-node={ranks}",
        f"--max-restarts={restarts}",
        str(script),
        *words,
    ]
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": path}
    done = subprocess.run(alone if ranks == 1 else launch, capture_output=True, text=True, timeout=300, env=environment)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stderr


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


def test_what_a_backend_says_of_a_lost_rank_is_one_sentence_and_other_errors_stay():
    with pytest.raises(UserError, match="another process of torchrun has ended"), losing_no_rank(Ranks(0, 2)):
        raise RuntimeError("[../pair.cc:545] Read error [127.0.0.1]:54492: Connection reset by peer")
    for ranks, text in ((Ranks(0, 2), "out of memory"), (Ranks(), "Connection reset by peer")):
        with pytest.raises(RuntimeError, match=text), losing_no_rank(ranks):
            raise RuntimeError(text)


def test_every_item_is_decoded_and_encoded_by_exactly_one_rank(tmp_path):
    photos, n = tmp_path / "photos", 150
    photos.mkdir()
    rng = np.random.default_rng(0)
    for i in range(n):
        Image.fromarray(rng.integers(0, 255, (40, 40, 3), np.uint8)).save(photos / f"{i:03d}.png")
    (photos / "broken.png").write_bytes((photos / "000.png").read_bytes()[:200])
    torch.manual_seed(0)
    save_file(timm.create_model("resnet10t").state_dict(), tmp_path / "weights.safetensors")
    said = {}
    for ranks in (1, 2):
        out = tmp_path / f"of{ranks}"
        out.mkdir()
        run_on(ranks, str(photos), str(tmp_path / "weights.safetensors"), str(out), script=PREPARE)
        said[ranks] = [json.loads((out / f"rank{r}.json").read_text()) for r in range(ranks)]
        assert sum(rank["decoded"] for rank in said[ranks]) == n + 1 and sum(rank["encoded"] for rank in said[ranks]) == n
        assert all(rank["skipped"] == ["broken.png"] and rank["stores"] == 1 for rank in said[ranks][:1])
    assert min(rank["decoded"] for rank in said[2]) >= n // 2 and min(rank["encoded"] for rank in said[2]) >= 22
    one = np.load(tmp_path / "of1/features0.npy")
    for rank in range(2):
        np.testing.assert_array_equal(np.load(tmp_path / f"of2/features{rank}.npy"), one)


def test_after_a_rank_was_killed_torchrun_resumes_by_itself_to_the_same_labels(blobs, tmp_path):
    np.save(tmp_path / "x.npy", blobs(n=151, k=3)[0])
    settings = {"source": str(tmp_path / "x.npy"), "clusters": 3, "method": "sela", "epochs": 6, "device": "cpu"}
    said = {}
    for name, step in (("whole", 10**9), ("killed", 7)):
        said[name] = run_on(2, json.dumps(settings), str(tmp_path / name), str(step), script=KILLED, restarts=1)
    assert "exitcode: -9" in said["killed"] and "exitcode" not in said["whole"]
    for file in ("labels.csv", "features.npy"):
        assert (tmp_path / "whole" / file).read_bytes() == (tmp_path / "killed" / file).read_bytes()
