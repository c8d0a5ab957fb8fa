"""raven: a selection table per recording, as Raven Pro and Raven Lite read; recordings.csv says which table is whose.

A selection reaches from 0 Hz to half the recording's rate, because a class is one of the whole sound.
"""

from __future__ import annotations

from pathlib import Path

from selflabel.exports.context import ExportContext
from selflabel.exports.timeline import Recording, one_line, recordings

COLUMNS = (
    "Selection",
    "View",
    "Channel",
    "Begin Time (s)",
    "End Time (s)",
    "Low Freq (Hz)",
    "High Freq (Hz)",
    "Annotation",
    "Score",
)
ENDING = ".Table.1.selections.txt"  # as Raven itself names them


def write(context: ExportContext, folder: Path) -> None:
    """Write a table for each recording."""
    for recording in recordings(context, folder, ENDING):
        recording.file.write_text(table(recording), encoding="utf-8")


def table(recording: Recording) -> str:
    """A recording's selection table."""
    lines = ["\t".join(COLUMNS)]
    for i, r in enumerate(recording.regions):
        times = f"{r.start_s:.6f}\t{r.end_s:.6f}\t0.0\t{recording.rate / 2:.1f}"
        lines.append(f"{i + 1}\tSpectrogram 1\t1\t{times}\t{one_line(r.name)}\t{r.confidence:.4f}")
    return "\n".join(lines) + "\n"
