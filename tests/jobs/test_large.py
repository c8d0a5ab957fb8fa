"""More rows of features than a method is trained on: a sample is trained on, and all rows get labels."""

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from selflabel.assignment import sinkhorn
from selflabel.assignment.sampled_neighbours import SampleIndex
from selflabel.base.settings import make_settings
from selflabel.cli.wording import report_lines
from selflabel.gallery.server import found
from selflabel.items.row_paths import RowPaths
from selflabel.jobs import large
from selflabel.jobs.callbacks import Callbacks
from selflabel.jobs.label import label
from selflabel.jobs.model import load_model
from selflabel.jobs.predict import predict
from selflabel.runs import tables
from selflabel.runs.run import Run

SIZES, DIM = (60, 140, 400), 8
N, SAMPLED = sum(SIZES), 150


@pytest.fixture
def source(tmp_path, monkeypatch):
    """Three uneven blobs in two shards, of which a method is trained on a quarter."""
    monkeypatch.setattr(large, "LARGE", N - 1)
    monkeypatch.setattr(large, "SAMPLE", SAMPLED)
    monkeypatch.setattr(large, "NEIGHBOUR_ROWS", 200)
    monkeypatch.setattr(large, "BLOCK_ROWS", 64)
    monkeypatch.setattr(large, "BLOCK_ENTRIES", 100)
    rng = np.random.default_rng(0)
    y = rng.permutation(np.repeat(np.arange(3), SIZES))
    x = (3 * np.eye(DIM)[y] + rng.normal(size=(N, DIM))).astype(np.float16)
    (tmp_path / "x").mkdir()
    np.save(tmp_path / "x" / "part-0.npy", x[:250])
    np.save(tmp_path / "x" / "part-1.npy", x[250:])
    return tmp_path / "x"


def labelled(source, out, **options):
    said = []
    settings = make_settings(source=str(source), clusters=3, device="cpu", **options)
    return label(settings, out, resume=True, callbacks=Callbacks(said.append)), Run.open(out), said


def test_all_rows_get_the_labels_of_a_model_that_saw_a_sample_and_this_is_said(source, tmp_path):
    result, run, said = labelled(source, tmp_path / "run", method="kmeans")
    assert run.recorded["task"]["n_items"] == result["n_trained_on"] == SAMPLED
    assert result["n_items"] == sum(result["sizes"]) == len(run.features) == N
    assert sum(f"{N} rows" in text and f"trained on {SAMPLED} of them" in text for text in said) == 1
    assert f"a sample of {SAMPLED} of {N} rows" in report_lines(run.report, run.folder)
    assert f"a sample of {SAMPLED} of {N} rows" in dict(found(run.report)["summary"])["trained on"]
    assert np.array_equal(predict(run, str(source)).labels, run.raw_labels["label"].to_numpy())
    assert run.paths[N - 1] == f"row:{N - 1:06d}"


def test_masses_are_solved_over_all_rows(source, tmp_path):
    _, run, _ = labelled(source, tmp_path / "run", method="sela", mass="uniform", epochs=2)
    labels = run.raw_labels["label"].to_numpy()
    sizes = np.bincount(labels, minlength=3)
    assert np.abs(sizes / (N / 3) - 1).max() < 0.1
    model = load_model(run, "cpu")
    features = torch.from_numpy(run.features.astype(np.float32))
    weight, bias = model.method.heads.weight_and_bias(model.head)
    scores = features @ weight.detach().T + bias.detach()
    unsolved = np.bincount(scores.argmax(dim=1).numpy(), minlength=3)
    assert np.abs(unsolved / (N / 3) - 1).max() > 0.3  # the scores alone follow the blobs
    whole = sinkhorn(scores, 1 / model.method.lamb, tol=large.TOLERANCE).labels
    assert (whole.numpy() == labels).mean() > 0.98


def test_a_run_that_is_resumed_has_the_same_labels(source, tmp_path):
    _, run, _ = labelled(source, tmp_path / "run", method="sela", epochs=2)
    before = {name: (run.folder / name).read_bytes() for name in ("labels.csv", "features.npy", "neighbours.npy")}
    for name in (*before, "report.json"):
        (run.folder / name).unlink()
    _, again, _ = labelled(source, tmp_path / "run", method="sela", epochs=2)
    assert before == {name: (again.folder / name).read_bytes() for name in before}


def test_a_run_that_was_begun_on_all_rows_goes_on_so(source, tmp_path, monkeypatch):
    monkeypatch.setattr(large, "LARGE", N)
    _, run, _ = labelled(source, tmp_path / "run", method="kmeans")
    assert "n_trained_on" not in run.report
    (run.folder / "report.json").unlink()
    monkeypatch.setattr(large, "LARGE", N - 1)
    assert "n_trained_on" not in labelled(source, tmp_path / "run", method="kmeans")[1].report


def test_tables_that_are_written_in_blocks_hold_the_same(source, tmp_path, monkeypatch):
    _, whole, _ = labelled(source, tmp_path / "whole", method="kmeans")
    monkeypatch.setattr(tables, "LINES", 7)
    monkeypatch.setattr(tables, "GROUP_ROWS", 70)
    _, blocks, _ = labelled(source, tmp_path / "blocks", method="kmeans")
    assert (whole.folder / "labels.csv").read_bytes() == (blocks.folder / "labels.csv").read_bytes()
    assert pq.ParquetFile(blocks.folder / "labels.parquet").num_row_groups == 9
    assert blocks.raw_labels.equals(whole.raw_labels)
    assert pq.read_table(blocks.folder / "top.parquet").equals(pq.read_table(whole.folder / "top.parquet"))


def test_neighbours_of_a_sample_are_the_nearest_others(source):
    x = torch.from_numpy(np.random.default_rng(0).normal(size=(1000, 6)).astype(np.float32))
    rows = np.arange(0, 1000, 2)
    index = SampleIndex.of(x[::2], rows)
    found_rows = index.nearest(x, np.arange(1000), 5)
    assert found_rows.shape == (1000, 5)
    assert np.isin(found_rows, rows).all()
    assert not (found_rows == np.arange(1000)[:, None]).any()
    assert index.recall(x, 5) == 1.0  # all four cells are searched


def test_paths_of_rows_are_made_when_they_are_asked_for():
    paths = RowPaths(range(10**12))
    assert paths.take([5, 7]) == ["row:000005", "row:000007"]
    assert list(paths[10**11 : 10**11 + 1]) == ["row:100000000000"]
