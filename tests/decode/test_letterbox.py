import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from selflabel.decode.cache import decoded_items
from selflabel.decode.formats import DecodedFormat
from selflabel.decode.letterbox import PADDING, decode_whole, shown_size
from selflabel.decode.spans import SpanDecoder, SpanOfFile
from selflabel.decode.store import names_of_arrays
from selflabel.items import Blob, Piece, open_items
from tests.films import write_film

EXIF_ROTATION = 0x0112


def quarters(width, height):
    """A picture whose quarters are red, green, blue and white."""
    image = Image.new("RGB", (width, height), "white")
    for box, colour in (((0, 0), "red"), ((1, 0), "lime"), ((0, 1), "blue")):
        image.paste(colour, (box[0] * width // 2, box[1] * height // 2, (box[0] + 1) * width // 2, (box[1] + 1) * height // 2))
    return image


def encoded(image, ending, **options):
    data = io.BytesIO()
    image.save(data, ending, **options)
    return data.getvalue()


@given(st.integers(1, 5000), st.integers(1, 5000), st.sampled_from([8, 224, 448]))
def test_the_longer_side_fills_the_square_and_the_other_keeps_the_ratio_to_half_a_pixel(width, height, px):
    shown = shown_size((width, height), px)
    assert max(shown) == px and min(shown) >= 1
    assert all(abs(s - side * px / max(width, height)) <= 0.5 or s == 1 for s, side in zip(shown, (width, height)))


@pytest.mark.parametrize("ending", ["png", "jpeg"])
@pytest.mark.parametrize("size", [(300, 100), (100, 300), (40, 30), (2000, 1500)])
def test_the_whole_frame_is_kept_and_the_rest_is_one_grey(ending, size):
    pixels, found = decode_whole(encoded(quarters(*size), ending), 64, 3)
    width, height = shown_size(size, 64)
    assert found == size and pixels.shape == (3, 64, 64) and pixels.dtype == np.uint8
    assert (pixels[:, height:] == PADDING).all() and (pixels[:, :, width:] == PADDING).all()
    corners = pixels[:, [2, 2, height - 3, height - 3], [2, width - 3, 2, width - 3]].T.astype(int)
    expected = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255]])
    assert np.abs(corners - expected).max() < 40


@pytest.mark.parametrize("size", [(60, 40), (2400, 1600)])  # the larger one is decoded at a reduced scale
def test_sizes_are_those_of_the_upright_original(size):
    image = quarters(*size)
    exif = Image.Exif()
    exif[EXIF_ROTATION] = 6  # to be turned a quarter clockwise
    pixels, found = decode_whole(encoded(image, "jpeg", exif=exif), 48, 3)
    assert found == (size[1], size[0])
    assert pixels[2, 2, 2] > 200 > 60 > pixels[0, 2, 2]  # blue is at the top left


def test_whole_frames_have_a_store_of_their_own_with_sizes_and_other_formats_keep_their_names(tmp_path):
    square = DecodedFormat("image", (3, 32, 32))
    assert square.stored_name == "Form(kind='image', shape=(3, 32, 32), rate=0)"
    whole = DecodedFormat("image", (3, 32, 32), whole=True)
    folder, cache = tmp_path / "photos", tmp_path / "cache"
    folder.mkdir()
    for i, size in enumerate([(64, 32), (20, 80)]):
        quarters(*size).save(folder / f"{i}.png")
    (folder / "2.png").write_bytes(b"broken")
    blobs = open_items(folder).blobs["image"]
    assert decoded_items(blobs, square, cache).sizes is None
    first, again = decoded_items(blobs, whole, cache), decoded_items(blobs, whole, cache)
    assert first.n_decoded == 3 and again.n_decoded == 0 and list(first.errors) == [2]
    assert first.sizes[:2].tolist() == again.sizes[:2].tolist() == [[64, 32], [20, 80]]
    quarters(50, 50).save(folder / "3.png")
    grown = decoded_items(open_items(folder).blobs["image"], whole, cache)  # known rows are copied with their sizes
    assert grown.n_decoded == 1 and grown.sizes[[0, 1, 3]].tolist() == [[64, 32], [20, 80], [50, 50]]
    assert (grown.items[:2] == first.items[:2]).all()


@pytest.mark.parametrize("span", [None, (0.2, 0.8)])
def test_whole_frames_of_a_film_are_in_the_top_left_corner_beside_padding(span, tmp_path):
    """As of pictures: the colours at the far sides, which a middle square leaves out, are there."""
    frames = np.full((10, 48, 96, 3), 60, np.uint8)
    frames[:, :, :16], frames[:, :, -16:] = (220, 30, 30), (30, 30, 220)
    file = write_film(tmp_path / "wide.mp4", frames)
    piece = None if span is None else Piece(span_s=span)
    target = DecodedFormat("clip", (4, 3, 32, 32), whole=True)
    blob = Blob(str(file), piece=piece)
    clip = SpanDecoder(target).decode(SpanOfFile(blob, ())) if span else target.decode(blob)
    pixels = clip[0].astype(int)
    assert pixels.shape == (4, 3, 32, 32) and (pixels[:, :, 17:] == 128).all()
    assert (pixels[:, 0, 4:12, 1] > 150).all() and (pixels[:, 2, 4:12, -2] > 150).all()
    assert names_of_arrays(target) == ["items", "lengths", "spans"]
