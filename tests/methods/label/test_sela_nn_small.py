"""Small sets: sela-nn finds what k-means finds, or better, and survives any handful of items."""

import numpy as np
import pytest
import torch

from selflabel.base.errors import Interrupted
from selflabel.base.settings import make_settings
from selflabel.contract import Task
from selflabel.evaluation.metrics import accuracy
from selflabel.jobs.callbacks import Callbacks
from selflabel.jobs.label import label
from selflabel.jobs.predict import predict
from selflabel.methods.label.sela_nn import Options, SeLaNN, small
from selflabel.runs.run import Run
from selflabel.training.loop import LoopCallbacks


def labelled(x, k=None, **given):
    return label(make_settings(source="array", clusters=k, device="cpu", **given), None, data=x)


def coloured_pictures(n=30, px=32):
    """(N, px, px, 3) uint8 pictures of a red disc, green stripes or a blue frame, and their kinds."""
    rng = np.random.default_rng(0)
    down, across = np.mgrid[:px, :px] / px - 0.5
    kinds = np.arange(n) % 3
    masks = [down**2 + across**2 < 0.09, np.floor(down * 8) % 2 == 0, (np.abs(down) > 0.3) | (np.abs(across) > 0.3)]
    x = 90 + rng.normal(0, 15, (n, px, px, 3))
    for i, kind in enumerate(kinds):
        x[i][masks[kind]] = np.eye(3)[kind] * 180 + 40
    return x.clip(0, 255).astype(np.uint8), kinds


def rows_in_blobs(sizes, dims=4, apart=8.0, seed=0):
    rng = np.random.default_rng(seed)
    truth = np.repeat(np.arange(len(sizes)), sizes)
    x = apart / 2**0.5 * np.eye(dims)[truth] + rng.normal(size=(len(truth), dims))
    return x.astype(np.float32), truth


@pytest.mark.parametrize("seed", range(3))
def test_twelve_rows_of_three_blobs_get_three_labels_of_four(seed):
    x, truth = rows_in_blobs([4, 4, 4])
    found = labelled(x, 3, seed=seed, epochs=20)
    assert accuracy(truth, found["labelling"].labels) == 1 and found["sizes"] == [4, 4, 4]


@pytest.mark.slow
@pytest.mark.parametrize("k", [3, None])
def test_thirty_pictures_of_three_kinds_are_told_apart_with_the_defaults(k):
    x, truth = coloured_pictures()
    found = labelled(x, k)
    assert found["n_clusters"] == 3 and accuracy(truth, found["labelling"].labels) == 1


def test_classes_of_very_different_sizes_are_found_on_a_small_set():
    x, truth = rows_in_blobs([60, 25, 10, 5], dims=16, apart=9.0)
    assert accuracy(truth, labelled(x, 4, epochs=10)["labelling"].labels) > 0.95


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 12])
def test_without_k_there_are_at_most_half_as_many_clusters_as_items(n):
    x = np.random.default_rng(n).normal(size=(n, 4)).astype(np.float32)
    found = labelled(x, epochs=2)
    assert 1 <= found["n_clusters"] <= max(1, n // 2) and len(found["labelling"].labels) == n


def test_the_number_of_clusters_of_a_few_blobs_is_found():
    for k in (2, 3, 5):
        x, _ = rows_in_blobs([6] * k, dims=8, apart=9.0)
        assert small.number_of_clusters(torch.from_numpy(x), seed=0) == k


@pytest.mark.parametrize("k", [3, None])
@pytest.mark.parametrize("x", [np.full((60, 16, 16), 7, np.uint8), np.ones((30, 5), np.float32), np.ones((3, 5), np.float32)])
def test_items_that_are_all_the_same_get_one_label(x, k):
    found = labelled(x, k, epochs=2)
    assert len(set(found["labelling"].labels.tolist())) == 1
    assert found["n_clusters"] == 1 and len(found["sizes"]) == (k or 1)


def test_an_item_has_fewer_neighbours_than_its_class_has_items():
    assert [small.neighbours_within_class(n, k, 10) for n, k in ((12, 3), (30, 3), (200, 4), (1, 1))] == [2, 5, 10, 1]
    x = torch.tensor([[0.0], [1.0], [5.0], [7.0]])
    assert small.nearest_by_distance(x, 1)[:, 0].tolist() == [1, 0, 3, 2]
    assert small.nearest_by_distance(x, 9).shape == (4, 3) and small.nearest_by_distance(x[:1], 2).tolist() == [[0]]


def test_the_labelling_that_neighbours_support_best_is_reported():
    neighbours = torch.tensor([[1], [0], [3], [2], [5], [4]])
    right, wrong, one = (torch.tensor(y) for y in ([0, 0, 1, 1, 1, 1], [0, 0, 0, 1, 1, 1], [0] * 6))
    assert small.best_labelling([right, torch.tensor([0, 1, 2, 0, 1, 2])], neighbours, 3, anchor=1) == 1  # `right` lost a label
    assert small.best_labelling([wrong, right], neighbours, 2, anchor=0) == 1
    assert small.best_labelling([wrong, right], neighbours, 2, anchor=1) == 1
    assert small.best_labelling([right, one], neighbours, 2, anchor=1) == 1  # the items are all the same


def test_sizes_that_the_user_asked_for_are_kept_on_a_small_set():
    x, _ = rows_in_blobs([30, 10, 8])
    found = labelled(x, 3, mass="uniform", epochs=10)
    assert max(found["sizes"]) < 24 and found["mass"] == "equal"


def test_larger_sets_have_no_anchor(blobs):
    method = labelled(blobs(n=300, k=3)[0], 3, epochs=1).method
    assert method.anchor is None and "small" not in method.extra_state() and method.neighbours_Nk.shape[1] > 10
    assert SeLaNN(Task(100, 5, "features", 0, 0), Options()).anchor is None  # before the phase begins


def test_a_small_run_without_k_resumes_to_the_labels_of_an_uncut_one_and_predicts(tmp_path):
    x, _ = rows_in_blobs([10, 10, 10])
    np.save(tmp_path / "x.npy", x)
    settings = make_settings(source=str(tmp_path / "x.npy"), epochs=30, device="cpu")
    steps = []
    stop = LoopCallbacks(on_step=lambda *_: steps.append(1), should_stop=lambda: len(steps) >= 25)
    with pytest.raises(Interrupted):
        label(settings, tmp_path / "cut", callbacks=Callbacks(loop=stop))
    label(settings, tmp_path / "cut", resume=True)
    label(settings, tmp_path / "whole")
    assert (tmp_path / "cut/labels.csv").read_bytes() == (tmp_path / "whole/labels.csv").read_bytes()
    run = Run.open(tmp_path / "cut")
    assert run.report["n_clusters"] == 3
    predicted = predict(run, str(tmp_path / "x.npy"), "cpu", raw=True)
    assert (predicted.labels == run.labels["label"].to_numpy()).mean() > 0.9
