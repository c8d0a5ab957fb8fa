"""What a user did, said back in one sentence."""


class UserError(Exception):
    """A user's mistake: one sentence that names the culprit and the remedy. The command line prints it and exits with 2."""


class Interrupted(Exception):
    """The run was asked to stop (Ctrl-C or SIGTERM), has saved itself, and can be resumed."""
