"""THE COMMAND LINE: one thin command for each verb."""

from selflabel.cli import embed_command, find_command, label_commands, list_commands, run_commands, teach_command  # noqa: F401  they register
from selflabel.cli.app import app, main

__all__ = ["app", "main"]
