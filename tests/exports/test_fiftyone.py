"""fiftyone: read as FiftyOneImageClassificationDataset is: files by their names without endings, classes by their index."""

import json

from selflabel.exports import export
from tests.exports.conftest import EDITED, KEPT, NAMES


def test_every_label_finds_its_one_image_and_its_class(edited, tmp_path):
    out = export(edited, "fiftyone", tmp_path / "out").place
    read = json.loads((out / "labels.json").read_text(encoding="utf-8"))
    files = {p.relative_to(out / "data").with_suffix("").as_posix(): p for p in (out / "data").rglob("*") if p.is_file()}
    assert set(files) == set(read["labels"]) and len(files) == len(KEPT) == len(list((out / "data").iterdir()))
    paths = edited.labels["path"].to_pylist()
    for name, label in read["labels"].items():
        i = paths.index(label["attributes"]["path"])
        assert files[name].read_bytes() == (tmp_path / "photos" / paths[i]).read_bytes()
        assert read["classes"][label["label"]] == NAMES[EDITED[i]] and 0 <= label["confidence"] <= 1
