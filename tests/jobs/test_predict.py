"""Finished networks label unseen items, with and without edits."""

import re
from dataclasses import replace

import numpy as np
import pytest

from selflabel import Run, label
from selflabel.base.errors import UserError
from selflabel.base.settings import make_settings
from selflabel.edits import append, parse
from selflabel.evaluation.metrics import accuracy
from selflabel.jobs.model import Model, load_model
from selflabel.jobs.predict import predict
from selflabel.jobs.predictions import predictions_csv


@pytest.fixture
def run(blobs, tmp_path):
    x, truth = blobs(n=90)
    np.save(tmp_path / "x.npy", x)
    label(make_settings(source=str(tmp_path / "x.npy"), clusters=3, epochs=6, device="cpu"), tmp_path / "run")
    return Run.open(tmp_path / "run"), x, truth


def test_unseen_items_get_the_clusters_of_their_kind(run, blobs):
    folder, _, _ = run
    others, truth = blobs(n=60, seed=5)
    predicted = predict(folder, others, "cpu")
    assert accuracy(truth, predicted.labels) > 0.9 and predicted.log_probs.shape == (60, 3)
    assert (predicted.confidence > 0).all() and (predicted.confidence <= 1 + 1e-6).all()


def test_edits_apply_unless_left_aside(run):
    folder, x, _ = run
    plain = predict(folder, x, "cpu").labels
    append(folder.folder, parse({"do": "name", "cluster": 0, "name": "zebras"}))
    append(folder.folder, parse({"do": "merge", "clusters": [1, 2], "into": 1}))
    edited = predict(folder, x, "cpu")
    assert set(edited.labels) == {0, 1} and {n for n, y in zip(edited.names, edited.labels) if y == 0} == {"zebras"}
    assert np.array_equal(predict(folder, x, "cpu", raw=True).labels, plain)
    lines = predictions_csv(edited).splitlines()
    assert lines[0] == "path,label,confidence,name,outlier" and len(lines) == 91


def test_unseen_items_get_no_cluster_that_has_no_items(run):
    folder, x, _ = run
    plain = predict(folder, x, "cpu").labels
    assert set(replace(load_model(folder, "cpu"), in_use=np.array([0, 2])).predict(x).labels) == {0, 2}
    for cluster, edit in ((1, {"do": "move", "to": 2}), (0, {"do": "reject"})):
        rows = np.flatnonzero(folder.raw_labels["label"].to_numpy() == cluster).tolist()
        append(folder.folder, parse({**edit, "items": rows}))
    assert np.array_equal(predict(folder, x, "cpu").labels, np.where(plain == 0, -1, 2))


def test_the_trained_networks_predict_as_the_stored_ones(run):
    folder, x, _ = run
    settings = make_settings(source="array", clusters=3, epochs=6, device="cpu")
    labelled = label(settings, None, data=x)
    model = Model.of(labelled.method, labelled.prepared, labelled["head"], labelled.method.encoders["image"].mean.device)
    assert np.allclose(model.predict(x).log_probs, predict(folder, x, "cpu", raw=True).log_probs, atol=1e-5)
    assert model.takes_features and model.modalities["image"].tensor is None


def test_sources_of_another_kind_are_refused_with_what_is_wanted(run, signs):
    folder, _, _ = run
    with pytest.raises(UserError, match="trained on features"):
        predict(folder, signs(4)[0], "cpu")
    with pytest.raises(UserError, match="has 5 features per item, the run was trained on 8"):
        predict(folder, np.zeros((4, 5), np.float32), "cpu")


def test_a_damaged_or_foreign_model_file_is_a_sentence(run):
    folder, _, _ = run
    file = folder.folder / "model.safetensors"
    whole = file.read_bytes()
    file.write_bytes(whole[:40])
    with pytest.raises(UserError, match="cannot be read"):
        load_model(folder, "cpu")
    file.unlink()
    with pytest.raises(UserError, match="cannot be read"):
        load_model(folder, "cpu")


@pytest.mark.parametrize("change", ["clusters = 2147483648", "n_items = 1000000000000", "clusters = -1", "clusters = nan"])
def test_sizes_that_no_run_has_are_refused_before_anything_is_made_of_them(run, change):
    file = run[0].folder / "run.toml"
    key = change.partition(" ")[0]
    file.write_text(re.sub(rf"(?<=\[task\]\n)((?:.*\n)*?){key} = .*", rf"\1{change}", file.read_text(), count=1))
    with pytest.raises(UserError, match=r"run\.toml: says"):
        load_model(run[0], "cpu")


@pytest.mark.parametrize("state", [[], {}, {"head": 99}, {"head": "x"}, {"method": None}])
def test_a_model_whose_state_cannot_be_is_a_sentence(run, state):
    from selflabel.base.tensor_files import read_tensors, write_tensors

    finished, rows, _ = run
    file = finished.folder / "model.safetensors"
    tensors, known = read_tensors(file, "")
    write_tensors(file, tensors, known | state if state and "method" not in state else state)
    with pytest.raises(UserError, match=r"model\.safetensors"):
        predict(finished, rows, "cpu")
