"""Pictures that Pillow cannot read in full: TIFFs of more than four bands, and colours of more than 8 bits.

A TIFF is read by Pillow as if its bytes were a grey picture, which any compression without loss allows, and the numbers are made
from the bytes here. A PNG of 16-bit colours is read by PyAV: Pillow keeps the high bytes only, black where 12 bits are used.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from PIL import Image, TiffImagePlugin

PNG = b"\x89PNG\r\n\x1a\n"
TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, STRIPS, BANDS, STRIP_ROWS, STRIP_BYTES = (
    256,
    257,
    258,
    259,
    262,
    273,
    277,
    278,
    279,
)
PLANAR, PREDICTOR, TILE_WIDTH, TILE_HEIGHT, TILES, TILE_BYTES, EXTRA, FORMAT = 284, 317, 322, 323, 324, 325, 338, 339
SHORTS = {BITS, COMPRESSION, PHOTOMETRIC, BANDS, PLANAR}
NUMBERS = {1: "u", 2: "i", 3: "f"}  # SampleFormat
ORIENTATION, NO_DATA = 274, 42113
TURNS: dict[int, Callable[[np.ndarray], np.ndarray]] = {  # by the orientation, what makes a picture upright
    1: lambda x: x,
    2: lambda x: x[:, ::-1],
    3: lambda x: x[::-1, ::-1],
    4: lambda x: x[::-1],
    5: lambda x: x.swapaxes(0, 1),
    6: lambda x: np.rot90(x, -1),
    7: lambda x: x[::-1, ::-1].swapaxes(0, 1),
    8: lambda x: np.rot90(x),
}
LOSSLESS = {1, 5, 8, 32773, 32946, 34925, 50000}  # none, LZW, deflate, PackBits, deflate, LZMA, Zstandard
ALPHA = (1, 2)  # ExtraSamples


class NotRead(ValueError):
    """The picture is of a kind that is not read; the text says which."""


def is_tiff(data: bytes) -> bool:
    return data[:4] in TIFF


def deep_colours(data: bytes) -> np.ndarray | None:
    """(H, W, bands) of a PNG or TIFF whose colours have more than 8 bits; None for any other picture.

    Raises:
        NotRead: such a TIFF is of a kind that is not read.
    """
    if data[:8] == PNG and data[24:25] == b"\x10" and data[25:26] in (b"\x02", b"\x04", b"\x06"):
        return png_colours(data)
    if is_tiff(data):
        tags = tiff_tags(data)
        if tags.get(BANDS, 1) > 1 and max(tags.get(BITS, (1,))) > 8:
            return tiff_bands(data)
    return None


def png_colours(data: bytes) -> np.ndarray:
    import av

    with av.open(io.BytesIO(data)) as container:
        frame = next(container.decode(video=0))
        grey = data[25:26] == b"\x04"
        values = frame.reformat(format="gray16le" if grey else "rgb48le" if data[25:26] == b"\x02" else "rgba64le").to_ndarray()
    return values[..., None] if grey else over_white(values) if values.shape[2] == 4 else values


def over_white(values: np.ndarray) -> np.ndarray:
    """(H, W, 3) colours over the brightest value, by the last band, which is their opacity."""
    opacity = values[..., 3:].astype(np.float64) / max(1, values[..., 3].max())
    white = float(values[..., :3].max(initial=0))
    return (values[..., :3] * opacity + white * (1 - opacity)).astype(values.dtype)


# --------------------------------------------------------------------------------------------------------------------- TIFF


def tiff_tags(data: bytes) -> Mapping[int, Any]:
    """The first page's tags."""
    head = data[:16] if data[2:4] in (b"+\0", b"\0+") else data[:8]
    tags = TiffImagePlugin.ImageFileDirectory_v2(head)
    file = io.BytesIO(data)
    file.seek(tags.next)
    tags.load(file)
    return tags


def tiff_bands(data: bytes) -> np.ndarray:
    """(H, W, bands) of the first page of a TIFF, as the numbers that are stored; of many bands the first three.

    Raises:
        NotRead: compressed with loss, or numbers of another size than 8, 16, 32 or 64 bits.
    """
    tags = tiff_tags(data)
    bands, bits = int(tags.get(BANDS, 1)), set(tags.get(BITS, (1,)))
    number = NUMBERS.get(next(iter(tags.get(FORMAT, (1,)))))
    if len(bits) != 1 or not bits <= {8, 16, 32, 64} or number is None or tags.get(COMPRESSION, 1) not in LOSSLESS:
        raise NotRead(f"a TIFF of {bands} bands of {'/'.join(map(str, sorted(bits)))} bits is not read")
    dtype = np.dtype(f"{'<' if data[:1] == b'I' else '>'}{number}{bits.pop() // 8}")
    if tags.get(PLANAR, 1) == 2 and bands > 1:
        values = np.concatenate([tiff_plane(data, tags, dtype, 1, band) for band in range(min(3, bands))], axis=2)
    else:
        values = tiff_plane(data, tags, dtype, bands, 0)
    if values.shape[2] == 4 and tags.get(PHOTOMETRIC) == 2 and next(iter(tags.get(EXTRA, (0,))), 0) in ALPHA:
        values = over_white(values)
    values = without_nodata(values[..., :3], tags.get(NO_DATA))
    return TURNS.get(int(tags.get(ORIENTATION, 1)), TURNS[1])(values)


def without_nodata(values: np.ndarray, no_data: Any) -> np.ndarray:
    """Values with NaN where a GeoTIFF's tag says that nothing was measured."""
    try:
        missing = values == float(str(no_data).strip("\0 "))
    except ValueError:
        return values
    return np.where(missing, np.nan, values) if missing.any() else values


def tiff_plane(data: bytes, tags: Mapping[int, Any], dtype: np.dtype, bands: int, plane: int) -> np.ndarray:
    """(H, W, bands) of one plane: its bytes as a grey picture, then the predictor undone."""
    per_pixel, tiled = bands * dtype.itemsize, TILES in tags
    places, counts = (tags[TILES], tags[TILE_BYTES]) if tiled else (tags[STRIPS], tags[STRIP_BYTES])
    n = len(places) // (int(tags.get(BANDS, 1)) if tags.get(PLANAR, 1) == 2 else 1)
    width, height = int(tags[WIDTH]), int(tags[HEIGHT])
    tile_width = int(tags.get(TILE_WIDTH, width))
    padded = -(-width // tile_width) * tile_width  # whole tiles: a predictor may need their last columns
    plain = {WIDTH: [padded * per_pixel], HEIGHT: [height], BITS: [8], COMPRESSION: [tags.get(COMPRESSION, 1)], PHOTOMETRIC: [1]}
    plain |= {BANDS: [1], PLANAR: [1]}
    if tiled:
        plain |= {TILE_WIDTH: [tile_width * per_pixel], TILE_HEIGHT: [int(tags[TILE_HEIGHT])]}
    else:
        plain |= {STRIP_ROWS: [min(height, int(tags.get(STRIP_ROWS, height)))]}
    own = slice(plane * n, (plane + 1) * n)
    plain |= {TILES if tiled else STRIPS: list(places[own]), TILE_BYTES if tiled else STRIP_BYTES: list(counts[own])}
    with Image.open(io.BytesIO(with_tags(data, plain))) as image:
        rows = np.asarray(image).reshape(height, -1)
    parts = [rows[:, x * per_pixel : (x + tile_width) * per_pixel] for x in range(0, padded, tile_width)]
    undo = {1: as_stored, 2: undo_differences, 3: undo_float_differences}.get(int(tags.get(PREDICTOR, 1)))
    if undo is None:
        raise NotRead("a TIFF of an unknown predictor is not read")
    return np.concatenate([undo(part, dtype, bands) for part in parts], axis=1)[:, :width]


def with_tags(data: bytes, tags: dict[int, list[int]]) -> bytes:
    """The same file with another first page: its tags are at the end, its pixels where they were."""
    order = "<" if data[:1] == b"I" else ">"
    end = len(data) + len(data) % 2
    entries, extra = [], b""
    first_extra = end + 2 + 12 * len(tags) + 4
    for tag, values in sorted(tags.items()):
        code, kind = ("H", 3) if tag in SHORTS else ("I", 4)
        packed = struct.pack(f"{order}{len(values)}{code}", *values)
        if len(packed) > 4:
            packed, extra = struct.pack(f"{order}I", first_extra + len(extra)), extra + packed
        entries.append(struct.pack(f"{order}HHI", tag, kind, len(values)) + packed.ljust(4, b"\0"))
    page = struct.pack(f"{order}H", len(tags)) + b"".join(entries) + bytes(4) + extra
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", end)
    return head + data[8:].ljust(end - 8, b"\0") + page


def as_stored(rows: np.ndarray, dtype: np.dtype, bands: int) -> np.ndarray:
    return np.ascontiguousarray(rows).view(dtype).reshape(len(rows), -1, bands)


def undo_differences(rows: np.ndarray, dtype: np.dtype, bands: int) -> np.ndarray:
    """Each number was stored as its difference to the pixel on its left."""
    unsigned = f"u{dtype.itemsize}"
    differences = as_stored(rows, np.dtype(f"{dtype.byteorder}{unsigned}"), bands).astype(unsigned)
    return np.cumsum(differences, axis=1, dtype=unsigned).view(dtype.newbyteorder("="))


def undo_float_differences(rows: np.ndarray, dtype: np.dtype, bands: int) -> np.ndarray:
    """The bytes of a row were sorted by their weight, and each stored as its difference to the one `bands` before."""
    sums = np.cumsum(rows.reshape(len(rows), -1, bands), axis=1, dtype=np.uint8).reshape(len(rows), dtype.itemsize, -1)
    return np.ascontiguousarray(sums.transpose(0, 2, 1)).view(dtype.newbyteorder(">")).reshape(len(rows), -1, bands)
