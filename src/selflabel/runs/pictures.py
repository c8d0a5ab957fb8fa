"""An item as one small picture: the photograph, the film's middle frame, the sound's spectrogram, the row of features."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from selflabel.decode.image import Undecodable, open_image, to_square
from selflabel.decode.sound import RATE, decode_sound
from selflabel.decode.video import decode_clip, source_of
from selflabel.items import Blob
from selflabel.runs.sources import Missing, Source

TILE_PX = 128
SMALL_PX = 64  # a picture of at most this side is kept without loss
HEARD_S = 4  # of a sound's middle are shown
WINDOW, HOP, BANDS, RANGE_DB = 512, 160, 64, 60.0
DARK_TO_LIGHT = np.array([[13, 8, 35], [74, 20, 108], [168, 50, 110], [237, 105, 60], [251, 200, 90], [252, 253, 220]], float)


def tile(source: Source, row: int) -> bytes:
    """An item's small picture, encoded.

    Raises:
        Missing: it is not there or cannot be read.
    """
    try:
        picture = picture_of(source, row)
    except Undecodable as error:
        raise Missing(str(error)) from error
    except OSError as error:
        raise Missing(f"it cannot be read ({error.strerror or error})") from error
    return encoded(to_square(picture, min(TILE_PX, *picture.size)))


def picture_of(source: Source, row: int) -> Image.Image:
    blobs = source.blobs(row)
    if "image" in blobs:
        return open_image(blobs["image"].read(), draft_px=TILE_PX)
    if "video" in blobs:
        return middle_frame(blobs["video"])
    if "audio" in blobs:
        return spectrogram(blobs["audio"])
    values = source.values(row)
    return feature_picture(values) if values.ndim == 1 else array_picture(values)


def encoded(picture: Image.Image) -> bytes:
    data = io.BytesIO()
    if max(picture.size) <= SMALL_PX:
        picture.save(data, "PNG")
    else:
        picture.save(data, "JPEG", quality=82)
    return data.getvalue()


def array_picture(pixels: np.ndarray) -> Image.Image:
    """(H, W[, C]) uint8, as every source of arrays is opened."""
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[:, :, 0]
    return Image.fromarray(np.ascontiguousarray(pixels)).convert("L" if pixels.ndim == 2 else "RGB")


def feature_picture(values: np.ndarray) -> Image.Image:
    """Features as a square of cells, dark to light from the least to the largest: rows that look alike are alike."""
    side = max(1, int(np.ceil(np.sqrt(len(values)))))
    cells = np.zeros(side * side)
    span = np.ptp(values)
    cells[: len(values)] = (values - values.min()) / (span if span > 0 else 1)
    return coloured(cells.reshape(side, side)).resize((TILE_PX, TILE_PX), Image.Resampling.NEAREST)


def middle_frame(blob: Blob) -> Image.Image:
    frames, _ = decode_clip(source_of(blob), 3, TILE_PX)
    return Image.fromarray(np.ascontiguousarray(frames[1].transpose(1, 2, 0)))


def spectrogram(blob: Blob) -> Image.Image:
    """The middle of a sound: time across, pitch up (narrow bands low, wide ones high), decibels below the loudest as light."""
    wave, heard = decode_sound(source_of(blob), HEARD_S * RATE, RATE)
    x = wave[: max(heard, WINDOW)].astype(np.float32) / 32768
    frames = np.lib.stride_tricks.sliding_window_view(np.pad(x, WINDOW // 2), WINDOW)[::HOP]
    power = np.square(np.abs(np.fft.rfft(frames * np.hanning(WINDOW).astype(np.float32), axis=1)))
    edges = np.unique(np.geomspace(2, power.shape[1], BANDS + 1).astype(int))
    bands = np.add.reduceat(power, edges[:-1], axis=1) / np.diff(edges)
    decibels = 10 * np.log10(np.maximum(bands, 1e-10))
    light = np.clip((decibels - decibels.max()) / RANGE_DB + 1, 0, 1) * (heard > 0)
    return coloured(light.T[::-1]).resize((TILE_PX, TILE_PX), Image.Resampling.BILINEAR)


def coloured(light_HW: np.ndarray) -> Image.Image:
    """[0, 1] to colours that grow lighter all the way."""
    at = light_HW * (len(DARK_TO_LIGHT) - 1)
    stops = np.arange(len(DARK_TO_LIGHT))
    rgb = np.stack([np.interp(at, stops, DARK_TO_LIGHT[:, c]) for c in range(3)], axis=-1)
    return Image.fromarray(rgb.astype(np.uint8))
