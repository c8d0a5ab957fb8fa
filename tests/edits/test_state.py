"""A labelling with edits applied."""

import numpy as np

from selflabel.edits import EditedLabels, unedited_labels


def test_a_labelling_without_edits_knows_its_clusters_and_who_is_rejected():
    labels = unedited_labels(np.array([2, -1, 0, 2]))
    assert labels.labels.tolist() == [2, -1, 0, 2] and labels.labels.dtype == np.int32
    assert labels.clusters == [0, 2] and labels.used_numbers == {0, 2} and labels.names == {}
    assert labels.rejected.tolist() == [False, True, False, False]
    assert unedited_labels(np.array([2]), clusters=[1, 2]).clusters == [1, 2]


def test_a_rejected_item_keeps_its_cluster_and_loses_its_label():
    labels = EditedLabels(np.array([3, 4], np.int32), np.array([False, True]))
    assert labels.labels.tolist() == [3, -1] and labels.item_clusters.tolist() == [3, 4]


def test_a_copy_can_be_changed_without_changing_the_original():
    original = unedited_labels(np.array([0, 1]))
    copy = original.copy()
    copy.item_clusters[0], copy.rejected[1], copy.names[0] = 1, True, "x"
    copy.add_clusters([7])
    assert original.labels.tolist() == [0, 1] and original.names == {}
    assert original.clusters == [0, 1] and original.used_numbers == {0, 1}


def test_added_clusters_are_in_order_and_once():
    labels = unedited_labels(np.array([4]))
    labels.add_clusters([2, 4, 9])
    assert labels.clusters == [2, 4, 9] and labels.used_numbers == {2, 4, 9}
