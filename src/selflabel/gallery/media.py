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
from selflabel.decode.image import Undecodable
from selflabel.gallery.wave_file import SOUGHT_EXACTLY, WaveFile
from selflabel.items import Blob
from selflabel.runs.missing import Missing

BLOCK_BYTES = 262_144
MEDIA_TYPES = {  # an ending that is not here is sent as bytes, which a browser offers to save
    ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".png": "image/png", ".webp": "image/webp", ".bmp": "image/bmp",
    ".gif": "image/gif", ".tif": "image/tiff", ".tiff": "image/tiff", ".jpe": "image/jpeg", ".jfif": "image/jpeg",
    ".mpo": "image/jpeg", ".apng": "image/apng", ".dib": "image/bmp", ".avif": "image/avif", ".heic": "image/heic",
    ".heif": "image/heif", ".hif": "image/heif",
    ".jp2": "image/jp2", ".j2k": "image/jp2", ".j2c": "image/jp2", ".jpc": "image/jp2",
    ".jpx": "image/jpx", ".jpf": "image/jpx", ".tga": "image/x-tga", ".ppm": "image/x-portable-pixmap",
    ".pgm": "image/x-portable-graymap", ".pbm": "image/x-portable-bitmap", ".pnm": "image/x-portable-anymap",
    ".pfm": "image/x-portable-floatmap", ".pcx": "image/x-pcx", ".psd": "image/vnd.adobe.photoshop", ".qoi": "image/qoi",
    ".dds": "image/vnd.ms-dds", ".sgi": "image/sgi", ".rgb": "image/sgi", ".rgba": "image/sgi", ".bw": "image/sgi",
    ".ras": "image/x-cmu-raster", ".xbm": "image/x-xbitmap", ".xpm": "image/x-xpixmap", ".ico": "image/x-icon",
    ".cur": "image/x-icon", ".icns": "image/icns", ".dcx": "image/x-dcx", ".msp": "image/x-msp", ".blp": "image/x-blp",
    ".fits": "image/fits",
    ".mp4": "video/mp4", ".m4v": "video/mp4", ".mov": "video/mp4", ".webm": "video/webm", ".mkv": "video/x-matroska",
    ".avi": "video/x-msvideo", ".flv": "video/x-flv", ".qt": "video/quicktime", ".divx": "video/x-msvideo", ".f4v": "video/mp4",
    ".mpg": "video/mpeg", ".mpeg": "video/mpeg", ".mpe": "video/mpeg", ".m1v": "video/mpeg", ".m2v": "video/mpeg",
    ".vob": "video/mpeg", ".ts": "video/mp2t", ".mts": "video/mp2t", ".m2ts": "video/mp2t", ".wmv": "video/x-ms-wmv",
    ".asf": "video/x-ms-asf", ".3gp": "video/3gpp", ".3g2": "video/3gpp2", ".ogv": "video/ogg", ".mxf": "application/mxf",
    ".rm": "application/vnd.rn-realmedia", ".rmvb": "application/vnd.rn-realmedia-vbr", ".dv": "video/x-dv",
    ".y4m": "video/x-yuv4mpeg", ".mjpeg": "video/x-motion-jpeg",
    ".wav": "audio/wav", ".flac": "audio/flac", ".ogg": "audio/ogg", ".mp3": "audio/mpeg", ".m4a": "audio/mp4",
    ".wave": "audio/wav", ".w64": "audio/x-w64", ".oga": "audio/ogg", ".opus": "audio/ogg", ".spx": "audio/ogg",
    ".mp2": "audio/mpeg", ".m4b": "audio/mp4", ".aac": "audio/aac", ".aif": "audio/aiff", ".aiff": "audio/aiff",
    ".aifc": "audio/aiff", ".au": "audio/basic", ".snd": "audio/basic", ".caf": "audio/x-caf", ".amr": "audio/amr",
    ".wma": "audio/x-ms-wma", ".ac3": "audio/ac3", ".ape": "audio/x-ape", ".wv": "audio/x-wavpack", ".tta": "audio/x-tta",
    ".mpc": "audio/x-musepack", ".mka": "audio/x-matroska", ".weba": "audio/webm", ".3ga": "audio/3gpp",
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
    byte_range = parse_range(range_header, size)
    if byte_range is None:
        file.close()
        return no_such_range(size)
    first, last = byte_range
    return ranged(read_bytes(file, offset + first, last - first + 1), byte_range, size, range_header, media_type(name))


def sound_response(blob: Blob, name: str, range_header: str | None) -> Response:
    """Send a sound of which an item is a span: its bytes, or a WAV file where a browser could not play these from there on.

    Args: as in `media_response`.

    Raises:
        Missing: the file cannot be opened, or has no sound.
    """
    if media_type(name) in SOUGHT_EXACTLY:
        return media_response(blob, name, range_header)
    try:
        wave = WaveFile.of(blob)
    except OSError as error:
        raise Missing(f"it cannot be read ({error.strerror or error})") from error
    except Undecodable as error:
        raise Missing(str(error)) from error
    byte_range = parse_range(range_header, wave.n_bytes)
    if byte_range is None:
        return no_such_range(wave.n_bytes)
    return ranged(wave.read(*byte_range), byte_range, wave.n_bytes, range_header, "audio/wav")


def no_such_range(size: int) -> Response:
    return Response(status_code=416, headers={"content-range": f"bytes */{size}"})


def ranged(body: Iterator[bytes], byte_range: tuple[int, int], size: int, range_header: str | None, kind: str) -> Response:
    """The bytes from first to last of `size`."""
    first, last = byte_range
    headers = {"accept-ranges": "bytes", "cache-control": "private, max-age=600", "content-length": str(last - first + 1)}
    if range_header:
        headers["content-range"] = f"bytes {first}-{last}/{size}"
    return StreamingResponse(body, 206 if range_header else 200, headers, kind)


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
