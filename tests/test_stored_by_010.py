"""Runs and half-trained checkpoints of version 0.1.0 open, predict, export and resume (tests/fixtures/v010/make.py)."""

import csv
import importlib
import importlib.util
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import selflabel
from selflabel import Run, label
from selflabel.base.errors import UserError
from selflabel.base.settings import make_settings
from selflabel.contract import Task
from selflabel.encoders import make_clip_encoder, make_encoder
from selflabel.exports import export
from selflabel.jobs.build import stored_options
from selflabel.jobs.predict import predict
from selflabel.jobs.predictions import predictions_csv
from selflabel.methods import BASELINES, METHODS
from selflabel.training.distributed import fast_bfloat16

STORED = Path(__file__).parent / "fixtures" / "v010"
LATER = ("soundlabels", "hdbscan", "agglomerative", "spectral")  # methods and baselines that 0.1.0 did not have
OF_010 = [name for name in (*METHODS, *BASELINES) if name not in LATER]
FINISHED = [*OF_010, "scan-pictures"]
CUT = [*(name for name in METHODS if name not in LATER), "scan-pictures"]
KINDS = {"glyph": {"image": "glyph"}, "video": {"video": "video", "audio": "sound"}}


@pytest.fixture
def stored(tmp_path, monkeypatch):
    """A copy of the fixtures, and the current folder in it: the runs name their source as it was typed there."""
    shutil.copytree(STORED, tmp_path / "v010")
    monkeypatch.chdir(tmp_path / "v010")
    return tmp_path / "v010"


def test_every_method_has_a_stored_run():
    assert all((STORED / name / "report.json").exists() for name in FINISHED)
    assert all((STORED / f"{name}-cut" / "checkpoint" / "last.safetensors").exists() for name in CUT)


@pytest.mark.parametrize("name", FINISHED)
def test_a_stored_run_opens_predicts_as_before_and_exports(name, stored):
    run = Run.open(stored / name)
    assert len(run.labels) == 48 and run.report["n_clusters"] == 3 and run.settings["clusters"] == 3
    source = "pictures.npy" if name.endswith("pictures") else "features.npy"
    predicted = predict(run, str(stored / source), "cpu", raw=True)
    before = list(csv.DictReader((stored / name / "predicted.csv").open()))
    now = list(csv.DictReader(predictions_csv(predicted).splitlines()))
    assert [(r["path"], r["label"]) for r in now] == [(r["path"], r["label"]) for r in before]
    confidence = [[float(r["confidence"]) for r in rows] for rows in (now, before)]
    assert np.allclose(*confidence, atol=0.02)  # other processors round otherwise
    written = export(run, "csv", stored / "labels-out.csv")
    assert written.n_items == 48


def test_stored_edits_apply(stored):
    run = Run.open(stored / "sela-nn")
    labels = run.labels
    assert sorted(set(labels["label"].to_pylist())) == [0, 1] and "zebras" in labels["name"].to_pylist()


@pytest.mark.parametrize("name", CUT)
def test_a_stored_half_trained_run_resumes_to_the_labels_of_the_uncut_one(name, stored):
    recorded = Run(stored / f"{name}-cut").recorded["settings"] | {"cache": str(stored / "cache")}
    label(make_settings(**recorded), stored / f"{name}-cut", resume=True)
    resumed, whole = Run.open(stored / f"{name}-cut"), Run.open(stored / name)
    same = resumed.raw_labels["label"].to_numpy() == whole.raw_labels["label"].to_numpy()
    assert same.all() or (same.mean() > 0.9 and not fast_bfloat16(torch.device("cpu")))  # all, on processors as the one of 0.1.0
    lines = [json.loads(line) for line in (resumed.folder / "metrics.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == list(range(1, len(lines) + 1)) and len(lines) >= 4


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", OF_010)
def test_tensors_and_extra_state_have_the_names_they_had(name, kind):
    make = (METHODS | BASELINES)[name].make
    kinds = dict(list(KINDS[kind].items())[: make.max_modalities])
    nets = {
        "image": lambda: make_encoder("conv4", 1, 8),
        "video": lambda: make_clip_encoder("clip9", 16, 4),
        "audio": lambda: make_encoder("resnet9", 1, 64),
    }
    px, channels = (8, 1) if kind == "glyph" else (16, 3)
    method = make(Task(60, 3, kind, px, channels, kinds=kinds), make.options_type())
    method.build(nn.ModuleDict({m: nets[m]() for m in kinds}))
    wanted = json.loads((STORED / "state.json").read_text())[f"{name}/{kind}"]
    tensors = {k: [str(v.dtype).removeprefix("torch."), *v.shape] for k, v in method.state_dict().items()}
    assert tensors == wanted["tensors"]
    assert sorted(method.extra_state()) == wanted["extra_state"] and list(method.per_item) == wanted["per_item"]


@pytest.mark.parametrize("name", ["errors", "settings", "run", "labelling", "predict", "scoring", "compare"])
def test_module_paths_of_010_still_import(name):
    module = importlib.import_module(f"selflabel.{name}")
    assert getattr(selflabel, name) is module and importlib.util.find_spec(f"selflabel.{name}") is not None
    assert selflabel.run.Run is selflabel.Run and selflabel.errors.UserError is selflabel.UserError


def test_a_stored_option_outside_the_range_of_today_takes_its_default():
    options = stored_options(METHODS["temi"].make, "temi", {"beta": 2, "heads": 3})
    assert options.beta == 0.6 and options.heads == 3
    with pytest.raises(UserError, match="options of temi are"):
        stored_options(METHODS["temi"].make, "temi", {"no such option": 2})
