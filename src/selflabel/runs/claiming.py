"""Reserving a run folder: another run's work is never mixed in, and never lost unless the user asked for it."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from selflabel.base.errors import UserError
from selflabel.base.files import locked_folder, remove_leftovers
from selflabel.base.settings import Settings, chosen_encoder, differences
from selflabel.edits import BY_THE_RUN, LOG, read_edits
from selflabel.runs.reading import refuse_links
from selflabel.runs.run import FINISHED, Run


@contextmanager
def claimed(run: Run, settings: Settings, resume: bool, overwrite: bool, resumable: bool = True) -> Iterator[None]:
    """Lock the folder while this process labels into it.

    Args:
        run: whose folder; made where it is not there.
        settings: of the run that is about to start.
        resume: go on with an unfinished run of the same settings.
        overwrite: replace a run that is there.
        resumable: whether such a run can go on after it was killed; where it cannot, an unfinished one is replaced.

    Raises:
        UserError: a run is there and neither `resume` nor `overwrite` was given, or it was made with other settings, or
            another process is at work in it, or the folder holds other things.
    """
    if run.folder.exists() and not run.folder.is_dir():
        raise UserError(f"{run.folder}: is a file; give another folder with --out.")
    with ExitStack() as stack:
        try:
            stack.enter_context(locked_folder(run.folder))
        except BlockingIOError:
            text = "another process is labelling into it; wait for it or stop it, or give another folder with --out."
            raise UserError(f"{run.folder}: {text}") from None
        except OSError as error:
            reason = error.strerror or error
            raise UserError(f"{run.folder}: cannot be made ({reason}); give another folder with --out.") from error
        for folder in (run.folder, run.folder / "checkpoint"):
            remove_leftovers(folder, alone=run.exists)
        if overwrite or (not resumable and is_unfinished(run, settings.method)):
            clear_run(run)
        else:
            refuse_others(run, settings, resume, resumable)
        yield


def is_unfinished(run: Run, method: str) -> bool:
    """Whether the folder holds what a run of this method had written when it was killed."""
    return run.exists and not run.is_finished and (run.folder / "run.toml").exists() and run.settings.get("method") == method


def refuse_others(run: Run, settings: Settings, resume: bool, resumable: bool) -> None:
    """Raise UserError where what is in the folder would be mixed in."""
    refuse_links(run.folder)
    if not run.exists:
        if any(run.folder.iterdir()):
            raise UserError(f"{run.folder}: is a folder of other things; give an empty or new one with --out.")
        return
    if not resume:
        state = "a finished" if run.is_finished else "an unfinished"
        if not resumable:
            raise UserError(f"{run.folder}: holds {state} run; add --overwrite to replace it.")
        raise UserError(f"{run.folder}: holds {state} run; add --resume to go on with it or --overwrite to replace it.")
    if (run.folder / "run.toml").exists():
        changed = differences(comparable(run, settings), settings)
        if changed:
            text = "; ".join(changed)
            raise UserError(f"{run.folder}: --resume with other settings ({text}); use the old ones, or --overwrite.")


def comparable(run: Run, settings: Settings) -> dict[str, Any]:
    """The settings of an unfinished run as they are compared with those that go on with it.

    "auto" is the same as what it chose, and weights may have moved: their SHA-256 is compared where they are read.
    """
    old = run.settings
    if old.get("encoder") == "auto" and settings.encoder == chosen_encoder(run.modalities):
        old = old | {"encoder": settings.encoder}
    if any(isinstance(part, dict) and part.get("weights_sha256") for part in run.modalities.values()):
        old = old | {"weights": settings.weights}
    return old


def clear_run(run: Run) -> None:
    """Delete what a run wrote, and only if a run wrote it; the folder itself is locked and stays.

    Raises:
        UserError: the folder holds something else.
    """
    if not any(run.folder.iterdir()):
        return
    if not run.exists:
        raise UserError(f"{run.folder}: --overwrite only replaces a run folder, and this is none; give another with --out.")
    keep_edits(run.folder)
    (run.folder / FINISHED).unlink(missing_ok=True)
    for place in run.folder.iterdir():
        shutil.rmtree(place) if place.is_dir() and not place.is_symlink() else place.unlink()


def keep_edits(folder: Path) -> None:
    """Move the log of edits out of a run folder, to FOLDER-edits-1.jsonl beside it or the next free number.

    A log in which there is only what the run itself wrote is not kept.
    """
    log = folder / LOG
    if log.exists() and not is_of_the_run(folder):
        names = (folder.with_name(f"{folder.name}-edits-{i}.jsonl") for i in itertools.count(1))
        log.rename(next(file for file in names if not file.exists()))


def is_of_the_run(folder: Path) -> bool:
    """Whether a log holds only edits that the run itself wrote, such as the name of its only class."""
    try:
        return all(edit.id == BY_THE_RUN for edit in read_edits(folder))
    except UserError:
        return False
