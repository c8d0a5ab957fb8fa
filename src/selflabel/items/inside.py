"""Bytes inside a file that is not read by a plain span, from (file, offset, length, inside) alone, in any process.

`inside` begins with its kind: "zip:METHOD:SIZE" is a member of a .zip, whose header is at `offset` and whose `length`
compressed bytes become SIZE; "unpacked" is a span of a compressed tar after it was unpacked; "cell:COLUMN:ROW" is a cell of a
.parquet or .arrow table.
"""

from __future__ import annotations

import struct
import zlib

from selflabel.base.files import open_regular
from selflabel.items.table_cells import read_cell
from selflabel.items.unpacked import unpacked_tar

MAX_BYTES = 1 << 30  # of one item in an archive, unpacked
STORED, DEFLATED = 0, 8  # methods of compression in a .zip
LOCAL_HEADER = struct.Struct("<4s22xHH")  # signature, and the lengths of name and extra field that follow the 30 bytes


def read_inside(file: str, offset: int, length: int | None, inside: str) -> bytes:
    """The bytes that `inside` names.

    Args:
        file: its name.
        offset, length, inside: see the top of the module.

    Raises:
        OSError: the file cannot be read, or does not hold them.
    """
    kind, _, place = inside.partition(":")
    if kind == "cell":
        column, _, row = place.rpartition(":")
        return read_cell(file, column, int(row))
    if kind == "zip":
        method, _, size = place.partition(":")
        return read_zip_member(file, offset, length or 0, int(method), int(size))
    if kind == "unpacked":
        with open_regular(unpacked_tar(file)) as f:
            f.seek(offset)
            return f.read(-1 if length is None else length)
    raise OSError(f"{file}: holds nothing that is named {inside!r}")


def read_zip_member(file: str, offset: int, length: int, method: int, size: int) -> bytes:
    """A member of a .zip, found by its own header; never more than `size` bytes.

    Raises:
        OSError: there is no member at the place, or it is damaged.
    """
    with open_regular(file) as f:
        f.seek(offset)
        head = f.read(LOCAL_HEADER.size)
        if len(head) < LOCAL_HEADER.size or head[:4] != b"PK\x03\x04":
            raise OSError(f"{file}: has no member at byte {offset:,}")
        _, name, extra = LOCAL_HEADER.unpack(head)
        f.seek(name + extra, 1)
        data = f.read(length)
    if method == STORED:
        return data
    unpacker = zlib.decompressobj(-15)
    try:
        unpacked = unpacker.decompress(data, size + 1)
    except zlib.error as error:
        raise OSError(f"{file}: the member at byte {offset:,} is damaged ({error})") from error
    if len(unpacked) != size:
        raise OSError(f"{file}: the member at byte {offset:,} has another length than the archive says")
    return unpacked
