"""One video file's bytes to frames of one size at one rate. Imports no torch, so that worker processes start quickly.

Frames come from the middle of the video, of SPAN_S seconds at most. The frames of a shorter video repeat.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from itertools import takewhile
from typing import Any, NamedTuple

import numpy as np

from selflabel.base.files import open_regular
from selflabel.decode.image import Undecodable
from selflabel.items import Blob

SPAN_S = 10.0  # of a video's middle that frames come from
CLOSE_S = 1e-6  # a frame so much early is on time

TimedFrame = tuple[float | None, Any]  # seconds, None where the file does not say; the frame


class Schedule(NamedTuple):
    """Which frames to take.

    Args:
        first_s: time of the first.
        interval_s: between them; 0 takes one after the other.
        n_frames: how many.
    """

    first_s: float
    interval_s: float
    n_frames: int


def open_media(data: bytes | str) -> Any:
    """Open a video or sound as PyAV's container of streams.

    Args:
        data: the file's bytes, or its name.

    Raises:
        Undecodable: empty, or no video or sound that can be read.
    """
    import av

    if not data:
        raise Undecodable("the file is empty (zero bytes)")
    try:
        return av.open(io.BytesIO(data) if isinstance(data, bytes) else data, metadata_errors="ignore")
    except (av.FFmpegError, ValueError, OSError) as error:
        raise Undecodable("not a video or sound, whatever its name says") from error


def decode_clip(data: bytes | str, frames: int, px: int, fps: float = 0) -> tuple[np.ndarray, int]:
    """Decode frames of the video's middle: their middle squares, upright by the video's rotation flag.

    Args:
        data: the file's bytes, or its name.
        frames: how many.
        px: their side in pixels.
        fps: frames per second; 0 spreads them evenly.

    Returns:
        (frames, 3, px, px) uint8, and how many frames there are before they repeat.

    Raises:
        Undecodable: no picture in it.
    """
    import av

    with open_media(data) as container:
        if not container.streams.video:
            raise Undecodable("has no picture")
        stream = container.streams.video[0]
        schedule = schedule_of(seconds_of(container, stream), frames, fps)
        if schedule.first_s > 0:
            container.seek(int(schedule.first_s * 1_000_000), backward=True)
        images = list(frames_on_schedule(decode_frames(container, stream, schedule), schedule))
    if not images:
        raise Undecodable("has no picture that can be decoded")
    resizer = av.video.reformatter.VideoReformatter()  # one for all frames: making it costs more than using it
    clip = np.stack([middle_square(picture, px, resizer) for picture in images])
    return np.resize(clip, (frames, 3, px, px)), len(clip)


def schedule_of(length_s: float, frames: int, fps: float) -> Schedule:
    """The frames around the middle of a video: at a rate, or evenly over SPAN_S seconds or a shorter video."""
    span = frames / fps if fps else SPAN_S
    first = max(0.0, (length_s - span) / 2)
    if fps:
        return Schedule(first, 1 / fps, frames)
    return Schedule(first, min(length_s, span) / frames, frames) if length_s > 0 else Schedule(0.0, 0.0, frames)


def size_and_seconds(blob: Blob) -> tuple[int, float] | None:
    """(short side in pixels, length in seconds) as the file states them; None where there is no picture."""
    try:
        with open_media(media_input(blob)) as container:
            stream = container.streams.video[0]
            return min(stream.width, stream.height), seconds_of(container, stream)
    except (Undecodable, IndexError, OSError):
        return None


def media_input(blob: Blob) -> bytes | str:
    """What `open_media` opens: a whole file by its name, so that only what is needed is read; a span of a tar by its bytes.

    Raises:
        OSError: the file cannot be read.
    """
    if not blob.is_whole_file:
        return blob.read()
    with open_regular(blob.file) as file:
        return blob.file if file.seek(0, io.SEEK_END) else b""


def seconds_of(container: Any, stream: Any) -> float:
    """The length in seconds as the file states it; 0 where it does not."""
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    return container.duration / 1_000_000 if container.duration else 0.0


def decode_frames(container: Any, stream: Any, schedule: Schedule) -> Iterator[TimedFrame]:
    """Decode the frames that are wanted and those that they depend on; the decoder skips the others.

    Frames up to the first damage are kept. Where packets come in the order of their times, either no frame depends on a later
    one or their times are wrong (AVI): then every frame is decoded.
    """
    import av

    stream.thread_type = "SLICE"  # a frame can be skipped by itself
    tick = float(stream.time_base)
    packets: Iterable[Any] = packets_until_damage(p for p in container.demux(stream) if p.size)
    if schedule.interval_s > 0:
        end = (schedule.first_s + schedule.interval_s * schedule.n_frames + 1) / tick  # a track may start late
        packets = list(takewhile(lambda p: p.dts is None or p.dts <= end, packets))
    times = [(p.pts * tick, p.pts) for p in packets if p.pts is not None] if schedule.interval_s > 0 else []
    wanted = {None, *frames_on_schedule(sorted(times), schedule)}
    can_skip = times != sorted(times)
    try:
        for packet in packets:
            stream.codec_context.skip_frame = "NONREF" if can_skip and packet.pts not in wanted else "DEFAULT"
            yield from ((None if f.pts is None else f.pts * tick, f) for f in packet.decode())
        yield from ((None if f.pts is None else f.pts * tick, f) for f in stream.codec_context.decode(None))
    except (av.FFmpegError, ValueError):
        return


def packets_until_damage(packets: Iterable[Any]) -> Iterator[Any]:
    """Packets up to the end or to the first that cannot be read."""
    import av

    try:
        yield from packets
    except (av.FFmpegError, ValueError):
        return


def frames_on_schedule(frames: Iterable[TimedFrame], schedule: Schedule) -> Iterator[Any]:
    """Of frames in the order of their times, the first at or after each scheduled time, and the last if more were scheduled."""
    due, interval, remaining = schedule
    last = None
    for at, frame in frames:
        if remaining == 0:
            return
        time = at if at is not None else due
        last = frame
        if time + CLOSE_S >= due:
            yield frame
            remaining, due, last = remaining - 1, max(due + interval, time - interval), None
    if last is not None and remaining > 0:
        yield last


def middle_square(frame: Any, px: int, resizer: Any) -> np.ndarray:
    """(3, px, px) uint8 of a frame's middle, upright."""
    scale = px / min(frame.width, frame.height)
    w, h = max(px, round(frame.width * scale)), max(px, round(frame.height * scale))
    method = "AREA" if scale < 1 else "BILINEAR"
    small = resizer.reformat(frame, width=w, height=h, format="gbrp", interpolation=method)  # planes: faster than triples
    left, top = (w - px) // 2, (h - px) // 2
    green, blue, red = (np.frombuffer(p, np.uint8).reshape(-1, p.line_size)[:h, :w] for p in small.planes)
    pixels = np.stack([red, green, blue])[:, top : top + px, left : left + px]
    return np.rot90(pixels, round(getattr(frame, "rotation", 0) / 90) % 4, axes=(1, 2))
