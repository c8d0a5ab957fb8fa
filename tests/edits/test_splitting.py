"""Splits by k-means."""

import numpy as np
import pytest

from selflabel import edits
from selflabel.base.errors import UserError
from selflabel.edits import Merge, Move, Reject, splitting


def test_a_split_finds_two_blobs_and_places_unseen_items_by_the_nearest_centre():
    rng = np.random.default_rng(1)
    kind = np.arange(90) % 3 == 0
    features = (kind[:, None] * 8 + rng.normal(size=(90, 5))).astype(np.float16)
    labels = np.full(90, 5, np.int32)
    split = edits.make_split(5, features, np.arange(90), 2, used={5, 7})
    assert split.parts == [5, 8] and split == edits.make_split(5, features, np.arange(90), 2, {5, 7}).model_copy(
        update={"id": split.id, "at": split.at}
    )
    done = edits.apply(labels, features, [split])
    assert (done.labels == np.where(kind, 8, 5)).all()  # the larger part keeps the number
    unseen = np.array([[8.0] * 5, [0.0] * 5], np.float32)
    later = [split, Move(items=[80], to=5), Reject(items=[1]), Merge(clusters=[5, 2], into=2)]
    labels_after = edits.apply_to_unseen(np.array([5, 5]), unseen, later, clusters=[2, 5])
    assert labels_after.labels.tolist() == [8, 2]
    with pytest.raises(UserError, match="too alike"):
        edits.make_split(5, np.ones((9, 2), np.float16), np.arange(9), 2, {5})
    with pytest.raises(UserError, match="2 to 3 parts"):
        edits.make_split(5, features, np.arange(3), 4, {5})


def test_numbers_for_new_parts_are_above_all_that_were_ever_in_use():
    assert edits.fresh_numbers({3, 9, 1}, 2) == [10, 11] and edits.fresh_numbers([], 2) == [0, 1]


def test_a_split_is_learned_from_a_sample_and_holds_for_all_rows(monkeypatch):
    monkeypatch.setattr(splitting, "MAX_SAMPLE", 10)
    features = np.repeat([[0.0, 0.0], [9.0, 9.0]], [60, 30], axis=0).astype(np.float32)
    features += np.random.default_rng(0).normal(size=features.shape, scale=0.1)
    split = edits.make_split(0, features, np.arange(90)[::-1], 2, {0})
    assert np.bincount(edits.apply(np.zeros(90, int), features, [split]).labels).tolist() == [60, 30]
    assert all(float(f"{v:.6g}") == v for centre in split.centres for v in centre)
