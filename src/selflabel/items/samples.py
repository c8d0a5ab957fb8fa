"""One item a sample: in a WebDataset, files that share a key (the name up to its first dot) are one sample.

Of several pictures of a sample (000.jpg, 000.seg.png; 000.left.jpg, 000.right.jpg) one is the item. A dotted name is an item
of its own where nothing says that it is a view: photo.2021.jpg beside photo.2022.jpg.
"""

from __future__ import annotations

from collections import Counter

from selflabel.items.endings import ENDINGS, ending_of, stem_of

MASKS = frozenset(
    {"seg", "mask", "masks", "depth", "label", "labels", "gt", "semantic", "instance", "segmentation", "annotation"}
    | {"normal", "normals", "flow", "target", "edges"}
)  # second endings of pictures that say what is on another picture


def split_key(name: str) -> tuple[str, str]:
    """(key, ending) of a member: the folders and the name up to its first dot, and the rest in lower case.

    Example:
        >>> split_key("a.b/000.seg.PNG"), split_key("./000.jpg")
        (('a.b/000', 'seg.png'), ('./000', 'jpg'))
    """
    slash = name.rfind("/") + 1
    dot = name.find(".", slash + 1)
    return (name[:dot], name[dot + 1 :].lower()) if dot > 0 else (name, "")


def sample_stems(names: list[str]) -> list[str | None]:
    """(M,) what each medium of a tar is grouped by: files of an equal stem are one item; None for a second view, which is none.

    Args:
        names: (M,) of media, in the order of the tar.

    Example:
        >>> sample_stems(["0.jpg", "0.seg.png", "1.jpg", "1.wav", "b.1.jpg", "b.2.jpg"])
        ['0', None, '1', '1', 'b.1', 'b.2']
    """
    keys, endings = zip(*map(split_key, names)) if names else ((), ())
    kinds = [ENDINGS[ending_of(name)] for name in names]
    seconds = Counter(ending for ending in endings if "." in ending)
    n_keys = len(set(keys))
    is_view = {ending for ending, n in seconds.items() if n > 1 and 2 * n >= n_keys}
    main: dict[tuple[str, str], int] = {}
    for row, ending in enumerate(endings):
        if "." not in ending or ending in is_view:
            sample = (keys[row], kinds[row])
            if sample not in main or rank(ending) < rank(endings[main[sample]]):
                main[sample] = row

    def stem(row: int) -> str | None:
        first = main.get((keys[row], kinds[row]))
        if first == row:
            return keys[row]
        has_plain = first is not None and "." not in endings[first]
        return None if endings[row] in is_view or "." not in endings[row] or has_plain else stem_of(names[row])

    return [stem(row) for row in range(len(names))]


def rank(ending: str) -> tuple[bool, bool]:
    """Smaller for the picture that is the item: one with a plain ending, then one that is no mask."""
    first, dot, _ = ending.partition(".")
    return bool(dot), first in MASKS
