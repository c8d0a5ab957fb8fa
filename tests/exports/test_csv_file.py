"""csv, read by the csv module and by pandas."""

import csv

import pandas

from selflabel.exports import export
from tests.exports.conftest import EDITED, KEPT, NAMES


def test_csv_reads_back_as_the_edited_labels(edited, tmp_path):
    file = export(edited, "csv", tmp_path / "x.csv").place
    table, paths = pandas.read_csv(file), edited.labels["path"].to_pylist()
    assert list(table) == ["id", "path", "label", "confidence", "name"]
    assert table["id"].tolist() == KEPT.tolist() and table["path"].tolist() == [paths[i] for i in KEPT]
    assert table["label"].tolist() == EDITED[KEPT].tolist()
    assert table["name"].tolist() == [NAMES[label] for label in EDITED[KEPT]]
    rows = list(csv.DictReader((edited.folder / "labels.csv").open(encoding="utf-8")))
    assert [f"{c:.4f}" for c in table["confidence"]] == [rows[i]["confidence"] for i in KEPT]
