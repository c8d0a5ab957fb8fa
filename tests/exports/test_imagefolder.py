"""imagefolder, read by Hugging Face's datasets."""

import pytest

from selflabel.exports import export
from tests.exports.conftest import EDITED, KEPT, NAMES

datasets = pytest.importorskip("datasets")


@pytest.fixture
def loaded(tmp_path):
    def load(builder, folder):
        return datasets.load_dataset(builder, data_dir=str(folder), cache_dir=str(tmp_path / "hf"))

    return load


def test_datasets_reads_pictures_and_labels(edited, tmp_path, loaded):
    read = loaded("imagefolder", export(edited, "imagefolder", tmp_path / "out").place)
    assert list(read) == ["train"]  # although files are called test-1.png
    rows = read["train"].to_list()
    paths, raw = edited.labels["path"].to_pylist(), edited.raw_labels
    assert sorted(row["path"] for row in rows) == sorted(paths[i] for i in KEPT)
    for row, image in zip(rows, read["train"]["image"]):
        i = paths.index(row["path"])
        assert (row["label"], row["cluster"]) == (NAMES[EDITED[i]], EDITED[i])
        assert row["confidence"] == pytest.approx(raw["confidence"][i].as_py(), abs=1e-4)
        assert image.size == (30 + i % 5, 20 + i % 3)


def test_datasets_reads_sounds_as_an_audiofolder(sounds, tmp_path):
    pytest.importorskip("torchcodec", exc_type=ImportError)
    out = export(sounds, "imagefolder", tmp_path / "out").place
    read = datasets.load_dataset("audiofolder", data_dir=str(out), cache_dir=str(tmp_path / "hf"), streaming=True)["train"]
    rows = list(read.cast_column("audio", datasets.Audio(decode=False)))
    assert sorted(row["path"] for row in rows) == [f"{i}.wav" for i in range(6)]
    for row in rows:
        assert row["label"] == f"cluster-00{int(row['path'][0]) % 2}" and row["audio"]["path"].endswith(row["path"])
