"""WHAT A PERSON CHANGED: an append-only log of edits beside the labels, applied whenever they are read.

`edits.jsonl` in the run folder holds one JSON object a line: `id`, `at` (UTC), `do` and the fields of that kind of edit. The
labels as the run wrote them stay as they are. An edit that does not fit after those before it changes nothing; `append_made`
checks an edit while nobody else writes.
"""

from selflabel.edits.applying import (
    active_edits,
    apply,
    apply_in_order,
    apply_to_unseen,
    check,
    emptied_clusters,
    resolve_undo,
    undone_edits,
    used_numbers,
)
from selflabel.edits.kinds import BY_THE_RUN, Edit, Merge, Move, Name, Redo, Reject, Restore, Split, Undo, parse
from selflabel.edits.log import LOG, LogReader, append, append_made, read_edits
from selflabel.edits.splitting import fresh_numbers, make_split
from selflabel.edits.state import REJECTED, EditedLabels, unedited_labels

__all__ = [
    "BY_THE_RUN",
    "LOG",
    "REJECTED",
    "Edit",
    "EditedLabels",
    "LogReader",
    "Merge",
    "Move",
    "Name",
    "Redo",
    "Reject",
    "Restore",
    "Split",
    "Undo",
    "active_edits",
    "append",
    "append_made",
    "apply",
    "apply_in_order",
    "apply_to_unseen",
    "check",
    "emptied_clusters",
    "fresh_numbers",
    "make_split",
    "parse",
    "read_edits",
    "resolve_undo",
    "undone_edits",
    "unedited_labels",
    "used_numbers",
]
