"""One video file's bytes to frames of one size at one rate. Imports no torch, so that worker processes start quickly.

Frames come from the middle of the video, of SPAN_S seconds at most. The frames of a shorter video repeat. Where the length that
the file states is missing or cannot be right, it is measured; where all frames of the middle are blank, others are looked for.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import count, takewhile
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from selflabel.base.files import open_regular
from selflabel.decode.image import Undecodable, piece_square, side_shown
from selflabel.decode.letterbox import PADDING, shown_size
from selflabel.items import Blob, Piece
from selflabel.items.piece import Span

SPAN_S = 10.0  # of a video's middle that frames come from
CLOSE_S = 1e-6  # a frame so much early is on time
LATE_S = 1.0  # a stream that starts so late starts at the origin of its times; less is a track that starts late
WRONG = (0.25, 0.5)  # a stated length is wrong if it is off by more than this share and by more than these seconds
STILLS = ("mjpeg", "png", "bmp", "tiff", "webp", "gif", "jpeg2000")  # codecs of cover pictures, and of some films
BLANK_LEVELS = 12  # a frame whose pixels differ by less is blank
SEARCHED = 16  # frames, evenly over a video, among which those that are not blank are looked for
SEARCHED_WHOLE_S = 60.0  # up to this length a video is decoded for it; in a longer one only key frames are
DEFAULT_FPS = 25.0
UNKNOWN: Span = (math.nan, math.nan)  # seconds that cannot be told

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
        raise Undecodable("cannot be opened as a video or sound: it is damaged, or of another kind than its name says") from error


def decode_clip(data: bytes | str, frames: int, px: int, fps: float = 0, piece: Piece | None = None) -> tuple[np.ndarray, int]:
    """Decode frames of the video's middle, or of a piece: their middle squares, upright by the video's rotation flag.

    Args:
        data: the file's bytes, or its name.
        frames: how many.
        px: their side in pixels.
        fps: frames per second; 0 spreads them evenly.
        piece: whose span and box are shown; None for the whole film.

    Returns:
        (frames, 3, px, px) uint8, and how many frames there are before they repeat.

    Raises:
        Undecodable: no picture in it.
    """
    return timed_clip(data, frames, px, fps, piece)[:2]


def timed_clip(
    data: bytes | str, frames: int, px: int, fps: float = 0, piece: Piece | None = None, whole: bool = False
) -> tuple[np.ndarray, int, Span]:
    """As `decode_clip`, and the seconds of the file that the frames before the first repeat show (see `span_shown`).

    whole: whole frames, with padding beside them (see `decode.letterbox`), instead of their middle squares.
    """
    if piece is not None and piece.span_s is not None:
        return decode_span(data, frames, px, fps, piece, whole)
    with open_media(data) as container:
        stream = film_stream(container)
        length = seconds_of(container, stream)
        clip, is_whole, span = no_frames(px), False, UNKNOWN
        if length > 0:
            clip, is_whole, span = read_clip(container, stream, schedule_of(length, frames, fps), px, piece, whole)
        is_cover = len(clip) == 1 and stream.codec_context.name in STILLS and len(container.streams.audio) > 0
    if is_cover:
        raise Undecodable("has a cover picture and no film")
    if len(clip) < frames or not is_whole:
        measured = measured_seconds(data)
        if is_wrong(length, measured):
            length, (clip, span) = measured, read_again(data, schedule_of(measured, frames, fps), px, piece, whole)
    if not len(clip):
        raise Undecodable("has no picture that can be decoded")
    if piece is None and not whole and all(map(is_blank, clip)):
        found = frames_not_blank(data, length, px)
        if len(found):
            clip, span = found[np.linspace(0, len(found) - 1, min(frames, len(found))).astype(int)], UNKNOWN
    return np.resize(clip, (frames, 3, px, px)), len(clip), span


def decode_span(
    data: bytes | str, frames: int, px: int, fps: float, piece: Piece, whole: bool = False
) -> tuple[np.ndarray, int, Span]:
    """See `timed_clip`; the piece has a span."""
    clip, span = read_again(data, schedule_of_span(piece, frames, fps), px, piece, whole)
    if not len(clip):
        raise Undecodable("has no picture that can be decoded")
    return np.resize(clip, (frames, 3, px, px)), len(clip), span


def schedule_of_span(piece: Piece, frames: int, fps: float) -> Schedule:
    """The frames of a piece's span: at a rate around its middle, or evenly over it."""
    assert piece.span_s is not None
    start, end = piece.span_s
    if not fps:
        return Schedule(start, (end - start) / frames, frames)
    first = max(start, (start + end - frames / fps) / 2)
    return Schedule(first, 1 / fps, min(frames, max(1, int((end - first) * fps))))


def film_stream(container: Any) -> Any:
    """The stream that is the film: no cover picture, however the streams are ordered.

    Raises:
        Undecodable: there is none, or its codec is not known.
    """
    from av.stream import Disposition

    streams = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
    if not streams:
        raise Undecodable("has no picture")
    known = [s for s in streams if s.codec_context is not None]
    if not known:
        raise Undecodable("its film has a codec that is not known")
    candidates = [s for s in known if s.codec_context.name not in STILLS] or known
    best = container.streams.best("video")
    return next((s for s in candidates if best is not None and s.index == best.index), candidates[0])


def no_frames(px: int) -> np.ndarray:
    return np.zeros((0, 3, px, px), np.uint8)


def read_again(
    data: bytes | str, schedule: Schedule, px: int, piece: Piece | None = None, whole: bool = False
) -> tuple[np.ndarray, Span]:
    """((n, 3, px, px) frames of a film that is opened anew, their seconds)."""
    with open_media(data) as container:
        clip, _, span = read_clip(container, film_stream(container), schedule, px, piece, whole)
    return clip, span


def read_clip(
    container: Any, stream: Any, schedule: Schedule, px: int, piece: Piece | None = None, whole: bool = False
) -> tuple[np.ndarray, bool, Span]:
    """((n, 3, px, px) the scheduled frames that are there, whether the film ends where the file says it does, their seconds)."""
    import av

    origin = origin_of(container, stream)
    if schedule.first_s > 0:
        seek(container, schedule.first_s + origin)
    images = list(frames_on_schedule(decode_frames(container, stream, schedule, origin), schedule))
    resizer = av.video.reformatter.VideoReformatter()  # one for all frames: making it costs more than using it
    clip = np.stack([square_of(picture, px, resizer, piece, whole) for picture in images]) if images else no_frames(px)
    is_whole = schedule.first_s > 0 or next(packets_until_damage(p for p in container.demux(stream) if p.size), None) is None
    tick = float(stream.time_base)
    times = [picture.pts * tick - origin for picture in images if picture.pts is not None]
    return clip, is_whole, span_shown(times, len(images), schedule, shift_of(container, stream))


def span_shown(times_s: list[float], n: int, schedule: Schedule, shift_s: float) -> Span:
    """The seconds of the file that n frames show, each until the next one; UNKNOWN where that cannot be told.

    Args:
        times_s: of the frames, where the file states them; else they are taken to be on time.
        n: how many frames there are.
        schedule: by which they were taken.
        shift_s: of the stream's times against the file's.
    """
    interval = schedule.interval_s
    first = schedule.first_s
    if len(times_s) == n > 0:
        first = times_s[0]
        interval = (times_s[-1] - first) / (n - 1) if n > 1 else interval
    return (first + shift_s, first + shift_s + n * interval) if n * interval > 0 else UNKNOWN


def shift_of(container: Any, stream: Any) -> float:
    """How much later than the file a stream's times start, in seconds: the times of two streams can then be compared."""
    start = (container.start_time or 0) / 1_000_000
    return origin_of(container, stream) - (start if start >= LATE_S else 0.0)


def seek(container: Any, at_s: float) -> None:
    """Go to the last key frame before a time; a file in which that is impossible stays where it is."""
    import av

    with suppress(av.FFmpegError, OverflowError):
        container.seek(int(at_s * 1_000_000), backward=True)


def origin_of(container: Any, stream: Any) -> float:
    """The time in seconds at which the stream's times start; 0 where a track starts a little late."""
    if stream.start_time is not None and stream.time_base:
        start = float(stream.start_time * stream.time_base)
    else:
        start = (container.start_time or 0) / 1_000_000
    return start if start >= LATE_S else 0.0


def is_wrong(stated_s: float, measured_s: float) -> bool:
    """Whether a stated length is so far from the measured one that it cannot be right."""
    off = abs(stated_s - measured_s)
    return measured_s > 0 and off > WRONG[0] * measured_s and (off > WRONG[1] or stated_s <= 0)


def measured_seconds(data: bytes | str, kind: str = "video") -> float:
    """The length of a film's or sound's stream by its packets, of which none is decoded; 0 where there are none.

    Args:
        data: the file's bytes, or its name.
        kind: "video" or "audio".
    """
    with open_media(data) as container:
        return packet_seconds(container, film_stream(container) if kind == "video" else container.streams.audio[0])


def packet_seconds(container: Any, stream: Any) -> float:
    """The length of a stream by the packets from the container's position on."""
    first, last, n = None, 0.0, 0
    tick = float(stream.time_base or 1)
    for packet in packets_until_damage(p for p in container.demux(stream) if p.size):
        n += 1
        time = packet.pts if packet.pts is not None else packet.dts
        if time is not None:
            start, end = time * tick, (time + length_in_ticks(packet)) * tick
            first, last = start if first is None else min(first, start), max(last, end)
    if first is not None and last > first:
        return last - first
    return n / float(stream.average_rate or DEFAULT_FPS) if stream.type == "video" else 0.0


def length_in_ticks(packet: Any) -> int:
    """The duration of a packet: below 0 where the last one of an Ogg file is cut by more than it has, which is given modulo 2^32.

    Example:
        >>> from types import SimpleNamespace
        >>> length_in_ticks(SimpleNamespace(duration=256)), length_in_ticks(SimpleNamespace(duration=2**32 - 64))
        (256, -64)
    """
    length = packet.duration or 0
    return length - (1 << 32) if length >= 1 << 31 else length


def is_blank(picture: np.ndarray) -> bool:
    """Whether a (3, px, px) frame is of one colour, but for noise."""
    return bool(np.ptp(picture[:, ::2, ::2].reshape(3, -1), axis=1).max() < BLANK_LEVELS)


def frames_not_blank(data: bytes | str, length_s: float, px: int) -> np.ndarray:
    """(n, 3, px, px) the frames that are not blank among SEARCHED ones, evenly over the whole film."""
    interval = length_s / SEARCHED
    if length_s <= SEARCHED_WHOLE_S:
        found = read_again(data, Schedule(0.0, interval, SEARCHED), px)[0]
    else:
        starts = [Schedule(i * interval, 0.0, 1) for i in range(SEARCHED)]
        found = np.concatenate([read_again(data, start, px)[0] for start in starts])
    return np.array([picture for picture in found if not is_blank(picture)], np.uint8).reshape(-1, 3, px, px)


def schedule_of(length_s: float, frames: int, fps: float) -> Schedule:
    """The frames around the middle of a video: at a rate, or evenly over SPAN_S seconds or a shorter video."""
    span = frames / fps if fps else SPAN_S
    first = max(0.0, (length_s - span) / 2)
    if fps:
        return Schedule(first, 1 / fps, frames)
    return Schedule(first, min(length_s, span) / frames, frames) if length_s > 0 else Schedule(0.0, 0.0, frames)


def size_and_seconds(blob: Blob) -> tuple[int, float] | None:
    """(short side in pixels, length in seconds) of a film, or of a piece of it, as the file states them; None without a picture.

    A length that the file does not state is measured.
    """
    try:
        with open_media(media_input(blob)) as container:
            stream = film_stream(container)
            seconds = seconds_of(container, stream) or packet_seconds(container, stream)
            return side_shown(blob, min(stream.width, stream.height)), seconds_shown(blob, seconds)
    except (Undecodable, OSError):
        return None


def span_of(blob: Blob) -> Span | None:
    """The span of a blob in seconds; None for all of it."""
    return blob.piece.span_s if blob.piece is not None else None


def seconds_shown(blob: Blob, seconds: float) -> float:
    """The length of a blob whose file has so many seconds."""
    span = span_of(blob)
    return seconds if span is None else span[1] - span[0]


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
    length = container.duration / 1_000_000 if container.duration else 0.0
    origin = origin_of(container, stream)
    return length - origin if "matroska" in container.format.name and length > origin else length  # it states when it ends


def decode_frames(container: Any, stream: Any, schedule: Schedule, origin_s: float = 0.0) -> Iterator[TimedFrame]:
    """Decode the frames that are wanted and those that they depend on; the decoder skips the others.

    Frames up to the first damage are kept. Where packets come in the order of their times, either no frame depends on a later
    one or their times are wrong (AVI): then every frame is decoded.
    """
    import av

    stream.thread_type = "SLICE"  # a frame can be skipped by itself
    tick = float(stream.time_base)
    packets: Iterable[Any] = packets_until_damage(p for p in container.demux(stream) if p.size)
    is_untimed = False
    if schedule.interval_s > 0:
        end = (origin_s + schedule.first_s + schedule.interval_s * schedule.n_frames + 1) / tick  # a track may start late
        packets = list(takewhile(lambda p: p.dts is None or p.dts <= end, packets))
        is_untimed = all(p.pts is None and p.dts is None for p in packets)
    times = [(p.pts * tick - origin_s, p.pts) for p in packets if p.pts is not None] if schedule.interval_s > 0 else []
    wanted = {None, *frames_on_schedule(sorted(times), schedule)}
    can_skip = times != sorted(times)
    shown_s = count(0, 1 / float(stream.average_rate or DEFAULT_FPS))  # of a file without times, read from its start

    def timed(frame: Any) -> TimedFrame:
        if frame.pts is not None:
            return frame.pts * tick - origin_s, frame
        return next(shown_s) if is_untimed else None, frame

    try:
        for packet in packets:
            stream.codec_context.skip_frame = "NONREF" if can_skip and packet.pts not in wanted else "DEFAULT"
            yield from map(timed, packet.decode())
        yield from map(timed, stream.codec_context.decode(None))
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


def square_of(frame: Any, px: int, resizer: Any, piece: Piece | None, whole: bool = False) -> np.ndarray:
    """(3, px, px) uint8 of a frame's middle, of the whole frame, or of the square around a piece's box, upright."""
    if piece is None or piece.box is None:
        return whole_square(frame, px, resizer) if whole else middle_square(frame, px, resizer)
    pixels = np.rot90(frame.to_ndarray(format="rgb24"), round(getattr(frame, "rotation", 0) / 90) % 4)
    return np.asarray(piece_square(Image.fromarray(np.ascontiguousarray(pixels)), piece, px)).transpose(2, 0, 1)


def middle_square(frame: Any, px: int, resizer: Any) -> np.ndarray:
    """(3, px, px) uint8 of a frame's middle, upright."""
    scale = px / min(frame.width, frame.height)
    w, h = max(px, round(frame.width * scale)), max(px, round(frame.height * scale))
    left, top = (w - px) // 2, (h - px) // 2
    return upright(frame, resized(frame, w, h, resizer)[:, top : top + px, left : left + px])


def whole_square(frame: Any, px: int, resizer: Any) -> np.ndarray:
    """(3, px, px) uint8 of a whole frame, upright: in the top left corner, as large as its longer side, the rest in one grey."""
    pixels = upright(frame, resized(frame, *shown_size((frame.width, frame.height), px), resizer))
    square = np.full((3, px, px), PADDING, np.uint8)
    square[:, : pixels.shape[1], : pixels.shape[2]] = pixels
    return square


def resized(frame: Any, width: int, height: int, resizer: Any) -> np.ndarray:
    """(3, height, width) uint8 of a frame as it is stored."""
    method = "AREA" if width < frame.width else "BILINEAR"
    small = resizer.reformat(frame, width=width, height=height, format="gbrp", interpolation=method)  # faster than triples
    green, blue, red = (np.frombuffer(p, np.uint8).reshape(-1, p.line_size)[:height, :width] for p in small.planes)
    return np.stack([red, green, blue])


def upright(frame: Any, pixels: np.ndarray) -> np.ndarray:
    """(3, h, w) pixels of a frame turned by the video's rotation flag."""
    return np.rot90(pixels, round(getattr(frame, "rotation", 0) / 90) % 4, axes=(1, 2))
