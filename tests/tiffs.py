"""A plain writer of TIFFs that Pillow cannot write: many bands, planes, tiles, predictors, either byte order."""

import struct
import zlib

import numpy as np

KINDS = {"u": 1, "i": 2, "f": 3}


def write_tiff(file, values, compressed=False, predictor=1, planes=False, tile=0, order="<", photometric=1, extra=(), more=()):
    """Write (H, W, bands) values.

    Args:
        compressed: by deflate.
        predictor: 1, 2 (differences) or 3 (differences of the sorted bytes of floats).
        planes: band after band.
        tile: side of square tiles; 0 writes one strip.
        extra: ExtraSamples.
        more: other tags, (tag, type, count, bytes).
    """
    height, width, bands = values.shape
    values = values.astype(values.dtype.newbyteorder(order))
    parts = [values[..., b : b + 1] for b in range(bands)] if planes else [values]
    blocks = [encode(block, predictor, order) for part in parts for block in (tiles_of(part, tile) if tile else [part])]
    blocks = [zlib.compress(b) for b in blocks] if compressed else blocks
    places = np.cumsum([8, *map(len, blocks)]).tolist()
    end = places.pop() + places[-1] % 2
    u, n = order + "H", order + "I"

    def shorts(*numbers):
        return 3, len(numbers), b"".join(struct.pack(u, x) for x in numbers)

    def longs(*numbers):
        return 4, len(numbers), b"".join(struct.pack(n, x) for x in numbers)

    tags = {256: longs(width), 257: longs(height), 258: shorts(*[values.dtype.itemsize * 8] * bands)}
    tags |= {259: shorts(8 if compressed else 1), 262: shorts(photometric), 277: shorts(bands), 284: shorts(2 if planes else 1)}
    tags |= {317: shorts(predictor), 339: shorts(*[KINDS[values.dtype.kind]] * bands)}
    layout = {322: longs(tile), 323: longs(tile)} if tile else {278: longs(height)}
    tags |= layout | {324 if tile else 273: longs(*places), 325 if tile else 279: longs(*map(len, blocks))}
    tags |= {338: shorts(*extra)} if extra else {}
    tags |= {tag: (kind, count, data) for tag, kind, count, data in more}
    body, end = b"".join(blocks), 8 + sum(map(len, blocks))
    body, end = body + b"\0" * (end % 2), end + end % 2
    entries, later, place = b"", b"", end + 2 + 12 * len(tags) + 4
    for tag, (kind, count, data) in sorted(tags.items()):
        if len(data) > 4:
            data, later = struct.pack(n, place + len(later)), later + data
        entries += struct.pack(order + "HHI", tag, kind, count) + data.ljust(4, b"\0")
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(n, end)
    file.write_bytes(head + body + struct.pack(u, len(tags)) + entries + bytes(4) + later)
    return file


def tiles_of(part, tile):
    height, width, _ = part.shape
    for y in range(0, height, tile):
        for x in range(0, width, tile):
            block = part[y : y + tile, x : x + tile]
            yield np.pad(block, ((0, tile - block.shape[0]), (0, tile - block.shape[1]), (0, 0)))


def encode(block, predictor, order):
    height, _, bands = block.shape
    size = block.dtype.itemsize
    if predictor == 2:
        numbers = np.ascontiguousarray(block).view(f"{order}u{size}").astype(f"u{size}")
        numbers[:, 1:] -= numbers[:, :-1].copy()
        return numbers.astype(f"{order}u{size}").tobytes()
    if predictor == 3:
        sorted_bytes = np.ascontiguousarray(block.astype(f">f{size}")).view(np.uint8).reshape(height, -1, size).swapaxes(1, 2)
        flat = np.ascontiguousarray(sorted_bytes).reshape(height, -1)
        flat[:, bands:] -= flat[:, :-bands].copy()
        return flat.tobytes()
    return np.ascontiguousarray(block).tobytes()
