"""Features in several files: one set of rows, read where they lie."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from selflabel.base.errors import UserError
from selflabel.items import open_items
from selflabel.items.shards import ShardedRows
from tests.items.pictures import png

ROWS = np.random.default_rng(0).normal(size=(10, 4)).astype(np.float16)
CUTS = [ROWS[:3], ROWS[3:4], ROWS[4:4], ROWS[4:]]


@pytest.fixture
def shards(tmp_path):
    folder = tmp_path / "features"
    folder.mkdir()
    for i, part in enumerate(CUTS):
        np.save(folder / f"part-{i}.npy", part)
    return folder


def test_a_folder_or_a_pattern_of_arrays_is_one_set_that_stays_on_the_disk(shards):
    for name in (shards, f"{shards}/*.npy", f"{shards}/part-{{0..3}}.npy"):
        items = open_items(name)
        assert items.are_features and items.paths[9] == "row:000009" and len(items) == 10
        assert isinstance(items.array, ShardedRows) and all(isinstance(p, np.memmap) for p in items.array.parts)
        assert np.array_equal(items.array, ROWS) and items.array.dtype == np.float16
    assert "4 files of features, 10 rows" in " ".join(items.notes)


def test_rows_of_several_files_are_read_as_those_of_one_array():
    rows = ShardedRows(CUTS)
    taken = rows.take([9, 0, 3, 3]).take([2, 0])
    assert np.array_equal(taken, ROWS[[3, 9]]) and np.array_equal(rows[np.array([8, 1])], ROWS[[8, 1]])
    assert np.array_equal(rows[7], ROWS[7]) and np.array_equal(rows[2:5], ROWS[2:5]) and len(list(rows)) == 10
    assert ShardedRows([np.full((2, 3), 7, np.int8)])[0].dtype == np.float32


def test_a_row_that_is_not_finite_is_skipped_and_listed_with_its_file(shards):
    bad = ROWS[:3].copy()
    bad[1, 2] = np.inf
    np.save(shards / "part-0.npy", bad)
    items = open_items(shards)
    assert items.skipped == [("row:000001", "a value is NaN or infinite in part-0.npy")]
    assert np.array_equal(items.array, np.delete(ROWS, 1, axis=0)) and items.paths[1] == "row:000002"


@pytest.mark.parametrize(
    ("other", "sentence"),
    [
        (np.ones((2, 5), np.float16), r"part-2\.npy: has 5 features in a row, and .*part-0\.npy has 4"),
        (np.ones((2, 4), np.float32), r"part-2\.npy: holds float32 numbers, and .*part-0\.npy float16; save"),
        (np.full((2, 4), np.nan, np.float16), r"part-2\.npy: every row has a NaN"),
        (np.ones((2, 4, 4), np.float16), r"part-2\.npy: an array of shape 2x4x4 is no part"),
        (np.full((2, 4), "x"), r"part-2\.npy: features must be real numbers"),
    ],
)
def test_a_file_that_does_not_belong_to_the_others_is_named_with_the_remedy(shards, other, sentence):
    np.save(shards / "part-2.npy", other)
    with pytest.raises(UserError, match=sentence):
        open_items(shards)


def test_tables_with_features_are_one_set_with_their_files(tmp_path):
    for i, rows in enumerate((ROWS[:3], ROWS[3:])):
        names = [f"{i}-{j}.png" for j in range(len(rows))]
        for name in names[1:]:
            (tmp_path / name).write_bytes(png(i))
        pq.write_table(pa.table({"path": names, "embedding": list(rows.astype(np.float32))}), tmp_path / f"t{i}.parquet")
    items = open_items(f"{tmp_path}/t*.parquet")
    assert items.are_features and np.array_equal(items.array, ROWS.astype(np.float32))
    assert items.paths[3] == "t1.parquet/1-0.png" and items.blobs["image"][4].read() == png(1)
    assert [path for path, _ in items.missing] == ["t0.parquet/0-0.png", "t1.parquet/1-0.png"] and len(items.notes) == 2
    pq.write_table(pa.table({"embedding": [[1.0, 2.0]]}), tmp_path / "t2.parquet")
    with pytest.raises(UserError, match=r"t2\.parquet: has 2 features in a row"):
        open_items(f"{tmp_path}/t*.parquet")
