"""WHAT A PERSON CHANGED: an append-only log of edits beside the labels, applied whenever they are read.

`edits.jsonl` in the run folder holds one JSON object a line: `id`, `at` (UTC), `do` and what that kind of edit needs. The labels
as the run wrote them stay as they are. An edit that no longer fits what came before it (another tab was quicker) changes nothing.
"""

from selflabel.edits.applying import apply, apply_to_unseen, check, continued, effective, undone, used_numbers
from selflabel.edits.kinds import Edit, Merge, Move, Name, Redo, Reject, Restore, Split, Undo, parse
from selflabel.edits.log import LOG, Reader, append, read_edits
from selflabel.edits.splitting import fresh_numbers, make_split
from selflabel.edits.state import REJECTED, Edited, unedited

__all__ = [
    "LOG",
    "REJECTED",
    "Edit",
    "Edited",
    "Merge",
    "Move",
    "Name",
    "Reader",
    "Redo",
    "Reject",
    "Restore",
    "Split",
    "Undo",
    "append",
    "apply",
    "apply_to_unseen",
    "check",
    "continued",
    "effective",
    "fresh_numbers",
    "make_split",
    "parse",
    "read_edits",
    "undone",
    "unedited",
    "used_numbers",
]
