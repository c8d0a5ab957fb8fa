"""Folders of `datasets.save_to_disk`, and other .arrow files."""

import gc
import json
import random

import numpy as np
import pyarrow as pa
import pytest

from selflabel.base.errors import UserError
from selflabel.items import open_items, rows
from selflabel.items.column_items import holds_media
from tests.items.pictures import png
from tests.items.test_parquet_items import CELL, features

CLIPS = [{"bytes": None, "path": "a.wav"}, {"bytes": b"RIFF\0\0\0\0WAVEfmt ", "path": "b.wav"}]


def write_arrow(file, table, batch=4, opener=pa.ipc.new_stream):
    with opener(str(file), table.schema) as writer:
        writer.write_table(table, max_chunksize=batch)
    return file


def pictures(n=10):
    cells = pa.array([{"bytes": png(i), "path": None} for i in range(n)], CELL)
    return pa.table([cells, pa.array([i % 3 - 1 for i in range(n)])], names=["image", "label"])


def save(folder, *files, **state):
    """What `save_to_disk` writes beside its files."""
    folder.mkdir(parents=True, exist_ok=True)
    names = [{"filename": name} for name in files]
    (folder / "state.json").write_text(json.dumps({"_data_files": names, **state}))
    (folder / "dataset_info.json").write_text("{}")
    return folder


def test_what_datasets_saved_is_read_in_place_with_its_classes(tmp_path):
    datasets = pytest.importorskip("datasets")
    kinds = datasets.Features(image=datasets.Image(), label=datasets.ClassLabel(names=["cat", "dog"]))
    rows = {"image": [{"bytes": png(i), "path": None} for i in range(9)], "label": [0, 1, 1] * 3}
    whole = datasets.Dataset.from_dict(rows, features=kinds)
    whole.save_to_disk(str(tmp_path / "one"), num_shards=2)
    write_arrow(tmp_path / "one/cache-0a1b.arrow", pictures())  # as `map` leaves it there
    gc.collect()  # tables of earlier tests, which would be freed in between
    before = pa.total_allocated_bytes()
    items = open_items(tmp_path / "one")
    assert items.truth == ["cat", "dog", "dog"] * 3 and items.paths[5] == "data-00001-of-00002.arrow/000000.png"
    assert [items.blobs["image"][i].read() for i in (8, 0, 5)] == [png(8), png(0), png(5)]
    assert pa.total_allocated_bytes() <= before
    datasets.DatasetDict(test=whole.select([2]), train=whole).save_to_disk(str(tmp_path / "both"))
    both = open_items(tmp_path / "both")
    assert len(both) == 10 and both.paths[0] == "test/data-00000-of-00001.arrow/000000.png" and both.truth[0] == "dog"


@pytest.mark.parametrize("opener", [pa.ipc.new_stream, pa.ipc.new_file])
def test_an_arrow_file_is_read_as_a_parquet_is(tmp_path, opener):
    names = features(label={"names": ["cat", "dog"]})
    file = write_arrow(tmp_path / "a.arrow", pictures().replace_schema_metadata(names), opener=opener)
    items = open_items(file)
    assert holds_media(file) and items.paths[9] == "000009.png" and items.truth == ["", "cat", "dog"] * 3 + [""]
    for i in np.random.default_rng(0).permutation(10).tolist():
        assert items.blobs["image"][i].read() == png(i)


def test_a_sound_without_bytes_is_the_file_of_its_path_if_that_lies_below(tmp_path):
    (tmp_path / "set").mkdir()
    for name in ("set/a.wav", "outside.wav"):
        (tmp_path / name).write_bytes(b"RIFF\1\0\0\0WAVEfmt ")
    cells = [*CLIPS, {"bytes": None, "path": "../outside.wav"}, {"bytes": None, "path": None}]
    write_arrow(tmp_path / "set/data-0.arrow", pa.table({"clip": pa.array(cells, CELL)}))
    items = open_items(save(tmp_path / "set", "data-0.arrow"))
    assert items.modalities == ("audio",) and [path for path, _ in items.skipped] == ["000002.wav", "000003.wav"]
    assert [blob.read()[4] for blob in items.blobs["audio"]] == [1, 0]


def test_features_of_arrow_files_are_labelled_and_what_fills_half_of_the_memory_is_said(tmp_path, monkeypatch):
    vectors = np.arange(24, dtype=np.float32).reshape(8, 3)
    for i in range(2):
        column = pa.array(list(vectors[4 * i : 4 * i + 4]), pa.list_(pa.float32(), 3))
        write_arrow(tmp_path / f"{i}.arrow", pa.table({"embedding": column, "label": ["a"] * 4}), batch=3)
    items = open_items(save(tmp_path, "0.arrow", "1.arrow"))
    assert items.are_features and np.array_equal(items.array[np.arange(8)], vectors) and items.truth == ["a"] * 8
    monkeypatch.setattr(rows, "BYTES_PER_NUMBER", 1 << 40)
    with pytest.raises(UserError, match=r"0\.arrow: its column 'embedding' takes .* GB of memory, more than half of the .* GB"):
        open_items(tmp_path)


@pytest.mark.parametrize(
    ("files", "state", "message"),
    [
        (["../a.arrow"], {}, r"state\.json: names '\.\./a\.arrow', which is no file of its folder"),
        (["gone.arrow"], {}, r"set: lacks gone\.arrow, which its state\.json names"),
        ([], {}, r"state\.json: is not as datasets\.save_to_disk writes it"),
        (["a.arrow"], {"_indices_data_files": [{"filename": "i.arrow"}]}, r"set: holds a selection of rows"),
        (["a.arrow"], {}, r"a\.arrow: cannot be read as a \.arrow table \(it is cut off\)"),
    ],
)
def test_a_saved_dataset_that_is_not_whole_is_one_sentence(tmp_path, files, state, message):
    folder = save(tmp_path / "set", *files, **state)
    whole = write_arrow(folder / "a.arrow", pictures()).read_bytes()
    (folder / "a.arrow").write_bytes(whole[:-8])  # all record batches, and no end
    with pytest.raises(UserError, match=message):
        open_items(folder)


def test_a_split_that_is_lacking_is_named(tmp_path):
    (tmp_path / "dataset_dict.json").write_text(json.dumps({"splits": ["train"]}))
    with pytest.raises(UserError, match=r"lacks train, which its dataset_dict\.json names"):
        open_items(tmp_path)


def test_damaged_arrow_files_are_errors_and_never_read_outside_their_cells(tmp_path):
    whole = write_arrow(tmp_path / "a.arrow", pictures(6)).read_bytes()
    rng, n_errors = random.Random(0), 0
    for trial in range(120):
        damaged = bytearray(whole)
        for _ in range(4):
            damaged[rng.randrange(len(damaged))] = rng.choice([0, 127, 255])
        (tmp_path / f"{trial}.arrow").write_bytes(damaged)
        try:
            for blob in open_items(tmp_path / f"{trial}.arrow").blobs["image"]:
                assert len(blob.read()) <= len(whole)
        except (UserError, OSError):
            n_errors += 1
    assert n_errors > 20


def test_a_cell_of_a_file_that_was_exchanged_is_an_error_of_its_item(tmp_path):
    blob = open_items(write_arrow(tmp_path / "a.arrow", pictures())).blobs["image"][7]
    (tmp_path / "a.arrow").unlink()
    write_arrow(tmp_path / "a.arrow", pa.table({"other": [1]}))
    with pytest.raises(OSError, match=r"cannot be read"):
        blob.read()
