"""THE COMMAND LINE: one thin command for each verb."""

from selflabel.cli import find_command, label_commands, list_commands, run_commands  # noqa: F401  they register their commands
from selflabel.cli.app import app, main

__all__ = ["app", "main"]
