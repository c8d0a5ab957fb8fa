"""The command that trains a detector or a segmenter: teach."""

from __future__ import annotations

import json as jsonlib
import shlex
import signal
from pathlib import Path
from typing import Annotated, Any

import typer

from selflabel.cli.app import AsJson, Cache, Device, FollowLinks, RunFolder, Seed, app, typed_values
from selflabel.cli.terminal import Terminal

TYPED = ("encoder", "weights", "epochs", "seed", "device", "cache", "follow_links")


@app.command()
def teach(
    context: typer.Context,
    run: RunFolder,
    method: Annotated[str, typer.Option(help="fcos, a detector of boxes; or fcn, a segmenter of pixels.")] = "fcos",
    encoder: Annotated[str, typer.Option(help="The fixed backbone: auto is that of the run; or frozen:timm:NAME.")] = "auto",
    weights: Annotated[str | None, typer.Option(help="Its pretrained weights, a .safetensors file.")] = None,
    out: Annotated[Path | None, typer.Option(help="Run folder to write. [default: RUN-detector or RUN-segmenter]")] = None,
    epochs: Annotated[
        int | None, typer.Option(help="Passes over the photos. [default: fewer of many photos, 8 of a hundred]")
    ] = None,
    seed: Seed = 0,
    device: Device = "auto",
    cache: Cache = None,
    follow_links: FollowLinks = False,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="key=value: a setting, or an option of the method; repeatable.")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue the run in the folder; start a new one where there is none.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the run in the folder.")] = False,
    json: AsJson = False,
) -> None:
    """Train a detector or a segmenter on the regions of a run, with the classes that they have and what people corrected.

    Example: selflabel teach runs/photos-cut-sela-nn
    """
    with Terminal(json) as terminal:
        terminal.on_progress("starting")  # torch takes seconds to import
        from selflabel.base.settings import make_settings, with_overrides
        from selflabel.jobs.teach import teach as teach_learner
        from selflabel.methods import find_learner, option_names

        noun = find_learner(method).make.noun
        typed, own = typed_values(context), with_overrides(None, set_ or [], option_names(method))
        values: dict[str, Any] = own | {name: typed[name] for name in TYPED if name in typed}
        settings = make_settings(**values | {"source": str(run), "method": method})
        folder = out or run.with_name(f"{run.resolve().name}-{noun}")
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, terminal.stop)
        report = teach_learner(settings, folder, resume, overwrite, terminal.callbacks()).report
    print(jsonlib.dumps(report) if json else taught_lines(report, folder))


def taught_lines(report: dict[str, Any], out: Path) -> str:
    """The summary at the end of `teach`.

    Args:
        report: as in report.json.
        out: the run folder.
    """
    from selflabel.methods import DETECTORS

    detects = report["method"] in DETECTORS
    learned, found, thing = ("boxes", "detected", "object") if detects else ("regions", "segmented", "region")
    skipped = f" ({report['n_skipped']} without any or skipped, see skipped.csv)" if report["n_skipped"] else ""
    classes = report["clusters_found"]
    rows = [
        ("learned from", f"{report['n_regions_learned']:,} {learned}"),
        ("photos", f"{report['n_photos']:,}{skipped}"),
        (found, f"{report['n_items']:,} {thing}s of {classes:,} {'class' if classes == 1 else 'classes'}"),
        ("score", f"{report['median_confidence']:.3f} median"),
        ("seconds", ", ".join(f"{k} {v:.1f}" for k, v in report["seconds"].items())),
        ("run folder", str(out)),
    ]
    lines = "\n".join(f"{name + ':':15} {value}" for name, value in rows)
    folder = shlex.quote(str(out))
    return f"{lines}\n\nlook at   selflabel browse {folder}\nnext      selflabel predict {folder} MORE_PHOTOS"
