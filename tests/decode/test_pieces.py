"""Decoding a piece of a file: a box of a picture, a span of a sound or film."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from selflabel.decode.image import decode_square, square_around
from selflabel.decode.sound import decode_sound, rate_and_seconds
from selflabel.decode.video import decode_clip
from selflabel.items import Blob, Piece
from tests.films import write_film

RATE = 8000


def jpeg(pixels: np.ndarray, orientation: int = 1) -> bytes:
    data, exif = io.BytesIO(), Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(pixels).save(data, "JPEG", quality=95, exif=exif)
    return data.getvalue()


@pytest.mark.parametrize("orientation", [1, 6])
def test_a_box_is_cut_from_the_upright_picture(orientation):
    upright = np.zeros((300, 400, 3), np.uint8)
    upright[200:280, 40:140] = (0, 200, 0)
    stored = upright if orientation == 1 else np.rot90(upright)  # 6: turn by 90 degrees clockwise to show it
    piece = Piece(box=(40, 200, 140, 280), size=(400, 300))
    shown = decode_square(jpeg(stored, orientation), 32, 3, piece=piece)
    assert (shown[1, 4:27] > 150).all()  # the square around it is 100 pixels high, the box 80
    assert shown[0].max() < 60


def test_the_square_around_a_box_stays_inside_the_picture():
    rng = np.random.default_rng(0)
    for _ in range(200):
        size = rng.integers(1, 200, 2)
        x, y = np.sort(rng.uniform(0, size[0], 2)), np.sort(rng.uniform(0, size[1], 2))
        x0, y0, x1, y1 = square_around((x[0], y[0], x[1], y[1]), tuple(size))
        assert 0 <= x0 <= x[0] + 1e-9 and x[1] - 1e-9 <= x1 <= size[0]
        assert 0 <= y0 <= y[0] + 1e-9 and y[1] - 1e-9 <= y1 <= size[1]


def tones(seconds: int) -> np.ndarray:
    """A second of each of several tones, 200 Hz higher every second."""
    t = np.arange(RATE) / RATE
    return np.concatenate([np.sin(2 * np.pi * (300 + 200 * i) * t) for i in range(seconds)])


def write_sound(file, wave):
    codec = {".wav": "pcm_s16le", ".flac": "flac", ".mp3": "libmp3lame", ".m4a": "aac"}[file.suffix]
    return write_film(file, wave=(wave * 20000).astype(np.int16), sound=codec, rate=RATE)


def pitch(wave: np.ndarray) -> float:
    return float(np.abs(np.fft.rfft(wave.astype(float))).argmax() * RATE / len(wave))


@pytest.mark.parametrize("ending", [".wav", ".flac", ".mp3", ".m4a"])
def test_a_span_of_a_sound_is_what_is_heard_then(tmp_path, ending):
    file = tmp_path / f"a{ending}"
    write_sound(file, tones(12))
    for second in (0, 1, 5, 11):
        wave, n = decode_sound(str(file), RATE // 2, RATE, (second + 0.25, second + 0.75))
        assert n == RATE // 2
        assert pitch(wave) == pytest.approx(300 + 200 * second, abs=4)
    both, _ = decode_sound(str(file), RATE, RATE, (4.5, 5.5))
    halves = pitch(both[: RATE // 2 - 400]), pitch(both[RATE // 2 + 400 :])
    assert halves == pytest.approx((1100, 1300), abs=6)
    assert rate_and_seconds(Blob(str(file), piece=Piece(span_s=(2.0, 3.5)))) == (RATE, 1.5)


def test_a_span_of_a_film_shows_its_frames(tmp_path):
    film = np.full((20, 48, 64, 3), 40, np.uint8)
    film[..., 0] = 12 * np.arange(20)[:, None, None]  # another red in every frame, five seconds
    film[:, :16, :16] = (250, 250, 250)
    file = write_film(tmp_path / "a.mp4", film, fps=4)
    shown, n = decode_clip(str(file), 4, 16, piece=Piece(span_s=(2.0, 3.0)))
    assert n == 4
    assert shown[:, 0, 8:, 8:].mean(axis=(1, 2)) == pytest.approx([96, 108, 120, 132], abs=6)
    boxed, _ = decode_clip(str(file), 4, 16, piece=Piece((2.0, 3.0), (0, 0, 16, 16), (64, 48)))
    assert boxed[..., 3:-3, 3:-3].min() > 220
