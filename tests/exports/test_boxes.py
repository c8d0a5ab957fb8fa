"""Boxes and masks of pictures in the formats that hold them, read by the libraries that these are for, or by their rules."""

import contextlib
import csv
import io
import json
import re
from xml.etree import ElementTree

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image, ImageOps

from selflabel.base.errors import UserError
from selflabel.base.rle import Rle, encode
from selflabel.edits import Reject, append
from selflabel.exports import EXPORTS, export, fitting_formats
from selflabel.exports.brush import brush_rle
from selflabel.items import Piece, Pieces
from tests.exports.pieces import BOXES, ROUND, boxes_run, confidence, upright_pixels, windows_run
from tests.run_folders import write_run

FILES = {path for path, _, _ in BOXES}


@pytest.fixture
def boxes(tmp_path):
    return boxes_run(tmp_path)


def box_of(row):
    """(x, y, width, height) of an item in pixels."""
    path, piece, _ = BOXES[row]
    height, width = upright_pixels(path).shape[:2]
    x0, y0, x1, y1 = piece.box if piece else (0, 0, width, height)
    return [x0, y0, x1 - x0, y1 - y0]


def mask_of(row):
    return BOXES[row][1] and BOXES[row][1].mask


def is_upright(file, path):
    """Whether a picture shows what it should to a reader that knows nothing of EXIF; JPEG changes it a little."""
    with Image.open(file) as image:
        assert image.getexif().get(0x0112, 1) == 1
        pixels = np.asarray(image.convert("RGB")).astype(int)
    return pixels.shape == upright_pixels(path).shape and np.abs(pixels - upright_pixels(path)).mean() <= 8 * path.endswith(
        ".jpg"
    )


def read_coco(out):
    coco = pytest.importorskip("pycocotools.coco")
    with contextlib.redirect_stdout(io.StringIO()):
        return coco.COCO(str(out / "annotations" / "instances_default.json"))


def test_pycocotools_reads_every_box_and_mask_once_in_pictures_that_stand_upright(boxes, tmp_path):
    out = export(boxes, "coco", tmp_path / "out").place
    read = read_coco(out)
    assert len(read.imgs) == len(FILES) == len(list((out / "images").iterdir())) and len(read.anns) == len(BOXES)
    for row, (path, _, label) in enumerate(BOXES):
        annotation = read.anns[row + 1]
        image = read.imgs[annotation["image_id"]]
        assert BOXES[image["id"]][0] == path and is_upright(out / "images" / image["file_name"], path)
        assert (image["height"], image["width"]) == upright_pixels(path).shape[:2]
        assert annotation["bbox"] == pytest.approx(box_of(row), abs=0.01) and annotation["iscrowd"] == 0
        assert annotation["category_id"] == label + 1 and annotation["score"] == pytest.approx(confidence(boxes)[row], abs=1e-4)
        mask = mask_of(row)
        if mask is not None:
            assert np.array_equal(read.annToMask(annotation), mask.decode()) and annotation["area"] == mask.area
        else:
            assert annotation["segmentation"] == [] and annotation["area"] == pytest.approx(np.prod(box_of(row)[2:]), abs=0.01)


def read_yolo(out):
    """Each picture's lines as class and (x, y, width, height) in pixels: as Ultralytics' documentation has it, the labels of
    images/SPLIT/NAME.ENDING are in labels/SPLIT/NAME.txt.
    """
    found = {}
    for picture in sorted((out / "images").glob("*/*")):
        lines = (out / "labels" / picture.parent.name / f"{picture.stem}.txt").read_text().splitlines()
        width, height = Image.open(picture).size
        numbers = [(int(line.split()[0]), *map(float, line.split()[1:])) for line in lines]
        found[picture] = [(c, [(x - w / 2) * width, (y - h / 2) * height, w * width, h * height]) for c, x, y, w, h in numbers]
    return found


def test_yolos_labels_are_the_boxes_and_no_picture_is_on_both_sides(boxes, tmp_path):
    done = export(boxes, "yolo-detect", tmp_path / "out")
    found = read_yolo(done.place)
    assert done.n_items == len(BOXES) and len(found) == len(FILES)
    assert len({picture.stem for picture in found}) == len(FILES)  # a.jpg and a.png would share their labels
    assert sum(picture.parent.name == "val" for picture in found) == 1
    for picture, lines in found.items():
        path = next(p for p in FILES if is_upright(picture, p))
        rows = [row for row, (p, _, _) in enumerate(BOXES) if p == path]
        assert [c for c, _ in lines] == [BOXES[row][2] for row in rows]
        assert np.allclose([box for _, box in lines], [box_of(row) for row in rows], atol=0.01)
    names = re.findall(r'^  (\d): "(.*)"$', (done.place / "data.yaml").read_text(), re.M)
    assert names == [("0", "cluster-000"), ("1", "cluster-001"), ("2", "cluster-002")]


def test_ultralytics_loads_the_set(boxes, tmp_path):
    ultralytics = pytest.importorskip("ultralytics.data.utils")
    from ultralytics.data import YOLODataset

    out = export(boxes, "yolo-detect", tmp_path / "out").place
    data = ultralytics.check_det_dataset(str(out / "data.yaml"), autodownload=False)
    loaded = [label for split in ("train", "val") for label in YOLODataset(data[split], data=data, augment=False).labels]
    assert sum(len(label["cls"]) for label in loaded) == len(BOXES) and data["names"][1] == "cluster-001"
    for label in loaded:
        assert label["shape"] == Image.open(label["im_file"]).size[::-1]


def test_fiftyones_detections_are_fractions_of_their_pictures(boxes, tmp_path):
    out = export(boxes, "fiftyone", tmp_path / "out").place
    read = json.loads((out / "labels.json").read_text(encoding="utf-8"))
    files = {file.stem: file for file in (out / "data").iterdir()}
    assert set(files) == set(read["labels"]) and len(files) == len(FILES)
    seen = []
    for name, detections in read["labels"].items():
        width, height = Image.open(files[name]).size
        for detection in detections:
            row = detection["attributes"]["item"]
            seen.append(row)
            assert is_upright(files[name], BOXES[row][0]) and detection["attributes"]["path"] == BOXES[row][0]
            assert np.allclose(np.multiply(detection["bounding_box"], [width, height] * 2), box_of(row), atol=0.01)
            assert read["classes"][detection["label"]] == f"cluster-00{BOXES[row][2]}"
    assert sorted(seen) == list(range(len(BOXES)))


def cvat_mask(element, shape):
    """A mask element as pixels: run lengths row by row in its box, outside first."""
    left, top, width, height = (int(element.get(name)) for name in ("left", "top", "width", "height"))
    runs = [int(run) for run in element.get("rle").split(",")]
    mask = np.zeros(shape, bool)
    mask[top : top + height, left : left + width] = np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(height, width)
    return mask


def test_cvats_boxes_and_masks_are_those_of_the_items(boxes, tmp_path):
    out = export(boxes, "cvat", tmp_path / "out").place
    read = ElementTree.parse(out / "annotations.xml").getroot()
    assert len(read.findall("image")) == len(FILES)
    for image in read.iter("image"):
        path = BOXES[int(image.get("id"))][0]
        assert is_upright(out / "images" / image.get("name"), path)
        rows = [row for row, (p, _, _) in enumerate(BOXES) if p == path]
        assert [element.get("label") for element in image] == [f"cluster-00{BOXES[row][2]}" for row in rows]
        for row, element in zip(rows, image):
            if mask_of(row) is not None:
                assert np.array_equal(cvat_mask(element, upright_pixels(path).shape[:2]), mask_of(row).decode())
            elif BOXES[row][1] is not None:
                x0, y0, x1, y1 = (float(element.get(name)) for name in ("xtl", "ytl", "xbr", "ybr"))
                assert np.allclose([x0, y0, x1 - x0, y1 - y0], box_of(row), atol=0.01)
            else:
                assert element.tag == "tag"


def brush_pixels(rle, shape):
    """The opacity in a brush's bytes, read bit by bit as thi.ng's rle-pack writes them."""
    bits = "".join(f"{byte:08b}" for byte in rle)
    at = 0

    def read(n):
        nonlocal at
        at += n
        return int(bits[at - n : at], 2)

    count, word = read(32), read(5) + 1
    sizes, out = [read(4) + 1 for _ in range(4)], []
    while len(out) < count:
        is_run, length = read(1), read(sizes[read(2)]) + 1
        out += [read(word)] * length if is_run else [read(word) for _ in range(length)]
    return np.array(out).reshape(*shape, 4)[..., 3] > 0


def test_label_studios_rectangles_and_brushes_are_the_boxes_and_masks(boxes, tmp_path):
    out = export(boxes, "label-studio", tmp_path / "out").place
    tasks = json.loads((out / "tasks.json").read_text(encoding="utf-8"))
    config = ElementTree.fromstring((out / "config.xml").read_text(encoding="utf-8"))
    assert {e.tag for e in config} == {"Image", "RectangleLabels", "BrushLabels"} and len(tasks) == len(FILES)
    regions = {int(r["id"][1:]): r for task in tasks for r in task["predictions"][0]["result"]}
    assert sorted(regions) == list(range(len(BOXES)))
    for row, region in regions.items():
        height, width = upright_pixels(BOXES[row][0]).shape[:2]
        assert (region["original_width"], region["original_height"]) == (width, height)
        assert config.find(f"*[@name='{region['from_name']}']").tag.lower() == region["type"]
        value = region["value"]
        assert value[region["type"]] == [f"cluster-00{BOXES[row][2]}"]
        if mask_of(row) is not None:
            assert np.array_equal(brush_pixels(value["rle"], (height, width)), mask_of(row).decode())
        else:
            percent = [value[name] for name in ("x", "y", "width", "height")]
            assert np.allclose(np.multiply(percent, [width, height] * 2) / 100, box_of(row), atol=0.01)


def test_a_brush_of_a_long_run_is_several_runs():
    mask = np.zeros((300, 400), bool)
    mask[100:280] = True
    assert np.array_equal(brush_pixels(brush_rle(encode(mask)), mask.shape), mask)
    assert not brush_pixels(brush_rle(encode(np.zeros((3, 5), bool))), (3, 5)).any()
    assert brush_pixels(brush_rle(encode(np.ones((3, 5), bool))), (3, 5)).all()


def test_label_studios_own_library_accepts_regions(boxes, tmp_path):
    interface = pytest.importorskip("label_studio_sdk.label_interface")
    (tmp_path / "other").mkdir()
    for run in (boxes, windows_run(tmp_path / "other")):
        out = export(run, "label-studio", tmp_path / f"out-{run.folder.parent.name}").place
        li = interface.LabelInterface((out / "config.xml").read_text(encoding="utf-8"))
        li.validate()
        for task in json.loads((out / "tasks.json").read_text(encoding="utf-8")):
            assert li.validate_prediction(task["predictions"][0])


def crop_of(folder, row):
    """The pixels of the original that an item's box touches."""
    path, piece, _ = BOXES[row]
    pixels = np.asarray(ImageOps.exif_transpose(Image.open(folder / "photos" / path)))
    if piece is None:
        return pixels
    x0, y0, x1, y1 = piece.box
    return pixels[int(y0) : int(np.ceil(y1)), int(x0) : int(np.ceil(x1))]


@pytest.mark.parametrize("name", ["folders", "imagefolder", "yolo"])
def test_a_crop_has_the_pixels_of_its_box_and_a_name_that_says_where_it_is(name, boxes, tmp_path):
    done = export(boxes, name, tmp_path / "out")
    files = [p for p in done.place.rglob("*") if p.suffix in (".png", ".jpg")]
    assert done.n_items == len(files) == len(BOXES)
    assert {"one_0003-0002-0017-0012.png", "one_0018-0008-0042-0032.png", "whole.png"} <= {f.name for f in files}
    crops = [np.asarray(Image.open(file)) for file in files]
    assert all(any(np.array_equal(crop, crop_of(tmp_path, row)) for crop in crops) for row in range(len(BOXES)))


def test_folders_and_tables_name_the_piece_of_every_item(boxes, tmp_path):
    folders = export(boxes, "folders", tmp_path / "out").place
    rows = sorted(csv.DictReader((folders / "labels.csv").open(encoding="utf-8")), key=lambda row: int(row["id"]))
    assert list(rows[0]) == ["id", "path", "x0", "y0", "x1", "y1", "label", "confidence", "name", "file"]
    for row, line in enumerate(rows):
        assert line["file"].startswith(f"cluster-00{BOXES[row][2]}/")
        assert np.array_equal(np.asarray(Image.open(folders / line["file"])), crop_of(tmp_path, row))
    own = (boxes.folder / "labels.csv").read_text(encoding="utf-8").splitlines()
    written = export(boxes, "csv", tmp_path / "x.csv").place.read_text(encoding="utf-8").splitlines()
    assert [line.rsplit(",", 1)[0] for line in written] == own
    table = pq.read_table(export(boxes, "parquet", tmp_path / "x.parquet").place)
    assert table["x1"].to_pylist() == [piece and piece.box[2] for _, piece, _ in BOXES]
    metadata = list(csv.DictReader((export(boxes, "imagefolder", tmp_path / "hf").place / "train" / "metadata.csv").open()))
    assert {(row["path"], row["x0"]) for row in metadata} >= {("turned.jpg", "10"), ("whole.png", "")}


def test_webdatasets_items_are_crops_with_their_boxes(boxes, tmp_path):
    webdataset = pytest.importorskip("webdataset")
    out = export(boxes, "webdataset", tmp_path / "out").place
    read = {int(s["__key__"]): s for s in webdataset.WebDataset(str(out / "shard-000000.tar"), shardshuffle=False).decode("rgb8")}
    assert sorted(read) == list(range(len(BOXES)))
    for row, sample in read.items():
        assert np.array_equal(sample["png"], crop_of(tmp_path, row))
        assert sample["json"]["x1"] == (BOXES[row][1] and BOXES[row][1].box[2])


@pytest.mark.parametrize("name", fitting_formats("image", Pieces.of([BOXES[0][1]])))
def test_pieces_that_cannot_be_read_are_listed_with_their_place(name, boxes, tmp_path):
    """One picture is gone, one is no picture; a box is of another size; one item is rejected."""
    (tmp_path / "photos" / "b" / "one.png").unlink()
    (tmp_path / "photos" / "whole.png").write_bytes((tmp_path / "photos" / "whole.png").read_bytes()[:20])
    Image.fromarray(upright_pixels("a/one.png")[:, :50]).save(tmp_path / "photos" / "a" / "one.png")
    append(boxes.folder, Reject(items=[1]))
    done = export(boxes, name, tmp_path / "out")
    if not EXPORTS[name].needs_source or name == "html":
        return
    lines = list(csv.reader((tmp_path / "out" / "left-out.csv").open(encoding="utf-8")))
    assert lines[0] == ["path", "x0", "y0", "x1", "y1", "reason"]
    assert ["turned.jpg", "10", "30", "34", "50", "rejected"] in lines
    reasons = {(line[0], line[1]): line[5] for line in lines[1:]}
    assert "60 x 40" in reasons["a/one.png", "3"] and ("b/one.png", "0.25") in reasons
    is_whole_copied = EXPORTS[name].cuts  # bytes of whole files are not looked at
    assert (("whole.png", "") in reasons) != is_whole_copied
    assert (done.n_items, done.n_left_out, done.n_rejected) == (1 + is_whole_copied, 5 - is_whole_copied, 1)


def test_a_damaged_mask_leaves_out_its_item_only(tmp_path):
    table = list(BOXES)
    table[3] = ("a/one.png", Piece(box=(0, 0, 9, 9), size=(60, 40), mask=Rle(40, 60, b"11111")), 0)
    done = export(boxes_run(tmp_path, table), "coco", tmp_path / "out")
    assert done.n_left_out == 1 and "its mask cannot be read" in done.first_left_out
    assert len(read_coco(done.place).anns) == len(BOXES) - 1


def test_boxes_and_links_are_refused_where_they_cannot_be(boxes, photos_run, tmp_path):
    with pytest.raises(UserError, match="cuts the items out of their files"):
        export(boxes, "folders", tmp_path / "out", how="link")
    with pytest.raises(UserError, match=r"holds boxes, and no item of this run is one; csv, .*coco"):
        export(photos_run, "yolo-detect", tmp_path / "out")
    out = export(boxes, "coco", tmp_path / "out", how="link").place
    links = {file.name: file.is_symlink() for file in (out / "images").iterdir()}
    assert sorted(links.values()) == [False, True, True, True] and not links["turned.jpg"]  # that one is written upright


@pytest.fixture
def photos_run(tmp_path):
    (tmp_path / "plain").mkdir()
    Image.new("RGB", (8, 8)).save(tmp_path / "plain" / "a.png")
    return write_run(tmp_path / "run-plain", tmp_path / "plain", ["a.png"], [0])


def test_html_names_the_pieces_that_it_shows(boxes, tmp_path):
    out = export(boxes, "html", tmp_path / "out").place
    page = (out / "clusters" / "001.html").read_text(encoding="utf-8")
    assert "turned.jpg (24 x 20 px at 10, 30)" in page and "one.png (24 x 24 px at 18, 8)" in page
    (crop,) = (out / "pictures").glob("000003.*")
    assert Image.open(crop).size == (128, 128)


def test_the_mask_of_an_item_is_that_of_its_pixels():
    assert np.array_equal(BOXES[3][1].mask.decode(), ROUND)
