"""html: a folder of plain pages that opens from disk or from any web server: to look at, and to send to someone.

No script and nothing from elsewhere. The stylesheet is the gallery's, with a few lines of its own after it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined

from selflabel.base.errors import UserError
from selflabel.evaluation.typical import neighbour_agreement, typicality
from selflabel.exports.context import Category, ExportContext, Item
from selflabel.exports.html_pictures import PictureFiles
from selflabel.exports.piece_columns import piece_words

MAX_ITEMS = 1000  # shown of a cluster, the most typical ones
CARD_ITEMS = 12  # shown on its card
STYLES = ("gallery/static/style.css", "exports/static/pages.css")


@dataclass(frozen=True)
class ShownItem:
    """An item on a page.

    Attributes:
        name: of its file, or its row; of a piece of a file also which.
        path: as in the run.
        confidence: in percent.
        picture: its file below pictures/; "" where it cannot be read.
    """

    name: str
    path: str
    confidence: float
    picture: str


@dataclass(frozen=True)
class Card:
    """A cluster as its card and its page show it.

    Attributes:
        category: its class.
        page: file name of its page.
        items: those that are shown, most typical first.
        confidence: mean over all its items, in percent.
        truth: the most common true class of its items and its share in percent; None where no class is known.
    """

    category: Category
    page: str
    items: list[ShownItem]
    confidence: float
    truth: tuple[str, float] | None


def write(context: ExportContext, folder: Path) -> dict[str, Any]:
    """Write index.html, clusters/, pictures/ and style.css. Returns how many items have no picture."""
    pages = Environment(loader=PackageLoader("selflabel.exports"), autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    numbers = page_numbers(context)
    (folder / "clusters").mkdir()
    (folder / "style.css").write_text("\n".join(files("selflabel").joinpath(s).read_text("utf-8") for s in STYLES), "utf-8")
    pictures = PictureFiles(context, folder / "pictures")
    cards, classes, typical = [], context.run.classes, item_typicality(context)
    for category in context.categories:
        card = make_card(context, category, typical, pictures, classes)
        page = pages.get_template("cluster.html").stream(card=card, **neighbour_pages(context, category), **numbers)
        page.dump(str(folder / "clusters" / card.page), "utf-8")
        cards.append(replace(card, items=card.items[:CARD_ITEMS]))
        context.progress(category.index + 1, len(context.categories))
    if not pictures.n_written:
        raise UserError(f"{context.run.folder}: none of its items can be shown; the first: {pictures.first_missing}.")
    pages.get_template("overview.html").stream(cards=cards, **numbers).dump(str(folder / "index.html"), "utf-8")
    return {"n_without_picture": pictures.n_missing}


def page_numbers(context: ExportContext) -> dict[str, Any]:
    """What every page says about the run."""
    return {
        "run": context.run.folder.resolve().name,
        "n_items": len(context.rows),
        "n_rejected": int((context.labels < 0).sum()),
        "n_clusters": len(context.categories),
        "most": MAX_ITEMS,
    }


def neighbour_pages(context: ExportContext, category: Category) -> dict[str, str | None]:
    """The pages of the clusters before and after."""
    pages = [None, *(page_of(c) for c in context.categories), None]
    return {"before": pages[category.index], "after": pages[category.index + 2]}


def page_of(category: Category) -> str:
    return f"{category.cluster:03d}.html"


def item_typicality(context: ExportContext) -> np.ndarray:
    """(N,) how typical an item is of its cluster."""
    neighbours = context.run.neighbours
    return typicality(context.confidence.clip(0, 1), neighbour_agreement(context.labels, neighbours))


def make_card(
    context: ExportContext, category: Category, typical: np.ndarray, pictures: PictureFiles, classes: list[str] | None
) -> Card:
    """A cluster's card; the pictures of its items are written.

    Args:
        context: the export.
        category: the cluster.
        typical: (N,) uint16, as `item_typicality` gives it.
        pictures: where pictures are written.
        classes: (N,) true classes, "" where one is unknown; None without truth.
    """
    rows = np.flatnonzero(context.labels == category.cluster)
    subset = rows[np.argsort(-typical[rows].astype(int), kind="stable")][:MAX_ITEMS]
    items = []
    for row, picture in zip(subset.tolist(), pictures.write(subset)):
        item = context.item(row)
        items.append(ShownItem(name_of(item), item.path, 100 * item.confidence, picture))
    confidence = 100 * float(context.confidence[rows].mean())
    truth = None if classes is None else most_common_class(classes[row] for row in rows.tolist())
    return Card(category, page_of(category), items, confidence, truth)


def name_of(item: Item) -> str:
    """The name of an item's file, or its row; of a piece also where in the file it is."""
    name = f"row {item.row}" if item.path.startswith("row:") else PurePosixPath(item.path).name
    return f"{name} ({piece_words(item.piece)})" if item.piece else name


def most_common_class(classes: Iterable[str]) -> tuple[str, float] | None:
    """The most common class and its share in percent, among those that are known; None where none is."""
    counts = Counter(c for c in classes if c)
    return (counts.most_common(1)[0][0], 100 * counts.most_common(1)[0][1] / counts.total()) if counts else None
