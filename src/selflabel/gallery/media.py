"""Responses with an item's own bytes, whole or in part: browsers play videos and sounds by ranges (RFC 9110, section 14)."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import BinaryIO

from starlette.responses import Response, StreamingResponse

from selflabel.base.files import open_regular
from selflabel.items import Blob
from selflabel.runs.sources import Missing

BLOCK_BYTES = 262_144
MEDIA_TYPES = {
    ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".png": "image/png", ".webp": "image/webp", ".bmp": "image/bmp",
    ".gif": "image/gif", ".tif": "image/tiff", ".tiff": "image/tiff",
    ".mp4": "video/mp4", ".m4v": "video/mp4", ".mov": "video/mp4", ".webm": "video/webm", ".mkv": "video/x-matroska",
    ".avi": "video/x-msvideo", ".flv": "video/x-flv",
    ".wav": "audio/wav", ".flac": "audio/flac", ".ogg": "audio/ogg", ".mp3": "audio/mpeg", ".m4a": "audio/mp4",
}  # fmt: skip


def media_type(name: str) -> str:
    """The MIME type by file extension only, and never a type that a browser would execute."""
    return MEDIA_TYPES.get(PurePosixPath(name).suffix.lower(), "application/octet-stream")


def media_response(blob: Blob, name: str, range_header: str | None) -> Response:
    """Send the bytes that a request asks for.

    Args:
        blob: where the item's bytes are.
        name: the item's file name, for its MIME type.
        range_header: `Range` as the browser sent it; None for all bytes.

    Returns:
        Status 200 with everything, 206 with the range, or 416 where the range cannot be served.

    Raises:
        Missing: the file cannot be opened.
    """
    try:
        file, offset, size = open_bytes(blob)
    except OSError as error:
        raise Missing(f"it cannot be read ({error.strerror or error})") from error
    headers = {"accept-ranges": "bytes", "cache-control": "private, max-age=600"}
    byte_range = parse_range(range_header, size)
    if byte_range is None:
        file.close()
        return Response(status_code=416, headers={"content-range": f"bytes */{size}"})
    first, last = byte_range
    headers["content-length"] = str(last - first + 1)
    if range_header:
        headers["content-range"] = f"bytes {first}-{last}/{size}"
    body = read_bytes(file, offset + first, last - first + 1)
    return StreamingResponse(body, 206 if range_header else 200, headers, media_type(name))


def open_bytes(blob: Blob) -> tuple[BinaryIO, int, int]:
    """An open file, and where in it a blob begins and how long it is, in bytes. Raises OSError."""
    if blob.inside:
        data = blob.read()
        return io.BytesIO(data), 0, len(data)
    file = open_regular(blob.file)  # opened at once: a file that is deleted from here on is still sent whole
    return file, blob.offset, os.fstat(file.fileno()).st_size if blob.length is None else blob.length


def parse_range(header: str | None, size: int) -> tuple[int, int] | None:
    """(first, last) byte that a `Range` header asks for; None where that cannot be served.

    Example:
        >>> [parse_range(header, 10) for header in ("bytes=2-5", "bytes=7-", "bytes=-3", "bytes=10-", None)]
        [(2, 5), (7, 9), (7, 9), None, (0, 9)]
    """
    if not header:
        return 0, size - 1
    match = re.fullmatch(r"bytes=([0-9]{0,18})-([0-9]{0,18})", header.strip())
    if match is None or match.groups() == ("", ""):
        return None
    start, end = match.groups()
    first = int(start) if start else max(0, size - int(end))
    last = min(int(end), size - 1) if start and end else size - 1
    return (first, last) if first <= last else None


def read_bytes(file: BinaryIO, first: int, length: int) -> Iterator[bytes]:
    """`length` bytes from `first` on, in blocks; closes the file at the end."""
    with file:
        file.seek(first)
        while length > 0 and (block := file.read(min(BLOCK_BYTES, length))):
            length -= len(block)
            yield block
