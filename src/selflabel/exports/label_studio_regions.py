"""Items that are pieces of files as regions of Label Studio: rectangles and brush masks, spans of sounds, frames of films."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from selflabel.decode.image import Undecodable
from selflabel.decode.sound import rate_and_seconds
from selflabel.decode.video import DEFAULT_FPS, film_stream, media_input, open_media, size_and_seconds
from selflabel.exports.brush import brush_rle
from selflabel.exports.contents import whole_content
from selflabel.exports.context import ExportContext, Item
from selflabel.exports.item_files import able_items, file_stem, save_item, save_picture
from selflabel.exports.piece_columns import relative_box
from selflabel.items import ENDINGS, Blob
from selflabel.items.piece import Span
from selflabel.runs.missing import Missing

DIGITS = 6  # after the point, of percent and seconds
CLOSE = 1e-6  # of a frame
CONTROLS = {"image": "RectangleLabels", "video": "TimelineLabels", "audio": "Labels"}


@dataclass(frozen=True)
class Media:
    """A file of the export.

    Attributes:
        file: where it is.
        kind: "image", "video" or "audio".
        size: (width, height) of a picture in pixels.
        seconds: of a film or sound.
        per_second: frames of a film.
    """

    file: Path
    kind: str
    size: tuple[int, int] = (0, 0)
    seconds: float = 0.0
    per_second: float = DEFAULT_FPS


def controls(kind: str, has_masks: bool) -> list[tuple[str, str]]:
    """The tags of the labelling interface that hold the classes, each with its name."""
    return [(CONTROLS[kind], "label"), *([("BrushLabels", "mask")] if kind == "image" and has_masks else [])]


def with_media(context: ExportContext, folder: Path) -> Iterator[tuple[list[Item], Media]]:
    """Every file with its items; it is written into a folder."""
    for items, media in context.readable_files(lambda item: save_media(context, item, folder)):
        able = able_items(context, items, media.size) if media.kind == "image" else items
        if able:
            yield able, media


def save_media(context: ExportContext, item: Item, folder: Path) -> Media:
    """Write the file that an item is a piece of. Raises Missing."""
    ending, content = whole_content(context, item)
    kind = ENDINGS.get(ending, "image")
    if kind == "image" or not isinstance(content, Blob):
        file, size = save_picture(context, item, folder)
        return Media(file, "image", size)
    found = rate_and_seconds(content) if kind == "audio" else size_and_seconds(content)
    if found is None:
        raise Missing(f"has no {'sound' if kind == 'audio' else 'picture'} that can be read")
    file = save_item(context, item, folder, file_stem(item), contents={ending: content})
    return Media(file, kind, seconds=found[1], per_second=frame_rate(content) if kind == "video" else DEFAULT_FPS)


def frame_rate(blob: Blob) -> float:
    """Frames of a film a second, on average. Raises Missing."""
    try:
        with open_media(media_input(blob)) as container:
            return round(float(film_stream(container).average_rate or DEFAULT_FPS), DIGITS)
    except (Undecodable, OSError) as error:
        raise Missing(f"cannot be read ({error})") from error


def region(item: Item, media: Media) -> dict[str, Any]:
    """An item as an entry of a prediction's result."""
    if media.kind == "image":
        return image_region(item, media)
    span = (item.piece and item.piece.span_s) or (0.0, media.seconds)
    name = CONTROLS[media.kind].lower()
    value = frames_of(span, media.per_second) if media.kind == "video" else sound_value(span)
    return entry(item, "label", media.kind, name, value | {name: [item.category.name]})


def image_region(item: Item, media: Media) -> dict[str, Any]:
    """A mask as a brush, anything else as a rectangle in percent of the picture."""
    width, height = media.size
    sizes = {"original_width": width, "original_height": height, "image_rotation": 0}
    if item.piece is not None and item.piece.mask is not None:
        value = {"format": "rle", "rle": brush_rle(item.piece.mask), "brushlabels": [item.category.name]}
        return sizes | entry(item, "mask", "image", "brushlabels", value)
    x, y, w, h = (round(100 * fraction, DIGITS) for fraction in relative_box(item.piece, media.size))
    rectangle = {"x": x, "y": y, "width": w, "height": h, "rotation": 0, "rectanglelabels": [item.category.name]}
    return sizes | entry(item, "label", "image", "rectanglelabels", rectangle)


def entry(item: Item, control: str, to: str, kind: str, value: dict[str, Any]) -> dict[str, Any]:
    """What all regions have."""
    base = {"id": f"r{item.row}", "from_name": control, "to_name": to, "type": kind}
    return {**base, "score": item.confidence, "value": value}


def sound_value(span: Span) -> dict[str, Any]:
    return {"start": round(span[0], DIGITS), "end": round(span[1], DIGITS), "channel": 0}


def frames_of(span: Span, per_second: float) -> dict[str, Any]:
    """The frames of a span, the first of a film being 1.

    Example:
        >>> frames_of((1.0, 2.0), 25.0)
        {'ranges': [{'start': 26, 'end': 50}]}
    """
    first = math.floor(span[0] * per_second + CLOSE) + 1
    last = math.ceil(span[1] * per_second - CLOSE)
    return {"ranges": [{"start": first, "end": max(first, last)}]}
