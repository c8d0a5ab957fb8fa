"""Files to items: files of several kinds that share a stem are one item, as an image and the sound beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

import numpy as np

from selflabel.items.endings import ENDINGS, KINDS, MODALITIES, ending_of, stem_of
from selflabel.items.table import Blob, Blobs, Items

T = TypeVar("T")
AS_MOST = "as most items are"  # ends the reason of what is left out because it is of another kind


def modalities_of(group: Mapping[str, T]) -> dict[str, T]:
    """Modality to file of an item from its kind-to-file; a video file gives the sound, too, unless a sound file is there.

    Example:
        >>> modalities_of({"video": "a.mp4"}), modalities_of({"audio": "a.wav", "video": "a.mp4"})
        ({'video': 'a.mp4', 'audio': 'a.mp4'}, {'video': 'a.mp4', 'audio': 'a.wav'})
    """
    files = dict(group)
    if "video" in files:
        files.setdefault("audio", files["video"])
    return {m: files[m] for m in MODALITIES if m in files}


def group_by_stem(source: str, names: list[str], files: Sequence[Blob], stems: Sequence[str] | None = None) -> Items:
    """Make the table of a source's files; those of several kinds that share a stem are one item.

    All items have the modalities that most have; an item that has none of these is skipped. Time and memory are linear.

    Args:
        source: what was opened.
        names: (M,) of the files, with endings of media; folders are divided by "/".
        files: (M,) their blobs.
        stems: (M,) what they are grouped by; None is their names without ending.

    Returns:
        Items in the order of their first files.
    """
    by_kind = rows_by_kind(names, stems)
    rows = modalities_of(by_kind)
    rows["audio"] = np.where(by_kind["audio"] >= 0, by_kind["audio"], by_kind["video"])
    wanted = commonest_modalities(rows)
    main = np.select([by_kind[kind] >= 0 for kind in KINDS], [by_kind[kind] for kind in KINDS])
    has_any = np.any([rows[m] >= 0 for m in wanted], axis=0)
    reason = f"is no {' or '.join(wanted)}, as most items are"
    return Items(
        source,
        [names[row] for row in main[has_any].tolist()],
        {m: Blobs(files, rows[m][has_any]) for m in wanted},
        skipped=[(names[row], reason) for row in main[~has_any].tolist()],
    )


def rows_by_kind(names: list[str], stems: Sequence[str] | None = None) -> dict[str, np.ndarray]:
    """Kind to (N,) which of the names is the item's file of that kind, -1 for none.

    The n-th file of a stem and kind belongs to the n-th item of that stem, so that a.jpg and a.png are two items.
    """
    number = {kind: i for i, kind in enumerate(KINDS)}
    kinds = np.fromiter((number[ENDINGS[ending_of(name)]] for name in names), np.int64, len(names))
    numbers_of_stems: dict[str, int] = {}
    texts = map(stem_of, names) if stems is None else stems
    codes = np.fromiter((numbers_of_stems.setdefault(text, len(numbers_of_stems)) for text in texts), np.int64, len(names))
    repeats = earlier_equals(codes * len(KINDS) + kinds)
    items = numbered_by_first(codes * len(names) + repeats)
    rows = np.full((len(KINDS), items.max(initial=-1) + 1), -1, np.int32)
    rows[kinds, items] = np.arange(len(names))
    return {kind: rows[i] for kind, i in number.items()}


def earlier_equals(values: np.ndarray) -> np.ndarray:
    """(M,) how many earlier entries equal the entry.

    Example:
        >>> earlier_equals(np.array([7, 3, 7, 7, 3])).tolist()
        [0, 0, 1, 2, 1]
    """
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    is_first = np.r_[True, ordered[1:] != ordered[:-1]][: len(values)]
    places = np.arange(len(values))
    counts = np.empty(len(values), np.int64)
    counts[order] = places - np.maximum.accumulate(np.where(is_first, places, 0))
    return counts


def numbered_by_first(values: np.ndarray) -> np.ndarray:
    """(M,) the entries as 0, 1, ... in the order in which they first appear.

    Example:
        >>> numbered_by_first(np.array([7, 3, 7, 9])).tolist()
        [0, 1, 0, 2]
    """
    _, first, inverse = np.unique(values, return_index=True, return_inverse=True)
    rank = np.empty(len(first), np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    return rank[inverse]


def commonest_modalities(rows: dict[str, np.ndarray]) -> tuple[str, ...]:
    """The modalities that most items have; of equally many the larger set, then the one that comes first."""
    codes = sum((rows[m] >= 0).astype(np.int64) << i for i, m in enumerate(MODALITIES))
    values, first, counts = np.unique(codes, return_index=True, return_counts=True)
    sets = [tuple(m for i, m in enumerate(MODALITIES) if code >> i & 1) for code in values.tolist()]
    best = max(range(len(sets)), key=lambda i: (counts[i], len(sets[i]), -first[i]))
    return sets[best]


def remedy_for_others(items: Items) -> str:
    """What to do about files that are left out because most items are of another kind; "" where there are none."""
    others = [path for path, reason in items.skipped if reason.endswith(AS_MOST)]
    if not others:
        return ""
    pattern = f"{items.source.rstrip('/')}/**/*.{ending_of(others[0]).lstrip('.')}"
    files = "1 file is" if len(others) == 1 else f"{len(others):,} files are"
    return f"{files} left out, {AS_MOST} of another kind ({others[0]}); label them alone: selflabel label '{pattern}'"
