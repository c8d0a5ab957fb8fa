"""The command that computes features alone: embed."""

from __future__ import annotations

import json as jsonlib
import re
import shlex
import signal
from pathlib import Path
from typing import Annotated, Any

import typer

from selflabel.cli.app import AsJson, Cache, Device, FollowLinks, Source, app, one_or_several, stop, typed_values
from selflabel.cli.terminal import Terminal

TAKEN = ("px", "frames", "fps", "rate", "modality", "workers", "item_seconds", "item_gb")  # by --set
TYPED = ("encoder", "weights", "device", "cache", "follow_links")


@app.command()
def embed(
    context: typer.Context,
    source: Source,
    out: Annotated[Path, typer.Option(help="Folder for the features; what is done there is kept.")],
    encoder: Annotated[str, typer.Option(help="A fixed encoder, as frozen:timm:resnet50; auto is a pretrained one.")] = "auto",
    weights: Annotated[str | None, typer.Option(help="Its pretrained weights, a .safetensors file.")] = None,
    part: Annotated[str, typer.Option(help="I/N: only the I-th of N parts, for N processes or a job array.")] = "1/1",
    device: Device = "auto",
    cache: Cache = None,
    follow_links: FollowLinks = False,
    set_: Annotated[list[str] | None, typer.Option("--set", help="key=value: a setting; repeatable.")] = None,
    json: AsJson = False,
) -> None:
    """Compute the features of SOURCE by a fixed encoder, in shards, as a folder that `label` takes. The same command goes on.

    Example: selflabel embed photos/ --out features/ --part 2/8
    """
    from selflabel.base.errors import Interrupted

    of_all = part_of(part)
    try:
        with Terminal(json) as terminal:
            terminal.on_progress("starting")  # torch takes seconds to import
            from selflabel.base.settings import make_settings, with_overrides
            from selflabel.jobs.embed import embed as embed_items

            typed, own = typed_values(context), with_overrides(None, set_ or [], ())
            check_names(own)
            values: dict[str, Any] = own | {name: typed[name] for name in TYPED if name in typed}
            settings = make_settings(**values | {"source": one_or_several(source)})
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, terminal.stop)
            report = embed_items(settings, out, of_all, terminal.callbacks())
    except Interrupted:
        stop("stopped; the same command goes on from the shards that are done.", 130)
    print(jsonlib.dumps(report) if json else embedded_lines(report, out))


def part_of(text: str) -> tuple[int, int]:
    """(i, n) of "i/n".

    Example:
        >>> part_of("2/8")
        (2, 8)
    """
    from selflabel.base.errors import UserError

    match = re.fullmatch(r"(\d{1,9})/(\d{1,9})", text)
    i, n = map(int, match.groups()) if match else (0, 0)
    if not 1 <= i <= n:
        raise UserError(f"--part {text}: is not I/N, the I-th of N parts, from 1/N to N/N; for example 2/8.")
    return i, n


def check_names(values: dict[str, Any]) -> None:
    """Raise UserError where a setting was given that changes nothing here."""
    from selflabel.base.errors import UserError

    names = [*(values.get("options") or {}), *(name for name in values if name != "options")]
    other = next((name for name in names if name not in TAKEN), None)
    if other is not None:
        raise UserError(f"--set {other}: is no setting of embed; those are {', '.join(TAKEN)}.")


def embedded_lines(report: dict[str, Any], out: Path) -> str:
    """The summary at the end of `embed`."""
    skipped = f" ({report['n_skipped']:,} skipped, see part-*.skipped.csv)" if report["n_skipped"] else ""
    shards, waiting = report["n_shards"], report["n_waiting"]
    lines = [
        f"items:          {report['n_items']:,}{skipped}",
        f"shards:         {shards:,}, {report['n_new']:,} of them made now",
    ]
    if waiting:
        lines.append(f"waiting:        {waiting:,} shards of other parts")
    return "\n".join([*lines, f"\nnext      selflabel label {shlex.quote(str(out))}" if not waiting else ""]).rstrip()
