"""Tables with a column of features: labelled by the features, shown as the files that they name."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from selflabel.items import open_items
from tests.items.pictures import png

VECTORS = [[1.0, 2.0, 3.0], [0.5, 0.25, -1e-3], [4.0, 5.0, 6.0], [7.0, 8.0], None, [1.0, float("nan"), 2.0]]
REASONS = [
    "its embedding has another length than those of most rows",
    "its embedding is no list of numbers",
    "a value is NaN or infinite",
]


def text_of(vector):
    return "" if vector is None else f'"[{", ".join(map(str, vector))}]"'


def write(file, names):
    """A table of the names and VECTORS, by its ending."""
    if file.suffix == ".parquet":
        pq.write_table(pa.table({"path": names, "embedding": pa.array(VECTORS, pa.list_(pa.float32()))}), file)
    elif file.suffix == ".jsonl":
        file.write_text("\n".join(json.dumps({"path": n, "embedding": v}) for n, v in zip(names, VECTORS)))
    else:
        file.write_text("\n".join(["path,embedding", *(f"{n},{text_of(v)}" for n, v in zip(names, VECTORS))]))


@pytest.mark.parametrize("ending", [".csv", ".jsonl", ".parquet"])
def test_rows_are_labelled_by_their_features_and_keep_their_files(tmp_path, ending):
    names = [f"{i}.png" for i in range(6)]
    for i in (0, 2, 3, 4, 5):
        (tmp_path / names[i]).write_bytes(png(i))
    write(tmp_path / f"table{ending}", names)
    items = open_items(tmp_path / f"table{ending}")
    assert items.are_features and items.paths == ["0.png", "1.png", "2.png"]
    assert np.array_equal(items.array, np.array(VECTORS[:3], np.float32))
    assert items.missing == [("1.png", "no such file")] and items.blobs["image"][1] is None
    assert items.blobs["image"][2].read() == png(2)
    assert items.skipped == list(zip(names[3:], REASONS))


def test_pictures_in_cells_are_labelled_by_the_features_beside_them(tmp_path):
    image = pa.array([png(0), None, png(2)], pa.binary())
    pq.write_table(
        pa.table({"image": image, "features": pa.array(VECTORS[:3], pa.list_(pa.float64(), 3))}), tmp_path / "t.parquet"
    )
    items = open_items(tmp_path / "t.parquet")
    assert items.array.shape == (3, 3) and items.blobs["image"][2].read() == png(2) and items.blobs["image"][1] is None
    assert items.missing == [("000001.png", "the cell is empty")]


def test_a_table_of_features_only_has_numbered_rows_and_words_are_no_features(tmp_path):
    (tmp_path / "a.jsonl").write_text("\n".join(json.dumps({"vector": v}) for v in VECTORS[:3]))
    items = open_items(tmp_path / "a.jsonl")
    assert items.are_features and items.paths[2] == "row:000002" and not items.blobs and not items.missing
    (tmp_path / "x.png").write_bytes(png(0))
    (tmp_path / "b.csv").write_text("path,features\nx.png,red door\nx.png,3 4\n")
    assert not open_items(tmp_path / "b.csv").are_features
