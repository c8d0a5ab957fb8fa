"""Tables that hold the pictures themselves, as Hugging Face's datasets writes them."""

import json
import multiprocessing
import pickle

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from selflabel.base.errors import UserError
from selflabel.items import open_items, table_cells
from tests.items.pictures import png

CELL = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def features(**columns):
    """The metadata that `datasets` writes."""
    return {b"huggingface": json.dumps({"info": {"features": columns}}).encode()}


def write(file, rows, column=CELL, group=4, metadata=None, **others):
    schema = pa.schema([("image", column), *((name, pa.array(values).type) for name, values in others.items())], metadata)
    pq.write_table(
        pa.table([pa.array(rows, column), *(pa.array(v) for v in others.values())], schema), file, row_group_size=group
    )
    return file


def test_pictures_in_a_struct_are_read_in_place_with_the_names_of_their_classes(tmp_path):
    names = features(image={"_type": "Image"}, label={"names": ["cat", "dog"], "_type": "ClassLabel"})
    rows = [{"bytes": png(i), "path": f"{i}.png"} for i in range(10)]
    file = write(tmp_path / "train.parquet", rows, metadata=names, label=[0, 1] * 4 + [-1, 0])
    items = open_items(file)
    assert items.paths == [f"{i}.png" for i in range(10)] and items.truth == ["cat", "dog"] * 4 + ["", "cat"]
    assert [blob.read() for blob in items.blobs["image"]] == [png(i) for i in range(10)]
    for i in np.random.default_rng(0).permutation(10).tolist():
        assert items.blobs["image"][i].read() == png(i)
    assert len({blob.stamp() for blob in items.blobs["image"]}) == 10


def test_cells_without_names_are_numbered_and_empty_ones_are_listed(tmp_path):
    file = write(tmp_path / "a.parquet", [png(0), None, png(2), b""], pa.binary())
    items = open_items(file)
    assert items.paths == ["000000.png", "000002.png", "000003.png"] and items.skipped == [("000001.png", "the cell is empty")]
    assert items.blobs["image"][1].read() == png(2) and items.blobs["image"][2].read() == b""


def test_a_cell_without_bytes_names_a_file(tmp_path):
    (tmp_path / "b.png").write_bytes(png(7))
    rows = [{"bytes": png(1), "path": "a.png"}, {"bytes": None, "path": "b.png"}, {"bytes": None, "path": "gone.png"}]
    items = open_items(write(tmp_path / "a.parquet", rows))
    assert items.paths == ["a.png", "b.png"] and [blob.read() for blob in items.blobs["image"]] == [png(1), png(7)]


def test_the_second_picture_of_a_row_is_named_and_binary_numbers_are_no_pictures(tmp_path):
    rows = [{"bytes": png(i), "path": None} for i in range(2)]
    table = pa.table({"hash": pa.array([b"\1\2", b"\3\4"]), "image": pa.array(rows, CELL), "mask": pa.array(rows, CELL)})
    pq.write_table(table, tmp_path / "a.parquet")
    items = open_items(tmp_path / "a.parquet")
    assert items.modalities == ("image",) and len(items.notes) == 1 and "'mask' is not used" in items.notes[0]


def test_shards_of_a_folder_or_a_glob_are_one_source(tmp_path):
    (tmp_path / "data").mkdir()
    for shard in range(2):
        write(tmp_path / "data" / f"train-{shard}.parquet", [{"bytes": png(shard), "path": "a.png"}])
    (tmp_path / "README.md").write_text("x")
    folder, several = open_items(tmp_path), open_items(str(tmp_path / "data" / "*.parquet"))
    assert folder.paths == several.paths == ["train-0.parquet/a.png", "train-1.parquet/a.png"]
    assert [blob.read() for blob in folder.blobs["image"]] == [png(0), png(1)]
    assert any("1 .md" in note for note in folder.notes)


def test_cells_are_read_in_other_processes_and_a_group_is_decoded_once(tmp_path, monkeypatch):
    cells = [np.random.default_rng(i).bytes(2000) for i in range(64)]
    items = open_items(write(tmp_path / "a.parquet", [{"bytes": b"\x89PNG" + c, "path": None} for c in cells], group=64))
    blobs = pickle.loads(pickle.dumps(list(items.blobs["image"])))
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.map(type(blobs[0]).read, blobs[:3]) == [b"\x89PNG" + c for c in cells[:3]]
    steps = []
    plain = table_cells.CellReader.step
    monkeypatch.setattr(table_cells, "MAX_STEP", 8)
    monkeypatch.setattr(table_cells.CellReader, "step", lambda self: (steps.append(1), plain(self)))
    table_cells.cell_reader.cache_clear()
    for blob in blobs + blobs[::-1]:
        blob.read()
    assert len(steps) == 8
    monkeypatch.setattr(table_cells, "KEPT_BYTES", 20_000)
    table_cells.cell_reader.cache_clear()
    for i in (40, 3, 63, 0):
        assert blobs[i].read()[4:] == cells[i]


def test_a_table_that_is_no_more_the_same_is_an_error_of_its_item(tmp_path):
    file = write(tmp_path / "a.parquet", [{"bytes": png(), "path": None}] * 8)
    blob = open_items(file).blobs["image"][7]
    pq.write_table(pa.table({"other": [1]}), file)
    with pytest.raises(OSError, match=r"cannot be read|no such row"):
        blob.read()
    file.write_bytes(b"PAR1junkPAR1")
    with pytest.raises(OSError):
        blob.read()
    with pytest.raises(UserError, match=r"cannot be read as a \.parquet table"):
        open_items(file)


def test_pictures_that_are_kept_in_a_dictionary_are_read_in_place(tmp_path):
    cells = [png(i) for i in range(3)]
    pq.write_table(pa.table({"image": pa.array(cells).dictionary_encode()}), tmp_path / "a.parquet")
    assert [blob.read() for blob in open_items(tmp_path / "a.parquet").blobs["image"]] == cells
