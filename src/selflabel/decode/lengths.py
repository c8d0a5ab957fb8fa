"""How long the sounds and films of a set are, measured in worker processes. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from selflabel.base.container import usable_cores
from selflabel.decode.image import Undecodable
from selflabel.decode.limits import DEFAULT_LIMITS, Failure, Limits
from selflabel.decode.processes import run_tasks
from selflabel.decode.video import film_stream, media_input, open_media, packet_seconds, seconds_of, span_of
from selflabel.decode.workers import MEDIA_LIBRARIES, Progress
from selflabel.items import Blob

OFF_S = 0.5  # a stated length that differs more from that of the packets is wrong


def lengths_s(
    blobs: Sequence[tuple[str, Blob] | None],
    workers: int = 0,
    progress: Progress | None = None,
    limits: Limits = DEFAULT_LIMITS,
) -> list[float | Failure]:
    """The length of every sound or film in seconds, or why it has none.

    Args:
        blobs: (N,) ("audio" or "video", file) of each; None for none.
        workers: processes; 0 is one for each core that may be used.
        progress: called with (done, total) several times a second.
        limits: of one file.
    """
    rows: dict[tuple[str, Blob], int] = {}  # a file is measured once, whatever spans of it there are
    for row, item in enumerate(blobs):
        if item is not None and span_of(item[1]) is None:
            rows.setdefault((item[0], replace(item[1], piece=None)), row)
    tasks = [[(row, item)] for item, row in rows.items()]
    count = max(1, min(workers or usable_cores(), len(tasks)))
    tick = (lambda done: progress(done, len(tasks))) if progress else (lambda done: None)
    found = run_tasks(Measure(), tasks, count, limits, tick)
    return [length_of(item, rows, found) for item in blobs]


def length_of(
    item: tuple[str, Blob] | None, rows: Mapping[tuple[str, Blob], int], found: Mapping[int, float | Failure]
) -> float | Failure:
    """The length of an item: of its span, or of its file as it was found."""
    if item is None:
        return Failure("has no sound and no film")
    span = span_of(item[1])
    return span[1] - span[0] if span else found[rows[item[0], replace(item[1], piece=None)]]


class Measure:
    """The length of a file as a function of a row and an item."""

    libraries = MEDIA_LIBRARIES

    def __call__(self, row: int, item: tuple[str, Blob]) -> float:
        seconds = track_seconds(*item)
        if not seconds > 0:
            raise Undecodable("has no sound that can be decoded" if item[0] == "audio" else "has no picture that can be decoded")
        return seconds


def track_seconds(modality: str, blob: Blob) -> float:
    """The length of a file's film or sound: as it is stated, or that of its packets where that is another or none is stated.

    Raises:
        Undecodable: it has no such track.
    """
    with open_media(media_input(blob)) as container:
        if modality == "audio" and not container.streams.audio:
            raise Undecodable("has no sound")
        stream = container.streams.audio[0] if modality == "audio" else film_stream(container)
        stated, measured = seconds_of(container, stream), packet_seconds(container, stream)
    return measured if measured > 0 and abs(measured - stated) > OFF_S else stated
