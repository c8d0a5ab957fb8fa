import numpy as np
import pytest
from PIL import Image

from selflabel.decode.look import MediaInfo, inspect_items, read_pixels, spread, thinned
from selflabel.items import Blob, Piece, from_folder, open_items
from tests.films import write_set


def test_a_look_says_how_long_and_how_fine(tmp_path):
    write_set(tmp_path / "films", n=3, seconds=1.5)
    items = from_folder(tmp_path / "films")
    films, sounds = inspect_items(items, "video"), inspect_items(items, "audio")
    assert films.kind == "video" and films.short_px == 48 and films.seconds == pytest.approx(1.5, abs=0.2)
    assert sounds.kind == "spoken" and sounds.rate == 16_000 and sounds.seconds == pytest.approx(1.5, abs=0.2)


def test_plain_background_and_no_colour_make_a_written_sign():
    rng = np.random.default_rng(0)
    signs = np.zeros((60, 28, 28), np.uint8)
    signs[:, 8:20, 12:15] = 255
    assert inspect_items(open_items(signs)) == MediaInfo("glyph", 28, 1)
    coloured = rng.integers(0, 255, (60, 20, 30, 3)).astype(np.uint8)
    assert inspect_items(open_items(coloured)) == MediaInfo("photo", 20, 3)
    assert inspect_items(open_items(coloured.mean(axis=3).astype(np.uint8))) == MediaInfo("photo", 20, 1)
    assert inspect_items(open_items(np.ones((3, 2)))) == MediaInfo("features")


def test_one_good_picture_among_many_broken_ones_is_enough(tmp_path):
    for i in range(200):
        (tmp_path / f"{i:03d}.png").write_bytes(b"junk")
    assert inspect_items(open_items(tmp_path)) == MediaInfo("photo", 32, 3)
    Image.new("L", (40, 30)).save(tmp_path / "100.png")
    assert inspect_items(open_items(tmp_path)) == MediaInfo("glyph", 30, 1)


def test_of_a_large_picture_some_rows_and_columns_are_looked_at_and_its_size_is_its_own(tmp_path):
    Image.new("RGB", (5000, 3000), "red").save(tmp_path / "a.png", compress_level=1)
    assert inspect_items(open_items(tmp_path)) == MediaInfo("photo", 3000, 3)
    assert thinned(np.zeros((3000, 5000, 3), np.uint8))[1].shape == (1500, 2500, 3)
    assert thinned(np.zeros((2000, 2000), np.uint8))[1].shape == (2000, 2000)


def test_media_that_cannot_be_opened_get_common_values(tmp_path):
    for name in ("a.mp4", "b.wav"):
        (tmp_path / name).write_bytes(b"junk")
    assert inspect_items(from_folder(tmp_path), "video") == MediaInfo("video", 64, 3, 4.0)
    assert inspect_items(from_folder(tmp_path), "audio") == MediaInfo("sound", 0, 1, 2.0, 16_000)


def test_a_sample_is_spread_from_the_first_item_to_the_last():
    assert spread(5, 48) == [0, 1, 2, 3, 4] and spread(1, 48) == [0]
    assert spread(1000, 5) == [0, 249, 499, 749, 999]


def test_of_a_box_of_half_a_pixel_at_the_edge_one_pixel_is_looked_at(tmp_path):
    Image.new("RGB", (20, 10)).save(tmp_path / "a.png")
    for box in ((19.6, 9.6, 20, 10), (0, 0, 0.3, 0.3), (7.5, 3, 7.9, 3.2)):
        short_px, pixels = read_pixels(Blob(str(tmp_path / "a.png"), piece=Piece(box=box, size=(20, 10))))
        assert short_px == 1 and pixels.shape == (1, 1, 3), box
