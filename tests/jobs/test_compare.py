"""selflabel compare: one table of several methods, which goes on where it stopped and survives a method that fails."""

import csv
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

from selflabel.base.errors import UserError
from selflabel.base.files import locked_folder
from selflabel.base.settings import make_settings
from selflabel.jobs.compare import COLUMNS, as_table, compare, folder_of
from selflabel.runs.run import Run

pytestmark = pytest.mark.slow  # every test starts other processes


@pytest.fixture
def features(tmp_path, blobs):
    x, truth = blobs()
    np.savez(tmp_path / "x.npz", x=x, y=truth)
    return tmp_path / "x.npz"


def test_the_command_writes_a_table_and_a_picture(selflabel, features, tmp_path):
    out = tmp_path / "both"
    (tmp_path / "files.txt").write_text("".join(f"{i}.png\n" for i in range(len(np.load(features)["x"]))))
    words = ["compare", features, "-k", 3, "--methods", "kmeans,selavi,sela", "--epochs", 2, "--out", out, "--device", "cpu"]
    words += ["--items", tmp_path / "files.txt", "--outliers", 0.1]
    first = selflabel(*words)
    assert first.returncode == 0, first.stderr
    rows = {r["method"]: r for r in csv.DictReader((out / "comparison.csv").open())}
    assert set(rows) == {"kmeans", "selavi", "sela"} and list(rows["kmeans"]) == list(COLUMNS)
    assert float(rows["kmeans"]["accuracy"]) > 0.9 and float(rows["sela"]["seconds"]) >= 0 and int(rows["sela"]["epochs"]) == 2
    runs = [Run.open(out / method) for method in rows]
    assert [run.paths[2] for run in runs] == ["2.png"] * 3
    assert [int(row["outliers"]) for row in rows.values()] == [run.report["n_outliers"] for run in runs] != [0] * 3
    assert float(rows["kmeans"]["MB"]) > 50 and rows["kmeans"]["failed"] == ""
    assert Image.open(out / "comparison.png").size[0] > 400
    assert "| kmeans |" in (out / "comparison.md").read_text() and "| kmeans |" in first.stdout


def test_without_truth_methods_are_ranked_by_the_merit_of_their_labels_by_the_neighbours_of_all(tmp_path, blobs):
    np.save(tmp_path / "x.npy", blobs()[0])
    settings = make_settings(source=str(tmp_path / "x.npy"), clusters=3, device="cpu", epochs=2)
    rows = compare(settings, ["gaussian-mixture", "kmeans", "sela"], tmp_path / "out")
    assert not any(r["failed"] or r["accuracy"] for r in rows)
    assert rows[1]["merit"] == pytest.approx(np.log(3), abs=0.05)  # three blobs, apart
    ways = [np.load(tmp_path / "out" / name / "neighbours.npy") for name in ("kmeans", "sela")]
    for row in rows:
        labels = Run(tmp_path / "out" / row["method"]).raw_labels["label"].to_numpy()
        each = [plain_merit(labels, near) for near in (ways if (ways[0] != ways[1]).any() else ways[:1])]
        assert row["merit"] == pytest.approx(np.mean(each), rel=1e-6)
    table = (tmp_path / "out" / "comparison.md").read_text()
    places = [table.index(f"| {row['method']} |") for row in sorted(rows, key=lambda row: -row["merit"])]
    assert places == sorted(places)
    assert Image.open(tmp_path / "out" / "comparison.png").size[0] > 400
    with pytest.raises(UserError, match="there is no such truth file"):
        compare(settings, ["kmeans"], tmp_path / "out", truth=str(tmp_path / "gone.csv"))
    lines = [f"row:{i:06d},{c}" for i, c in enumerate(blobs()[1])]
    (tmp_path / "t.csv").write_text("\n".join(["path,label", *lines]))  # finished runs are scored again
    (row,) = compare(settings, ["kmeans"], tmp_path / "out", truth=str(tmp_path / "t.csv"))
    assert row["accuracy"] > 0.9


def plain_merit(labels, near):
    """I (I / H)^2 of an item's label and its neighbour's."""
    k = labels.max() + 1
    joint = np.zeros((k, k))
    for own, others in zip(labels, labels[near]):
        for other in others:
            joint[own, other] += 0.5
            joint[other, own] += 0.5
    joint /= joint.sum()
    p = joint.sum(axis=0)
    there = joint > 0
    information = (joint[there] * np.log(joint[there] / np.outer(p, p)[there])).sum()
    return information * (information / -(p[p > 0] * np.log(p[p > 0])).sum()) ** 2


def test_it_goes_on_where_it_stopped_and_refuses_other_settings(features, tmp_path):
    settings = make_settings(source=str(features), clusters=3, device="cpu")
    out, lines = tmp_path / "out", []
    compare(settings, ["kmeans"], out, say=lines.append)
    stamp = (out / "kmeans" / "report.json").stat().st_mtime_ns
    rows = compare(settings, ["kmeans", "spherical-kmeans"], out, say=lines.append)
    assert (out / "kmeans" / "report.json").stat().st_mtime_ns == stamp and "kmeans: was finished already" in lines
    assert [r["method"] for r in rows] == ["kmeans", "spherical-kmeans"]
    with pytest.raises(UserError, match="more than 0"):
        compare(settings, ["kmeans"], out, seconds=0)
    with pytest.raises(UserError, match="one method at least"):
        compare(settings, [], out)
    with pytest.raises(UserError, match="clusters: 3, now 4"):
        compare(make_settings(source=str(features), clusters=4, device="cpu"), ["kmeans"], out)


def test_a_method_may_be_compared_with_itself_set_otherwise(features, tmp_path):
    settings = make_settings(source=str(features), clusters=3, device="cpu", epochs=2)
    rows = compare(settings, ["deepcluster", "deepcluster  version=2 over=3"], tmp_path / "out")
    assert [r["method"] for r in rows] == ["deepcluster", "deepcluster version=2 over=3"] and not any(r["failed"] for r in rows)
    recorded = Run(tmp_path / "out" / "deepcluster-version=2-over=3").recorded["settings"]
    assert recorded["method"] == "deepcluster" and recorded["options"] == {"version": 2, "over": 3}
    with pytest.raises(UserError, match="key=value"):
        compare(settings, ["deepcluster version"], tmp_path / "out")
    with pytest.raises(UserError, match="none of that name"):
        compare(settings, [" "], tmp_path / "out")
    assert folder_of("sela weights=../w.safetensors", tmp_path).parent == tmp_path


def test_a_method_that_fails_is_listed_with_its_reason_and_tried_again(features, tmp_path):
    settings = make_settings(source=str(features), clusters=3, device="cpu")
    out = tmp_path / "out"
    compare(settings, ["kmeans"], out)
    (out / "gaussian-mixture").write_text("in the way")
    rows = compare(settings, ["gaussian-mixture", "kmeans"], out)
    assert "is a file" in rows[0]["failed"] and rows[0]["accuracy"] is rows[0]["merit"] is None and rows[1]["accuracy"] > 0.9
    assert "is a file" in as_table(rows)
    (out / "gaussian-mixture").unlink()
    assert compare(settings, ["gaussian-mixture"], out)[0]["failed"] is None


def test_epochs_follow_from_a_trial_where_the_budget_is_in_seconds(features, tmp_path):
    settings = make_settings(source=str(features), clusters=3, device="cpu")
    row, set_by_itself = compare(settings, ["xdc", "xdc epochs=2"], tmp_path / "out", seconds=1.0)
    assert row["epochs"] >= 1 and row["failed"] is None
    assert set_by_itself["epochs"] == 2 and set_by_itself["method"] == "xdc epochs=2"
    recorded = (tmp_path / "out" / "xdc" / "run.toml").read_text()
    assert f"epochs = {row['epochs']}" in recorded


def test_two_budgets_and_unknown_methods_are_sentences(here, features, tmp_path):
    words = ["compare", features, "-k", 3, "--out", tmp_path / "o", "--methods"]
    both = here(*words, "kmeans", "--epochs", 2, "--seconds", 3)
    assert both.returncode == 2 and "one of them" in both.stderr
    unknown = here(*words, "kmean")
    assert unknown.returncode == 2 and "kmean: there is none of that name" in unknown.stderr and not (tmp_path / "o").exists()


def test_without_truth_there_are_only_label_free_numbers(tmp_path, blobs):
    np.save(tmp_path / "x.npy", blobs()[0])
    (row,) = compare(make_settings(source=str(tmp_path / "x.npy"), clusters=3, device="cpu"), ["kmeans"], tmp_path / "out")
    assert row["accuracy"] is None and row["stability"] > 0.5
    assert json.loads((tmp_path / "out" / "comparison.json").read_text())["settings"]["clusters"] == 3


@pytest.mark.parametrize("everyone", [False, True], ids=["SIGTERM to it alone", "Ctrl-C to all"])
def test_a_signal_stops_the_method_that_is_running(features, tmp_path, everyone):
    out, words = (
        tmp_path / "out",
        ["compare", str(features), "-k", "3", "--methods", "sela", "--epochs", "5000", "--device", "cpu"],
    )
    command = [sys.executable, "-m", "selflabel.cli", *words, "--out", str(out)]
    running = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    while not (out / "sela" / "metrics.jsonl").exists():
        time.sleep(0.1)
    if everyone:
        os.killpg(running.pid, signal.SIGINT)
    else:
        running.terminate()
    assert running.wait(30) == 130
    with locked_folder(out / "sela"):  # nobody is at work there
        assert (out / "sela" / "checkpoint").exists() and not (out / "sela" / "report.json").exists()
