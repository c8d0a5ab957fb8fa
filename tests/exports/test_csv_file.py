"""csv, read by the csv module and by pandas."""

import csv

import pandas

from selflabel.base.cells import FORMULA_STARTS
from selflabel.edits import Name, append
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


def test_no_name_of_a_cluster_is_run_by_a_spreadsheet_and_paths_stay_as_they_are(photos, tmp_path):
    append(photos.folder, Name(cluster=0, name='=HYPERLINK("x")'))
    append(photos.folder, Name(cluster=1, name="-1+1"))
    append(photos.folder, Name(cluster=2, name="cats = dogs"))
    for name, file in (("csv", "x.csv"), ("folders", "x/labels.csv")):
        export(photos, name, tmp_path / file.split("/")[0])
        rows = list(csv.DictReader((tmp_path / file).open(encoding="utf-8")))
        assert {'\'=HYPERLINK("x")', "'-1+1", "cats = dogs"} <= {row["name"] for row in rows}
        assert not any(row["name"].startswith(FORMULA_STARTS) for row in rows)
        assert {row["path"] for row in rows} <= set(photos.labels["path"].to_pylist())
