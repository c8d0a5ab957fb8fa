"""Whether a format can hold a run's items."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from selflabel.base.errors import UserError
from selflabel.exports.context import ExportContext
from selflabel.exports.registry import EXPORTS, Format
from selflabel.items import ENDINGS, Pieces
from selflabel.runs.run import Run
from selflabel.runs.sources import LostSource

SAMPLE = 200  # items whose endings say what kind a run's items are
PLURALS = {"image": "images", "video": "videos", "audio": "sounds", "features": "rows of features"}


def check_fits(name: str, export_format: Format, context: ExportContext) -> None:
    """Raise an error where a format cannot hold the items, or needs a source that cannot be found.

    Raises:
        UserError: see above.
    """
    kind = kind_of_items(context.run, context.paths)
    able = ", ".join(fitting_formats(kind, context.pieces))
    if kind not in export_format.kinds:
        raise UserError(
            f"--to {name}: holds {in_words(export_format.kinds)}, and this run's items are {in_words([kind])}; "
            f"{able} can hold them."
        )
    if not fits(export_format, kind, context.pieces):
        holds = "masks" if export_format.needs_masks else "boxes"
        raise UserError(f"--to {name}: holds {holds}, and no item of this run is one; {able} can hold them.")
    if export_format.cuts and context.pieces is not None and context.file_mode != "copy":
        raise UserError(f"--{context.file_mode}: {name} cuts the items out of their files, which no link can; leave it out.")
    if export_format.needs_source and isinstance(context.source, LostSource):
        raise UserError(f"--to {name} needs the items themselves: {context.source.reason.rstrip('.')}.")


def fits(export_format: Format, kind: str, pieces: Pieces | None) -> bool:
    """Whether a format can hold items of a kind.

    Args:
        export_format: the format.
        kind: as `kind_of_items` gives it.
        pieces: of files that the items are; None for whole files.
    """
    has_boxes = pieces is not None and pieces.has_boxes
    has_masks = pieces is not None and pieces.has_masks
    has_what_it_needs = (has_boxes or not export_format.needs_boxes) and (has_masks or not export_format.needs_masks)
    return kind in export_format.kinds and has_what_it_needs


def fitting_formats(kind: str, pieces: Pieces | None) -> list[str]:
    """The names of the formats that can hold items of a kind; the arguments are those of `fits`."""
    return [name for name, export_format in EXPORTS.items() if fits(export_format, kind, pieces)]


def kind_of_items(run: Run, paths: Sequence[str]) -> str:
    """ "image", "video", "audio" or "features": what most items are by the endings of their names.

    Args:
        run: a finished run.
        paths: (N,) of its items.
    """
    if any(isinstance(modality, dict) and is_features_only(modality) for modality in run.modalities.values()):
        return "features"
    sample = np.linspace(0, len(paths) - 1, min(len(paths), SAMPLE)).astype(int)
    endings = (Path(paths[int(i)]).suffix.lower() for i in sample)
    return Counter(ENDINGS.get(ending, "image") for ending in endings).most_common(1)[0][0]


def is_features_only(modality: dict[str, Any]) -> bool:
    """Whether a modality, as run.toml has it, is that of features without files."""
    return modality.get("kind") == "features" and not modality.get("files")


def in_words(kinds: Iterable[str]) -> str:
    return " and ".join(PLURALS[kind] for kind in kinds)
