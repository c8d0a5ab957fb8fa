"""Suggested edits, against clusters that were cut, joined or left whole on purpose."""

import numpy as np
import pytest

from selflabel.gallery.editable_run import EditableRun, single_thread
from selflabel.gallery.suggestions import MAX_VALLEY, likely_clusters, suggest_edits, two_modes
from tests.gallery.conftest import cut_and_joined_clouds, nearest, write_run


@pytest.mark.parametrize("seed", range(3))
def test_a_cut_cloud_is_suggested_for_a_merge_and_two_joined_ones_for_a_split_and_nothing_else(tmp_path, seed):
    run = cut_and_joined_clouds(tmp_path, np.random.default_rng(seed))
    result = suggest_edits(run, run.state, {})
    assert [m["clusters"] for m in result["merges"]][:1] == [[0, 1]] and all(
        set(m["clusters"]) == {0, 1} for m in result["merges"]
    )
    assert [s["cluster"] for s in result["splits"]] == [2]
    run.add_edit({"do": "merge", "clusters": [0, 1], "into": 0})
    run.add_edit({"do": "split", "cluster": 2, "parts": 2})
    after = suggest_edits(run, run.state, {})
    assert after["merges"] == [] and after["splits"] == []


def test_the_likely_clusters_are_those_of_the_neighbours_and_of_the_runs_second_guess(tmp_path):
    run = cut_and_joined_clouds(tmp_path, np.random.default_rng(0))
    rows = np.flatnonzero(run.raw_labels == 0)[
        :20
    ]  # half a cloud: the other half is cluster 1, and the run's second guess is, too
    result = likely_clusters(run, run.state, rows)
    assert result["clusters"][0] == 1 and result["within"] == 0 and 0 not in result["clusters"]
    near = run.raw_labels[run.neighbours[rows]]
    weight = [(near == c).mean(axis=1).sum() + run.top_probs[rows, 1][run.top_labels[rows, 1] == c].sum() for c in range(4)]
    assert result["clusters"] == [c for c in np.argsort(-np.array(weight), kind="stable").tolist() if c and weight[c]]
    both = likely_clusters(run, run.state, np.array([rows[0], np.flatnonzero(run.raw_labels == 3)[0]]))
    assert both["within"] is None and set(both["clusters"][:2]) == {0, 3}
    run.add_edit({"do": "merge", "clusters": [1, 3], "into": 3})  # cluster 1's share goes to where its items are now
    assert likely_clusters(run, run.state, rows)["clusters"] == [3]
    run.add_edit({"do": "reject", "items": rows.tolist()})
    assert likely_clusters(run, run.state, rows)["within"] is None


def test_two_variants_of_one_thing_are_not_split_if_whole_clusters_lie_farther_apart(tmp_path):
    rng = np.random.default_rng(0)
    features = (rng.normal(0, 1, (800, 12)) + 14 * np.eye(12)[np.arange(800) % 4]).astype(np.float32)
    for gap, suggested in ((9, []), (20, [0])):
        moved = features + gap * np.outer(np.arange(800) % 8 == 0, np.eye(12)[5]).astype(np.float32)
        labels, paths = np.arange(800) % 4, [f"row:{i:06d}" for i in range(800)]
        run = EditableRun(write_run(tmp_path / f"run-{gap}", "digits", paths, labels, moved, nearest(moved)))
        assert two_modes(moved[labels == 0]).valley < 0.1
        assert [s["cluster"] for s in suggest_edits(run, run.state, {})["splits"]] == suggested


def test_one_cloud_rarely_shows_two_modes_and_two_clouds_nearly_always_do():
    rng = np.random.default_rng(0)
    one = [rng.normal(size=(400, d)) for d in (2, 16, 128, 512) for _ in range(25)]
    two = [
        rng.normal(size=(400, d)) + 5 * np.eye(d)[0] * (np.arange(400) % 3 == 0)[:, None] for d in (2, 16, 128) for _ in range(10)
    ]
    with single_thread():
        wrong, right = (sum(two_modes(x.astype(np.float32)).valley <= MAX_VALLEY for x in clouds) for clouds in (one, two))
    assert wrong <= 1 and right >= 26, (wrong, right)


def test_two_kinds_that_alternate_are_two_modes():
    x = np.random.default_rng(0).normal(size=(60, 16)).astype(np.float32)
    x[::2, 0] += 9
    assert two_modes(x).valley <= MAX_VALLEY


def test_equal_items_have_a_single_mode():
    assert two_modes(np.ones((100, 8), np.float32)).valley == 1.0


def test_clusters_are_tested_again_only_after_their_items_have_changed(tmp_path):
    run, cache = cut_and_joined_clouds(tmp_path, np.random.default_rng(0)), {}
    suggest_edits(run, run.state, cache)
    tested = set(cache)
    suggest_edits(run, run.state, cache)
    assert set(cache) == tested and len(tested) == 4
    run.add_edit({"do": "merge", "clusters": [0, 1], "into": 0})
    suggest_edits(run, run.state, cache)
    assert len(set(cache) - tested) == 1
