"""An item's own bytes to the browser, whole or in part: films and sounds are played by ranges (RFC 9110, section 14)."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from starlette.responses import Response, StreamingResponse

from selflabel.items import Blob

BLOCK = 262_144  # bytes read at a time
TYPES = {
    ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".png": "image/png", ".webp": "image/webp", ".bmp": "image/bmp",
    ".gif": "image/gif", ".tif": "image/tiff", ".tiff": "image/tiff",
    ".mp4": "video/mp4", ".m4v": "video/mp4", ".mov": "video/mp4", ".webm": "video/webm", ".mkv": "video/x-matroska",
    ".avi": "video/x-msvideo", ".flv": "video/x-flv",
    ".wav": "audio/wav", ".flac": "audio/flac", ".ogg": "audio/ogg", ".mp3": "audio/mpeg", ".m4a": "audio/mp4",
}  # fmt: skip


def type_of(name: str) -> str:
    """By the ending alone, and never one that a browser would run."""
    return TYPES.get(PurePosixPath(name).suffix.lower(), "application/octet-stream")


def answer(blob: Blob, name: str, wanted: str | None) -> Response:
    """The bytes that the header `Range: wanted` asks for; all of them where it asks for none.

    Args:
        blob: where they are.
        name: of the item, for its type.
        wanted: as the browser sent it.
    """
    file = Path(blob.file).open("rb")  # noqa: SIM115  what is deleted from now on is still read
    size = os.fstat(file.fileno()).st_size if blob.length is None else blob.length
    headers = {"accept-ranges": "bytes", "cache-control": "private, max-age=600"}
    span = asked(wanted, size)
    if span is None:
        file.close()
        return Response(status_code=416, headers={"content-range": f"bytes */{size}"})
    first, last = span
    headers["content-length"] = str(last - first + 1)
    if wanted:
        headers["content-range"] = f"bytes {first}-{last}/{size}"
    body = stretch(file, blob.offset + first, last - first + 1)
    return StreamingResponse(body, 206 if wanted else 200, headers, type_of(name))


def asked(wanted: str | None, size: int) -> tuple[int, int] | None:
    """(first, last) byte of a range; None where it cannot be served.

    Example:
        >>> asked("bytes=2-5", 10), asked("bytes=7-", 10), asked("bytes=-3", 10), asked("bytes=10-", 10), asked(None, 10)
        ((2, 5), (7, 9), (7, 9), None, (0, 9))
    """
    if not wanted:
        return 0, size - 1
    found = re.fullmatch(r"bytes=(\d*)-(\d*)", wanted.strip())
    if found is None or found.groups() == ("", ""):
        return None
    start, end = found.groups()
    first = int(start) if start else max(0, size - int(end))
    last = min(int(end), size - 1) if start and end else size - 1
    return (first, last) if first <= last else None


def stretch(file: BinaryIO, first: int, length: int) -> Iterator[bytes]:
    with file:
        file.seek(first)
        while length > 0 and (block := file.read(min(BLOCK, length))):
            length -= len(block)
            yield block
