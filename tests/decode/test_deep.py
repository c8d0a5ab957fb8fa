from fractions import Fraction

import av
import numpy as np
import pytest
from PIL import Image

from selflabel.decode.deep import deep_colours, tiff_bands
from selflabel.decode.image import Undecodable, open_image, open_values, peculiarity
from selflabel.decode.scale import Scale
from tests.tiffs import write_tiff

rng = np.random.default_rng(0)


def bands_of(dtype, bands=5, height=21, width=37):
    values = rng.normal(0, 1000, (height, width, bands)) if dtype[0] == "f" else rng.integers(0, 100, (height, width, bands))
    return values.astype(dtype)


@pytest.mark.parametrize("dtype", ["u1", "u2", "i2", "u4", "f4", "f8"])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("planes", [False, True])
@pytest.mark.parametrize("tile", [0, 16])
def test_a_tiff_of_five_bands_gives_its_first_three(dtype, order, planes, tile, tmp_path):
    values = bands_of(dtype)
    for compressed, predictor in ((False, 1), (True, 1), (True, 3 if dtype[0] == "f" else 2)):
        file = write_tiff(tmp_path / "a.tif", values, compressed, predictor, planes, tile, order)
        assert np.array_equal(tiff_bands(file.read_bytes()), values[..., :3])
    assert np.array_equal(open_values(file.read_bytes()), values[..., :3])
    assert peculiarity(file.read_bytes()) == "have 5 bands: the first three are shown as red, green and blue"


def test_colours_of_twelve_bits_in_sixteen_keep_their_low_bytes(tmp_path):
    values = rng.integers(0, 4096, (24, 32, 3)).astype(np.uint16)
    frame = av.VideoFrame.from_ndarray(values, format="rgb48le").reformat(format="rgb48be")
    encoder = av.CodecContext.create("png", "w")
    encoder.width, encoder.height, encoder.pix_fmt, encoder.time_base = 32, 24, "rgb48be", Fraction(1, 25)
    png = b"".join(map(bytes, [*encoder.encode(frame), *encoder.encode(None)]))
    tiff = write_tiff(tmp_path / "a.tif", values, photometric=2).read_bytes()
    for data in (png, tiff):
        assert np.array_equal(deep_colours(data), values)
        shown = np.asarray(open_image(data, scale=Scale(0, 4095)), int)
        assert np.abs(shown - values / 4095 * 255).max() < 1


def test_a_picture_on_its_side_stands_upright_and_unmeasured_pixels_are_black(tmp_path):
    values = np.zeros((16, 24, 5), np.float32) + 7
    values[:, :8] = -9999
    more = [(274, 3, 1, b"\x06\0"), (42113, 2, 6, b"-9999\0")]  # the camera lay on its side; GDAL's mark
    read = tiff_bands(write_tiff(tmp_path / "a.tif", values, more=more).read_bytes())
    assert read.shape == (24, 16, 3) and np.isnan(read[:8]).all() and (read[8:] == 7).all()


def test_sixteen_bit_transparency_is_laid_over_white(tmp_path):
    values = np.full((8, 8, 4), 1000, np.uint16)
    values[:4] = (3000, 3000, 3000, 0)
    read = deep_colours(write_tiff(tmp_path / "a.tif", values, photometric=2, extra=(2,)).read_bytes())
    assert read.shape == (8, 8, 3) and (read[:4] == 3000).all() and (read[4:] == 1000).all()


def test_bands_that_cannot_be_read_are_a_sentence(tmp_path):
    file = write_tiff(tmp_path / "a.tif", bands_of("u2").astype(np.float16))
    damaged = file.read_bytes()[:400]
    with pytest.raises(Undecodable):
        open_values(damaged)
    packed = bytearray(file.read_bytes())
    at = packed.index(b"\x03\x01\x03\0\x01\0\0\0") + 8
    packed[at] = 7  # JPEG
    with pytest.raises(Undecodable, match="a TIFF of 5 bands"):
        open_values(bytes(packed))


def test_later_pages_and_frames_are_named(tmp_path):
    pages = [Image.new("L", (8, 8), v) for v in (10, 200)]
    for ending in ("gif", "tif", "png", "webp"):
        pages[0].save(tmp_path / f"a.{ending}", save_all=True, append_images=pages[1:])
        assert "the first one is used" in peculiarity((tmp_path / f"a.{ending}").read_bytes()), ending
    pages[0].save(tmp_path / "one.tif")
    assert peculiarity((tmp_path / "one.tif").read_bytes()) == ""
