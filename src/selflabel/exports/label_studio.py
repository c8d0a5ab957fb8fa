"""label-studio: tasks.json with predictions, and config.xml, the labelling interface for them.

Label Studio serves the files itself (local storage): its document root is the folder that holds this export. In a run of whole
files a task is an item, and its prediction a choice; else it is a file, and each item a region in it (`label_studio_regions`).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote
from xml.sax.saxutils import quoteattr

from selflabel.exports.contents import safe_ending
from selflabel.exports.context import ExportContext, Item
from selflabel.exports.item_files import save_item
from selflabel.exports.json_lists import write_list
from selflabel.exports.label_studio_regions import controls, region, with_media
from selflabel.items import ENDINGS

TAGS = {"image": "Image", "video": "Video", "audio": "Audio"}
FRAME_RATE = ' frameRate="$fps"'  # of a Video, from its task


def write(context: ExportContext, folder: Path) -> None:
    """Write files/, tasks.json and config.xml."""
    kinds: set[str] = set()
    tasks = item_tasks if context.pieces is None else file_tasks
    with (folder / "tasks.json").open("w", encoding="utf-8") as out:
        write_list(out, tasks(context, folder, kinds))
        out.write("\n")
    kind = kinds.pop() if len(kinds) == 1 else "image"
    (folder / "config.xml").write_text(config(context, kind), encoding="utf-8")


def item_tasks(context: ExportContext, folder: Path, kinds: set[str]) -> Iterator[dict]:
    """Each item's task; its file is written into the folder, and its kind added to `kinds`."""
    for item, file in context.readable_items(lambda i: save_item(context, i, folder / "files")):
        kind = ENDINGS.get(safe_ending(file.name), "image")
        kinds.add(kind)
        choice = {"from_name": "choice", "to_name": kind, "type": "choices", "value": {"choices": [item.category.name]}}
        yield task(context, file, {"path": item.path, "id": item.row}, kind, [choice | {"id": f"c{item.row}"}], item.confidence)


def file_tasks(context: ExportContext, folder: Path, kinds: set[str]) -> Iterator[dict]:
    """Each file's task; the file is written into the folder, and its kind added to `kinds`."""
    for items, media in with_media(context, folder / "files"):
        kinds.add(media.kind)
        facts: dict[str, Any] = {"path": items[0].path, "id": items[0].row}
        if media.kind == "video":
            facts["fps"] = media.per_second
        regions = [region(item, media) for item in items]
        yield task(context, media.file, facts, media.kind, regions, mean_confidence(items))


def mean_confidence(items: list[Item]) -> float:
    return round(sum(item.confidence for item in items) / len(items), 4)


def task(context: ExportContext, file: Path, facts: dict[str, Any], kind: str, result: list[dict], score: float) -> dict:
    """A task with its prediction.

    Args:
        context: the export.
        file: below the document root.
        facts: for people, and the frame rate of a film.
        kind: of the file.
        result: of the prediction.
        score: of the prediction, in [0, 1].
    """
    place = quote(f"{context.name}/files/{file.name}")
    return {
        "data": {kind: f"/data/local-files/?d={place}", **facts},
        "predictions": [{"model_version": "selflabel", "score": score, "result": result}],
    }


def config(context: ExportContext, kind: str) -> str:
    """The labelling interface: the item, and the classes to choose from."""
    rate = FRAME_RATE if kind == "video" and context.pieces is not None else ""
    lines = [f'  <{TAGS[kind]} name="{kind}" value="${kind}"{rate}/>']
    if context.pieces is None:
        choices = [f"    <Choice value={quoteattr(name)}/>" for name in context.class_names]
        lines += [f'  <Choices name="choice" toName="{kind}" choice="single">', *choices, "  </Choices>"]
    else:
        labels = [f"    <Label value={quoteattr(name)}/>" for name in context.class_names]
        for tag, name in controls(kind, context.pieces.has_masks):
            lines += [f'  <{tag} name="{name}" toName="{kind}">', *labels, f"  </{tag}>"]
    return "\n".join(["<View>", *lines, "</View>"]) + "\n"
