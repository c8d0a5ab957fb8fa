"""docs/developing.md: its trace of one picture is what really runs, and its worked examples work."""

import csv
import json
import os
import re
import shutil
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import selflabel
from selflabel.base.settings import make_settings
from selflabel.edits import unedited_labels
from selflabel.encoders import ENCODERS
from selflabel.evaluation.metrics import accuracy
from selflabel.exports import EXPORTS, export
from selflabel.jobs.label import label
from selflabel.methods import METHODS
from selflabel.runs.run import Run

PAGE = (Path(__file__).parents[1] / "docs" / "developing.md").read_text()
PACKAGE = Path(selflabel.__file__).parent
CODE = dict(zip(["method", "entry", "encoder", "export", "edit"], re.findall(r"```python\n(.*?)```", PAGE, re.S)))
TRACE = re.findall(r"^\d+\. `([\w/.]+)` `(\w+)`", PAGE.split("<!-- trace -->")[1].split("<!-- end of trace -->")[0], re.M)


@pytest.fixture
def examples():
    """A function that runs one of the page's examples; what it registers is removed afterwards."""
    before = [(registry, dict(registry)) for registry in (METHODS, ENCODERS, EXPORTS)]

    def run(name):
        names = {"__name__": f"example_{name}"}
        exec(compile(CODE[name], f"developing.md: {name}", "exec"), names)
        return names

    yield run
    for registry, entries in before:
        registry.clear()
        registry.update(entries)


def test_the_trace_names_functions_in_the_order_in_which_they_are_first_called(here, tmp_path, signs):
    photos = tmp_path / "photos"
    photos.mkdir()
    for i, picture in enumerate(signs(40)[0]):
        Image.fromarray(picture).save(photos / f"{i}.png")
    calls: dict[tuple[str, str], int] = {}

    def on_call(frame, event, argument):
        if event == "call" and frame.f_code.co_filename.startswith(str(PACKAGE)):
            file = Path(frame.f_code.co_filename).relative_to(PACKAGE).as_posix()
            calls.setdefault((file, frame.f_code.co_name), len(calls))

    words = ["label", photos, "-k", 2, "--epochs", 6, "--set", "workers=1", "--device", "cpu", "--out", tmp_path / "run"]
    sys.setprofile(on_call)
    try:
        done = here(*words)
    finally:
        sys.setprofile(None)
    assert done.returncode == 0, done.stderr
    assert len(TRACE) > 30 and [step for step in TRACE if step not in calls] == []
    order = [calls[step] for step in TRACE]
    assert [b for a, b in pairwise(TRACE) if calls[a] > calls[b]] == [], order


@pytest.mark.slow
def test_the_example_of_a_method_works_as_a_file_and_an_entry_in_the_package(blobs, tmp_path):
    package = tmp_path / "package" / "selflabel"
    shutil.copytree(PACKAGE, package)  # with the compiled kernels
    (package / "methods" / "label" / "example.py").write_text(CODE["method"])
    with (package / "methods" / "__init__.py").open("a") as file:
        file.write(CODE["entry"])
    x, truth = blobs(n=120)
    np.save(tmp_path / "x.npy", x)

    def command(*words):
        environment = {**os.environ, "PYTHONPATH": str(package.parent)}
        words = [sys.executable, "-m", "selflabel.cli", *map(str, words)]
        return subprocess.run(words, env=environment, capture_output=True, text=True, timeout=120)

    run = tmp_path / "run"
    wanted = ["label", tmp_path / "x.npy", "-k", 3, "--method", "example", "--epochs", 12, "--device", "cpu", "--out", run]
    wrong = command(*wanted, "--set", "bogus=3")
    assert wrong.returncode == 2 and "options of example are lr_scale" in wrong.stderr
    done = command(*wanted, "--set", "lr_scale=2")
    assert done.returncode == 0, done.stderr
    labels = Run.open(run).labels["label"].to_numpy()
    assert accuracy(truth, labels) > 0.95
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert "changed" in lines[-1]
    predicted = command("predict", run, tmp_path / "x.npy", "--out", tmp_path / "predicted.csv")
    assert predicted.returncode == 0, predicted.stderr
    rows = list(csv.DictReader((tmp_path / "predicted.csv").open()))
    assert [int(row["label"]) for row in rows] == labels.tolist()


def test_the_example_of_an_encoder_is_trained_by_name(examples, signs):
    examples("encoder")
    settings = make_settings(source="array", clusters=2, encoder="tiny", epochs=2, device="cpu")
    labelled = label(settings, None, data=signs(40)[0])
    assert labelled["encoder"] == "tiny" and labelled.labelling.features.shape == (40, 24 * 16)


def test_the_example_of_an_export_is_written(examples, blobs, tmp_path):
    examples("export")
    label(make_settings(source="array", clusters=3, method="kmeans", device="cpu"), tmp_path / "run", data=blobs()[0])
    written = export(Run.open(tmp_path / "run"), "sentences", tmp_path / "out.txt")
    lines = Path(written.place).read_text().splitlines()
    assert len(lines) == 90 and re.fullmatch(r"row:000000 is cluster-\d+", lines[0])


def test_the_example_of_an_edit_changes_a_labelling(examples):
    make = examples("edit")["RejectCluster"]
    labels = unedited_labels(np.array([0, 1, 1, 2]))
    assert make(cluster=1).problem(labels) == "" and "no cluster 7" in make(cluster=7).problem(labels)
    assert make(cluster=1).describe("cluster {}".format) == "reject of cluster 1"
    make(cluster=1).apply_to(labels, None)
    assert labels.labels.tolist() == [0, -1, -1, 2]


def test_every_place_that_the_page_names_exists():
    root = Path(__file__).parents[1]
    for name in re.findall(r"`((?:tests|docs|reproduce|gallery|edits|exports|methods)/[\w/.]+\.\w+)`", PAGE):
        if "NAME" not in name and "example" not in name:
            assert (root / name).exists() or (PACKAGE / name).exists(), name
