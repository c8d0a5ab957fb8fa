"""cvat: annotations.xml of "CVAT for images 1.1"."""

from xml.etree import ElementTree

from selflabel.exports import export
from tests.exports.conftest import EDITED, KEPT, NAMES


def test_every_image_has_its_size_and_one_tag_that_the_task_knows(edited, tmp_path):
    out = export(edited, "cvat", tmp_path / "out").place
    read = ElementTree.parse(out / "annotations.xml").getroot()
    assert read.findtext("version") == "1.1"
    assert [label.findtext("name") for label in read.iter("label")] == list(NAMES.values())
    assert [int(image.get("id")) for image in read.iter("image")] == KEPT.tolist()
    paths = edited.labels["path"].to_pylist()
    for image in read.iter("image"):
        i = int(image.get("id"))
        assert (out / "images" / image.get("name")).read_bytes() == (tmp_path / "photos" / paths[i]).read_bytes()
        assert (int(image.get("width")), int(image.get("height"))) == (30 + i % 5, 20 + i % 3)
        assert [tag.get("label") for tag in image.iter("tag")] == [NAMES[EDITED[i]]]
