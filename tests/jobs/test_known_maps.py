"""What a segmenter learns of a photo: its regions' masks, the surest on top, and what lies in none of them."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from selflabel.base.rle import Rle, encode
from selflabel.contract import UNKNOWN
from selflabel.items import Items, Piece, Pieces
from selflabel.jobs.known_maps import EVERY, known_maps_of, mask_at, without_damaged
from selflabel.jobs.known_regions import RunRegions

PX = 16  # of the square; S is 4
WIDE, TALL = (8, 4), (4, 8)  # sizes of the photos, which take half of the square each
PATHS = ["wide.png", "tall.png"]


def masked(size, *boxes):
    """A region that fills some boxes of a photo."""
    mask = np.zeros(size[::-1], bool)
    for x0, y0, x1, y1 in boxes:
        mask[y0:y1, x0:x1] = True
    rle = encode(mask)
    return Piece(box=tuple(map(float, rle.box)), size=size, mask=rle)


def regions_of(*given):
    """given: (row of the photo, piece, label, confidence)."""
    rows, pieces, labels, confidences = zip(*given)
    photos = Items("photos", PATHS)
    return RunRegions(photos, np.array(rows), Pieces.of(pieces), np.array(labels), np.array(confidences, np.float32), {})


def learned(regions):
    """(maps of both photos, cluster of each class)."""
    sizes = np.array([WIDE, TALL])
    photos = SimpleNamespace(items=regions.photos, modality=SimpleNamespace(px=PX), sizes=sizes)
    known, classes = known_maps_of(regions, photos)
    assert known.photos_M.tolist() == [0, 1] and known.classes_MSS.shape == (2, PX // EVERY, PX // EVERY)
    return known.classes_MSS.numpy(), classes.tolist()


WHOLE_TALL = (1, Piece(box=(0, 0, 4, 8), size=TALL), 7, 0.9)


def test_pixels_of_no_region_are_a_class_and_those_beside_the_photo_are_unknown():
    maps, classes = learned(regions_of((0, masked(WIDE, (0, 0, 2, 4), (6, 0, 8, 2)), 3, 0.9), WHOLE_TALL))
    assert classes == [-1, 3, 7]
    assert maps[0].tolist() == [[1, 0, 0, 1], [1, 0, 0, 0], [UNKNOWN] * 4, [UNKNOWN] * 4]
    assert maps[1].tolist() == [[2, 2, UNKNOWN, UNKNOWN]] * 4  # a box without a mask is filled


def test_where_regions_overlap_the_surest_lies_on_top():
    left, right = masked(WIDE, (0, 0, 6, 4)), masked(WIDE, (2, 0, 8, 4))
    for surest, expected in ((0.9, [0, 0, 0, 1]), (0.1, [0, 1, 1, 1])):
        maps, classes = learned(regions_of((0, left, 3, surest), (0, right, 5, 0.5), (1, WHOLE_TALL[1], 5, 0.5)))
        assert classes == [3, 5] and maps[0, :2].tolist() == [expected] * 2  # the photos are covered: no background


def test_rejected_regions_are_background_among_objects_and_unknown_where_regions_cover_the_photos():
    left, right, part = masked(WIDE, (0, 0, 4, 4)), masked(WIDE, (4, 0, 8, 4)), masked(WIDE, (4, 0, 6, 4))
    maps, classes = learned(regions_of((0, left, 3, 0.5), (0, right, -1, 0.9), WHOLE_TALL))
    assert classes == [3, 7] and maps[0, :2].tolist() == [[0, 0, UNKNOWN, UNKNOWN]] * 2
    maps, classes = learned(regions_of((0, left, 3, 0.5), (0, part, -1, 0.9), WHOLE_TALL))
    assert classes == [-1, 3, 7] and maps[0, :2].tolist() == [[1, 1, 0, 0]] * 2


def test_a_region_with_a_damaged_mask_is_left_out_and_listed():
    sound = masked(WIDE, (0, 0, 4, 4))
    damaged = replace(sound, mask=Rle(4, 8, b"no mask"))
    regions, skipped = without_damaged(regions_of((0, sound, 3, 0.5), (0, damaged, 5, 0.9), WHOLE_TALL))
    assert regions.labels.tolist() == [3, -1, 7] and [path for path, _ in skipped] == ["wide.png"]
    assert "its mask cannot be read" in skipped[0][1] and learned(regions)[1] == [-1, 3, 7]


@pytest.mark.parametrize("shape", [(5, 7), (1, 9), (12, 3)])
def test_a_mask_is_read_at_points_as_if_it_were_decoded(shape):
    rng = np.random.default_rng(0)
    mask, x, y = rng.random(shape) < 0.5, rng.random(11), rng.random(8)
    expected = mask[(y * shape[0]).astype(int)[:, None], (x * shape[1]).astype(int)]
    np.testing.assert_array_equal(mask_at(encode(mask), x, y), expected)
