"""What a run that was made elsewhere may read is the user's decision: it is asked once, and `--source` is the answer, too."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from selflabel.base.errors import UserError

if TYPE_CHECKING:
    from selflabel.runs.run import Run


def confirm_source(run: Run, source: str | None) -> None:
    """Let a run of unknown origin read what the user names or confirms; it is remembered in the run folder.

    Args:
        run: finished.
        source: as in `--source`; None asks, where somebody can answer.

    Raises:
        UserError: the source that was named is not there.
    """
    from selflabel.items import EMBEDDED
    from selflabel.runs.opening import is_there, locate
    from selflabel.runs.origin import Origin, read_origin, sign

    name = run.place_of_files
    if source is not None and not is_there(source):
        raise UserError(f"--source {source}: there is no such file or folder.")
    if name in EMBEDDED or read_origin(run.folder) is not None:
        return
    place = source or locate(run.folder, name)
    if place is None or (source is None and (is_inside(place, run.folder) or not agrees(run.folder, place))):
        return
    sign(run.folder, Origin((str(Path(place).absolute()),), False))


def is_inside(place: str, folder: Path) -> bool:
    """Whether a source lies in the run folder itself: then it may be shown without a question."""
    return Path(place).resolve().is_relative_to(folder.resolve())


def agrees(folder: Path, place: str) -> bool:
    """Whether somebody at the terminal lets the run read that place; False where nobody can answer."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return False
    text = f"{folder} was made elsewhere or by an older version. May it show the items in {Path(place).absolute()}?"
    return typer.confirm(text, default=False, err=True)
