"""A COCO file as the source: its annotations are the items."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco

from selflabel.base.errors import UserError
from selflabel.items import coco as items_coco
from selflabel.items import open_items, rows

OUTLINE = [1.0, 2.0, 11.0, 2.0, 11.0, 14.0, 1.0, 14.0]
CLASSES = [{"id": 1, "name": "cat"}, {"id": 7, "name": "dog"}]


def write_coco(place, annotations, images=None, folder="images", name="annotations/instances.json"):
    """A COCO file over pictures of 60 x 40 pixels in a folder."""
    images = images or [{"id": i, "file_name": f"{i}.png", "width": 60, "height": 40} for i in range(3)]
    for entry in images:
        file = place / folder / entry["file_name"]
        if ".." not in entry["file_name"]:
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.new("L", (60, 40)).save(file)
    file = place / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({"images": images, "annotations": annotations, "categories": CLASSES}))
    return file


def test_boxes_outlines_and_run_lengths_are_items_with_the_names_of_their_categories(tmp_path):
    square = np.zeros((40, 60), np.uint8)
    square[5:9, 10:20] = 1
    rle = coco.encode(np.asfortranarray(square))
    compressed = {"size": [40, 60], "counts": rle["counts"].decode()}
    plain = {"size": [40, 60], "counts": [405, 4, *[36, 4] * 9, 2400 - 405 - 400 + 36]}
    annotations = [
        {"image_id": 0, "category_id": 7, "bbox": [1, 2, 10.5, 4]},
        {"image_id": 0, "category_id": 1, "bbox": [1, 2, 10, 12], "segmentation": [OUTLINE]},
        {"image_id": 1, "category_id": 9, "segmentation": compressed},
        {"image_id": 1, "category_id": 7, "segmentation": plain, "bbox": []},
    ]
    items = open_items(str(write_coco(tmp_path, annotations)))
    assert items.paths == ["0.png", "0.png", "1.png", "1.png"] and items.truth == ["dog", "cat", "", "dog"]
    boxes = [piece.box for piece in items.pieces]
    assert boxes == [(1, 2, 11.5, 6), (1, 2, 11, 14), (10, 5, 20, 9), (10, 5, 20, 9)]
    outlined = coco.decode(coco.frPyObjects([OUTLINE], 40, 60))[:, :, 0]
    masks = [piece.mask for piece in items.pieces]
    assert masks[0] is None and np.array_equal(masks[1].decode(), outlined)
    assert all(np.array_equal(mask.decode(), square) for mask in masks[2:])
    assert any("1 of its 3 pictures have no annotation" in note for note in items.notes)


BAD = [
    ({"image_id": 0, "bbox": [5, 5, 0, 3]}, "its box is empty"),
    ({"image_id": 0, "bbox": [5, 5, -2, 3]}, "its box is reversed"),
    ({"image_id": 0, "bbox": [-9, 5, 3, 3]}, "its box lies outside the picture"),
    ({"image_id": 0, "bbox": [float("nan"), 5, 2, 3]}, "its x is no finite number"),
    ({"image_id": 0, "bbox": [1, 5, 2]}, "its bbox is no list of four numbers"),
    ({"image_id": 0, "segmentation": {"size": [4, 60], "counts": [10, 230]}}, "its mask has 60 x 4 pixels"),
    (
        {"image_id": 0, "segmentation": {"size": [40, 60], "counts": [10, 5]}},
        "its mask cannot be read (its run lengths do not fill",
    ),
    ({"image_id": 0, "segmentation": {"size": [40, 60], "counts": {"a": 1}}}, "its mask cannot be read"),
    ({"image_id": 0, "segmentation": [[1, 2, 3, 4]]}, "its mask cannot be read (an outline needs three corners"),
    ({"image_id": 0, "segmentation": [[1, 2, 3, 4, 1e300, 5]]}, "its mask cannot be read (its outline leaves the picture by far"),
    ({"image_id": 0, "segmentation": {"size": "x", "counts": [10]}}, "its mask cannot be read (its size is no pair"),
    (
        {"image_id": 0, "segmentation": {"size": [40, 60], "counts": ["a"]}},
        "its mask cannot be read (its run lengths are",
    ),
    ({"image_id": 0, "segmentation": [["a"] * 6]}, "its mask cannot be read (an outline holds what is no number"),
    ({"image_id": 0}, "it has neither a box nor a mask with pixels"),
    ({"image_id": 99, "bbox": [1, 1, 2, 2]}, "its image_id is that of no picture"),
    ({"image_id": [1], "bbox": [1, 1, 2, 2]}, "its image_id is that of no picture"),
    ("text", "its image_id is that of no picture"),
    ({"image_id": 1, "bbox": [1, 1, 2, 2]}, "its path leaves the folder of the pictures"),
    ({"image_id": 2, "bbox": [1, 1, 2, 2]}, "no such file"),
]


def test_annotations_of_an_id_that_several_pictures_have_are_left_out_and_ids_may_be_written_as_floats(tmp_path):
    names = [(0, "a.png"), (1, "b.png"), (1, "c.png"), (2, "d.png"), (2.0, "d.png")]
    images = [{"id": number, "file_name": name, "width": 60, "height": 40} for number, name in names]
    annotations = [{"image_id": number, "category_id": 7.0, "bbox": [1, 2, 10, 4]} for number in (0.0, 1, 2)]
    items = open_items(str(write_coco(tmp_path, annotations, images)))
    assert items.paths == ["a.png", "d.png"] and items.truth == ["dog", "dog"]
    assert [entry.text for entry in items.skipped] == ["annotation 2 of instances.json: its image_id is that of several pictures"]


def test_an_annotation_that_is_no_piece_of_its_picture_is_listed_by_its_number(tmp_path):
    images = [{"id": 0, "file_name": "0.png", "width": 60, "height": 40}, {"id": 1, "file_name": "../secret.png"}]
    file = write_coco(tmp_path, [{"image_id": 0, "bbox": [1, 1, 2, 2]}, *(entry for entry, _ in BAD)], images)
    Image.new("L", (60, 40)).save(tmp_path / "secret.png")
    document = json.loads(file.read_text())
    document["images"].append({"id": 2, "file_name": "gone.png"})
    file.write_text(json.dumps(document))
    items = open_items(str(file))
    assert len(items) == 1
    for number, (entry, (_, reason)) in enumerate(zip(items.skipped, BAD), 2):
        assert entry.text.startswith(f"annotation {number} of instances.json: {reason}")
    assert len(items.skipped) == len(BAD) and items.skipped[0].piece.box == (5, 5, 5, 8)


@pytest.mark.parametrize(
    ("folder", "name"),
    [(".", "a.json"), ("images", "a.json"), ("images", "labels/a.json"), ("train2017", "annotations/instances_train2017.json")],
)
def test_pictures_are_found_where_the_usual_layouts_have_them(tmp_path, folder, name):
    file = write_coco(tmp_path, [{"image_id": 2, "bbox": [1, 1, 2, 2]}], folder=folder, name=name)
    assert open_items(str(file)).blobs["image"][0].file == str((tmp_path / folder / "2.png").resolve())


def test_the_folder_of_the_pictures_can_be_named_and_must_be_there(tmp_path):
    file = write_coco(tmp_path, [{"image_id": 2, "bbox": [1, 1, 2, 2]}], folder="elsewhere/deep")
    assert open_items(str(file), images=str(tmp_path / "elsewhere/deep")).paths == ["2.png"]
    with pytest.raises(UserError, match="name their folder with --images DIR"):
        open_items(str(file))
    with pytest.raises(UserError, match=r"--images .*: there is no such folder"):
        open_items(str(file), images=str(tmp_path / "gone"))
    with pytest.raises(UserError, match="SOURCE is none; leave it out"):
        open_items(str(tmp_path / "elsewhere"), images=str(tmp_path))


def test_a_json_that_is_no_coco_file_is_a_manifest(tmp_path):
    Image.new("L", (6, 6)).save(tmp_path / "a.png")
    (tmp_path / "list.json").write_text('[{"path": "a.png"}]')
    assert open_items(str(tmp_path / "list.json")).paths == ["a.png"]
    (tmp_path / "other.json").write_text('{"images": []}')
    with pytest.raises(UserError, match="it is no list of objects"):
        open_items(str(tmp_path / "other.json"))


def test_a_huge_coco_file_is_refused_in_a_sentence(tmp_path, monkeypatch):
    file = write_coco(tmp_path, [{"image_id": 2, "bbox": [1, 1, 2, 2]}])
    monkeypatch.setattr(items_coco, "MAX_JSON", 100)
    with pytest.raises(UserError, match="has more than 100 bytes; divide its images"):
        open_items(str(file))
    assert rows.MAX_JSON < 1 << 30
