"""Errors that end a command with one sentence."""


class UserError(Exception):
    """A user's mistake: one sentence that names what is wrong and what to do. The command line prints it and exits with 2."""


class Interrupted(Exception):
    """The run was stopped (Ctrl-C or SIGTERM), has saved its state, and can be resumed."""
