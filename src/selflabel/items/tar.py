"""Items of tar shards, as WebDataset writes them. Members are read in place by their offset; nothing is unpacked."""

from __future__ import annotations

import glob
import re
import tarfile
from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from selflabel.base.errors import UserError
from selflabel.items.endings import ENDINGS, ending_of, stem_of
from selflabel.items.grouping import group_by_stem
from selflabel.items.table import Blob, Items

TRUTH_ENDING = ".cls"


def tar_shards(name: str) -> list[Path]:
    """The shards that a name stands for: one .tar, a glob, or WebDataset's {000..099}; empty when it is none of these.

    Raises:
        UserError: a shard is missing.
    """
    if not name.endswith(".tar"):
        return []
    span = re.search(r"\{(\d+)\.\.(\d+)\}", name)
    if span:
        first, last = span.groups()
        names = [name.replace(span.group(), f"{i:0{len(first)}d}") for i in range(int(first), int(last) + 1)]
    else:
        names = sorted(glob.glob(name)) if glob.has_magic(name) else [name]  # noqa: PTH207
    missing = [n for n in names if not Path(n).is_file()]
    if missing or not names:
        raise UserError(f"{(missing or [name])[0]}: there is no such tar shard.")
    return [Path(n) for n in names]


class TarFiles(Sequence[Blob]):
    """Members of tar shards, 20 bytes each; a blob is made when it is needed."""

    def __init__(self, shards: list[Path]):
        self.shards = [str(shard) for shard in shards]
        self.shard, self.offset, self.length = array("i"), array("q"), array("q")

    def add(self, shard: int, member: tarfile.TarInfo) -> None:
        """Append a member of the shard of that number."""
        self.shard.append(shard)
        self.offset.append(member.offset_data)
        self.length.append(member.size)

    def __len__(self) -> int:
        return len(self.shard)

    def __getitem__(self, row):  # a whole number, never a slice
        return Blob(self.shards[self.shard[row]], self.offset[row], self.length[row])


def from_tars(source: str, shards: list[Path]) -> Items:
    """The items of tar shards; a `.cls` member of the same stem is an item's truth.

    Raises:
        UserError: a shard cannot be read, or holds no image, video or sound.
    """
    names: list[str] = []
    files = TarFiles(shards)
    truth: dict[str, str] = {}
    skipped: list[tuple[str, str]] = []
    for number, shard in enumerate(shards):
        prefix = f"{shard.name}/" if len(shards) > 1 else ""
        for member in tar_members(shard):
            ending, path = ending_of(member.name), prefix + member.name
            if ending == TRUTH_ENDING:
                truth[stem_of(path)] = read_truth_member(shard, member)
            elif ending in ENDINGS and leaves_tar(member.name):
                skipped.append((path, "the member's name leaves the tar"))
            elif ending in ENDINGS:
                names.append(path)
                files.add(number, member)
    if not names:
        raise UserError(f"{source}: no images, videos or sounds in the tar (looked for {', '.join(sorted(ENDINGS))}).")
    items = group_by_stem(source, names, files)
    known = [truth.get(stem_of(path), "") for path in items.paths] if truth else None
    return Items(source, items.paths, items.blobs, truth=known, skipped=[*skipped, *items.skipped])


def tar_members(shard: Path) -> Iterator[tarfile.TarInfo]:
    """The files in an uncompressed tar, in its order. `tarfile` keeps 1 kB for every member it has read: that list is cleared."""
    try:
        with tarfile.open(shard, "r:") as tar:
            while (member := tar.next()) is not None:
                tar.members.clear()  # type: ignore[attr-defined]
                if member.isfile():
                    yield member
    except (tarfile.TarError, OSError, EOFError) as error:
        raise UserError(f"{shard}: cannot be read as an uncompressed tar ({error}).") from error


def leaves_tar(name: str) -> bool:
    return name.startswith("/") or ".." in PurePosixPath(name).parts


def read_truth_member(shard: Path, member: tarfile.TarInfo) -> str:
    return Blob(str(shard), member.offset_data, member.size).read().decode(errors="replace").strip()
