"""label-studio: tasks.json with a prediction an item, and config.xml, the labelling interface that fits them.

Label Studio serves the files itself (local storage): its document root is the folder that holds this export.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote
from xml.sax.saxutils import quoteattr

from selflabel.exports.base import FILES, Format, Item, Taken
from selflabel.exports.json_lists import write_list
from selflabel.exports.media import ending_of, place
from selflabel.items import ENDINGS
from selflabel.runs.sources import Missing

TAGS = {"image": "Image", "video": "Video", "audio": "Audio"}


def write(taken: Taken, folder: Path) -> None:
    kinds: set[str] = set()
    with (folder / "tasks.json").open("w", encoding="utf-8") as out:
        write_list(out, tasks(taken, folder, kinds))
        out.write("\n")
    (folder / "config.xml").write_text(config(taken.names, kinds.pop() if len(kinds) == 1 else "image"), encoding="utf-8")


def tasks(taken: Taken, folder: Path, kinds: set[str]) -> Iterator[dict]:
    for item in taken.items():
        try:
            file = place(taken, item, folder / "files")
        except Missing as gone:
            taken.left_out.add(item.path, str(gone))
        else:
            kinds.add(kind_of(file))
            yield task(item, kind_of(file), f"{taken.name}/files/{file.name}")


def kind_of(file: Path) -> str:
    return ENDINGS.get(ending_of(file.name), "image")


def task(item: Item, kind: str, place: str) -> dict:
    choice = {"from_name": "choice", "to_name": kind, "type": "choices", "value": {"choices": [item.category.name]}}
    return {
        "data": {kind: f"/data/local-files/?d={quote(place)}", "path": item.path, "id": item.row},
        "predictions": [{"model_version": "selflabel", "score": item.confidence, "result": [choice | {"id": f"c{item.row}"}]}],
    }


def config(names: list[str], kind: str) -> str:
    """The labelling interface: what is shown, and the classes to choose from."""
    choices = "\n".join(f"    <Choice value={quoteattr(name)}/>" for name in names)
    return (
        f'<View>\n  <{TAGS[kind]} name="{kind}" value="${kind}"/>\n'
        f'  <Choices name="choice" toName="{kind}" choice="single">\n{choices}\n  </Choices>\n</View>\n'
    )


FORMAT = Format(
    what="tasks.json with predictions, config.xml and the files",
    reads="Label Studio (import with local storage)",
    write=write,
    takes=FILES,
    links=True,
)
