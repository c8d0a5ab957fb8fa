"""Undo and redo, and what edits make of a labelling and of predictions."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from selflabel import edits
from selflabel.base.errors import UserError
from selflabel.edits import Merge, Move, Name, Redo, Reject, Split, Undo, emptied_clusters
from tests.edits.histories import FEATURES, LABELS, K, N, changes, logs, same


@given(logs)
@settings(deadline=None)
def test_undo_then_redo_changes_nothing(done):
    once = edits.apply(LABELS, FEATURES, done)
    if edits.active_edits(done):
        assert same(edits.apply(LABELS, FEATURES, [*done, Undo(), Redo()]), once)


@given(logs, changes)
@settings(deadline=None)
def test_an_edit_and_its_undo_change_nothing(done, change):
    assert same(edits.apply(LABELS, FEATURES, [*done, change, Undo()]), edits.apply(LABELS, FEATURES, done))


@given(st.lists(changes, max_size=8))
@settings(deadline=None)
def test_as_many_undos_as_edits_give_the_runs_own_labels_and_as_many_redos_the_edits(done):
    back = [*done, *[Undo()] * (len(done) + 2)]
    assert same(edits.apply(LABELS, FEATURES, back), edits.unedited_labels(LABELS))
    assert edits.active_edits([*back, *[Redo()] * len(done)]) == done


@given(logs)
@settings(deadline=None)
def test_no_item_is_lost_and_every_label_is_of_a_cluster_that_there_is(done):
    before = LABELS.copy()
    after = edits.apply(LABELS, FEATURES, done)
    assert len(after.labels) == N and np.array_equal(LABELS, before)
    assert set(after.labels.tolist()) - {-1} <= set(after.clusters) <= after.used_numbers
    assert set(after.names) <= set(after.clusters) and after.clusters == sorted(set(after.clusters))


@given(logs, changes)
@settings(deadline=None)
def test_what_check_refuses_changes_nothing(done, change):
    now = edits.apply(LABELS, FEATURES, done)
    try:
        edits.check(change, now, N)
    except UserError:
        assert same(edits.apply_in_order(now, FEATURES, [change]), now)


@given(logs)
@settings(deadline=None)
def test_a_log_is_split_into_edits_in_effect_and_edits_that_redo_brings_back(done):
    active, undone = edits.resolve_undo(done)
    assert (edits.active_edits(done), edits.undone_edits(done)) == (active, undone)
    assert edits.active_edits([*done, Redo()]) == active + undone[-1:]
    assert edits.undone_edits([*done, Reject(items=[0])]) == []


def test_a_split_and_a_merge_hold_for_unseen_items_and_moves_and_rejects_do_not():
    split = Split(cluster=0, parts=[0, 7], centres=[[0.0], [10.0]])
    log = [Move(items=[0], to=9, name="new"), Reject(items=[0]), split, Merge(clusters=[1, 9], into=9)]
    after = edits.apply_to_unseen(np.array([0, 0, 1, 2]), np.array([[1.0], [9.0], [0.0], [0.0]]), log, [0, 1, 2, 3])
    assert after.labels.tolist() == [0, 7, 9, 2] and after.clusters == [0, 2, 3, 7, 9]
    assert after.names == {9: "new"}


def test_numbers_that_were_ever_in_use_are_those_of_labels_moves_and_splits_also_of_undone_ones():
    log = [Move(items=[0], to=9), Undo(), Split(cluster=0, parts=[0, 7], centres=[[0.0], [1.0]]), Name(cluster=5, name="x")]
    assert edits.used_numbers(np.array([-1, 0, 2]), log) == {0, 2, 7, 9}


def test_check_refuses_a_labelling_of_another_run():
    with pytest.raises(UserError, match="has 24 items and the run 25"):
        edits.check(Reject(items=[0]), edits.unedited_labels(LABELS), N + 1)
    edits.check(Merge(clusters=[0, K - 1], into=0), edits.unedited_labels(LABELS), N)


def test_hundreds_of_edits_of_a_million_items_take_seconds():
    n, k = 1_000_000, 100
    rng = np.random.default_rng(0)
    labels, features = rng.integers(0, k, n).astype(np.int32), rng.normal(size=(n, 16)).astype(np.float16)
    done = [Name(cluster=c, name=f"n{c}") for c in range(k)]
    done += [Merge(clusters=[c, c + 1], into=c) for c in range(0, k, 2)]
    done += [Split(cluster=c, parts=[c, k + c], centres=rng.normal(size=(2, 16)).tolist()) for c in range(0, k, 2)]
    done += [Move(items=rng.integers(0, n, 50).tolist(), to=0) for _ in range(100)]
    started = time.process_time()  # the machine may be busy with other things
    after = edits.apply(labels, features, done)
    assert len(after.clusters) == 100
    assert time.process_time() - started < 5


def test_unseen_items_of_a_cluster_that_lost_every_item_go_where_most_of_these_went():
    labels = np.array([0, 0, 0, 1, 1, 2, 2])
    edits = [Move(items=[0, 1], to=2), Reject(items=[2, 3, 4]), Merge(clusters=[1, 2], into=1), Move(items=[3], to=2 + 1)]
    assert emptied_clusters(labels, None, edits[:2]) == {0: 2, 1: -1}
    assert emptied_clusters(labels, None, edits[:3]) == {0: 1}  # merged with a cluster that has items
    assert emptied_clusters(labels, None, []) == {}
    assert emptied_clusters(labels, None, [], outliers=labels == 1) == {1: -1}
