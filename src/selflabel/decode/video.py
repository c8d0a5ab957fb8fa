"""One video file's bytes to frames of one size at one rate. Imports no torch, so that worker processes start in a moment.

Frames come from the middle of the film: SPAN seconds of it at most. A film that is shorter than asked loops.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from selflabel.decode.image import Undecodable
from selflabel.items import Blob

SPAN_S = 10.0  # of a film's middle are kept


def open_media(data: bytes | str) -> Any:
    """A container of streams.

    Raises:
        Undecodable: empty, or no film or sound that can be read.
    """
    import av

    if not data:
        raise Undecodable("the file is empty (zero bytes)")
    try:
        return av.open(io.BytesIO(data) if isinstance(data, bytes) else data, metadata_errors="ignore")
    except (av.FFmpegError, ValueError, OSError) as error:
        raise Undecodable("not a film or sound, whatever its name says") from error


def decode_clip(data: bytes | str, frames: int, px: int) -> tuple[np.ndarray, int]:
    """(frames, 3, px, px) uint8, evenly apart over the film's middle: its middle square, upright by its rotation flag.

    Returns:
        The frames and how many of them there are before they loop.

    Raises:
        Undecodable: no picture in it.
    """
    import av

    with open_media(data) as container:
        if not container.streams.video:
            raise Undecodable("has no picture")
        length = seconds_of(container, container.streams.video[0])
        first = max(0.0, (length - SPAN_S) / 2)
        if first > 0:
            container.seek(int(first * 1_000_000), backward=True)
        every = min(length, SPAN_S) / frames if length > 0 else 0.0
        shown = list(chosen(pictures(container), first, every, frames))
    if not shown:
        raise Undecodable("has no picture that can be decoded")
    resize = av.video.reformatter.VideoReformatter()  # one for all frames: making it costs more than using it
    clip = np.stack([square(picture, px, resize) for picture in shown])
    return clip[np.arange(frames) % len(clip)], len(clip)


def size_and_seconds(blob: Blob) -> tuple[int, float] | None:
    """(short side, length) as the file states them; None where there is no picture."""
    try:
        with open_media(source_of(blob)) as container:
            stream = container.streams.video[0]
            return min(stream.width, stream.height), seconds_of(container, stream)
    except (Undecodable, IndexError, OSError):
        return None


def source_of(blob: Blob) -> bytes | str:
    """A whole file by its name, to be read as far as is needed; a stretch of a tar by its bytes."""
    if blob.length is not None:
        return blob.read()
    if Path(blob.file).stat().st_size == 0:
        return b""
    return blob.file


def seconds_of(container: Any, stream: Any) -> float:
    """The length as the file states it; 0 where it does not."""
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    return container.duration / 1_000_000 if container.duration else 0.0


def pictures(container: Any) -> Iterator[Any]:
    """Decoded frames up to the end or to the first damage: what came before it is kept."""
    import av

    stream = container.streams.video[0]
    stream.thread_type = "SLICE"
    try:
        yield from container.decode(stream)
    except (av.FFmpegError, ValueError):
        return


def chosen(frames: Iterator[Any], first: float, every: float, most: int) -> Iterator[Any]:
    """The frames nearest after first, first + every, ...; where the length is unknown, one after the other."""
    due, last = first, None
    for frame in frames:
        if most == 0:
            return
        time = frame.time if frame.time is not None else due
        last = frame
        if time + 1e-6 >= due:
            yield frame
            most, due, last = most - 1, max(due + every, time - every), None
    if last is not None and most > 0:
        yield last


def square(frame: Any, px: int, resize: Any) -> np.ndarray:
    """(3, px, px) uint8 of a frame."""
    scale = px / min(frame.width, frame.height)
    w, h = max(px, round(frame.width * scale)), max(px, round(frame.height * scale))
    small = resize.reformat(
        frame, width=w, height=h, format="rgb24", interpolation="AREA" if scale < 1 else "BILINEAR"
    ).to_ndarray()
    left, top = (w - px) // 2, (h - px) // 2
    turned = np.rot90(small[top : top + px, left : left + px], round(getattr(frame, "rotation", 0) / 90) % 4)
    return np.ascontiguousarray(turned.transpose(2, 0, 1))
