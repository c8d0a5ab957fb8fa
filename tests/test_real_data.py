"""The main job on real files: the embedded demo, and real sets where SELFLABEL_DATA names them."""

import csv
import subprocess
import sys

import pytest

from selflabel.evaluation.metrics import accuracy
from selflabel.jobs.score import score_run
from selflabel.runs.run import Run, read_truth
from tests.conftest import needs_real_data, real_data


def unpacked(name, out, limit):
    words = [sys.executable, str(real_data() / "unpack.py"), name, str(out), "--limit", str(limit)]
    subprocess.run(words, check=True, timeout=120)
    return out / "items", read_truth(out / "truth.csv")


@pytest.mark.slow
def test_the_demo_labels_mnist_and_says_how_well(demo_folder):
    folder, printed = demo_folder
    run = Run.open(folder)
    scores, estimate = score_run(run, None), run.report["estimated_accuracy"]
    assert scores["accuracy"] > 0.95 and run.report["n_items"] == 5000
    assert estimate["low"] <= scores["accuracy"] <= estimate["high"]
    assert (folder / "truth.csv").exists()
    assert printed is None or f"accuracy         {scores['accuracy']:.4f}" in printed


@needs_real_data
def test_real_digits_from_png_files_are_labelled_well(selflabel, tmp_path):
    items, truth = unpacked("mnist", tmp_path / "mnist", 1000)
    assert selflabel("label", items, "-k", 10, "--epochs", 20, "--out", tmp_path / "run").returncode == 0
    rows = list(csv.DictReader((tmp_path / "run/labels.csv").open()))
    assert accuracy([truth[r["path"]] for r in rows], [r["label"] for r in rows]) > 0.85


@needs_real_data
def test_real_photographs_run_from_their_folder_to_labels(selflabel, tmp_path):
    items, _ = unpacked("imagenette128", tmp_path / "photos", 150)
    done = selflabel("label", items, "-k", 5, "--epochs", 2, "--set", "px=64", "--out", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    run = Run.open(tmp_path / "run")
    assert run.labels.num_rows == 150 and run.report["encoder"] == "resnet9"
    assert selflabel("predict", tmp_path / "run", items).stdout.count("\n") == 151
