"""The files of a run folder, as version 0.1.0 wrote them."""

import csv

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from selflabel.items import read_rows
from selflabel.runs.run import Run, csv_text
from selflabel.runs.writing import Labelling, list_column, write_array, write_labelling, write_report, write_start


def labelling(n=6, truth=None, by_modality=None):
    rng = np.random.default_rng(0)
    top, probs = np.tile(np.arange(2), (n, 1)), np.tile([0.75, 0.25], (n, 1))
    features, neighbours = rng.normal(size=(n, 4)), rng.integers(0, n, (n, 10))
    return Labelling(
        [f"é{i}.png" for i in range(n)], np.arange(n) % 2, top, probs, features, neighbours, [], truth, by_modality or {}
    )


def test_a_labelling_is_read_as_it_was_written(tmp_path):
    result = labelling(truth=list("ababab"), by_modality={"video": np.arange(6) % 2, "audio": np.full(6, -1)})
    write_start(tmp_path, {"settings": {"source": "x"}}, [("bad.png", "empty, truly")])
    write_labelling(tmp_path, result)
    assert not Run(tmp_path).is_finished
    write_report(tmp_path, {"n_items": 6})
    run = Run.open(tmp_path)
    assert run.report == {"n_items": 6} and run.settings == {"source": "x"} and list(run.paths) == result.paths
    assert run.raw_labels.to_pydict() == {
        "id": list(range(6)),
        "path": result.paths,
        "label": [0, 1] * 3,
        "confidence": [0.75] * 6,
    }
    assert run.features.dtype == np.float16 and (run.features == result.features.astype(np.float16)).all()
    assert {m: x.tolist() for m, x in run.labels_by_modality.items()} == {"video": [0, 1] * 3, "audio": [-1] * 6}
    assert run.truth == dict(zip(result.paths, "ababab"))
    assert np.load(tmp_path / "neighbours.npy").dtype == np.int32
    with (tmp_path / "labels.csv").open(encoding="utf-8", newline="") as f:
        assert next(csv.DictReader(f)) == {"id": "0", "path": "é0.png", "label": "0", "confidence": "0.7500"}
    assert (tmp_path / "skipped.csv").read_text() == 'path,reason\nbad.png,"empty, truly"\n'


def test_what_a_source_lacks_leaves_no_file(tmp_path):
    write_labelling(tmp_path, labelling())
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "features.npy",
        "labels.csv",
        "labels.parquet",
        "neighbours.npy",
        "top.parquet",
    ]
    assert Run(tmp_path).labels_by_modality == {} and Run(tmp_path).truth is None


@pytest.mark.parametrize(("kind", "values"), [(pa.int32(), np.arange(12).reshape(4, 3)), (pa.float32(), np.ones((3, 1)) / 3)])
def test_a_list_column_is_what_pyarrow_makes_of_nested_lists(kind, values, tmp_path):
    values = values[:, ::-1]
    plain = pa.array(values.tolist(), pa.list_(kind))
    column = list_column(values, kind)
    assert column.equals(plain) and column.type == plain.type
    for name, x in (("a", plain), ("b", column)):
        pq.write_table(pa.table({"x": x}), tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_an_array_is_written_whole(tmp_path):
    write_array(tmp_path / "map.npy", np.arange(4))
    assert np.load(tmp_path / "map.npy").tolist() == [0, 1, 2, 3] and len(list(tmp_path.iterdir())) == 1


def test_every_cell_of_a_csv_table_is_read_as_it_was_written(tmp_path):
    cells = ["a\nb", "a\rb", "a\r\nb", 'quo"te', "a,b", "tab\t", "\u2028\x85", "", " "]
    text = csv_text(["path", "label"], [(cell, "x") for cell in cells])
    (tmp_path / "a.csv").write_bytes(text.encode())
    assert [row["path"] for row in read_rows(tmp_path / "a.csv")] == cells
    assert text.startswith("path,label\n") and text.endswith(" ,x\n")
