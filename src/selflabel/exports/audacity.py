"""audacity: a label track per recording: start and end in seconds and a class; recordings.csv says which track is whose."""

from __future__ import annotations

from pathlib import Path

from selflabel.exports.context import ExportContext
from selflabel.exports.timeline import one_line, recordings


def write(context: ExportContext, folder: Path) -> None:
    """Write a label track for each recording."""
    for recording in recordings(context, folder, ".txt"):
        lines = [f"{region.start_s:.6f}\t{region.end_s:.6f}\t{one_line(region.name)}\n" for region in recording.regions]
        recording.file.write_text("".join(lines), encoding="utf-8")
