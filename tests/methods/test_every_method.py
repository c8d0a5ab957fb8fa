"""Properties that every method has; each runs over METHODS, so a new method is tested by being listed."""

import json
import os
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from selflabel.base.errors import UserError
from selflabel.base.settings import make_settings
from selflabel.evaluation.metrics import accuracy
from selflabel.jobs.label import label
from selflabel.methods import METHODS
from selflabel.runs.run import Run

every_method = pytest.mark.parametrize("method", METHODS)


def labelled(x, k, method, seed=0, **given):
    return label(make_settings(source="array", clusters=k, method=method, seed=seed, device="cpu", **given), None, data=x)


@every_method
def test_it_learns_blobs_without_seeing_truth(method, blobs):
    x, truth = blobs()
    assert accuracy(truth, labelled(x, 3, method)["labelling"].labels) > 0.95


@every_method
def test_a_seed_repeats_to_the_bit(method, signs):
    x, _ = signs(40)
    a, b = (labelled(x, 2, method, epochs=3)["labelling"] for _ in range(2))
    assert np.array_equal(a.labels, b.labels) and np.array_equal(a.features, b.features)


@every_method
@pytest.mark.parametrize("n", [1, 2, 3])
@pytest.mark.parametrize("kind", ["signs", "blobs"])
def test_a_handful_of_items_is_labelled(method, n, kind, signs, blobs):
    x = signs(max(n, 2))[0][:n] if kind == "signs" else blobs(n=3)[0][:n]
    found = labelled(x, min(n, 2), method, epochs=2)["labelling"]
    assert len(found.labels) == n and set(found.labels) <= {0, 1}


@every_method
@pytest.mark.parametrize("x", [np.full((30, 16, 16), 7, np.uint8), np.ones((30, 5), np.float32)])
def test_items_that_are_all_the_same_end_no_run(method, x):
    found = labelled(x, 3, method, epochs=2)["labelling"]
    assert found.labels.shape == (30,) and np.isfinite(found.top_probs).all()


@every_method
def test_more_labels_than_items_is_a_sentence(method):
    with pytest.raises(UserError, match="only 3 items"):
        labelled(np.zeros((3, 4), np.float32), 5, method)


@every_method
def test_epochs_scales_all_phases_with_at_least_one_each(method, signs):
    x, _ = signs(40)
    for epochs in (2, 9):
        report = labelled(x, 2, method, epochs=epochs, views="photo-weak")
        assert report["epochs"] == max(epochs, len(report["method"].phases()))


@every_method
def test_a_run_killed_at_a_random_moment_resumes_to_the_same_labels(method, signs, tmp_path):
    x, _ = signs(400)
    np.save(tmp_path / "x.npy", x)
    source = str(tmp_path / "x.npy")
    label(make_settings(source=source, clusters=2, method=method, epochs=12, device="cpu"), tmp_path / "whole")
    command = [sys.executable, "-m", "selflabel.cli", "label", source, "-k", "2", "--method", method]
    command += ["--epochs", "12", "--device", "cpu", "--out"]
    killed, started = False, time.monotonic()
    while not (tmp_path / "cut" / "report.json").exists():
        assert time.monotonic() - started < 240
        process = subprocess.Popen(
            [*command, str(tmp_path / "cut"), "--resume"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        checkpoint = tmp_path / "cut" / "checkpoint" / "last.safetensors"
        before = checkpoint.stat().st_mtime_ns if checkpoint.exists() else 0
        while not killed and process.poll() is None:
            if checkpoint.exists() and checkpoint.stat().st_mtime_ns != before:
                time.sleep(random.random() * 0.2)
                os.kill(process.pid, signal.SIGKILL)
                killed = True
            time.sleep(0.005)
        process.wait(timeout=200)
    whole, cut = Run.open(tmp_path / "whole"), Run.open(tmp_path / "cut")
    assert killed
    assert (tmp_path / "whole/labels.csv").read_bytes() == (tmp_path / "cut/labels.csv").read_bytes()
    assert np.array_equal(whole.features, cut.features)
    lines = [json.loads(line) for line in (tmp_path / "cut/metrics.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == list(range(1, 13))
    assert cut.report["seconds"]["train"] > sum(line["seconds"] for line in lines) - 0.05  # what came before counts
