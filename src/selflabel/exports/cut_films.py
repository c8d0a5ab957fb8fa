"""A time span or a box cut out of a film: MP4, encoded anew.

A copy of the stream would have to begin at a key frame, seconds before a span of three seconds. So frames are encoded again, by
H.264 at a quality at which the eye sees no difference (MPEG-4 where FFmpeg lacks it), from the first frame of the span to the
last, upright; the sound with them is AAC. H.264 needs even sides: of odd ones the last row or column is left out.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import numpy as np

from selflabel.decode.video import (
    CLOSE_S,
    DEFAULT_FPS,
    Schedule,
    decode_frames,
    film_stream,
    media_input,
    open_media,
    origin_of,
    seek,
)
from selflabel.exports.cut_pictures import check_size, pixel_box
from selflabel.exports.cut_sounds import TrackReader
from selflabel.items import Blob, Piece
from selflabel.items.piece import LONGEST_S
from selflabel.runs.missing import Missing

TICKS = 60_000  # of a second, in which frames are timed; MPEG-4 allows 65,535
CODECS = (("libx264", {"crf": "18", "preset": "veryfast"}), ("mpeg4", {"qscale": "2"}))
AAC_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
CHUNK = 1024  # samples of a frame of AAC


def film_clip(blob: Blob, piece: Piece, sound: TrackReader | None) -> bytes:
    """The clip of a piece, and its sound.

    Args:
        blob: of the film.
        piece: whose span and box are cut out.
        sound: of the film; None where it has none.

    Raises:
        Undecodable, Missing: it is no film, or has no frame in the span.
    """
    import av

    data = io.BytesIO()
    with open_media(media_input(blob)) as source, av.open(data, "w", format="mp4") as out:
        stream = film_stream(source)
        frames = shown_frames(source, stream, piece)
        first = next(frames, None)
        if first is None:
            raise Missing("has no frame in this span")
        video = video_stream(out, first[1], stream.average_rate or Fraction(DEFAULT_FPS))
        samples = None if sound is None else sound_of(sound, piece)
        if sound is None or samples is None:
            write_frames(out, video, first, frames)
        else:
            audio = out.add_stream("aac", rate=aac_rate(sound.rate))
            audio.layout = aac_layout(samples)
            write_frames(out, video, first, frames)
            write_sound(out, audio, samples, sound)
    return data.getvalue()


def shown_frames(source: Any, stream: Any, piece: Piece) -> Iterator[tuple[float, Any]]:
    """The frames of a piece, cut to its box, with their times in seconds from its start."""
    start, end = piece.span_s or (0.0, LONGEST_S)
    origin, step = origin_of(source, stream), 1 / float(stream.average_rate or DEFAULT_FPS)
    if start > 0:
        seek(source, start + origin)
    last = start - step
    for at, frame in decode_frames(source, stream, Schedule(start, 0.0, 1), origin):
        time = at if at is not None else last + step
        if time >= end - CLOSE_S:
            return
        if time + CLOSE_S >= start and time > last:
            last = time
            yield time - start, shown_part(frame, piece)


def shown_part(frame: Any, piece: Piece) -> Any:
    """A frame upright, cut to the piece's box and to even sides, as yuv420p."""
    import av

    turns = round(getattr(frame, "rotation", 0) / 90) % 4
    if piece.box is None and not turns and not frame.width % 2 and not frame.height % 2:
        return frame.reformat(format="yuv420p")  # its colours are not converted
    pixels = np.rot90(frame.to_ndarray(format="rgb24"), turns)
    if piece.box is not None:
        size = (pixels.shape[1], pixels.shape[0])
        check_size(piece, size)
        x0, y0, x1, y1 = pixel_box(piece.box, size)
        pixels = pixels[y0:y1, x0:x1]
    return av.VideoFrame.from_ndarray(np.ascontiguousarray(even_sides(pixels)), format="rgb24").reformat(format="yuv420p")


def even_sides(pixels: np.ndarray) -> np.ndarray:
    """Pixels (H, W, 3) without the last row or column of an odd side; a single one is doubled."""
    for axis in (0, 1):
        side = pixels.shape[axis]
        pixels = np.repeat(pixels, 2, axis) if side == 1 else np.take(pixels, range(side - side % 2), axis)
    return pixels


def video_stream(out: Any, frame: Any, rate: Fraction) -> Any:
    import av

    codec, options = next((c, o) for c, o in CODECS if c in av.codecs_available)
    stream = out.add_stream(codec, rate=rate, options=options)
    stream.width, stream.height, stream.pix_fmt = frame.width, frame.height, "yuv420p"
    stream.codec_context.time_base = Fraction(1, TICKS)
    return stream


def write_frames(out: Any, stream: Any, first: tuple[float, Any], others: Iterator[tuple[float, Any]]) -> None:
    """Encode frames with their times."""
    from itertools import chain

    for time, frame in chain([first], others):
        frame.pts, frame.time_base, frame.pict_type = round(time * TICKS), Fraction(1, TICKS), 0
        out.mux(stream.encode(frame))
    out.mux(stream.encode(None))


def sound_of(sound: TrackReader, piece: Piece) -> np.ndarray | None:
    """(samples, channels) of a piece; None where there is no sound then."""
    try:
        return sound.samples(piece.span_s or (0.0, LONGEST_S))
    except Missing:
        return None


def aac_rate(rate: int) -> int:
    return rate if rate in AAC_RATES else 48_000


def aac_layout(samples_SC: np.ndarray) -> str:
    return "mono" if samples_SC.shape[1] == 1 else "stereo"


def write_sound(out: Any, stream: Any, samples_SC: np.ndarray, sound: TrackReader) -> None:
    """Encode samples of the sound's rate and channels."""
    import av

    kinds = {"u1": "u8", "i2": "s16", "i4": "s32", "f4": "flt", "f8": "dbl"}
    values = np.ascontiguousarray(samples_SC).reshape(1, -1)
    frame = av.AudioFrame.from_ndarray(values, format=kinds[values.dtype.str[1:]], layout=sound.layout)
    frame.sample_rate, frame.pts, frame.time_base = sound.rate, 0, Fraction(1, sound.rate)
    resampler = av.AudioResampler(format="fltp", layout=aac_layout(samples_SC), rate=stream.rate, frame_size=CHUNK)
    for part in [*resampler.resample(frame), *resampler.resample(None)]:
        out.mux(stream.encode(part))
    out.mux(stream.encode(None))
