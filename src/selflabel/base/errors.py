"""Errors that end a command with one sentence."""


class UserError(Exception):
    """A user's mistake: one sentence that names what is wrong and what to do. The command line prints it and exits with 2."""


class Interrupted(Exception):
    """The run was stopped (Ctrl-C or SIGTERM), has saved its state, and can be resumed."""


class CannotWrite(UserError, OSError):
    """A file or folder cannot be written: the disk is full, or may not be written. One sentence that names it and the remedy."""
