"""One video file's bytes to frames of one size at one rate. Imports no torch, so that worker processes start in a moment.

Frames come from the middle of the film: SPAN seconds of it at most. A film that is shorter than asked loops.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from itertools import takewhile
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


def decode_clip(data: bytes | str, frames: int, px: int, fps: float = 0) -> tuple[np.ndarray, int]:
    """(frames, 3, px, px) uint8 of the film's middle: its middle square, upright by its rotation flag.

    Args:
        data: the file's bytes, or its name.
        frames: how many.
        px: their side.
        fps: frames a second; 0 spreads them evenly.

    Returns:
        The frames and how many of them there are before they loop.

    Raises:
        Undecodable: no picture in it.
    """
    import av

    with open_media(data) as container:
        if not container.streams.video:
            raise Undecodable("has no picture")
        stream = container.streams.video[0]
        length = seconds_of(container, stream)
        span = frames / fps if fps else SPAN_S
        first = max(0.0, (length - span) / 2)
        if first > 0:
            container.seek(int(first * 1_000_000), backward=True)
        asked = (first, min(length, span) / frames, frames) if length > 0 else (0.0, 0.0, frames)
        if fps:
            asked = (first, 1 / fps, frames)
        shown = list(chosen(pictures(container, stream, *asked), *asked))
    if not shown:
        raise Undecodable("has no picture that can be decoded")
    resize = av.video.reformatter.VideoReformatter()  # one for all frames: making it costs more than using it
    clip = np.stack([square(picture, px, resize) for picture in shown])
    return np.resize(clip, (frames, 3, px, px)), len(clip)


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


def pictures(container: Any, stream: Any, first: float, every: float, most: int) -> Iterator[tuple[float | None, Any]]:
    """(time, frame) of what is chosen and of what that is made from; other frames are passed over undecoded.

    Up to the end or to the first damage: what came before it is kept. Where packets are in the order of their times, either no
    frame is made from a later one or their times are wrong (AVI): every frame is decoded.
    """
    import av

    stream.thread_type = "SLICE"  # a frame can be passed over by itself
    tick = float(stream.time_base)
    packets: Iterable[Any] = unbroken(p for p in container.demux(stream) if p.size)
    if every > 0:
        end = (first + every * most + 1) / tick  # a track may start late
        packets = list(takewhile(lambda p: p.dts is None or p.dts <= end, packets))
    times = [(p.pts * tick, p.pts) for p in packets if p.pts is not None] if every > 0 else []
    wanted = {None, *chosen(sorted(times), first, every, most)}
    choosy = times != sorted(times)
    try:
        for packet in packets:
            stream.codec_context.skip_frame = "NONREF" if choosy and packet.pts not in wanted else "DEFAULT"
            yield from ((None if f.pts is None else f.pts * tick, f) for f in packet.decode())
        yield from ((None if f.pts is None else f.pts * tick, f) for f in stream.codec_context.decode(None))
    except (av.FFmpegError, ValueError):
        return


def unbroken(packets: Iterable[Any]) -> Iterator[Any]:
    """Packets up to the end or to the first damage."""
    import av

    try:
        yield from packets
    except (av.FFmpegError, ValueError):
        return


def chosen(frames: Iterable[tuple[float | None, Any]], first: float, every: float, most: int) -> Iterator[Any]:
    """Of (time, frame) in order, the frames nearest after first, first + every, ...; one after the other where every is 0."""
    due, last = first, None
    for at, frame in frames:
        if most == 0:
            return
        time = at if at is not None else due
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
    how = "AREA" if scale < 1 else "BILINEAR"
    small = resize.reformat(frame, width=w, height=h, format="gbrp", interpolation=how)  # planes: faster than triples
    left, top = (w - px) // 2, (h - px) // 2
    green, blue, red = (np.frombuffer(p, np.uint8).reshape(-1, p.line_size)[:h, :w] for p in small.planes)
    upright = np.stack([red, green, blue])[:, top : top + px, left : left + px]
    return np.rot90(upright, round(getattr(frame, "rotation", 0) / 90) % 4, axes=(1, 2))
