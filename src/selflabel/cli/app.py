"""The application, the options that commands share, and the entry point.

Heavy imports wait inside the commands, so that --help answers at once.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    help="Label unlabelled images, videos and sounds: self-labelling by balanced optimal transport.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Source = Annotated[
    list[str],
    typer.Argument(
        help="A folder of images, videos or sounds, a .csv/.tsv/.jsonl/.json/.parquet manifest, an .npy/.npz array, .tar shards, "
        "a .zip, digits or mnist5k; or several files or folders."
    ),
]
RunFolder = Annotated[Path, typer.Argument(help="The folder of a finished run.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
Raw = Annotated[bool, typer.Option("--raw", help="Ignore edits: use the labels as the run wrote them.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")]
Cache = Annotated[str | None, typer.Option(help="Folder for decoded items. [default: ~/.cache/selflabel]")]
Seed = Annotated[int, typer.Option(help="Seed of every random number.")]
FollowLinks = Annotated[bool, typer.Option("--follow-links", help="Follow links in the source, wherever they lead.")]
MovedTo = Annotated[str | None, typer.Option("--source", help="Where the items are now, if they were moved.")]


def typed_values(context: typer.Context) -> dict[str, object]:
    """The options that stood on the command line, by name."""
    values = context.params.items()
    return {name: value for name, value in values if typed(context, name)}


def typed(context: typer.Context, name: str) -> bool:
    """Whether an option stood on the command line, and is not a default."""
    origin = context.get_parameter_source(name)
    return origin is not None and origin.name == "COMMANDLINE"


def one_or_several(source: list[str]) -> str | list[str]:
    """SOURCE as settings hold it: a name, or a list of several."""
    return source[0] if len(source) == 1 else source


def source_name(source: str | list[str]) -> str:
    """A short name of a source, for the default run folder; of several sources that of their common folder."""
    if not isinstance(source, str):
        from selflabel.items.several import common_folder

        return source_name(str(common_folder(source)))
    stem = Path(source.rstrip("/")).name.split(".")[0]
    return "".join(c if c.isalnum() or c in "-_" else "-" for c in stem).strip("-") or "items"


def main() -> None:
    """The entry point: a user's error is one sentence and exit code 2."""
    from selflabel.base.errors import Interrupted, UserError
    from selflabel.base.text import printable

    try:
        app()
    except UserError as error:
        print(f"selflabel: {printable(str(error))}", file=sys.stderr)
        raise SystemExit(2) from None
    except Interrupted:
        print("selflabel: stopped and saved; the same command with --resume continues.", file=sys.stderr)
        raise SystemExit(130) from None
