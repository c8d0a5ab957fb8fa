"""html: a folder of plain pages that opens from disk or from any web server: to look at, and to send to someone.

No script and nothing from elsewhere. The stylesheet is the gallery's, with a few lines of its own after it.
"""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path, PurePosixPath

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined

from selflabel.base.errors import UserError
from selflabel.evaluation.typical import neighbour_agreement, sureness_of
from selflabel.exports.base import Category, Format, Taken
from selflabel.runs.sources import Missing
from selflabel.runs.thumbs import WORKERS, reader

MOST = 1000  # items shown of a cluster, the most typical ones
MOSAIC = 12  # on its card
PNG = b"\x89PNG"
STYLES = ("gallery/static/style.css", "exports/static/pages.css")


@dataclass(frozen=True)
class Shown:
    """An item on a page. picture: its file below pictures/; "" where it cannot be read."""

    name: str
    path: str
    confidence: float
    picture: str


@dataclass(frozen=True)
class Card:
    """A cluster as its card and its page show it. truth: what most of its items are, and their share in percent."""

    category: Category
    page: str
    items: list[Shown]
    confidence: float
    truth: tuple[str, float] | None


def write(taken: Taken, folder: Path) -> dict:
    pages = Environment(loader=PackageLoader("selflabel.exports"), autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    about = {
        "run": taken.run.folder.resolve().name,
        "n_items": len(taken.rows),
        "n_rejected": int((taken.labels < 0).sum()),
        "n_clusters": len(taken.categories),
        "most": MOST,
    }
    (folder / "clusters").mkdir()
    (folder / "style.css").write_text("\n".join(files("selflabel").joinpath(s).read_text("utf-8") for s in STYLES), "utf-8")
    pictures = Pictures(taken, folder / "pictures")
    cards, truth = [], known_truth(taken)
    sureness = typical(taken)
    for category in taken.categories:
        card = card_of(taken, category, sureness, pictures, truth)
        before = taken.categories[category.index - 1] if category.index else None
        after = taken.categories[category.index + 1] if category.index + 1 < len(taken.categories) else None
        near = {"before": before and page_of(before), "after": after and page_of(after)}
        pages.get_template("cluster.html").stream(card=card, **near, **about).dump(str(folder / "clusters" / card.page), "utf-8")
        cards.append(Card(category, card.page, card.items[:MOSAIC], card.confidence, card.truth))
        taken.progress(category.index + 1, len(taken.categories))
    if not pictures.made:
        raise UserError(f"{taken.run.folder}: none of its items can be shown; the first: {pictures.first_missing}.")
    pages.get_template("overview.html").stream(cards=cards, **about).dump(str(folder / "index.html"), "utf-8")
    return {"n_without_picture": pictures.missing}


def typical(taken: Taken) -> np.ndarray:
    """(N,) how typical an item is of its cluster."""
    file = taken.run.folder / "neighbours.npy"
    neighbours = np.load(file, mmap_mode="r", allow_pickle=False)
    return sureness_of(taken.confidence.clip(0, 1), neighbour_agreement(taken.labels, neighbours))


def page_of(category: Category) -> str:
    return f"{category.cluster:03d}.html"


def card_of(taken: Taken, category: Category, sureness: np.ndarray, pictures: Pictures, truth: list[str] | None) -> Card:
    rows = np.flatnonzero(taken.labels == category.cluster)
    shown = rows[np.argsort(-sureness[rows].astype(int), kind="stable")][:MOST]
    found = pictures.of(shown)
    items = []
    for row, picture in zip(shown.tolist(), found):
        item = taken.item(row)
        name = f"row {row}" if item.path.startswith("row:") else PurePosixPath(item.path).name
        items.append(Shown(name, item.path, 100 * item.confidence, picture))
    confidence = 100 * float(taken.confidence[rows].mean())
    known = None if truth is None else commonest(truth[row] for row in rows.tolist())
    return Card(category, page_of(category), items, confidence, known)


def known_truth(taken: Taken) -> list[str] | None:
    """(N,) the class of every item where the source carried truth; "" where it is unknown."""
    known = taken.run.truth
    return None if known is None else [known.get(path, "") for path in taken.paths.column.to_pylist()]


def commonest(classes) -> tuple[str, float] | None:
    """The commonest class and its share in percent of the items of known class."""
    counts = Counter(c for c in classes if c)
    return (counts.most_common(1)[0][0], 100 * counts.most_common(1)[0][1] / counts.total()) if counts else None


class Pictures:
    """Small pictures written as files: those that the page made before, others from the source."""

    def __init__(self, taken: Taken, folder: Path):
        self.folder, self.made, self.missing, self.first_missing = folder, 0, 0, ""
        self.read = reader(taken.run.folder / "thumbs", taken.source, len(taken.labels))
        self.workers = ThreadPoolExecutor(WORKERS)
        folder.mkdir()

    def of(self, rows: np.ndarray) -> list[str]:
        """Their files' names; "" for an item that cannot be read."""
        return [self.keep(row, found) for row, found in zip(rows.tolist(), self.workers.map(self.bytes_of, rows.tolist()))]

    def bytes_of(self, row: int) -> bytes | Missing:
        try:
            return self.read(row)
        except Missing as gone:
            return gone

    def keep(self, row: int, found: bytes | Missing) -> str:
        if isinstance(found, Missing):
            self.missing, self.first_missing = self.missing + 1, self.first_missing or str(found)
            return ""
        ending = "png" if found.startswith(PNG) else "jpg"
        name = f"{row:06d}.{ending}"
        (self.folder / name).write_bytes(found)
        self.made += 1
        return name


FORMAT = Format(
    what="pages to look at and to send to someone; nothing to install",
    reads="any browser, from disk or from a web server",
    write=write,
    wants_source=False,
)
