"""The command that localises: find."""

from __future__ import annotations

import json as jsonlib
import shlex
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from selflabel.cli.app import AsJson, Cache, Device, FollowLinks, Seed, Source, app, one_or_several, source_name, typed_values
from selflabel.cli.terminal import Terminal

if TYPE_CHECKING:
    from selflabel.base.settings import Settings

TYPED = ("method", "solos", "clusters", "encoder", "weights", "epochs", "seed", "device", "cache", "follow_links")
FIND_ENCODER_HELP = (
    "Of photos the pretrained backbone: auto is DINO small; or frozen:timm:NAME. With sounds trained from scratch."
)


@app.command()
def find(
    context: typer.Context,
    source: Source,
    method: Annotated[
        str, typer.Option(help="cut for photos; avol or avcontrast learn from sounds; see `selflabel methods`.")
    ] = "cut",
    solos: Annotated[
        str | None, typer.Option(help="Of dsol: a second folder, of pictures or films in each of which one thing sounds.")
    ] = None,
    clusters: Annotated[
        int | None, typer.Option("-k", "--clusters", help="Classes, of dsol. [default: 10; of soundlabels 30]")
    ] = None,
    encoder: Annotated[str, typer.Option(help=FIND_ENCODER_HELP)] = "auto",
    weights: Annotated[str | None, typer.Option(help="Its pretrained weights, a .safetensors file.")] = None,
    out: Annotated[Path | None, typer.Option(help="Run folder to write. [default: runs/<source>-<method>]")] = None,
    epochs: Annotated[int | None, typer.Option(help="Epochs, of a method that is trained.")] = None,
    seed: Seed = 0,
    device: Device = "auto",
    cache: Cache = None,
    follow_links: FollowLinks = False,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="key=value: a setting, or an option of the finder; repeatable.")
    ] = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume", help="Continue the run in the folder, of a method that is trained; start one where there is none."
        ),
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the run in the folder.")] = False,
    json: AsJson = False,
) -> None:
    """Find the objects in the photos of SOURCE: a box, a mask and a score each, without classes.

    With --method avol or avcontrast: find what sounds, in films with sound or in pictures with a sound of the same name.

    Example: selflabel find photos/

    Example: selflabel find scenes/ --method avol

    Example: selflabel find scenes/ --method dsol --solos solos/ -k 7
    """
    with Terminal(json) as terminal:
        terminal.on_progress("starting")  # torch takes seconds to import
        settings = find_settings(typed_values(context), method, set_ or [])
        folder = out or Path("runs") / f"{source_name(settings.source)}-{settings.method}"
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, terminal.stop)
        report = run_find(settings, folder, resume, overwrite, terminal)
    print(jsonlib.dumps(report) if json else found_lines(report, folder))


def find_settings(typed: dict[str, Any], method: str, sets: list[str]) -> Settings:
    """The settings of `find`: what was typed, then `--set`.

    Args:
        typed: options that stood on the command line, by name.
        method: the finder, where `--set` names no other.
        sets: words of `--set`.

    Raises:
        UserError: no such finder, or a wrong setting.
    """
    from selflabel.base.settings import make_settings, with_overrides
    from selflabel.methods import find_finder, option_names

    values = {"method": method} | with_overrides(None, sets) | {name: typed[name] for name in TYPED if name in typed}
    find_finder(values["method"])
    names = option_names(values["method"])
    values |= {"options": with_overrides(None, sets, names)["options"], "source": one_or_several(typed["source"])}
    return make_settings(**values)


def run_find(settings: Settings, out: Path, resume: bool, overwrite: bool, terminal: Terminal) -> dict[str, Any]:
    """The report of `jobs.find.find`, whose stop is that of a command that cannot go on later, or of `jobs.localise.localise`."""
    from selflabel.base.errors import Interrupted
    from selflabel.jobs.find import find as find_objects
    from selflabel.jobs.localise import localise
    from selflabel.methods import LOCALISERS

    if settings.method in LOCALISERS:
        return localise(settings, out, resume, overwrite, terminal.callbacks()).report
    try:
        return find_objects(settings, out, overwrite, terminal.callbacks()).report
    except Interrupted:
        raise KeyboardInterrupt from None


def found_lines(report: dict[str, Any], out: Path) -> str:
    """The summary at the end of `find`.

    Args:
        report: as in report.json.
        out: the run folder.
    """
    skipped = f" ({report['n_skipped']} without an object or skipped, see skipped.csv)" if report["n_skipped"] else ""
    rows = [
        ("films" if "video" in report["modalities"] else "photos", f"{report['n_photos']:,}{skipped}"),
        ("objects", f"{report['n_items']:,}, {classes_text(report)}"),
        ("score", f"{report['median_confidence']:.3f} median"),
        ("seconds", ", ".join(f"{k} {v:.1f}" for k, v in report["seconds"].items())),
        ("run folder", str(out)),
    ]
    lines = "\n".join(f"{name + ':':15} {value}" for name, value in rows)
    folder = shlex.quote(str(out))
    after = "" if report["n_clusters"] > 1 else f"\nnext      selflabel label {folder} -k 20   a class for every object"
    return f"{lines}\n\nlook at   selflabel browse {folder}{after}"


def classes_text(report: dict[str, Any]) -> str:
    """Whether the objects have classes."""
    return f"in {report['n_clusters']} classes" if report["n_clusters"] > 1 else "without classes yet"
