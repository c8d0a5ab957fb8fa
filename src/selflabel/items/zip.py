"""Items of a .zip, read in place: every image, video and sound in it, as in a folder."""

from __future__ import annotations

import zipfile
from array import array
from collections.abc import Sequence
from pathlib import Path

from selflabel.base.errors import UserError
from selflabel.base.files import open_regular
from selflabel.base.text import is_utf8
from selflabel.items.endings import ENDINGS, ending_of
from selflabel.items.folder import NoMedia, path_order
from selflabel.items.grouping import group_by_stem
from selflabel.items.inside import DEFLATED, MAX_BYTES, STORED
from selflabel.items.table import Blob, Items
from selflabel.items.unread import NOT_UTF8, Unread, hidden_folder, is_hidden_file

ENCRYPTED = 1  # of a member's flags
LINK, KIND_BITS = 0o120000, 0o170000  # of the Unix mode in the upper half of a member's attributes


class ZipFiles(Sequence[Blob]):
    """Members of a .zip; a blob is made when it is needed."""

    def __init__(self, file: str):
        self.file, self.offset, self.length, self.size = file, array("q"), array("q"), array("q")
        self.method = array("b")

    def add(self, member: zipfile.ZipInfo) -> None:
        """Append a member."""
        self.offset.append(member.header_offset)
        self.length.append(member.compress_size)
        self.size.append(member.file_size)
        self.method.append(member.compress_type)

    def __len__(self) -> int:
        return len(self.offset)

    def __getitem__(self, row):  # a whole number, never a slice
        return Blob(self.file, self.offset[row], self.length[row], f"zip:{self.method[row]}:{self.size[row]}")


def from_zip(file: Path) -> Items:
    """The items of a .zip, in the order of their paths.

    Raises:
        UserError: it cannot be read, or holds no image, video or sound.
    """
    names: list[str] = []
    files, unread, folders = ZipFiles(str(file)), Unread(), set()
    size = file.stat().st_size
    for member in sorted(zip_members(file), key=lambda m: path_order(m.filename)):
        name, folder = member.filename, hidden_folder(member.filename)
        if member.is_dir():
            continue
        if folder:
            folders.add(folder)
        elif ending_of(name) not in ENDINGS or is_hidden_file(name):
            unread.add_other(name)
        elif reason := unusable(member, size):
            unread.skip(name, reason)
        else:
            names.append(name)
            files.add(member)
    for folder in sorted(folders):
        unread.pass_over("hidden or system folder", folder)
    if not names:
        raise NoMedia(str(file), "in the archive", unread)
    return group_by_stem(str(file), names, files).noting(unread.skipped, unread.notes)


def zip_members(file: Path) -> list[zipfile.ZipInfo]:
    """What the archive's list names. Raises UserError."""
    try:
        with open_regular(file) as f, zipfile.ZipFile(f) as archive:
            return archive.infolist()
    except Exception as error:  # on damaged lists zipfile raises any exception
        reason = f"cannot be read as a .zip ({error}); a file that was cut off has lost its list: get it again, or unpack it"
        raise UserError(f"{file}: {reason}.") from error


def unusable(member: zipfile.ZipInfo, size: int) -> str:
    """Why a member cannot be an item, or ""; size: of the archive in bytes."""
    if not is_utf8(member.filename):
        return NOT_UTF8
    if member.filename.startswith("/") or ".." in member.filename.split("/"):
        return "the member's name leaves the archive"
    if member.external_attr >> 16 & KIND_BITS == LINK:
        return "is a link inside the archive, which is not followed"
    if member.flag_bits & ENCRYPTED:
        return "is encrypted; unpack the archive"
    if member.compress_type not in (STORED, DEFLATED):
        return f"is compressed by method {member.compress_type}, which is not read; unpack the archive"
    if member.file_size > MAX_BYTES:
        return f"has more than {MAX_BYTES:,} bytes when it is unpacked; unpack the archive"
    return "the archive ends inside it" if member.header_offset + member.compress_size > size else ""
