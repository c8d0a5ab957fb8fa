"""Long sounds and films as windows: every window of every one of them is an item."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from selflabel.base.errors import UserError
from selflabel.base.text import printable
from selflabel.decode.lengths import lengths_s
from selflabel.decode.limits import DEFAULT_LIMITS, Failure, Limits
from selflabel.decode.look import MediaInfo
from selflabel.items import Blob, Items
from selflabel.items.grouping import remedy_for_others
from selflabel.items.windows import into_windows
from selflabel.jobs.callbacks import Callbacks

LONGER = 1.2  # times what is used of it: a file that is longer is only partly used
MEASURED = ("video", "audio")  # the modality that is cut, where an item has both


@dataclass(frozen=True)
class Windows:
    """Windows that files are cut into.

    Attributes:
        seconds: length of one.
        hop_s: from the start of one to that of the next, in seconds.
    """

    seconds: float
    hop_s: float

    @classmethod
    def of(cls, windows: float | None, hop: float | None) -> Windows | None:
        """What the settings `windows` and `hop` ask for; None where nothing is cut."""
        return None if windows is None else cls(windows, windows if hop is None else hop)


def cut_into_windows(
    items: Items, windows: Windows, workers: int, callbacks: Callbacks, limits: Limits = DEFAULT_LIMITS
) -> tuple[Items, str]:
    """The items with a row for every window, and a sentence on how many windows there are.

    Args:
        items: sounds or films, or spans of them.
        windows: how they are cut.
        workers: processes that measure lengths; 0 is one for each core that may be used.
        callbacks: progress, and a sentence about files that are skipped.
        limits: of one file.

    Raises:
        UserError: the items are pictures or features, or none of them has a length.
    """
    if items.array is not None or "image" in items.modalities:
        has = "features" if items.are_features else "images"
        remedy = remedy_for_others(items) or "leave it out"
        raise UserError(f"windows = {windows.seconds:g}: cuts sounds and films, and these items are {has}; {remedy}.")
    found = lengths_s(tracks_of(items), workers, partial(callbacks.on_progress, "measuring lengths"), limits)
    skipped = [(items.paths[i], seconds.reason) for i, seconds in enumerate(found) if isinstance(seconds, Failure)]
    known = {i: seconds for i, seconds in enumerate(found) if not isinstance(seconds, Failure)}
    cut = into_windows(items.take(list(known), skipped), list(known.values()), windows.seconds, windows.hop_s)
    left_out = cut.skipped[len(items.skipped) :]
    if not len(cut):
        path, reason = left_out[0]
        raise UserError(f"{items.source}: none of its {len(items)} items can be decoded; the first, {path}: {reason}.")
    if left_out:
        first = printable(f"{left_out[0][0]}: {left_out[0][1]}")
        callbacks.say(f"skipped {len(left_out)} of {len(items)} items; the first, {first}")
    return cut, how_many(list(known.values()), "film" if "video" in items.modalities else "recording", len(cut), windows)


def tracks_of(items: Items) -> list[tuple[str, Blob] | None]:
    """(modality, file) whose length counts, of every item; None where it has neither sound nor film."""
    present = [m for m in MEASURED if m in items.modalities]
    tracks = ([(m, blob) for m in present if (blob := items.blobs[m][row]) is not None] for row in range(len(items)))
    return [next(iter(of_item), None) for of_item in tracks]


def how_many(lengths: list[float], noun: str, n: int, windows: Windows) -> str:
    """How many windows came from how much.

    Example:
        >>> how_many([3600.0], "recording", 1200, Windows(3.0, 3.0))
        '1 recording of 60 min became 1,200 windows of 3 s'
        >>> how_many([50.0, 70.0], "film", 80, Windows(3.0, 1.5))
        '2 films of 60 s on average became 80 windows of 3 s, one every 1.5 s'
    """
    files = f"1 {noun}" if len(lengths) == 1 else f"{len(lengths):,} {noun}s"
    mean = "" if len(lengths) == 1 else " on average"
    every = "" if windows.hop_s == windows.seconds else f", one every {windows.hop_s:g} s"
    many = "1 window" if n == 1 else f"{n:,} windows"
    return f"{files} of {duration(sum(lengths) / len(lengths))}{mean} became {many} of {windows.seconds:g} s{every}"


def partly_used(info: MediaInfo, used_s: float, are_windows: bool = False, may_be_cut: bool = True) -> str:
    """A sentence for the user where only a part of long sounds or films is used; "" where they are used whole.

    Args:
        info: of the items, by a sample.
        used_s: seconds of each that are used at most.
        are_windows: whether these are windows of files.
        may_be_cut: whether they could be cut into windows, which is then said.

    Example:
        >>> partly_used(MediaInfo("sound", lengths_s=(3700.0, 3800.0, 9.0)), 10.0)
        'of 2 of 3 recordings, 62 min long on average, only the middle 10 s (0.27 %) are used; --windows 10 labels all of it.'
    """
    long = [seconds for seconds in info.lengths_s if seconds > LONGER * used_s]
    if not long:
        return ""
    noun = "window" if are_windows else "film" if info.kind == "video" else "recording"
    share = used_s * len(long) / sum(long)
    n, mean = len(info.lengths_s), sum(long) / len(long)
    which = f"{n:,} {noun}{'s' * (n > 1)}" if len(long) == n else f"{len(long):,} of {n:,} {noun}s"
    length = f"{duration(mean)} long{' on average' * (len(long) > 1)}"
    used, percent = f"{used_s:.3g}", f"{100 * share:.2g}"
    text = f"of {which}, {length}, only the middle {used} s ({percent} %) are used; --windows {used} labels all of it."
    return text if may_be_cut else f"{text.partition(';')[0]}."


def duration(seconds: float) -> str:
    """A length for people.

    Example:
        >>> duration(0.5), duration(62.0), duration(3720.0)
        ('0.5 s', '62 s', '62 min')
    """
    return f"{seconds:.3g} s" if seconds < 120 else f"{seconds / 60:,.0f} min"
