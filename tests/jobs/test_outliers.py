"""`--outliers`: the items that fit no cluster, from the features to labels.csv, the score, the page and an export."""

import csv
import json

import numpy as np
import pytest
import torch

from selflabel.assignment.outliers import atypicality, fitting_nothing, outlier_share
from selflabel.base.errors import UserError
from selflabel.base.settings import make_settings
from selflabel.edits import append, parse
from selflabel.exports import export
from selflabel.gallery.editable_run import EditableRun
from selflabel.gallery.listing import list_rows
from selflabel.gallery.summary import overview
from selflabel.jobs.label import label
from selflabel.jobs.model import load_model
from selflabel.jobs.outliers import typicality_before
from selflabel.jobs.predict import predict
from selflabel.jobs.predictions import predictions_csv
from selflabel.jobs.score import score_run
from selflabel.runs.run import Run

N, JUNK, DIM = 300, 30, 12


def blobs_with_junk(kind="apart", seed=0):
    """(330, 12): three blobs, and in the last rows junk: items apart from everything, a group of its own, or noise."""
    rng = np.random.default_rng(seed)
    centres = 5 * np.eye(DIM)[:3] + 1
    x = centres[np.arange(N) % 3] + rng.normal(size=(N, DIM)) * 0.6
    junk = {
        "apart": 6 * rng.normal(size=(JUNK, DIM)),
        "a group": 1 + 5 * np.eye(DIM)[7] + 0.02 * rng.normal(size=(JUNK, DIM)),
        "noise": rng.uniform(-5, 5, size=(JUNK, DIM)),
    }[kind]
    return np.concatenate([x, junk]).astype(np.float32)


@pytest.fixture
def run(tmp_path):
    """A run of k-means with a known share of outliers, and a truth for all items."""
    x, truth = blobs_with_junk(), np.array([str(i % 3) for i in range(N)] + ["junk"] * JUNK)
    np.savez(tmp_path / "x.npz", x=x, y=truth)
    settings = make_settings(source=str(tmp_path / "x.npz"), clusters=3, method="kmeans", outliers=JUNK / (N + JUNK))
    label(settings, tmp_path / "run")
    return Run.open(tmp_path / "run")


@pytest.mark.parametrize("kind", ["apart", "a group", "noise"])
def test_junk_is_the_least_typical_and_its_share_is_found(kind):
    scores = atypicality(torch.from_numpy(blobs_with_junk(kind)))
    assert len(set(scores.argsort(descending=True)[:JUNK].tolist()) & set(range(N, N + JUNK))) >= 0.9 * JUNK
    assert 0.5 * JUNK <= outlier_share(scores) * (N + JUNK) <= 1.5 * JUNK


def test_of_a_clean_set_nearly_nothing_is_an_outlier():
    assert outlier_share(atypicality(torch.from_numpy(blobs_with_junk()[:N]))) < 0.02


@pytest.mark.parametrize("n", [1, 2, 3, 30])
def test_few_or_equal_items_have_finite_scores(n):
    assert torch.isfinite(atypicality(torch.ones(n, 4))).all()


def test_exactly_the_share_fits_nothing_and_sureness_counts():
    log_p = torch.log_softmax(torch.tensor([[9.0, 0.0]] * 9 + [[0.1, 0.0]]), dim=1)
    assert fitting_nothing(log_p, torch.zeros(10), 0.1).nonzero().tolist() == [[9]]
    assert not fitting_nothing(log_p, torch.zeros(10), 0.0).any()


def test_known_features_are_left_out_of_training_by_their_share():
    class Known:
        kind, tensor = "features", blobs_with_junk()

    prepared = type("P", (), {"first": Known, "modalities": {"image": Known}, "items": range(N + JUNK)})()
    assert typicality_before(prepared, None) is None
    assert len(typicality_before(prepared, 0.2).typical_rows) == round(0.8 * (N + JUNK))


def test_labels_score_export_and_page_know_the_outliers(run, tmp_path):
    rows = list(csv.DictReader((run.folder / "labels.csv").open()))
    assert [int(r["outlier"]) for r in rows].count(1) == JUNK and all(r["label"] in "012" for r in rows)
    out = run.raw_labels["outlier"].to_numpy()
    assert out[N:].mean() > 0.9 and np.array_equal(run.labels["label"].to_numpy() < 0, out)
    assert sum(run.report["sizes"]) == N and run.report["n_outliers"] == JUNK
    scores = score_run(run, None)
    assert scores["n_outliers"] == JUNK and scores["accuracy"] > 0.98
    assert score_run(run, None, raw=True)["n_outliers"] == JUNK
    done = export(run, "csv", tmp_path / "out.csv", raw=True)
    assert (done.n_items, done.n_rejected) == (N, JUNK)
    page = EditableRun(run)
    first, second = (int(row) for row in list_rows(page, page.state, "outliers", "row", "")[:2])
    assert overview(page, page.state)["outliers"]["size"] == JUNK and not len(page.state.rejected)
    append(run.folder, parse({"do": "restore", "items": [first]}))
    append(run.folder, parse({"do": "reject", "items": [second]}))
    assert overview(page, page.state)["outliers"]["size"] == JUNK - 2 and page.state.rejected.tolist() == [second]
    assert run.labels["label"][first].as_py() == int(rows[first]["label"])


def test_predict_says_what_is_unlike_the_run_and_is_not_sure_of_it(run):
    x = np.concatenate([blobs_with_junk(seed=1)[:60], np.full((1, DIM), -9)]).astype(np.float32)
    predicted = predict(run, x)
    assert predicted.outliers[:60].mean() < 0.1 and predicted.outliers[60] and predicted.confidence[60] == 0
    assert predictions_csv(predicted).splitlines()[-1].split(",")[2:] == ["0.0000", "", "1"]


def test_a_run_that_stored_nothing_of_what_it_saw_says_nothing(run):
    model = load_model(run)
    assert set(model.seen) == {"pooled.image"}
    model.seen.clear()
    assert "outlier" not in predictions_csv(model.predict(blobs_with_junk()[:5]))


@pytest.mark.parametrize("share", ["none", "0", "0.6", "-1", 2])
def test_a_share_that_is_none_is_refused(share):
    with pytest.raises(UserError, match="must be auto, or a share above 0"):
        make_settings(source="x", outliers=share)


def test_a_run_resumes_with_the_items_that_it_began_with(run, tmp_path):
    settings = make_settings(source=str(tmp_path / "x.npz"), clusters=3, method="kmeans", outliers=JUNK / (N + JUNK))
    before = json.loads((run.folder / "report.json").read_text())
    (run.folder / "report.json").unlink()
    assert label(settings, run.folder, resume=True).report["sizes"] == before["sizes"]


@pytest.mark.slow
def test_a_model_of_digits_calls_no_photograph_a_digit(tmp_path):
    from sklearn.datasets import load_digits, load_sample_image

    images = (load_digits().images[:400] * 15).astype(np.uint8).repeat(2, axis=1).repeat(2, axis=2)
    label(make_settings(source="array", clusters=4, method="sela", epochs=2), tmp_path / "run", data=images)
    photo = load_sample_image("china.jpg").mean(axis=2).astype(np.uint8)
    crops = np.stack([photo[i * 60 : i * 60 + 160 : 10, i * 80 : i * 80 + 160 : 10] for i in range(4)])
    new_digits = (load_digits().images[400:500] * 15).astype(np.uint8).repeat(2, axis=1).repeat(2, axis=2)
    predicted = load_model(Run.open(tmp_path / "run")).predict(np.concatenate([new_digits, crops]))
    assert predicted.outliers[:100].mean() < 0.15 and predicted.outliers[100:].all()
