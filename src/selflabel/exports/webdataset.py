"""webdataset: tar shards; an item's members share a key: its file, .cls (the index of its class) and .json (the rest)."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from selflabel.exports.contents import item_contents, read_bytes
from selflabel.exports.context import ExportContext, Item
from selflabel.exports.piece_columns import piece_values

MAX_ITEMS, MAX_BYTES = 10_000, 1 << 30  # of a shard


def write(context: ExportContext, folder: Path) -> dict[str, Any]:
    """Write the shards. Returns their names as one pattern."""

    def read(item: Item) -> dict[str, bytes]:
        return {ending: read_bytes(content) for ending, content in item_contents(context, item).items()}

    shards = ShardWriter(folder)
    try:
        for item, files in context.readable_items(read):
            shards.add(f"{item.row:09d}", members(item, files, context.piece_columns))
    finally:
        shards.close()
    return {"shards": f"shard-{{000000..{max(shards.n_shards - 1, 0):06d}}}.tar"}


def members(item: Item, files: dict[str, bytes], columns: Sequence[str]) -> dict[str, bytes]:
    """Ending to bytes of an item's members, its files first; columns: of its piece."""
    category = item.category
    facts: dict[str, Any] = {"path": item.path, "label": category.name, "cluster": category.cluster}
    facts["confidence"] = item.confidence
    facts |= dict(zip(columns, piece_values(item.piece, columns)))
    return {**files, ".cls": str(category.index).encode(), ".json": json.dumps(facts, ensure_ascii=False).encode()}


class ShardWriter:
    """Writes tar files one after the other; a new one begins when the last is full.

    Args:
        folder: of the shards.
    """

    def __init__(self, folder: Path):
        self.folder, self.n_shards, self.n_items = folder, 0, 0  # n_items: in the current shard
        self.tar: tarfile.TarFile | None = None

    def add(self, key: str, members: dict[str, bytes]) -> None:
        """Add an item: its key, and ending to bytes of its members."""
        tar = self.current()
        for ending, data in members.items():
            info = tarfile.TarInfo(key + ending)
            info.size, info.mode = len(data), 0o644
            tar.addfile(info, io.BytesIO(data))
        self.n_items += 1

    def current(self) -> tarfile.TarFile:
        if self.tar is None or self.n_items >= MAX_ITEMS or self.tar.offset >= MAX_BYTES:
            self.close()
            self.tar, self.n_items = tarfile.TarFile(self.folder / f"shard-{self.n_shards:06d}.tar", "w"), 0
            self.n_shards += 1
        return self.tar

    def close(self) -> None:
        if self.tar is not None:
            self.tar.close()
