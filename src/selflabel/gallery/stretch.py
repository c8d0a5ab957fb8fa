"""The sound around an item that is a span of a recording or film: its wave and its spectrogram, column by column.

It is read in blocks, so that neither a long span nor a long file takes much memory.
"""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from selflabel.base.errors import UserError
from selflabel.decode.image import Undecodable
from selflabel.decode.levels import FULL_SCALE
from selflabel.decode.sound import RATE
from selflabel.decode.sound_spans import SoundReader
from selflabel.decode.video import media_input, seconds_of
from selflabel.items import Blob
from selflabel.items.piece import Span
from selflabel.runs.missing import Missing
from selflabel.runs.pictures import bands_of, colour_map, light_of
from selflabel.runs.sources import Source

AROUND = 1.0  # times the span, shown before it and after it
LONGEST_S = 900.0  # of sound that is shown; of a longer span, its beginning
BLOCK_S = 30.0
COLUMNS = 600
FRAMES = 4  # spectra a column, at most
KEPT = 4  # stretches that were asked for last
PEAK = 127


@dataclass(frozen=True)
class Stretch:
    """A stretch of sound in C columns.

    Attributes:
        from_s, to_s: where it begins and ends in the file.
        length_s: of the file; 0 where it does not say.
        low_C, high_C: least and greatest value of each column, -127 to 127; the loudest of all is at one end.
        spectrogram: time across, pitch up.
    """

    from_s: float
    to_s: float
    length_s: float
    low_C: np.ndarray
    high_C: np.ndarray
    spectrogram: Image.Image

    def as_json(self) -> dict[str, Any]:
        """What the page draws; the spectrogram goes as a picture."""
        times = {"from_s": round(self.from_s, 3), "to_s": round(self.to_s, 3), "length_s": round(self.length_s, 3)}
        return times | {"low": self.low_C.tolist(), "high": self.high_C.tolist()}


class Stretches:
    """The stretches around a run's items; the last ones are kept, because wave and picture are asked for one after the other.

    Args:
        source: of the run.
    """

    def __init__(self, source: Source):
        self.source, self.lock = source, threading.Lock()
        self.kept: OrderedDict[str, Stretch] = OrderedDict()

    def of(self, row: int) -> Stretch:
        """The sound around an item. Raises Missing."""
        blob = self.source.blobs(row).get("audio")
        if blob is None or blob.piece is None or blob.piece.span_s is None:
            raise Missing("it is no span of a sound")
        try:
            key = blob.stamp()
            with self.lock:
                if key in self.kept:
                    return self.kept[key]
            stretch = read_stretch(blob, blob.piece.span_s, getattr(self.source, "rate", RATE))
        except OSError as error:
            raise Missing(f"it cannot be read ({error.strerror or error})") from error
        except (Undecodable, UserError) as error:
            raise Missing(str(error)) from error
        with self.lock:
            self.kept[key] = stretch
            while len(self.kept) > KEPT:
                self.kept.popitem(last=False)
        return stretch


def around(span_s: Span, length_s: float) -> Span:
    """What is shown around a span: as long again before it and after it, within the file and the longest that is shown.

    Example:
        >>> around((10.0, 13.0), 60.0), around((0.0, 3.0), 4.0), around((0.0, 1200.0), 4000.0)
        ((7.0, 16.0), (0.0, 4.0), (0.0, 900.0))
    """
    start, end = span_s
    margin = min(AROUND * (end - start), max(0.0, (LONGEST_S - (end - start)) / 2))
    first, last = max(0.0, start - margin), min(end + margin, start + LONGEST_S)
    return first, max(min(last, length_s), min(end, start + LONGEST_S)) if length_s > 0 else last


def read_stretch(blob: Blob, span_s: Span, rate: int = RATE) -> Stretch:
    """The stretch around a span of a sound or film.

    Args:
        blob: of the file.
        span_s: in seconds.
        rate: in Hz; less than 16,000 is taken as that.

    Raises:
        Undecodable: no sound in it.
        OSError: the file cannot be read.
    """
    rate = max(rate, RATE)
    with closing(SoundReader(media_input(blob), rate)) as reader:
        if not reader.has_sound:
            raise Missing("it has no sound")
        length = seconds_of(reader.container, reader.stream)
        first, last = around(span_s, length)
        step = (last - first) / COLUMNS
        per_block = max(1, math.floor(BLOCK_S / step))
        blocks = []
        for column in range(0, COLUMNS, per_block):
            n = min(per_block, COLUMNS - column)
            blocks.append(block_columns(reader, (first + column * step, first + (column + n) * step), n, rate))
    low_C, high_C, power = (np.concatenate(parts) for parts in zip(*blocks))
    loudest = max(1e-4, float(np.abs([low_C, high_C]).max()))
    low_C, high_C = (np.round(side / loudest * PEAK).astype(int) for side in (low_C, high_C))
    return Stretch(first, last, length, low_C, high_C, colour_map(light_of(power).T[::-1]))


def block_columns(reader: SoundReader, span_s: Span, columns: int, rate: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Least and greatest value (C,) of the columns of a block of sound in [-1, 1], and their power (C, bands); 0 past its end."""
    n = max(columns, round((span_s[1] - span_s[0]) * rate))
    wave = np.zeros(n, np.float32)
    read = reader.read(span_s)[:n]
    wave[: len(read)] = read.astype(np.float32) / FULL_SCALE
    starts = np.arange(columns) * n // columns
    frames = max(1, min(FRAMES, math.ceil(n / columns / (rate / 100))))
    middles = (np.arange(columns * frames) * 2 + 1) * n // (2 * columns * frames)
    power = bands_of(wave, middles, rate)
    low, high = np.minimum.reduceat(wave, starts), np.maximum.reduceat(wave, starts)
    return low, high, power.reshape(columns, frames, -1).mean(axis=1)
