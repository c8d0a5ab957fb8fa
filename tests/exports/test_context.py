"""What a format sees of a run."""

import csv

import numpy as np
import pytest

from selflabel.exports.context import SkippedItems, categories_of, open_context
from selflabel.runs.missing import Missing
from tests.exports.conftest import EDITED, KEPT, LABELS, NAMES


def context_of(run, raw=False, progress=lambda done, total: None):
    return open_context(run, "out", raw, "copy", None, False, progress)


def test_items_come_in_the_order_of_their_ids_with_their_class_and_without_rejected_ones(edited):
    context = context_of(edited)
    items = list(context.items())
    assert [item.row for item in items] == context.rows.tolist() == KEPT.tolist()
    assert [item.category.cluster for item in items] == EDITED[KEPT].tolist()
    assert [item.path for item in items] == [edited.paths[row] for row in KEPT]
    assert context.class_names == list(NAMES.values()) and context.modalities == {"image"}
    assert all(item == context.item(item.row) for item in items)


def test_raw_labels_leave_edits_aside(edited):
    context = context_of(edited, raw=True)
    assert context.labels.tolist() == LABELS.tolist() and context.edits == []
    assert context.class_names == [f"cluster-00{i}" for i in range(4)]


def test_the_label_of_a_rejected_item_has_no_category(edited):
    context = context_of(edited)
    assert context.category_of_label.tolist() == [0, 1, -1, 2, -1] and context.category_of_label[-1] == -1


def test_progress_is_called_at_the_start_every_so_many_items_and_at_the_end(photos, monkeypatch):
    calls = []
    monkeypatch.setattr("selflabel.exports.context.PROGRESS_EVERY", 16)
    for _ in context_of(photos, progress=lambda done, total: calls.append((done, total))).items():
        pass
    assert calls == [(0, 40), (16, 40), (32, 40), (40, 40)]


def test_an_item_that_cannot_be_read_is_skipped_and_counted_and_other_errors_are_raised(photos):
    def read(item):
        if item.row in (3, 5):
            raise Missing(f"reason {item.row}")
        return 2 * item.row

    context = context_of(photos)
    assert {item.row: value for item, value in context.readable_items(read)} == {r: 2 * r for r in range(40) if r not in (3, 5)}
    assert context.skipped.count == 2 and context.skipped.first == f"{photos.paths[3]}: reason 3"
    with pytest.raises(ZeroDivisionError):
        list(context.readable_items(lambda item: 1 // 0))


def test_skipped_items_are_listed_as_they_come(tmp_path):
    skipped = SkippedItems(tmp_path / "left-out.csv")
    skipped.write_row("a, b.png", "rejected")
    skipped.add("c.png", "is gone")
    skipped.close()
    rows = list(csv.reader((tmp_path / "left-out.csv").open(encoding="utf-8")))
    assert rows == [["path", "reason"], ["a, b.png", "rejected"], ["c.png", "is gone"]]
    assert (skipped.count, skipped.first) == (1, "c.png: is gone")


def test_only_clusters_with_items_are_classes_in_the_order_of_their_numbers():
    categories = categories_of(np.array([9, 2, -1, 9]), {9: "a/b", 5: "empty"})
    assert [(c.index, c.cluster, c.name, c.folder, c.size) for c in categories] == [
        (0, 2, "cluster-002", "cluster-002", 1),
        (1, 9, "a/b", "a_b", 2),
    ]
