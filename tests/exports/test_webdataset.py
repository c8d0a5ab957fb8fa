"""webdataset, read by the webdataset library and by selflabel itself."""

import json

import numpy as np
import pytest

from selflabel.exports import export
from selflabel.exports import webdataset as ours
from selflabel.items import open_items
from tests.exports.conftest import EDITED, KEPT, NAMES

webdataset = pytest.importorskip("webdataset")


def test_the_library_reads_every_item_of_every_shard(edited, tmp_path, monkeypatch):
    monkeypatch.setattr(ours, "MAX_ITEMS", 15)
    out = export(edited, "webdataset", tmp_path / "out").place
    record = json.loads((out / "export.json").read_text(encoding="utf-8"))
    assert record["shards"] == "shard-{000000..000002}.tar" and len(list(out.glob("*.tar"))) == 3
    read = list(webdataset.WebDataset(str(out / record["shards"]), shardshuffle=False).decode("rgb8"))
    assert [int(sample["__key__"]) for sample in read] == KEPT.tolist()
    for sample in read:
        i = int(sample["__key__"])
        assert sample["json"]["label"] == NAMES[EDITED[i]] and sample["cls"] == sorted(NAMES).index(EDITED[i])
        picture = next(sample[ending] for ending in ("jpg", "png") if ending in sample)
        assert picture.shape == (20 + i % 3, 30 + i % 5, 3)
    again = open_items(str(out / record["shards"]))
    assert len(again) == len(KEPT) and set(again.truth) == {"0", "1", "2"}


def test_films_are_members_byte_for_byte(films, tmp_path):
    out = export(films, "webdataset", tmp_path / "out").place
    read = list(webdataset.WebDataset(str(out / "shard-000000.tar"), shardshuffle=False))
    assert [sample["mp4"] for sample in read] == [(tmp_path / "films" / f"{i}.mp4").read_bytes() for i in range(6)]


def test_arrays_are_members_as_png(arrays, tmp_path):
    out = export(arrays, "webdataset", tmp_path / "out").place
    read = list(webdataset.WebDataset(str(out / "shard-000000.tar"), shardshuffle=False).decode("l8"))
    assert np.array_equal(np.stack([sample["png"] for sample in read]), np.load(tmp_path / "x.npz")["x"])


def test_datasets_streams_shards_of_pictures_of_one_kind(arrays, tmp_path):
    datasets = pytest.importorskip("datasets")
    out = export(arrays, "webdataset", tmp_path / "out").place
    files = {"train": str(out / "*.tar")}
    read = datasets.load_dataset("webdataset", data_files=files, cache_dir=str(tmp_path / "hf"), streaming=True)["train"]
    assert [(row["cls"], row["json"]["label"]) for row in read] == [(i % 4, f"cluster-00{i % 4}") for i in range(40)]
