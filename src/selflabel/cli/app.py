"""The application, the options that commands share, and the entry point.

Heavy imports wait inside the commands, so that --help answers at once.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

if TYPE_CHECKING:
    from selflabel.runs.run import Run

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

SOURCE_HELP = (
    "A folder of images, videos or sounds, a .csv/.tsv/.jsonl/.json/.parquet/.arrow manifest, a COCO .json, an .npy/.npz array, "
    ".tar shards, a .zip, digits or mnist5k, or an https://, s3:// or gs:// address of one; or several files or folders; or "
    "features of the same items as A.npy+B.npy."
)
Source = Annotated[list[str], typer.Argument(help=SOURCE_HELP)]
LabelSource = Annotated[list[str] | None, typer.Argument(help=f"{SOURCE_HELP} Left out, it is that of --config.")]
ItemFiles = Annotated[
    str | None,
    typer.Option("--items", help="Where SOURCE is features: the folder or the list of their files, row i of the i-th file."),
]
ImagesFolder = Annotated[
    str | None,
    typer.Option("--images", help="Where SOURCE is a COCO file: the folder of its pictures. [default: looked for beside it]"),
]
Windows = Annotated[
    float | None, typer.Option(help="Seconds: cut sounds and films into windows; each is an item. [default: whole files]")
]
Hop = Annotated[float | None, typer.Option(help="Seconds from the start of a window to the next; less than --windows overlaps.")]
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


def print_version(wanted: bool) -> None:
    if wanted:
        import selflabel

        print(f"selflabel {selflabel.__version__}")
        raise typer.Exit


@app.callback()
def options_of_all(
    version: Annotated[
        bool, typer.Option("--version", callback=print_version, is_eager=True, help="Print the version and end.")
    ] = False,
) -> None:
    """Label unlabelled images, videos and sounds: self-labelling by balanced optimal transport.

    Exit codes: 0 done; 1 an error of the program; 2 a wrong word, file or setting, in one sentence; 130 stopped, training is
    saved.
    """


def open_run(folder: Path) -> Run:
    """A finished run, without what a process that was killed left in its folder."""
    from selflabel.base.files import remove_leftovers
    from selflabel.runs.run import Run

    run = Run.open(folder)
    for place in (run.folder, run.folder / "checkpoint"):
        if not place.is_symlink() or place == run.folder:
            remove_leftovers(place)
    return run


def main() -> None:
    """The entry point: a user's error is one sentence and exit code 2, Ctrl-C is 130; the program's own errors show in full."""
    from selflabel.base.errors import Interrupted, UserError
    from selflabel.cli.quiet import quiet_libraries

    quiet_libraries()
    try:
        code = app(standalone_mode=False)
    except UserError as error:
        stop(str(error), 2)
    except Interrupted:
        stop("stopped; the same command with --resume continues from what was saved, or begins again.", 130)
    except (KeyboardInterrupt, typer.Abort):
        stop("stopped.", 130)
    except Exception as error:
        if not hasattr(error, "format_message"):  # those of click, which newer versions of typer carry inside
            raise
        stop_usage(error)
    raise SystemExit(code if isinstance(code, int) else 0)


def stop_usage(error: Any) -> NoReturn:
    """End with what is wrong with the words of a command, as click says it."""
    context = getattr(error, "ctx", None)
    if context is not None and type(error).__name__ == "NoArgsIsHelpError":  # `selflabel` alone
        print(context.get_help())
        raise SystemExit(0) from None
    text = " ".join(error.format_message().split()).rstrip(".")
    command = context.command_path if context is not None else "selflabel"
    stop(f"{text[:1].lower()}{text[1:]}{'' if text.endswith('?') else f'; see `{command} --help`.'}", 2)


def stop(text: str, code: int) -> NoReturn:
    """Print a sentence on standard error and end."""
    from selflabel.base.text import printable

    print(f"selflabel: {printable(text)}", file=sys.stderr)
    raise SystemExit(code) from None
