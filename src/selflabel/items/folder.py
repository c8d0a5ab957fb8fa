"""Items of a folder: every image, video and sound below it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from selflabel.base.errors import UserError
from selflabel.base.files import open_regular
from selflabel.base.text import is_utf8, printable
from selflabel.items.endings import CAPTION_ENDINGS, ENDINGS, TRANSPORT_STREAMS, ending_of
from selflabel.items.grouping import group_by_stem
from selflabel.items.own_folders import own_folder
from selflabel.items.saved_dataset import dataset_files, is_saved_dataset
from selflabel.items.table import Blob, Items
from selflabel.items.unread import NOT_UTF8, Unread, is_hidden, is_hidden_file

SYNC_BYTE = 0x47  # begins every packet of a transport stream
PACKET_BYTES = (188, 192)  # without and with the time code of 4 bytes before it


def from_folder(root: Path, follow_links: bool = False) -> Items:
    """Every image, video and sound below `root`, in the order of its path.

    Args:
        root: the folder.
        follow_links: whether links to folders are followed.

    Raises:
        UserError: there is none.
    """
    names, unread = list_folder(root, follow_links)
    if not names:
        raise NoMedia(str(root), "below this folder", unread)
    return group_by_stem(str(root), names, FolderFiles(root, names)).noting(unread.skipped, unread.notes)


class NoMedia(UserError):
    """A source without images, videos and sounds; the text says what was found instead.

    Args:
        source: as errors name it.
        where: "below this folder".
        unread: what was found.
    """

    def __init__(self, source: str, where: str, unread: Unread):
        found = [*unread.notes, *(f"{path}: {reason}" for path, reason in unread.skipped[:1])] or ["there is no file"]
        super().__init__(printable(f"{source}: no images, videos or sounds found {where} ({'; '.join(found)})."))
        self.unread = unread


def list_folder(root: Path, follow_links: bool = False) -> tuple[list[str], Unread]:
    """(names of media files below `root` in the order of their paths, what else is there).

    Names have their folders, divided by "/". Hidden and system folders and what selflabel wrote are passed over.
    """
    names: list[str] = []
    unread = Unread()
    for folder, files in walk(root, unread, follow_links):
        below = Path(folder).relative_to(root).as_posix()
        prefix = "" if below == "." else f"{below}/"
        media = [name for name in files if ending_of(name) in ENDINGS and not name.startswith(".")]
        media = [name for name in media if ending_of(name) not in TRANSPORT_STREAMS or is_stream(folder, name)]
        if len(media) < len(files):
            chosen = set(media)
            for name in files:
                if name not in chosen:
                    add_unread(prefix + name, unread)
        if is_utf8(prefix + "".join(media)):
            names += [prefix + name for name in media]
        else:
            add_utf8(prefix, media, names, unread)
    return sorted(names, key=path_order), unread


def add_unread(name: str, unread: Unread) -> None:
    """List or count a file of a folder that is no medium."""
    if ending_of(name) in CAPTION_ENDINGS and not is_hidden_file(name):
        unread.pass_over("file of captions, read with --set text only", name)
    else:
        unread.add_other(name)


def add_utf8(prefix: str, media: list[str], names: list[str], unread: Unread) -> None:
    """Add the names that are UTF-8; the others are listed."""
    for name in media:
        if is_utf8(prefix + name):
            names.append(prefix + name)
        else:
            unread.skip(prefix + name, NOT_UTF8)


def walk(root: Path, unread: Unread, follow_links: bool) -> Iterator[tuple[str, list[str]]]:
    """(folder, names of its files) of every folder below `root`, and `root` itself, that is not passed over.

    Links are followed after everything else, and a folder is looked into once, so that no circle of links has an end.
    """
    waiting, seen = [str(root)], set()

    def list_error(error: OSError) -> None:
        unread.skip(name_below(root, error.filename), f"the folder cannot be read ({error.strerror})")

    for start in waiting:  # which grows
        for folder, folders, files in os.walk(start, onerror=list_error):
            place = identity(folder) if follow_links else folder
            own = own_folder(folder, folders, files) if folder != str(root) else ""
            if place in seen or own:
                folders.clear()
                if own:
                    unread.pass_over(f"{own} of selflabel", name_below(root, folder))
                continue
            seen.add(place)
            links = [name for name in folders if os.path.islink(os.path.join(folder, name))]  # noqa: PTH114, PTH118
            for name in folders:
                path = os.path.join(folder, name)  # noqa: PTH118
                if is_hidden(name):
                    unread.pass_over("hidden or system folder", name_below(root, path))
                elif name in links and follow_links:
                    waiting.append(path)
                elif name in links:
                    unread.pass_over("link to a folder, not followed (--follow-links does)", name_below(root, path))
            folders[:] = [name for name in folders if not is_hidden(name) and name not in links]
            yield folder, files


def identity(folder: str) -> tuple[int, int] | str:
    """What is the same for a folder and the links to it."""
    try:
        status = os.stat(folder)  # noqa: PTH116
    except OSError:
        return folder
    return status.st_dev, status.st_ino


def name_below(root: Path, path: str) -> str:
    """A path below `root` as people see it."""
    return os.path.relpath(path, root).replace(os.sep, "/")


def is_stream(folder: str, name: str) -> bool:
    """Whether a file is an MPEG transport stream: .ts and .mts are endings of TypeScript, too."""
    try:
        with open_regular(os.path.join(folder, name)) as f:  # noqa: PTH118
            head = f.read(4 + 2 * max(PACKET_BYTES))
    except OSError:
        return True  # it is listed when it cannot be decoded
    starts = ((0, PACKET_BYTES[0]), (4, 4 + PACKET_BYTES[1]))
    return any(len(head) > after and head[at] == head[after] == SYNC_BYTE for at, after in starts)


def files_of_tables(root: Path) -> list[str]:
    """The tables, shards or arrays that a folder is read as, in order: those of a saved dataset, or else, of a folder without
    media, those of the first kind there.
    """
    if is_saved_dataset(root):
        return [str(root / name) for name in dataset_files(root)]
    unread = list_folder(root)[1]
    return [str(root / name) for name in next((sorted(names) for names in unread.tables.values() if names), [])]


def path_order(name: str) -> str:
    """Sorts as the parts of the path do: all of a/ comes before a-1.png. No file's name has a zero byte."""
    return os.path.normcase(name).replace(os.sep, "\0")


class FolderFiles(Sequence[Blob]):
    """The files of a folder by their names; a blob is made when it is needed."""

    def __init__(self, root: Path, names: list[str]):
        self.names = names
        self.prefix = "" if str(root) == "." else os.path.join(root, "")  # noqa: PTH118  keeps the last separator

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, row):  # a whole number, never a slice
        return Blob(self.prefix + self.names[row].replace("/", os.sep))
