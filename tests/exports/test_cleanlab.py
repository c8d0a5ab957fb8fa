"""cleanlab's inputs, used by cleanlab."""

import csv
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from selflabel.edits import Merge, append
from selflabel.exports import cleanlab as ours
from selflabel.exports import export
from selflabel.runs.run import Run
from tests.exports.conftest import EDITED, KEPT, LABELS, NAMES


def read(out):
    return np.load(out / "labels.npy"), np.load(out / "pred_probs.npy"), json.loads((out / "classes.json").read_text("utf-8"))


def full(run, k):
    """(N, K) what the run knows of every label, by the slow, plain way."""
    import pyarrow.parquet as pq

    table, probabilities = pq.read_table(run.folder / "top.parquet"), np.zeros((40, k))
    for i, (labels, values) in enumerate(zip(table["labels"].to_pylist(), table["probabilities"].to_pylist())):
        probabilities[i, labels] = values
    return probabilities


def test_labels_and_probabilities_are_of_the_classes_after_edits(edited, tmp_path):
    labels, probabilities, classes = read(export(edited, "cleanlab", tmp_path / "out").place)
    assert classes == list(NAMES.values()) and labels.dtype == np.int64 and probabilities.dtype == np.float32
    assert labels.tolist() == [sorted(NAMES).index(label) for label in EDITED[KEPT]]
    assert np.allclose(probabilities.sum(axis=1), 1, atol=1e-5) and (probabilities > 0).all()
    plain = full(edited, 4)[KEPT]
    merged = np.stack([plain[:, 0], plain[:, 1], plain[:, 2] + plain[:, 3]], axis=1)
    assert np.allclose(probabilities, merged / merged.sum(axis=1, keepdims=True), atol=2e-5)
    rows = list(csv.DictReader((tmp_path / "out" / "items.csv").open(encoding="utf-8")))
    assert [int(row["id"]) for row in rows] == KEPT.tolist()


def test_a_split_clusters_probability_goes_to_the_nearest_part(split_run, tmp_path):
    run, split = split_run
    labels, probabilities, _ = read(export(run, "cleanlab", tmp_path / "out").place)
    plain = full(run, 4)
    plain /= plain.sum(axis=1, keepdims=True)
    centres = np.array(split.centres)
    nearest = np.square(run.features[:][:, None].astype(float) - centres).sum(axis=2).argmin(axis=1)
    first = np.where(nearest == 0, probabilities[:, 0], probabilities[:, 4])
    assert np.allclose(first, plain[:, 0], atol=2e-5)
    assert (probabilities[np.arange(40), np.where(nearest == 0, 4, 0)] < 2e-6).all()
    assert set(labels[LABELS == 0]) == {0, 4}


@given(st.integers(1, 7), st.integers(0, 10_000))
@settings(deadline=None)
def test_rows_add_up_to_one_and_keep_the_order_of_what_was_found(K, seed):
    rng = np.random.default_rng(seed)
    T = min(5, K)
    classes = np.stack([rng.permutation(K)[:T] for _ in range(6)])
    whole = rng.dirichlet(np.ones(max(K, T + 1)), 6)  # what is not among the best belongs to as many other classes
    probabilities = np.sort(whole, axis=1)[:, ::-1][:, :T]
    rows = ours.spread(classes, probabilities, K)
    assert np.allclose(rows.sum(axis=1), 1)
    assert (rows.argmax(axis=1)[:, None] == classes).any(axis=1).all()


def test_cleanlab_finds_the_labels_that_people_got_wrong(photos, tmp_path):
    filter_module = pytest.importorskip("cleanlab.filter")
    import pyarrow as pa
    import pyarrow.parquet as pq

    sure = [[int(label), *(c for c in range(4) if c != label)] for label in LABELS]
    table = pa.table({"id": np.arange(40), "labels": sure, "probabilities": [[0.94, 0.02, 0.02, 0.02]] * 40})
    pq.write_table(table, photos.folder / "top.parquet")
    from selflabel.edits import Move

    append(photos.folder, Move(items=[0, 4], to=1))
    labels, probabilities, _ = read(export(photos, "cleanlab", tmp_path / "out").place)
    assert np.flatnonzero(filter_module.find_label_issues(labels, probabilities)).tolist() == [0, 4]
    append(photos.folder, Merge(clusters=[0, 1], into=0))
    labels, probabilities, _ = read(export(Run(photos.folder), "cleanlab", tmp_path / "two").place)
    assert not filter_module.find_label_issues(labels, probabilities).any()
