"""Errors that end a command with one sentence."""

from collections.abc import Iterable
from difflib import get_close_matches


class UserError(Exception):
    """A user's mistake: one sentence that names what is wrong and what to do. The command line prints it and exits with 2."""


class Interrupted(Exception):
    """The run was stopped (Ctrl-C or SIGTERM), has saved its state, and can be resumed."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The end of a sentence about an unknown name: "; did you mean ...?" with the closest known one, "." where none is close.

    Example:
        >>> did_you_mean("kmean", ["sela", "kmeans"]), did_you_mean("magic", ["sela"])
        ('; did you mean kmeans?', '.')
    """
    lower = {k.lower(): k for k in known}
    close = get_close_matches(name.lower(), lower, n=1, cutoff=0.6)
    return f"; did you mean {lower[close[0]]}?" if close else "."


class CannotWrite(UserError, OSError):
    """A file or folder cannot be written: the disk is full, or may not be written. One sentence that names it and the remedy."""
