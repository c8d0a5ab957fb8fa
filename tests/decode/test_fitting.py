"""Pieces held against their files."""

from __future__ import annotations

import json
import time

import numpy as np
import pytest
from PIL import Image

from selflabel.base.errors import UserError
from selflabel.base.rle import encode
from selflabel.decode.fitting import EXIF_ORIENTATION, PictureSize, fit_pieces, picture_size, turned_box, turned_mask
from selflabel.items import Blob, open_items
from tests.films import tone, write_film

RATE = 8000


def boxes(folder, *lines, header="path,x0,y0,x1,y1"):
    (folder / "t.csv").write_text("\n".join([header, *lines]))
    return fit_pieces(open_items(str(folder / "t.csv")))


def test_boxes_that_stick_out_are_cut_and_counted_and_those_outside_listed(tmp_path):
    Image.new("L", (60, 40)).save(tmp_path / "a.png")
    items = boxes(tmp_path, "a.png,-5,10,20,90", "a.png,0,0,60,40", "a.png,60,0,70,9", "a.png,3,3,9,9")
    assert [piece.box for piece in items.pieces] == [(0, 10, 20, 40), (0, 0, 60, 40), (3, 3, 9, 9)]
    assert {piece.size for piece in items.pieces} == {(60, 40)}
    assert [entry.text for entry in items.skipped] == ["row 3 of t.csv: its box lies outside the picture"]
    assert any(note.startswith("1 box of") and "was cut off" in note for note in items.notes)
    with pytest.raises(UserError, match="none of its 1 pieces can be used; the first"):
        boxes(tmp_path, "a.png,60,0,70,9")


@pytest.mark.parametrize("orientation", range(1, 9))
def test_boxes_and_masks_turn_as_the_picture_does(tmp_path, orientation):
    mask = np.zeros((40, 60), bool)
    mask[5:12, 20:50] = True
    exif = Image.Exif()
    exif[EXIF_ORIENTATION] = orientation
    for name in ("a.tif", "a.png"):
        Image.fromarray(np.uint8(255 * mask)).save(tmp_path / name, exif=exif)
        size = picture_size(Blob(str(tmp_path / name)))
        assert size == PictureSize((60, 40), orientation)
    with Image.open(tmp_path / "a.png") as stored:
        from PIL import ImageOps

        upright = np.asarray(ImageOps.exif_transpose(stored)) > 0
    assert size.upright == upright.shape[::-1]
    turned = turned_mask(encode(mask), orientation)
    assert np.array_equal(turned.decode(), upright)
    assert turned_box((20, 5, 50, 12), size) == turned.box


def test_a_size_that_a_coco_file_states_says_whether_its_boxes_are_upright(tmp_path):
    exif = Image.Exif()
    exif[EXIF_ORIENTATION] = 6
    Image.new("L", (60, 40)).save(tmp_path / "a.jpg", exif=exif)
    sizes = [(60, 40), (40, 60), (30, 20), (None, None)]
    images = [{"id": i, "file_name": "a.jpg", "width": w, "height": h} for i, (w, h) in enumerate(sizes)]
    annotations = [{"image_id": i, "bbox": [0, 10, 30, 20]} for i in range(4)]
    (tmp_path / "i.json").write_text(json.dumps({"images": images, "annotations": annotations}))
    items = fit_pieces(open_items(str(tmp_path / "i.json")))
    assert [piece.box for piece in items.pieces] == [(10, 0, 30, 30), (0, 10, 30, 30), (0, 10, 30, 30)]
    assert [entry.text for entry in items.skipped] == [
        "annotation 3 of i.json: its picture has 40 x 60 pixels, and the table says 30 x 20"
    ]
    assert any(note.startswith("1 picture is stored turned") for note in items.notes)


def test_spans_end_with_their_sounds_and_films(tmp_path):
    import soundfile

    soundfile.write(tmp_path / "a.wav", tone(440, 3.0, RATE), RATE)
    lines = ["a.wav,-1,1", "a.wav,1,2", "a.wav,2,9", "a.wav,3.2,4"]
    items = boxes(tmp_path, *lines, header="path,start_s,end_s")
    assert [piece.span_s for piece in items.pieces] == [(0, 1), (1, 2), (2, pytest.approx(3.0, abs=0.01))]
    assert [entry.text for entry in items.skipped] == ["row 4 of t.csv: its span begins at 3.2 s, and the file ends at 3.000 s"]
    assert any(note.startswith("2 spans of") for note in items.notes)
    Image.new("L", (60, 40)).save(tmp_path / "p.png")
    items = boxes(tmp_path, "a.wav,0,1", "p.png,0,1", header="path,start_s,end_s")
    assert items.skipped == [("p.png", "it has a span, and is no sound or film")]
    write_film(tmp_path / "f.mp4", np.zeros((20, 48, 64, 3), np.uint8), fps=10)
    items = boxes(tmp_path, "f.mp4,0,1,1,1,99,9", "f.mp4,5,6,1,1,9,9", header="path,start_s,end_s,x0,y0,x1,y1")
    (piece,) = items.pieces
    assert (piece.box, piece.size, len(items.skipped)) == ((1, 1, 64, 9), (64, 48), 1)


def test_thirty_thousand_boxes_of_few_pictures_are_opened_in_seconds(tmp_path):
    for name in ("a", "b"):
        Image.new("L", (60, 40)).save(tmp_path / f"{name}.png")
    began = time.perf_counter()
    items = boxes(tmp_path, *(f"{'ab'[i % 2]}.png,{i % 50},0,{i % 50 + 9},9" for i in range(30_000)))
    assert len(items) == 30_000 and time.perf_counter() - began < 6
