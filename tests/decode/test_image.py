import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from selflabel.decode.image import Undecodable, background_share, decode_square, is_grey, open_image, to_square, to_uint8


def picture(w=24, h=16):
    y, x = np.mgrid[:h, :w]
    return np.stack([x * 255 // (w - 1), y * 255 // (h - 1), np.full((h, w), 90)], axis=2).astype(np.uint8)


def encoded(image, fmt, **options):
    data = io.BytesIO()
    image.save(data, fmt, **options)
    return data.getvalue()


@pytest.mark.parametrize("fmt", ["JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF"])
@pytest.mark.parametrize("mode", ["RGB", "L", "P", "1"])
def test_every_format_and_mode_decodes_to_what_was_drawn(fmt, mode):
    if (fmt, mode) in [("JPEG", "P"), ("WEBP", "P"), ("WEBP", "1")]:
        pytest.skip("the format has no such mode")
    image = Image.fromarray(picture()).convert(mode)
    decoded = np.asarray(open_image(encoded(image, fmt)).convert("RGB"), int)
    assert np.abs(decoded - np.asarray(image.convert("RGB"), int)).mean() < 16


def test_cmyk_is_shown_in_its_colours():
    image = Image.fromarray(picture())
    decoded = open_image(encoded(image.convert("CMYK"), "JPEG", quality=95))
    assert decoded.mode == "RGB"
    assert np.abs(np.asarray(decoded, int) - picture()).mean() < 12


def test_sixteen_bits_keep_their_range():
    deep = (np.linspace(0, 65535, 256).reshape(16, 16)).astype(np.uint16)
    for fmt in ("PNG", "TIFF"):
        decoded = np.asarray(open_image(encoded(Image.fromarray(deep), fmt)))
        assert decoded.dtype == np.uint8
        assert np.abs(decoded.astype(int) - deep // 257).max() <= 1


def test_transparency_is_laid_over_white():
    clear = np.zeros((8, 8, 4), np.uint8)
    clear[:4] = (200, 10, 10, 255)
    decoded = np.asarray(open_image(encoded(Image.fromarray(clear), "PNG")))
    assert (decoded[0, 0] == (200, 10, 10)).all() and (decoded[7, 7] == 255).all()


def test_exif_rotation_is_undone():
    image = Image.fromarray(picture())
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera lay on its side
    turned = open_image(encoded(image, "JPEG", exif=exif, quality=95))
    assert turned.size == (16, 24)


def test_a_gif_shows_its_first_frame():
    frames = [Image.new("L", (8, 8), v) for v in (10, 200)]
    data = io.BytesIO()
    frames[0].save(data, "GIF", save_all=True, append_images=frames[1:])
    assert abs(int(np.asarray(open_image(data.getvalue()).convert("L"))[0, 0]) - 10) <= 2


def bomb():
    """A PNG whose header claims 200,000 x 200,000 pixels."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 200_000, 200_000, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "zero bytes"),
        (b"this is no picture, whatever it is called", "not an image"),
        (encoded(Image.fromarray(picture(300, 300)), "JPEG")[:900], "cannot be decoded"),
        (encoded(Image.fromarray(picture(300, 300)), "PNG")[:400], "cannot be decoded"),
        (bomb(), "bomb"),
    ],
)
def test_what_cannot_be_decoded_says_why(data, reason):
    with pytest.raises(Undecodable, match=reason):
        open_image(data)


def test_the_square_is_the_middle_of_the_picture():
    wide = np.zeros((10, 30), np.uint8)
    wide[:, 10:20] = 255
    assert (decode_square(encoded(Image.fromarray(wide), "PNG"), 10, 1) == 255).all()
    assert decode_square(encoded(Image.fromarray(picture()), "PNG"), 12, 3).shape == (3, 12, 12)


def test_signs_lie_on_paper_and_photographs_do_not():
    sign = np.zeros((28, 28), np.uint8)
    sign[8:20, 12:15] = 255
    photo = np.random.default_rng(0).integers(0, 255, (28, 28, 3)).astype(np.uint8)
    assert background_share(sign) > 0.9 > 0.4 > background_share(photo)
    assert is_grey(sign) and not is_grey(photo)


def test_values_of_every_range_become_bytes():
    assert to_uint8(np.array([[0, 257.0, 65535]])).tolist() == [[0, 1, 255]]
    assert to_uint8(np.array([[0, 0.5, 1.0]])).tolist() == [[0, 128, 255]]
    assert to_uint8(np.array([[0, 7.0, 255.0]])).tolist() == [[0, 7, 255]]


def test_a_picture_of_the_right_size_is_left_as_it_is():
    image = Image.fromarray(picture(16, 16))
    assert to_square(image, 16) is image and to_square(image, 8).size == (8, 8)
