"""coco, read by pycocotools."""

import contextlib
import io

import pytest
from PIL import Image

from selflabel.exports import export
from tests.exports.conftest import EDITED, KEPT, NAMES

coco = pytest.importorskip("pycocotools.coco")


def test_pycocotools_reads_images_categories_and_whole_image_annotations(edited, tmp_path):
    out = export(edited, "coco", tmp_path / "out").place
    with contextlib.redirect_stdout(io.StringIO()):
        read = coco.COCO(str(out / "annotations" / "instances_default.json"))
    assert sorted(read.getImgIds()) == KEPT.tolist()
    assert [c["name"] for c in read.loadCats(read.getCatIds())] == list(NAMES.values()) and min(read.getCatIds()) == 1
    for i in KEPT.tolist():
        (image,) = read.loadImgs(i)
        (annotation,) = read.loadAnns(read.getAnnIds(imgIds=i))
        assert (
            Image.open(out / "images" / image["file_name"]).size == (image["width"], image["height"]) == (30 + i % 5, 20 + i % 3)
        )
        assert annotation["bbox"] == [0, 0, image["width"], image["height"]]
        assert read.annToMask(annotation).all()
        assert read.loadCats(annotation["category_id"])[0]["name"] == NAMES[EDITED[i]]
    assert read.getImgIds(catIds=[1]) and len({image["file_name"] for image in read.dataset["images"]}) == len(KEPT)
