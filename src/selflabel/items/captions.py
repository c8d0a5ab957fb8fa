"""What is said in films, as sentences with times: a WebVTT (.vtt) or SubRip (.srt) file for each.

Speech recognisers write both. The file is named in a manifest's column `captions`, or lies beside the film under the same name.
Both formats are blocks of lines between empty lines: a line of times, `00:01.000 --> 00:02.500`, with the text below it. A file
of which any block is something else is refused as a whole: half of what is said would fit the wrong seconds.

https://www.w3.org/TR/webvtt1/, section 4; SubRip has no specification.
"""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from selflabel.base.files import open_regular
from selflabel.base.text import printable, shortened
from selflabel.items.endings import CAPTION_ENDINGS
from selflabel.items.rows import encoding_of
from selflabel.items.table import Blob, Items

MAX_BYTES = 1 << 24  # of a file
MAX_SENTENCES = 100_000  # of a film
MAX_TEXT = 2000  # characters that are kept of a sentence
MAX_HOURS = 1000
NO_CUES = ("NOTE", "STYLE", "REGION")  # blocks of a .vtt that say nothing
TIME = r"(?:(\d{1,4}):)?([0-5]?\d):([0-5]?\d)[.,](\d{1,3})"
TIMES = re.compile(rf"\s*{TIME}\s+-->\s+{TIME}(?:\s.*)?")
MARKS = re.compile(r"<[^<>]*>|\{\\[^{}]*\}")  # of fonts, voices, places and karaoke


class Sentence(NamedTuple):
    """What is said from one second of a film to another."""

    start_s: float
    end_s: float
    text: str


def read_captions(file: str) -> list[Sentence]:
    """The sentences of a .vtt or .srt, in the order of the file; those without any text are left out.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no such file; the text says why.
    """
    ending = Path(file).suffix.lower()
    if ending not in CAPTION_ENDINGS:
        raise ValueError("captions are read from .vtt and .srt files only")
    with open_regular(file) as f:
        data = f.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise ValueError(f"has more than the {MAX_BYTES >> 20} MB that captions may have")
    text = data.decode(encoding_of(Path(file)), errors="replace").removeprefix("\ufeff")
    return parse_captions(text, is_vtt=ending == ".vtt")


def parse_captions(text: str, is_vtt: bool) -> list[Sentence]:
    """The sentences of the text of a .vtt or .srt.

    Raises:
        ValueError: it is no such text.

    Example:
        >>> parse_captions("1\\n00:00:01,500 --> 00:00:03,000\\n<i>Two</i> goals\\nin a minute\\n", is_vtt=False)
        [Sentence(start_s=1.5, end_s=3.0, text='Two goals in a minute')]
    """
    blocks = [block for block in re.split(r"\n[ \t]*(?:\n[ \t]*)*\n", "\n".join(text.splitlines())) if block.strip()]
    if is_vtt:
        head = blocks.pop(0) if blocks else ""
        if not re.match(r"WEBVTT(?:[ \t\n]|$)", head):
            raise ValueError("does not begin with WEBVTT, as a .vtt does")
        blocks = [block for block in blocks if block.split(maxsplit=1)[0] not in NO_CUES]
    if len(blocks) > MAX_SENTENCES:
        raise ValueError(f"has more than the {MAX_SENTENCES:,} sentences that captions may have")
    sentences = [sentence for sentence in map(sentence_of, blocks) if sentence.text]
    if not sentences:
        raise ValueError("has no sentence")
    return sentences


def sentence_of(block: str) -> Sentence:
    """The sentence of a block: a name or number or none, a line of times, lines of text. Raises ValueError for another block."""
    lines = block.strip("\n").split("\n")
    at = next((i for i, line in enumerate(lines[:2]) if "-->" in line), None)
    times = TIMES.fullmatch(lines[at]) if at is not None else None
    if at is None or times is None:
        raise ValueError(f"{shortened(printable(lines[at or 0]), 60)!r} is no line of times, such as 00:01.000 --> 00:02.500")
    parts = times.groups()
    start_s, end_s = seconds(*parts[:4]), seconds(*parts[4:])
    if end_s < start_s or end_s > MAX_HOURS * 3600:
        raise ValueError(f"{shortened(printable(lines[at]), 60)!r} ends before it starts, or is no time of a film")
    text = html.unescape(MARKS.sub("", " ".join(lines[at + 1 :])))
    return Sentence(start_s, end_s, " ".join(text.split())[:MAX_TEXT])


def seconds(hours: str | None, minutes: str, whole: str, fraction: str) -> float:
    """A time in seconds.

    Example:
        >>> seconds("1", "02", "03", "5")
        3723.5
    """
    return int(hours or 0) * 3600 + int(minutes) * 60 + int(whole) + float(f"0.{fraction}")


def caption_files(items: Items) -> list[str]:
    """(N,) the file with each item's captions, "" where there is none.

    It is the one that the manifest names; else the .vtt or .srt beside a film, sound or picture in a file of its own.
    """
    given = items.captions or [""] * len(items)
    found: dict[str, str] = {}
    files = []
    for row, name in enumerate(given):
        blob = next((blobs[row] for blobs in items.blobs.values() if blobs[row] is not None), None)
        files.append(name or file_beside(blob, found))
    return files


def file_beside(blob: Blob | None, found: dict[str, str]) -> str:
    """The captions beside a file, or "". found: file to captions, of those that were looked for before."""
    if blob is None or not blob.is_whole_file:
        return ""
    if blob.file not in found:
        names: Sequence[Path] = [Path(blob.file).with_suffix(ending) for ending in CAPTION_ENDINGS]
        found[blob.file] = next((str(name) for name in names if name.is_file()), "")
    return found[blob.file]
