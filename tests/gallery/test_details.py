"""What the page shows of one item."""

import numpy as np
import pytest

from selflabel.gallery.details import available_media, item_details
from selflabel.runs.missing import Missing


class SourceOf:
    """A source whose every item has these modalities; none for a row of an array, None for a missing item."""

    def __init__(self, modalities):
        self.modalities = modalities

    def blobs(self, row):
        if self.modalities is None:
            raise Missing("there is no such file")
        return dict.fromkeys(self.modalities)

    def values(self, row):
        return np.zeros(3)


@pytest.mark.parametrize(
    "modalities,result",
    [
        (["image"], ("image", "")),
        (["video", "audio"], ("video audio", "")),
        ([], ("array", "")),
        (None, ("", "there is no such file")),
    ],
)
def test_an_items_media_are_those_of_its_source(modalities, result):
    assert available_media(SourceOf(modalities), 0) == result


def test_details_are_what_the_run_and_the_edits_know(editable):
    item = item_details(editable, editable.state, SourceOf(["image"]), 57)
    assert item["path"] == "0057.png" and item["cluster"] == 2 and item["class"] == "kind 1" and not item["has_decision"]
    assert item["confidence"] == pytest.approx(editable.confidence[57], abs=1e-4)
    assert item["agreement"] == pytest.approx((editable.raw_labels[editable.neighbours[57]] == 2).mean(), abs=0.005)
    assert item["neighbours"] == editable.neighbours[57].tolist()
    assert [top["cluster"] for top in item["top"]] == [2, 3]
    assert item["top"][0]["share"] + item["top"][1]["share"] == pytest.approx(1, abs=1e-3)


def test_a_rejected_item_keeps_the_cluster_that_it_had(editable):
    editable.add_edit({"do": "reject", "items": [57]})
    item = item_details(editable, editable.state, SourceOf(None), 57)
    assert item["cluster"] == -1 and item["cluster_before_reject"] == 2 and item["has_decision"]
    assert item["media"] == "" and item["missing"] == "there is no such file"


def test_an_item_is_not_its_own_neighbour(editable):
    editable.neighbours = np.tile(np.array([4, 4, 9]), (180, 1))
    assert item_details(editable, editable.state, SourceOf([]), 4)["neighbours"] == [9]


def test_what_the_run_took_it_for_is_said_in_the_clusters_that_there_are_now(editable):
    before = item_details(editable, editable.state, SourceOf([]), 57)["top"]
    editable.add_edit({"do": "merge", "clusters": [3, 5], "into": 5})
    after = item_details(editable, editable.state, SourceOf([]), 57)["top"]
    assert [top["cluster"] for top in after] == [2, 5] and after[1]["share"] == before[1]["share"]
    editable.add_edit({"do": "merge", "clusters": [2, 5], "into": 5})
    merged = item_details(editable, editable.state, SourceOf([]), 57)["top"]
    assert [top["cluster"] for top in merged] == [5] and merged[0]["share"] == pytest.approx(1, abs=1e-3)
