"""Grouping by stem as version 0.1.0 did it: quadratic, and short enough to be checked by reading."""

from collections import Counter
from pathlib import PurePosixPath

from selflabel.items import ENDINGS, KINDS


def group_plainly(names, blobs):
    """(paths, modality to blobs, skipped) of a source's files."""
    groups = {}
    for name, blob in zip(names, blobs):
        suffix = PurePosixPath(name).suffix
        kind, stem, nth = ENDINGS[suffix.lower()], name[: -len(suffix)], 0
        while kind in groups.get((stem, nth), {}):
            nth += 1
        groups.setdefault((stem, nth), {})[kind] = (name, blob)
    items = [(next(group[k][0] for k in KINDS if k in group), modalities_plainly(group)) for group in groups.values()]
    signatures = Counter(tuple(modalities) for _, modalities in items)
    wanted = max(signatures, key=lambda s: (signatures[s], len(s)))
    kept = [item for item in items if any(m in item[1] for m in wanted)]
    skipped = [(name, f"is no {' or '.join(wanted)}, as most items are") for name, x in items if (name, x) not in kept]
    return [name for name, _ in kept], {m: [x.get(m) for _, x in kept] for m in wanted}, skipped


def modalities_plainly(group):
    blobs = {kind: blob for kind, (_, blob) in group.items()}
    if "video" in blobs:
        blobs.setdefault("audio", blobs["video"])
    return {m: blobs[m] for m in ("image", "video", "audio") if m in blobs}
