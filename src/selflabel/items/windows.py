"""Windows of sounds and films as items: where they start and end, and the table with a row for each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from selflabel.items.piece import Piece, Pieces, Span
from selflabel.items.table import Items

CLOSE_S = 1e-6  # a window that ends so much after its file ends with it
LEAST_SHARE = 0.5  # of a window: a last one that is shorter is left out
MOST_WINDOWS = 1_000_000  # of a file


def windows_of(seconds: float, windows: float, hop: float) -> list[Span]:
    """The windows of a file: one starts at every hop, and the last one ends with the file.

    Args:
        seconds: length of the file, more than 0.
        windows: length of a window in seconds.
        hop: from the start of a window to that of the next, in seconds, at most `windows`.

    Returns:
        (start, end) of each in seconds. A last window of less than half a length is left out; a file that is shorter than a
        window is one part.

    Example:
        >>> windows_of(10.0, 3.0, 3.0)
        [(0.0, 3.0), (3.0, 6.0), (6.0, 9.0)]
        >>> windows_of(8.0, 3.0, 1.5)
        [(0.0, 3.0), (1.5, 4.5), (3.0, 6.0), (4.5, 7.5), (6.0, 8.0)]
        >>> windows_of(1.0, 3.0, 3.0)
        [(0.0, 1.0)]
    """
    if seconds <= windows + CLOSE_S:
        return [(0.0, seconds)]
    n = int((seconds - windows + CLOSE_S) / hop) + 1  # whole ones
    spans = [(i * hop, min(i * hop + windows, seconds)) for i in range(n)]
    rest = seconds - n * hop
    is_covered = spans[-1][1] >= seconds - CLOSE_S
    return spans if is_covered or rest < LEAST_SHARE * windows else [*spans, (n * hop, seconds)]


def into_windows(items: Items, lengths_s: Sequence[float], windows: float, hop: float) -> Items:
    """The table with a row for every window of every item, in the order of the items and of time.

    Args:
        items: sounds or films, or spans of them (then these are cut).
        lengths_s: (N,) of the items in seconds; one that would have more than MOST_WINDOWS is skipped and listed.
        windows, hop: see `windows_of`.
    """
    rows: list[int] = []
    pieces: list[Piece] = []
    skipped: list[tuple[str, str]] = []
    for row, seconds in enumerate(lengths_s):
        if seconds / hop > MOST_WINDOWS:
            skipped.append((items.paths[row], f"would be {seconds / hop:,.0f} windows, more than {MOST_WINDOWS:,} of a file"))
            continue
        whole = (items.pieces[row] if items.pieces is not None else None) or Piece()
        first = whole.span_s[0] if whole.span_s else 0.0
        spans = windows_of(seconds, windows, hop)
        rows += [row] * len(spans)
        pieces += [replace(whole, span_s=(first + start, first + end)) for start, end in spans]
    cut = replace(items, pieces=None).take(rows, skipped) if rows or skipped else items
    return cut.with_pieces(Pieces.of(pieces))
