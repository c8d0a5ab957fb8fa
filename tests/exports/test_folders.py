"""folders, read by torchvision's ImageFolder."""

import csv

from torchvision.datasets import ImageFolder

from selflabel.exports import export
from tests.exports.conftest import EDITED, KEPT


def test_class_folders_hold_the_items_of_their_class_byte_for_byte(edited, tmp_path):
    out = export(edited, "folders", tmp_path / "out").place
    table = list(csv.DictReader((out / "labels.csv").open(encoding="utf-8")))
    paths = edited.labels["path"].to_pylist()
    assert [int(row["id"]) for row in table] == KEPT.tolist()
    for row in table:
        assert (out / row["file"]).read_bytes() == (tmp_path / "photos" / paths[int(row["id"])]).read_bytes()
        assert row["file"].startswith({"0": "cats_dogs/", "1": "_i_&_é_/", "3": "cluster-003/"}[row["label"]])
    counts = [int((c == EDITED).sum()) for c in (1, 0, 3)]
    read = ImageFolder(out)
    assert read.classes == ["_i_&_é_", "cats_dogs", "cluster-003"]
    assert [read.targets.count(i) for i in range(3)] == counts and len([image for image, _ in read]) == len(KEPT)


def test_films_and_sounds_lie_in_their_folders(films, sounds, tmp_path):
    for run, ending in ((films, "mp4"), (sounds, "wav")):
        out = export(run, "folders", tmp_path / ending).place
        for i in range(6):
            source = tmp_path / ("films" if ending == "mp4" else "sounds") / f"{i}.{ending}"
            assert (out / f"cluster-00{i % 2}" / f"{i}.{ending}").read_bytes() == source.read_bytes()
