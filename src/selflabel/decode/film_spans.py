"""Spans of one film, read forwards: they share one pass over the file, whatever its length. Imports no torch.

Every frame is decoded once, and offered to all spans that are being read; a frame that several of them take is scaled once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from itertools import count
from typing import Any

import numpy as np

from selflabel.decode.image import Undecodable
from selflabel.decode.video import (
    CLOSE_S,
    DEFAULT_FPS,
    Schedule,
    TimedFrame,
    film_stream,
    no_frames,
    open_media,
    origin_of,
    schedule_of_span,
    seek,
    shift_of,
    span_shown,
    square_of,
)
from selflabel.items import Piece
from selflabel.items.piece import Span

JUMP_S = 10.0  # a span so much later is jumped to; what lies nearer is decoded
LATE_S = 1.0  # after the end of a span no frame is looked for
KEPT = 2  # frames


class FilmSpan:
    """A span while its frames come; it takes those that `video.frames_on_schedule` would.

    Args:
        piece: whose box is shown.
        schedule: of its frames.
    """

    def __init__(self, piece: Piece, schedule: Schedule):
        self.piece, (self.due_s, self.interval_s, self.missing) = piece, schedule
        self.end_s = self.due_s + self.interval_s * self.missing + LATE_S
        self.taken: list[np.ndarray] = []
        self.times_s: list[float] = []  # of those that were taken, where the file states them
        self.last: TimedFrame | None = None  # the last frame, while more are due

    def wants(self, at_s: float | None, frame: Any) -> bool:
        """Whether a frame is one of them."""
        if self.missing == 0:
            return False
        time = at_s if at_s is not None else self.due_s
        if time > self.end_s and (self.taken or self.last is not None):
            self.missing = 0
            return False
        self.last = at_s, frame
        if time + CLOSE_S < self.due_s:
            return False
        self.due_s, self.missing, self.last = max(self.due_s + self.interval_s, time - self.interval_s), self.missing - 1, None
        return True


class FilmReader:
    """A film of which spans are read in the order of their starts.

    Args:
        data: the file's bytes, or its name.
        frames: of a span.
        px: their side in pixels.
        fps: frames per second; 0 spreads them evenly over a span.
        whole: whole frames, with padding beside them.

    Raises:
        Undecodable: no film.
    """

    def __init__(self, data: bytes | str, frames: int, px: int, fps: float = 0, whole: bool = False):
        import av

        self.data, self.n_frames, self.px, self.fps, self.whole = data, frames, px, fps, whole
        self.resizer = av.video.reformatter.VideoReformatter()  # one for all frames: making it costs more than using it
        self.open()

    def open(self) -> None:
        """Start at the beginning of the file."""
        self.container = open_media(self.data)
        try:
            self.stream = film_stream(self.container)
        except Undecodable:
            self.close()
            raise
        self.origin_s = origin_of(self.container, self.stream)
        self.start_reading()

    def start_reading(self) -> None:
        """Read on from where the container is."""
        self.frames, self.begun = self.timed_frames(), {}  # type: tuple[Iterator[TimedFrame], dict[Piece, FilmSpan]]
        self.recent: deque[TimedFrame] = deque()  # the last KEPT frames: the next span may begin with one of them
        self.passed_s = -np.inf  # time of the frame before them
        self.is_fresh, self.is_ended, self.is_damaged = True, False, False

    def close(self) -> None:
        self.container.close()

    def timed_frames(self) -> Iterator[TimedFrame]:
        """The frames from the container's position on, up to the end or the first damage."""
        import av

        tick_s, shown_s = float(self.stream.time_base), count(0, 1 / float(self.stream.average_rate or DEFAULT_FPS))
        is_timed = False
        try:
            for frame in self.container.decode(self.stream):
                is_timed = is_timed or frame.pts is not None
                if frame.pts is not None:
                    yield frame.pts * tick_s - self.origin_s, frame
                else:
                    yield None if is_timed else next(shown_s), frame
        except (av.FFmpegError, ValueError):
            self.is_damaged = True

    def decode(self, piece: Piece, later: Sequence[Piece] = ()) -> tuple[np.ndarray, int, Span]:
        """Frames of a span; see `video.timed_clip`.

        Args:
            piece: a span, perhaps with a box.
            later: those that will be asked for next, as far as they begin before this one has ended.

        Raises:
            Undecodable: no frame in it.
        """
        was_fresh = self.is_fresh
        clip, span = self.read(piece, later)
        if not len(clip) and not was_fresh:
            self.reopen(schedule_of_span(piece, self.n_frames, self.fps).first_s)
            clip, span = self.read(piece, later)
        if not len(clip):
            raise Undecodable("has no picture that can be decoded")
        return np.resize(clip, (self.n_frames, 3, self.px, self.px)), len(clip), span

    def read(self, piece: Piece, later: Sequence[Piece]) -> tuple[np.ndarray, Span]:
        """((n, 3, px, px) frames of a span that are there, their seconds)."""
        self.begin(piece, may_jump=True)
        for other in later:
            self.begin(other, may_jump=False)
        span = self.begun[piece]
        while span.missing and not self.is_ended:
            timed = next(self.frames, None)
            self.is_fresh = False
            if timed is None:
                self.is_ended = True
            else:
                self.offer(timed)
        del self.begun[piece]
        if span.last is not None:
            self.offer_to(span, span.last, {}, is_wanted=True)
        schedule, shift_s = schedule_of_span(piece, self.n_frames, self.fps), shift_of(self.container, self.stream)
        clip = np.stack(span.taken) if span.taken else no_frames(self.px)
        return clip, span_shown(span.times_s, len(clip), schedule, shift_s)

    def begin(self, piece: Piece, may_jump: bool) -> None:
        """Take frames for a span from now on, where none of them has passed; may_jump: to go where it begins."""
        schedule = schedule_of_span(piece, self.n_frames, self.fps)
        if piece in self.begun:
            return
        if may_jump:
            self.go_to(schedule.first_s)
        elif self.passed_s + CLOSE_S >= schedule.first_s:
            return
        self.begun[piece] = span = FilmSpan(piece, schedule)
        for timed in self.recent:
            self.offer_to(span, timed, {})

    def go_to(self, first_s: float) -> None:
        """Be at a place from which the frames of a span that begins then can be read."""
        at_s = self.recent[-1][0] if self.recent else 0.0
        if self.is_damaged or self.passed_s + CLOSE_S >= first_s:
            self.reopen(first_s)
        elif (first_s > 0 and self.is_fresh) or first_s > (at_s or 0.0) + JUMP_S:
            seek(self.container, first_s + self.origin_s)
            self.start_reading()

    def reopen(self, first_s: float) -> None:
        """Open the file again, and go to a time in it."""
        self.close()
        self.open()
        if first_s > 0:
            seek(self.container, first_s + self.origin_s)

    def offer(self, timed: TimedFrame) -> None:
        """Give a frame to every span that takes it."""
        self.recent.append(timed)
        if len(self.recent) > KEPT:
            passed_s, _ = self.recent.popleft()
            self.passed_s = passed_s if passed_s is not None else self.passed_s
        squares: dict[Any, np.ndarray] = {}
        for span in self.begun.values():
            self.offer_to(span, timed, squares)

    def offer_to(self, span: FilmSpan, timed: TimedFrame, squares: dict[Any, np.ndarray], is_wanted: bool = False) -> None:
        """Give a frame to a span.

        Args:
            span: that may want it.
            timed: the frame.
            squares: of this frame, by box.
            is_wanted: whether the span takes it in any case.
        """
        at_s, frame = timed
        if is_wanted or span.wants(at_s, frame):
            span.times_s += [] if at_s is None else [at_s]
            box = span.piece.box
            if box not in squares:
                squares[box] = square_of(frame, self.px, self.resizer, span.piece, self.whole)
            span.taken.append(squares[box])
