"""Spans of sounds and films as tasks of workers: the spans of a file, in the order of their starts, share one pass over it.

Imports no torch.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np

from selflabel.decode.film_spans import FilmReader
from selflabel.decode.formats import DecodedFormat
from selflabel.decode.sound import SoundSpans
from selflabel.decode.video import media_input, span_of
from selflabel.items import Blob, Piece
from selflabel.items.piece import Span

TASKS_PER_WORKER = 4  # into which long files are divided, so that all workers are busy
LEAST_SPANS = 8  # of a task
LOOK_AHEAD_S = 2.0  # a film's frames are read so far beyond the end of a span, because frames come late
MOST_LATER = 64  # spans whose frames are collected at a time


@dataclass(frozen=True, slots=True)
class SpanOfFile:
    """A span to decode.

    Args:
        blob: with its piece.
        later: pieces of the file that come next, as far as they begin before this one has ended.
    """

    blob: Blob
    later: tuple[Piece, ...] = ()


def is_span(blob: Blob, target: DecodedFormat) -> bool:
    """Whether a blob is a span of a sound or film."""
    return target.kind != "image" and span_of(blob) is not None


def span_tasks(rows: dict[int, Blob], workers: int) -> Iterator[list[tuple[int, SpanOfFile]]]:
    """Tasks of spans: each of one file, in the order of their starts; a file with many spans has several.

    Args:
        rows: row to its span.
        workers: that will share the tasks.
    """
    of_file: dict[Blob, list[int]] = defaultdict(list)
    for row, blob in rows.items():
        of_file[replace(blob, piece=None)].append(row)
    size = max(LEAST_SPANS, math.ceil(len(rows) / (TASKS_PER_WORKER * workers)))
    for of_one in of_file.values():
        ordered = sorted(of_one, key=lambda row: span_of(rows[row]) or (0.0, 0.0))
        for part in np.array_split(ordered, math.ceil(len(ordered) / size)):
            yield task_of([(row, rows[row]) for row in part.tolist()])


def task_of(ordered: list[tuple[int, Blob]]) -> list[tuple[int, SpanOfFile]]:
    """One task of spans in the order of their starts."""
    pieces = [blob.piece or Piece() for _, blob in ordered]
    return [(row, SpanOfFile(blob, later_than(pieces, i))) for i, (row, blob) in enumerate(ordered)]


def later_than(pieces: Sequence[Piece], i: int) -> tuple[Piece, ...]:
    """The pieces after the i-th that begin before it has ended, or shortly after."""
    _, end = pieces[i].span_s or (0.0, 0.0)
    following = pieces[i + 1 : i + 1 + MOST_LATER]
    return tuple(p for p in following if p.span_s and p.span_s[0] < end + LOOK_AHEAD_S)


class SpanDecoder:
    """Decodes spans; those of one file, one after the other in the order of their starts, in one pass.

    Args:
        target: what they are decoded to.
    """

    def __init__(self, target: DecodedFormat):
        self.target = target
        self.file: Blob | None = None
        self.reader: SoundSpans | FilmReader | None = None

    def decode(self, span: SpanOfFile) -> tuple[np.ndarray, int, Span]:
        """See `DecodedFormat.decode`."""
        file = replace(span.blob, piece=None)
        if file != self.file or self.reader is None:
            self.close()
            self.file, self.reader = file, self.open(span.blob)
        try:
            piece = span.blob.piece
            assert piece is not None and piece.span_s is not None
            if isinstance(self.reader, FilmReader):
                return self.reader.decode(piece, span.later)
            return self.reader.decode(piece.span_s)
        except BaseException:
            self.close()
            raise

    def open(self, blob: Blob) -> SoundSpans | FilmReader:
        shape, rate = self.target.shape, self.target.rate
        if self.target.kind == "clip":
            return FilmReader(media_input(blob), shape[0], shape[2], rate, self.target.whole)
        return SoundSpans(media_input(blob), shape[0], int(rate), self.target.is_event)

    def close(self) -> None:
        if self.reader is not None:
            with suppress(Exception):  # of a file that has just failed
                self.reader.close()
        self.file = self.reader = None
