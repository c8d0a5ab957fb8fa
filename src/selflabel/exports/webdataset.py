"""webdataset: tar shards; an item's members share a key: its file, .cls (the index of its class) and .json (the rest)."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

from selflabel.exports.base import FILES, Format, Item, Taken
from selflabel.exports.media import bytes_of, contents
from selflabel.runs.sources import Missing

MOST_ITEMS, MOST_BYTES = 10_000, 1 << 30  # a shard


def write(taken: Taken, folder: Path) -> dict:
    shards = Shards(folder)
    try:
        for item in taken.items():
            try:
                files = {ending: bytes_of(content) for ending, content in contents(taken, item).items()}
            except Missing as gone:
                taken.left_out.add(item.path, str(gone))
            else:
                shards.add(f"{item.row:09d}", members(item, files))
    finally:
        shards.close()
    return {"shards": f"shard-{{000000..{max(shards.n - 1, 0):06d}}}.tar"}


def members(item: Item, files: dict[str, bytes]) -> dict[str, bytes]:
    about = {"path": item.path, "label": item.category.name, "cluster": item.category.cluster, "confidence": item.confidence}
    return {**files, ".cls": str(item.category.index).encode(), ".json": json.dumps(about, ensure_ascii=False).encode()}


class Shards:
    """Tar files written one after the other; a new one is begun where the last is full."""

    def __init__(self, folder: Path):
        self.folder, self.n, self.held = folder, 0, 0
        self.tar: tarfile.TarFile | None = None

    def add(self, key: str, members: dict[str, bytes]) -> None:
        tar = self.current()
        for ending, data in members.items():
            info = tarfile.TarInfo(key + ending)
            info.size, info.mode = len(data), 0o644
            tar.addfile(info, io.BytesIO(data))
        self.held += 1

    def current(self) -> tarfile.TarFile:
        if self.tar is None or self.held >= MOST_ITEMS or self.tar.offset >= MOST_BYTES:
            self.close()
            self.tar, self.held = tarfile.TarFile(self.folder / f"shard-{self.n:06d}.tar", "w"), 0
            self.n += 1
        return self.tar

    def close(self) -> None:
        if self.tar is not None:
            self.tar.close()


FORMAT = Format(
    what="tar shards",
    reads="WebDataset, Hugging Face datasets (streaming), selflabel itself",
    write=write,
    takes=FILES,
)
