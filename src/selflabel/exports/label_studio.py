"""label-studio: tasks.json with a prediction an item, and config.xml, the labelling interface for them.

Label Studio serves the files itself (local storage): its document root is the folder that holds this export.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote
from xml.sax.saxutils import quoteattr

from selflabel.exports.contents import safe_ending
from selflabel.exports.context import ExportContext, Item
from selflabel.exports.item_files import save_item
from selflabel.exports.json_lists import write_list
from selflabel.items import ENDINGS

TAGS = {"image": "Image", "video": "Video", "audio": "Audio"}


def write(context: ExportContext, folder: Path) -> None:
    """Write files/, tasks.json and config.xml."""
    kinds: set[str] = set()
    with (folder / "tasks.json").open("w", encoding="utf-8") as out:
        write_list(out, tasks(context, folder, kinds))
        out.write("\n")
    kind = kinds.pop() if len(kinds) == 1 else "image"
    (folder / "config.xml").write_text(config(context.class_names, kind), encoding="utf-8")


def tasks(context: ExportContext, folder: Path, kinds: set[str]) -> Iterator[dict]:
    """Each item's task; its file is written into the folder, and its kind added to `kinds`."""
    for item, file in context.readable_items(lambda i: save_item(context, i, folder / "files")):
        kinds.add(kind_of(file))
        yield task(item, kind_of(file), f"{context.name}/files/{file.name}")


def kind_of(file: Path) -> str:
    return ENDINGS.get(safe_ending(file.name), "image")


def task(item: Item, kind: str, path: str) -> dict:
    """A task with its prediction; path: of the file, below the document root."""
    choice = {"from_name": "choice", "to_name": kind, "type": "choices", "value": {"choices": [item.category.name]}}
    return {
        "data": {kind: f"/data/local-files/?d={quote(path)}", "path": item.path, "id": item.row},
        "predictions": [{"model_version": "selflabel", "score": item.confidence, "result": [choice | {"id": f"c{item.row}"}]}],
    }


def config(class_names: list[str], kind: str) -> str:
    """The labelling interface: the item, and the classes to choose from."""
    choices = "\n".join(f"    <Choice value={quoteattr(name)}/>" for name in class_names)
    return (
        f'<View>\n  <{TAGS[kind]} name="{kind}" value="${kind}"/>\n'
        f'  <Choices name="choice" toName="{kind}" choice="single">\n{choices}\n  </Choices>\n</View>\n'
    )
