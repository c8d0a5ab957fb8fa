"""Items of tar shards, as WebDataset writes them. Members are read in place by their offset; a compressed tar is unpacked."""

from __future__ import annotations

import os
import tarfile
from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path

from selflabel.base.errors import UserError
from selflabel.base.text import as_utf8, is_utf8
from selflabel.items.endings import ENDINGS, ending_of, is_tar, stem_of
from selflabel.items.expand import expand
from selflabel.items.folder import NoMedia
from selflabel.items.grouping import group_by_stem
from selflabel.items.samples import sample_stems, split_key
from selflabel.items.table import Blob, Items
from selflabel.items.unpacked import TooLarge, is_compressed, is_cut, unpacked_tar
from selflabel.items.unread import NOT_UTF8, Unread, hidden_folder, is_hidden_file

TRUTH_ENDING = ".cls"
MAX_TRUTH_BYTES = 4096
MAX_NAME = 4096  # characters of a member's name
CUT = "the tar ends inside it: it was cut off"


def tar_shards(name: str) -> list[Path]:
    """The shards that a name stands for: one .tar, a glob, or WebDataset's {000..099}; empty when it is none of these.

    Raises:
        UserError: a shard is missing.
    """
    if not is_tar(name):
        return []
    names = expand(name)
    missing = next((n for n in names if not Path(n).is_file()), None if names else name)
    if missing is not None:
        raise UserError(f"{missing}: there is no such tar shard.")
    return [Path(n) for n in names]


class TarFiles(Sequence[Blob]):
    """Members of tar shards, 20 bytes each; a blob is made when it is needed."""

    def __init__(self, shards: list[Path]):
        self.shards = [str(shard) for shard in shards]
        self.inside = ["unpacked" if is_compressed(shard) else "" for shard in shards]
        self.shard, self.offset, self.length = array("i"), array("q"), array("q")

    def add(self, shard: int, member: tarfile.TarInfo) -> None:
        """Append a member of the shard of that number."""
        self.shard.append(shard)
        self.offset.append(member.offset_data)
        self.length.append(member.size)

    def __len__(self) -> int:
        return len(self.shard)

    def __getitem__(self, row):  # a whole number, never a slice
        shard = self.shard[row]
        return Blob(self.shards[shard], self.offset[row], self.length[row], self.inside[shard])


class Listing:
    """What the shards hold, member by member.

    Attributes:
        names, files: of the media.
        truth: stem of a `.cls` member to the class in it.
        unread: everything else.
    """

    def __init__(self, shards: list[Path]):
        self.shards = shards
        self.names: list[str] = []
        self.files = TarFiles(shards)
        self.truth: dict[str, str] = {}
        self.unread = Unread()

    def read(self, number: int) -> None:
        """List the shard of that number. Raises UserError where it is no tar, or has no room to be unpacked."""
        shard = self.shards[number]
        prefix = f"{shard.name}/" if len(self.shards) > 1 else ""
        size, read_shard = 0, plain_tar(shard)
        try:
            size = read_shard.stat().st_size
            for member in tar_members(read_shard):
                self.add(number, prefix, member, size)
        except TarDamage as error:
            if not self.names or error.at == 0:
                raise UserError(f"{shard}: cannot be read as a tar ({error}).") from error
            self.unread.skip(
                prefix or shard.name, f"the tar is damaged or cut off at byte {error.at:,}; what follows is not read"
            )
        if is_cut(read_shard):
            self.unread.skip(prefix or shard.name, "the compressed tar is damaged or cut off; what could be unpacked is read")

    def add(self, number: int, prefix: str, member: tarfile.TarInfo, size: int) -> None:
        """Add a member of a shard of `size` bytes."""
        path, ending = prefix + member.name, ending_of(member.name)
        folder = hidden_folder(member.name)
        if folder:
            if folder not in self.unread.passed.get("hidden or system folder", ()):
                self.unread.pass_over("hidden or system folder", folder)
        elif ending == TRUTH_ENDING and member.isreg() and 0 <= member.size <= MAX_TRUTH_BYTES:
            self.truth[stem_of(path)] = read_truth_member(self.shards[number], member, self.files.inside[number])
        elif ending not in ENDINGS or is_hidden_file(member.name):
            self.unread.add_other(path)
        else:
            reason = unusable(member, size)
            if reason:
                self.unread.skip(path[:MAX_NAME], reason)
            else:
                self.names.append(path)
                self.files.add(number, member)


def from_tars(source: str, shards: list[Path]) -> Items:
    """The items of tar shards; a `.cls` member of the same key is an item's truth.

    Raises:
        UserError: a shard cannot be read, or holds no image, video or sound.
    """
    listing = Listing(shards)
    for number in range(len(shards)):
        try:
            listing.read(number)
        except UserError as error:
            if len(shards) == 1 or (number + 1 == len(shards) and not listing.names):
                raise
            listing.unread.skip(str(shards[number]), str(error).partition(": ")[2])
    if not listing.names:
        raise NoMedia(source, "in the tar", listing.unread)
    items = group_samples(source, listing)
    stems = ((stem_of(path), split_key(path)[0]) for path in items.paths)
    truth = [listing.truth.get(stem, listing.truth.get(key, "")) for stem, key in stems] if listing.truth else None
    items = Items(source, items.paths, items.blobs, truth=truth, skipped=items.skipped)
    return items.noting(listing.unread.skipped, listing.unread.notes)


def group_samples(source: str, listing: Listing) -> Items:
    """The items of the media: one a sample."""
    stems = sample_stems(listing.names)
    rows = [i for i, stem in enumerate(stems) if stem is not None]
    for name, stem in zip(listing.names, stems):
        if stem is None:
            listing.unread.skip(name, "is another view or a mask of its sample, of which one picture is used")
    names, files = [listing.names[i] for i in rows], listing.files
    blobs: Sequence[Blob] = files if len(rows) == len(files) else Taken(files, rows)
    return group_by_stem(source, names, blobs, [stems[i] or "" for i in rows])


class Taken(Sequence[Blob]):
    """Some of the files."""

    def __init__(self, files: Sequence[Blob], rows: list[int]):
        self.files, self.rows = files, array("q", rows)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, row):  # a whole number, never a slice
        return self.files[self.rows[row]]


def plain_tar(shard: Path) -> Path:
    """The shard, or what a compressed one was unpacked to. Raises UserError."""
    if not is_compressed(shard):
        return shard
    try:
        return unpacked_tar(str(shard))
    except TooLarge as error:
        raise UserError(f"{error}.") from error
    except (OSError, RuntimeError) as error:  # the latter where the user has no home folder
        remedy = "unpack it by hand, or name another cache folder with SELFLABEL_CACHE"
        raise UserError(f"{shard}: cannot be unpacked ({getattr(error, 'strerror', '') or error}); {remedy}.") from error


class TarDamage(Exception):
    """The tar cannot be read from the byte `at` on."""

    def __init__(self, at: int, reason: object):
        super().__init__(str(reason))
        self.at = at


def tar_members(shard: Path) -> Iterator[tarfile.TarInfo]:
    """The members of an uncompressed tar that are no folders, in its order: files, links, and what cannot be an item.

    `tarfile` keeps 1 kB for every member it has read: that list is cleared. It ends at a header that it cannot read as at the end
    of the tar, and goes round in circles where a length is negative.

    Raises:
        TarDamage: it cannot be read from some byte on.
    """
    at = 0
    try:
        with tarfile.open(shard, "r:", errors="surrogateescape") as tar:
            while (member := tar.next()) is not None:
                tar.members.clear()  # type: ignore[attr-defined]
                if tar.offset <= at or member.size < 0:
                    raise tarfile.ReadError("a length in it is negative")
                at = tar.offset
                if not member.isdir():
                    yield member
            at = tar.offset
    except GeneratorExit:
        raise
    except Exception as error:  # on damaged headers tarfile raises any exception, too deep recursion among them
        raise TarDamage(at, error) from error
    if holds_more(shard, at):
        raise TarDamage(max(at, 1), "a header is damaged")


def holds_more(shard: Path, at: int) -> bool:
    """Whether a tar goes on after what was taken for its end."""
    with shard.open("rb") as f:
        f.seek(at)
        return any(f.read(tarfile.RECORDSIZE))


def unusable(member: tarfile.TarInfo, size: int) -> str:
    """Why a member cannot be an item, or ""; size: of the tar in bytes."""
    if len(member.name) > MAX_NAME:
        return "the member's name is too long"
    if not is_utf8(member.name):
        return NOT_UTF8
    if member.name.startswith("/") or ".." in member.name.split("/"):
        return "the member's name leaves the tar"
    if member.issym() or member.islnk():
        return f"is a link inside the tar (to {as_utf8(member.linkname)[:MAX_NAME]}), which is not followed"
    if member.issparse() or not member.isreg():
        return "is no plain file in the tar"
    return CUT if member.offset_data + member.size > size else ""


def read_truth_member(shard: Path, member: tarfile.TarInfo, inside: str = "") -> str:
    try:
        data = Blob(os.fspath(shard), member.offset_data, member.size, inside).read()
    except OSError:
        return ""
    return data.decode(errors="replace").strip()
