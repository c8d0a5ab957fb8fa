"""What each view lists, and in what order."""

import numpy as np
import pytest

from selflabel.base.errors import UserError
from selflabel.gallery import listing
from selflabel.gallery.listing import list_rows


def test_typical_items_come_first_and_the_reverse_order_is_least_sure_first(editable):
    rows = list_rows(editable, editable.state, "2", "typical", "")
    sureness = editable.confidence[rows] + (editable.raw_labels[editable.neighbours[rows]] == 2).mean(axis=1)
    assert (np.diff(sureness) < 0.01).all() and set(rows) == set(np.flatnonzero(editable.raw_labels == 2))
    assert (list_rows(editable, editable.state, "2", "unsure", "") == rows[::-1]).all()
    assert set(rows[-3:]) == set(np.flatnonzero(editable.raw_labels == 2)[:3])  # the three whose neighbours are in cluster 1


def test_an_item_that_a_person_decided_on_is_not_worth_another_look(editable):
    assert len(list_rows(editable, editable.state, "all", "unsure", "")) == 180
    editable.add_edit({"do": "move", "items": [5, 6], "to": 1})
    left = list_rows(editable, editable.state, "all", "unsure", "")
    assert len(left) == 178 and not {5, 6} & set(left.tolist())


def test_all_items_come_in_the_order_of_their_sureness(editable):
    now = editable.state
    rows = list_rows(editable, now, "all", "unsure", "")
    assert (np.diff(now.typicality[rows].astype(int)) >= 0).all()


def test_rejected_items_are_listed_as_in_the_run(editable):
    editable.add_edit({"do": "reject", "items": [90, 3, 41]})
    assert list_rows(editable, editable.state, "rejected", "row", "").tolist() == [3, 41, 90]


def test_a_search_finds_parts_of_paths_in_upper_and_lower_case(editable, monkeypatch):
    def search(query):
        return list_rows(editable, editable.state, "search", "row", query).tolist()

    assert search("007") == [7, *range(70, 80)]
    assert search("17.PNG") == [17, 117]
    assert search("") == [] and search("nothing") == []
    monkeypatch.setattr(listing, "MAX_SEARCH_RESULTS", 3)
    assert search("png") == [0, 1, 2]


@pytest.mark.parametrize("view", ["6", "-1", "x", "²", "1e0"])
def test_a_cluster_that_is_not_there_is_refused(editable, view):
    with pytest.raises(UserError, match="there is no cluster"):
        list_rows(editable, editable.state, view, "typical", "")
