"""Runs whose items are pieces of files, over photos and recordings that a test draws."""

import json

import numpy as np
from PIL import Image

from selflabel.base.rle import encode
from selflabel.items import Piece, Pieces
from selflabel.runs.maps import MapsInfo, write_maps, write_rows
from tests.films import tone, write_film
from tests.gallery.conftest import write_run

SIZE = (240, 120)
BOXES = [(30, 20, 90, 100), (150, 40, 210, 70), (100, 80, 130, 110)]  # of the first photo


def ellipse(box, size=SIZE):
    """(H, W) bool, the ellipse that touches a box."""
    x0, y0, x1, y1 = box
    y, x = np.mgrid[: size[1], : size[0]] + 0.5
    return ((2 * x - x0 - x1) / (x1 - x0)) ** 2 + ((2 * y - y0 - y1) / (y1 - y0)) ** 2 < 1


def draw_photo(path, boxes, size=SIZE, turned=False):
    """A photo, white within the boxes and dark outside; turned: stored lying down, with EXIF that turns it upright."""
    pixels = np.full((size[1], size[0], 3), 40, np.uint8)
    for x0, y0, x1, y1 in boxes:
        pixels[y0:y1, x0:x1] = 250
    image, exif = Image.fromarray(pixels), Image.Exif()
    if turned:
        exif[0x0112] = 6  # to be turned by a quarter, clockwise
        image = image.transpose(Image.Transpose.ROTATE_90)
    image.save(path, quality=95, exif=exif)


def run_of(folder, source, paths, pieces, labels, worked_out):
    """A run of pieces; its confidences fall from the first item to the last."""
    n = len(paths)
    features = np.random.default_rng(0).normal(size=(n, 4)).astype(np.float32)
    neighbours = (np.arange(n)[:, None] + np.arange(1, 11)) % n
    return write_run(folder, source, paths, np.array(labels), features, neighbours, worked_out=worked_out, pieces=pieces)


def box_run(tmp_path, scores=(0.9, 0.4, 0.2, 0.8)):
    """Three boxes with masks in one photo, the first two in cluster 0, and one box in another photo, which is stored turned."""
    items = tmp_path / "photos"
    items.mkdir()
    draw_photo(items / "a.jpg", BOXES)
    draw_photo(items / "b.jpg", BOXES[:1], turned=True)
    pieces = [Piece(box=box, size=SIZE, mask=encode(ellipse(box))) for box in [*BOXES, BOXES[0]]]
    paths = ["a.jpg", "a.jpg", "a.jpg", "b.jpg"]
    return run_of(tmp_path / "run", items, paths, Pieces.of(pieces, np.array(scores, np.float32)), [0, 0, 1, 0], {"image": {}})


def region_run(tmp_path):
    """Three regions that cover a photo, the left half and below it and above in the right half; clusters 0, 1 and 0."""
    items = tmp_path / "photos"
    items.mkdir()
    draw_photo(items / "a.jpg", BOXES)
    pieces = []
    for x0, y0, x1, y1 in ((0, 0, 120, 120), (120, 0, 240, 60), (120, 60, 240, 120)):
        mask = np.zeros(SIZE[::-1], bool)
        mask[y0:y1, x0:x1] = True
        pieces.append(Piece(box=(x0, y0, x1, y1), size=SIZE, mask=encode(mask)))
    run = run_of(tmp_path / "run", items, ["a.jpg"] * 3, Pieces.of(pieces), [0, 1, 0], {"image": {}})
    report = run.file("report.json")
    report.write_text(json.dumps(json.loads(report.read_text()) | {"piece": "region"}))
    return run


def span_run(tmp_path, n=12):
    """A recording of which every half second is an item; the even ones are in cluster 0."""
    items = tmp_path / "sounds"
    items.mkdir()
    wave = np.concatenate([tone(300 + 100 * i, 0.5) for i in range(n)])
    write_film(items / "a.wav", wave=wave, sound="pcm_s16le")
    pieces = Pieces.of([Piece(span_s=(i / 2, (i + 1) / 2)) for i in range(n)])
    return run_of(tmp_path / "run", items, ["a.wav"] * n, pieces, [i % 2 for i in range(n)], {"audio": {}})


def heat_run(tmp_path):
    """The boxes of `box_run`, with heatmaps of two classes: the first is highest at the first box, the second at the second."""
    run = box_run(tmp_path)
    maps = np.zeros((2, 2, 8, 8), np.float32)  # of the whole photo in the top left of a square: below it, the map says nothing
    maps[:, 0, 1:3, 1:3], maps[:, 1, 1:2, 5:7] = 0.8, 0.5
    write_maps(
        run.folder, maps.shape, MapsInfo.between(np.zeros(2), np.ones(2), geometry="letterbox", names=("dog", "cat")), [(0, maps)]
    )
    write_rows(run.folder, np.array([0, 0, 0, 1]))
    return run
