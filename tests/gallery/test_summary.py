"""The overview's numbers against plain counts."""

import numpy as np
import pytest

from selflabel.edits import parse
from selflabel.gallery import summary
from selflabel.gallery.editable_run import EditableRun
from selflabel.gallery.summary import describe_edit, overview, requested_sizes
from tests.gallery.conftest import nearest, records_of, write_run


def test_the_numbers_of_every_cluster_are_plain_counts(editable):
    labels = editable.raw_labels
    truth = np.repeat([f"kind {k}" for k in range(6)], 30)
    for record in overview(editable, editable.state)["clusters"]:
        rows = np.flatnonzero(labels == record["id"])
        same = [(labels[editable.neighbours[r]] == record["id"]).mean() for r in rows]
        classes, counts = np.unique(truth[rows], return_counts=True)
        assert record["size"] == len(rows)
        assert record["agreement"] == pytest.approx(np.mean(same), abs=0.005)
        assert record["confidence"] == pytest.approx(editable.confidence[rows].mean(), abs=1e-3)
        assert record["purity"] == pytest.approx(counts.max() / len(rows), abs=1e-4)
        assert record["class"] == classes[counts.argmax()]


def test_the_overview_counts_items_and_what_is_done(editable):
    result = overview(editable, editable.state)
    assert sum(result["confidences"]) == 180 and result["n_items"] == 180 and result["next_number"] == 6
    assert result["progress"] == {"clusters": 6, "named": 0, "items": 180, "covered": 0, "rejected": 0}


def test_the_overview_describes_what_undo_and_redo_would_do(editable):
    editable.add_edit({"do": "name", "cluster": 2, "name": "wheels"})
    editable.add_edit({"do": "reject", "items": [0, 1]})
    editable.add_edit({"do": "undo"})
    result = overview(editable, editable.state)
    assert result["undo"] == "cluster 2 named “wheels”" and result["redo"] == "reject of 2 items"


def test_purity_is_the_same_whether_counted_in_a_table_or_sparsely(editable, monkeypatch):
    dense = records_of(editable)
    monkeypatch.setattr(summary, "MAX_TABLE_CELLS", 0)
    assert records_of(editable) == dense


def test_a_merged_clusters_card_shows_its_parts_in_proportion_to_their_sizes(editable):
    editable.add_edit({"do": "merge", "clusters": [4, 5], "into": 4})
    rows = records_of(editable)[4]["rows"]
    assert np.bincount(editable.raw_labels[rows], minlength=6).tolist() == [0, 0, 0, 0, 6, 6]
    for part in (4, 5):
        typical = [r for r in editable.state.members(4).tolist() if editable.raw_labels[r] == part]
        assert [r for r in rows if editable.raw_labels[r] == part] == typical[:6]


@pytest.mark.parametrize(
    "mass,title",
    [("auto", "equal share"), ("relaxed", "equal share"), ("zipf", "asked for: zipf"), ("gaussian", "asked for: gaussian")],
)
def test_the_requested_sizes_add_up_to_the_items_and_fall_as_asked(tmp_path, mass, title):
    features = np.eye(4, dtype=np.float32)[np.arange(40) % 4]
    paths = [f"row:{i:06d}" for i in range(40)]
    run = write_run(tmp_path / "run", "digits", paths, np.arange(40) % 4, features, nearest(features), settings={"mass": mass})
    requested = requested_sizes(EditableRun(run), np.array([10, 10, 0, 10, 10]))
    sizes = np.array(requested["sizes"])
    assert requested["title"] == title and sizes.sum() == pytest.approx(40, abs=0.3) and (np.diff(sizes) <= 0).all()
    assert (sizes[0] == sizes[-1]) == (title == "equal share")
    if mass == "zipf":
        assert sizes[0] == pytest.approx(2 * sizes[1], abs=0.2)


@pytest.mark.parametrize(
    "values,words",
    [
        ({"do": "name", "cluster": 1, "name": ""}, "name of cluster 1 removed"),
        ({"do": "merge", "clusters": [1, 9], "into": 9}, "merge of 2 clusters into seven"),
        ({"do": "move", "items": list(range(1500)), "to": 9}, "move of 1,500 items to seven"),
        ({"do": "restore", "items": [4]}, "return of 1 item"),
    ],
)
def test_an_edit_is_described_in_a_few_words(values, words):
    assert describe_edit(parse(values), {9: "seven"}) == words
