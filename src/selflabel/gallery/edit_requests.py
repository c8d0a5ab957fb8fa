"""An edit as the page sends it, made into one for the log: checked for its form, then fitted to the labels as they are now.

A request has `do` and the fields of that kind of edit. It may have an `id`, so that a page that got no answer can send it again.
A split names the `cluster` and the number of `parts`; a move whose `to` is null makes a new cluster, with a `name` or without.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

from selflabel.base.errors import UserError
from selflabel.edits import Edit, Split, fresh_numbers, parse

MAX_SPLIT_PARTS = 100
ID = re.compile(r"[0-9a-f]{16}")
SPLIT_FIELDS = {"do", "id", "cluster", "parts"}


def check_request(values: Any) -> dict[str, Any]:
    """Raise an error where the form of a request is wrong, as far as no labels are needed to see it.

    Raises:
        UserError: see above.
    """
    if not isinstance(values, dict):
        raise UserError("not an edit: send an object with `do` and the fields of that kind of edit.")
    if "at" in values:
        raise UserError("not an edit: at: the time is set when the edit is written; leave it out.")
    edit_id = values.get("id")
    if "id" in values and not (isinstance(edit_id, str) and ID.fullmatch(edit_id)):
        raise UserError("not an edit: id: must be 16 hexadecimal digits, in lower case.")
    if values.get("do") == "split":
        check_split(values)
    return values


def check_split(values: dict[str, Any]) -> None:
    if unknown := sorted(set(values) - SPLIT_FIELDS):
        raise UserError(f"not an edit: {unknown[0][:40]!a}: a split has no such field.")
    if not is_whole(values.get("cluster")):
        raise UserError("not an edit: cluster: must be the number of a cluster.")
    parts = values.get("parts", 2)
    if not is_whole(parts) or not 2 <= parts <= MAX_SPLIT_PARTS:
        raise UserError(f"{str(parts)[:20]} parts cannot be made; ask for 2 to {MAX_SPLIT_PARTS}.")


def is_whole(value: Any) -> bool:
    """Whether a value of JSON is a whole number; true and false are none, although Python counts with them."""
    return type(value) is int


def fit_split(split: Split, values: dict[str, Any], used_numbers: Collection[int]) -> Split:
    """A split that was made a moment ago, under the request's id and with numbers that are unused now."""
    parts = [split.cluster, *fresh_numbers(used_numbers, len(split.parts) - 1)]
    return Split(cluster=split.cluster, parts=parts, centres=split.centres, **({"id": values["id"]} if "id" in values else {}))


def fit_edit(values: dict[str, Any], used_numbers: Collection[int]) -> Edit:
    """Any other edit; a new cluster of a move gets the next number.

    Raises:
        UserError: there is no such kind of edit, or a field is missing or wrong.
    """
    next_number = fresh_numbers(used_numbers, 1)[0]
    if values.get("do") != "move":
        return parse(values)
    if "to" in values and values["to"] is None:
        return parse({**values, "to": next_number})
    edit = parse(values)
    if values["to"] not in used_numbers and values["to"] != next_number:
        raise UserError(f"there is no cluster {values['to']}; a new one gets the number {next_number}.")
    return edit
