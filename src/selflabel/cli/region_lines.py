"""The text that `score` prints for objects that were found: a line a number, and what each says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from selflabel.base.text import printable, shortened

MEANING = {
    "CorLoc": "pictures whose best box overlaps an object by half or more",
    "AP50": "average precision: how many of the objects have a box, and how few boxes are wrong",
    "AP50 by class": "the same within each class, mean over classes; each cluster stands for one class",
    "IoU": "overlap of the best region with the mask, of what either covers",
    "IoU together": "the same of all regions of a picture together",
    "pixel accuracy": "pixels that are right, inside and outside",
    "maxF": "overlap that counts wrong pixels more than missed ones, at the best score (F, beta^2 = .3)",
    "maximum on it": "pictures whose heatmap is brightest on an object",
    "cIoU@.5": "pictures where the brighter half of the heatmap overlaps the objects by half or more",
    "AUC": "the same for every overlap from 0 to 1, mean",
    "cIoU@.5 of regions": "pictures where the regions together overlap the objects by half or more",
    "AUC of regions": "the same for every overlap from 0 to 1, mean",
    "CIoU@.3": "pictures whose classes that are heard overlap their maps by .3 or more, mean over these classes",
    "CIoU AUC": "the same for every overlap from 0 to 1, mean",
    "NSA": "how dark the maps of classes that are not heard are; all dark is 1, so read it with CIoU",
}
GUESSED = "  true places, what is where guessed"
NUMBER = 8  # characters of a column
MOST = 3  # rows or files that are named of those that cannot be used
READING = (
    "middle: a box or an ellipse in the middle of every picture, in the size that fits best; whole: all of the picture.\n"
    "What is not above both says nothing about what is in the pictures."
)
BRACKETS = " In brackets: of 100 other samples of as many pictures,\n95 would score between these two."


def region_lines(scores: Mapping[str, Any]) -> str:
    """The report of `jobs.score_regions.score_regions`."""
    lines = [f"{'pictures':16} {counts_text(scores)}", *left_out_lines(scores), *scores["notes"]]
    with_ends = False
    for group, rows in scores["groups"].items():
        title = group if len(scores["groups"]) > 1 else ""
        lines += ["", f"{title:26}{'this run':20}{'middle':>{NUMBER}}{'whole':>{NUMBER}}"]
        lines += [number_line(name, row) for name, row in rows.items()]
        lines += [f"{GUESSED:46}{row['guessed']:.3f}" for row in rows.values() if row.get("guessed") is not None]
        with_ends |= any(row["low"] is not None for row in rows.values())
    lines += ["", READING + BRACKETS * with_ends]
    if scores.get("classes"):
        lines += ["", "average precision of each class"]
        lines += [f"{printable(shortened(name, 24)):26}{value:.3f}" for name, value in scores["classes"].items()]
    return "\n".join(lines)


def counts_text(scores: Mapping[str, Any]) -> str:
    """How many pictures and objects have a truth."""
    objects = "" if scores["n_true"] is None else f", {scores['n_true']:,} objects in them"
    rest = f"; {scores['n_without_truth']:,} more of the run have none, and do not count" if scores["n_without_truth"] else ""
    return f"{scores['n_pictures']:,} with a truth{objects}{rest}"


def left_out_lines(scores: Mapping[str, Any]) -> list[str]:
    """What of the truth does not count."""
    lines = []
    if scores["not_in_run"]:
        lines.append(f"not in the run: {named(scores['not_in_run'])}")
    if scores["bad"]:
        lines.append(f"cannot be used: {named([f'{what}, {why}' for what, why in scores['bad']])}")
    return lines


def named(what: Sequence[str]) -> str:
    """A few of a list, and how many more there are."""
    first = "; ".join(printable(shortened(one, 80)) for one in what[:MOST])
    return first + (f"; and {len(what) - MOST:,} more (--json lists all)" if len(what) > MOST else "")


def number_line(name: str, row: Mapping[str, float | None]) -> str:
    """A number, its interval, those of the middle and of the whole, and what it says."""
    ends = f" ({row['low']:.3f}-{row['high']:.3f})" if row["low"] is not None else ""
    beside = "".join(f"{'' if row[c] is None else f'{row[c]:.3f}':>{NUMBER}}" for c in ("centre", "whole"))
    own = f"{row['value']:.3f}{ends}"
    return f"{name:26}{own:20}{beside}   {MEANING[name]}"
