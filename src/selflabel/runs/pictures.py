"""An item as one small picture: the photograph, the video's middle frame, the sound's spectrogram, the row of features."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from contextlib import suppress

import numpy as np
from PIL import Image

from selflabel.decode.image import Undecodable, decode_square, draft_for, open_image, piece_square, to_square
from selflabel.decode.levels import FULL_SCALE
from selflabel.decode.look import MediaInfo
from selflabel.decode.scale import Scale, to_uint8
from selflabel.decode.sound import RATE, decode_sound
from selflabel.decode.video import decode_clip, is_blank, media_input, span_of
from selflabel.items import Blob, Items
from selflabel.runs.missing import Missing
from selflabel.runs.sources import Source

THUMBNAIL_PX = 128
LOSSLESS_PX = 64  # a picture of at most this side is kept without loss
SHEET_PX = 96  # side of an image on the contact sheet, before it is shrunk
SPECTROGRAM_S = 4  # of a sound's middle are drawn
WINDOW, HOP, BANDS, RANGE_DB = 512, 160, 64, 60.0  # of the spectrogram: samples, samples, rows, decibels from dark to light
SILENT = 1e-10  # of a band's power
COLOURS = np.array([[13, 8, 35], [74, 20, 108], [168, 50, 110], [237, 105, 60], [251, 200, 90], [252, 253, 220]], float)


# ---------------------------------------------------------------------------------------------- thumbnails of a finished run


def encode_thumbnail(source: Source, row: int) -> bytes:
    """An item's small picture as PNG or JPEG.

    Args:
        source: of the run.
        row: of the item.

    Raises:
        Missing: the item is not there or cannot be read.
    """
    try:
        picture = read_picture(source, row)
    except Undecodable as error:
        raise Missing(str(error)) from error
    except OSError as error:
        raise Missing(f"it cannot be read ({error.strerror or error})") from error
    except Missing:
        raise
    except Exception as error:  # decoders raise any exception on broken bytes
        raise Missing(f"it cannot be decoded ({type(error).__name__})") from error
    return encode(to_square(picture, min(THUMBNAIL_PX, *picture.size)))


def read_picture(source: Source, row: int) -> Image.Image:
    blobs = source.blobs(row)
    if "image" in blobs:
        return small_picture(blobs["image"], getattr(source, "scale", None))
    if "video" in blobs:
        return middle_frame(blobs["video"])
    if "audio" in blobs:
        return spectrogram(blobs["audio"], getattr(source, "rate", RATE))
    values = source.values(row)
    return feature_picture(values) if values.ndim == 1 else array_picture(values)


def small_picture(blob: Blob, scale: Scale | None) -> Image.Image:
    """A photograph at reduced size, or the square around a piece of it."""
    image = open_image(blob.read(), draft_for(blob.piece, THUMBNAIL_PX), scale)
    return image if blob.piece is None or blob.piece.box is None else piece_square(image, blob.piece, THUMBNAIL_PX)


def encode(picture: Image.Image) -> bytes:
    data = io.BytesIO()
    if max(picture.size) <= LOSSLESS_PX:
        picture.save(data, "PNG")
    else:
        picture.save(data, "JPEG", quality=82)
    return data.getvalue()


# --------------------------------------------------------------------------------------------- tiles of the contact sheet


def tile_reader(items: Items, infos: Mapping[str, MediaInfo] | None = None) -> Callable[[int], np.ndarray] | None:
    """How to get an item's tile of clusters.png.

    Args:
        items: that were labelled.
        infos: modality to what its items are, for the scale of pictures and the rate of sounds.

    Returns:
        row -> (H, W) or (H, W, 3) uint8; it raises Undecodable for an image that cannot be read. None for features without
        files.
    """
    if items.are_features and not items.blobs:
        return None
    known = infos or {}
    scale = known["image"].scale if "image" in known else None
    if items.array is not None and not items.blobs:
        array = items.array
        return lambda row: to_uint8(np.asarray(array[row]), scale).squeeze()
    if "image" in items.blobs:
        return lambda row: image_tile(items.blobs["image"][row], scale)
    rate = int(known["audio"].rate) if "audio" in known else RATE
    return lambda row: media_tile(items, row, rate)


def image_tile(blob: Blob | None, scale: Scale | None = None) -> np.ndarray:
    """(96, 96, 3) of an image; white where an item has none."""
    if blob is None:
        return np.full((SHEET_PX, SHEET_PX, 3), 255, np.uint8)
    return decode_square(blob.read(), SHEET_PX, 3, scale, blob.piece).transpose(1, 2, 0)


def media_tile(items: Items, row: int, rate: int = RATE) -> np.ndarray:
    """A video's middle frame with a strip of its sound below, or a sound's spectrogram; white where there is neither."""
    video, sound = (items.blobs[m][row] if m in items.blobs else None for m in ("video", "audio"))
    strips: list[Image.Image] = []
    with suppress(Undecodable):
        if video is not None:
            strips.append(middle_frame(video))
    with suppress(Undecodable):
        if sound is not None:
            picture = spectrogram(sound, rate)
            strips.append(picture.resize((picture.width, picture.height // 3)) if strips else picture)
    return np.concatenate([np.asarray(strip) for strip in strips]) if strips else np.full((SHEET_PX, SHEET_PX, 3), 255, np.uint8)


# ---------------------------------------------------------------------------------------------------- pictures of one item


def array_picture(pixels: np.ndarray) -> Image.Image:
    """The picture of an array's row (H, W) or (H, W, C)."""
    pixels = to_uint8(pixels)
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[:, :, 0]
    return Image.fromarray(np.ascontiguousarray(pixels)).convert("L" if pixels.ndim == 2 else "RGB")


def feature_picture(values: np.ndarray) -> Image.Image:
    """Features (D,) as a square of cells, dark to light from the least to the largest: similar rows have similar pictures."""
    side = max(1, int(np.ceil(np.sqrt(len(values)))))
    cells = np.zeros(side * side)
    span = np.ptp(values)
    cells[: len(values)] = (values - values.min()) / (span if span > 0 else 1)
    return colour_map(cells.reshape(side, side)).resize((THUMBNAIL_PX, THUMBNAIL_PX), Image.Resampling.NEAREST)


def middle_frame(blob: Blob) -> Image.Image:
    """A video's middle frame, 128 px; another one where that is blank. Raises Undecodable."""
    frames, _ = decode_clip(media_input(blob), 3, THUMBNAIL_PX, piece=blob.piece)
    frame = next((frames[i] for i in (1, 2, 0) if not is_blank(frames[i])), frames[1])
    return Image.fromarray(np.ascontiguousarray(frame.transpose(1, 2, 0)))


def spectrogram(blob: Blob, rate: int = RATE) -> Image.Image:
    """The middle four seconds of a sound, 128 px: time across, pitch up, light by decibels below the loudest point.

    Bands are narrow for low and wide for high pitches, up to half of `rate` in Hz, or 8,000 Hz where that is more. Raises
    Undecodable.
    """
    rate = max(rate, RATE)
    window, hop = WINDOW * rate // RATE, HOP * rate // RATE
    wave, length = decode_sound(media_input(blob), SPECTROGRAM_S * rate, rate, span_of(blob))
    x = wave[: max(length, window)].astype(np.float32) / FULL_SCALE
    light = light_of(bands_of(x, np.arange(0, len(x) + 1, hop), rate)) * (length > 0)
    return colour_map(light.T[::-1]).resize((THUMBNAIL_PX, THUMBNAIL_PX), Image.Resampling.BILINEAR)


def bands_of(wave: np.ndarray, middles: np.ndarray, rate: int) -> np.ndarray:
    """(n, bands) power around these samples (n,) of a wave (S,), in bands that are narrow for low and wide for high pitches."""
    window = WINDOW * rate // RATE
    frames = np.lib.stride_tricks.sliding_window_view(np.pad(wave, window // 2), window)[middles]
    power = np.square(np.abs(np.fft.rfft(frames * np.hanning(window).astype(np.float32), axis=1)))
    edges = np.unique(np.geomspace(2, power.shape[1], BANDS + 1).astype(int))
    return np.add.reduceat(power, edges[:-1], axis=1) / np.diff(edges)


def light_of(power: np.ndarray) -> np.ndarray:
    """Power (n, bands) as values in [0, 1], by decibels below the loudest point; 0 where all is silent."""
    decibels = 10 * np.log10(np.maximum(power, SILENT))
    return np.clip((decibels - decibels.max()) / RANGE_DB + 1, 0, 1) * (power.max(initial=0) > SILENT)


def colour_map(light_HW: np.ndarray) -> Image.Image:
    """Values in [0, 1] as colours that grow lighter all the way."""
    at = light_HW * (len(COLOURS) - 1)
    stops = np.arange(len(COLOURS))
    rgb = np.stack([np.interp(at, stops, COLOURS[:, c]) for c in range(3)], axis=-1)
    return Image.fromarray(rgb.astype(np.uint8))
