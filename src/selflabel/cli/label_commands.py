"""The commands that train: demo, label, compare."""

from __future__ import annotations

import json as jsonlib
import os
import signal
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from selflabel.cli.app import (
    AsJson,
    Cache,
    Device,
    FollowLinks,
    Hop,
    ImagesFolder,
    ItemFiles,
    LabelSource,
    Seed,
    Source,
    Windows,
    app,
    one_or_several,
    source_name,
    typed_values,
)  # fmt: skip
from selflabel.cli.given import check_clusters, label_settings
from selflabel.cli.terminal import Terminal
from selflabel.cli.wording import browse_line, report_lines, score_lines

ENCODER_HELP = "See `selflabel encoders`; auto: a pretrained one where it can be had; scratch: a network trained on the items."
Outliers = Annotated[
    str | None, typer.Option(help="Items that fit no cluster: auto, or their share, such as 0.1; left out, all get one.")
]


@app.command()
def demo(
    seed: Seed = 0,
    out: Annotated[Path, typer.Option(help="Run folder to write; an earlier demo there is replaced.")] = Path("selflabel-demo"),
    device: Device = "auto",
    json: AsJson = False,
) -> None:
    """Label the embedded MNIST-5k, score it against the truth, and print the next command.

    Example: selflabel demo
    """
    from selflabel.jobs.score import score_run
    from selflabel.runs.run import Run

    report = run_label({"source": "mnist5k", "clusters": 10, "seed": seed, "device": device}, out, False, True, json)
    scores = score_run(Run.open(out), None)
    if json:
        print(jsonlib.dumps(report | {"score": scores}))
        return
    print(f"\nScored against the truth, which training never saw:\n{score_lines(scores)}")
    print(f"\nLook at the clusters, name them and correct them:\n{browse_line(out)}")


@app.command()
def label(
    context: typer.Context,
    source: LabelSource = None,
    items: ItemFiles = None,
    images: ImagesFolder = None,
    clusters: Annotated[
        int | None,
        typer.Option(
            "--clusters",
            "-k",
            help="Number of clusters; left out, sela-nn estimates it, other methods have a default (10, or up to 128).",
        ),
    ] = None,
    method: Annotated[str, typer.Option(help="See `selflabel methods`.")] = "sela-nn",
    encoder: Annotated[str, typer.Option(help=ENCODER_HELP)] = "auto",
    weights: Annotated[str | None, typer.Option(help="Pretrained weights, a .safetensors file.")] = None,
    mass: Annotated[
        str, typer.Option(help="Cluster sizes: auto, uniform (equal), gaussian, zipf, estimated or relaxed.")
    ] = "auto",
    views: Annotated[str, typer.Option(help="Preset of the random views: photo, glyph, ...; auto is by the data.")] = "auto",
    windows: Windows = None,
    hop: Hop = None,
    parts: Annotated[str | None, typer.Option(help="patches: label the patches of photos, and draw a class map of each.")] = None,
    out: Annotated[Path | None, typer.Option(help="Run folder to write. [default: runs/<source>-<method>]")] = None,
    epochs: Annotated[int | None, typer.Option(help="Epochs of all phases together.")] = None,
    preset: Annotated[str | None, typer.Option(help="paper: the published network and length.")] = None,
    seed: Seed = 0,
    device: Device = "auto",
    cache: Cache = None,
    follow_links: FollowLinks = False,
    labels: Annotated[str | None, typer.Option(help="Train on the fixed labels of this CSV (method sela).")] = None,
    outliers: Outliers = None,
    config: Annotated[str | None, typer.Option(help="Settings from a TOML file, or from the run.toml of a run.")] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="key=value: a setting, or an option of the method; repeatable.")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue the run in the folder; start a new one where there is none.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the run in the folder.")] = False,
    json: AsJson = False,
) -> None:
    """Give every item of SOURCE a label, and write a run folder.

    Example: selflabel label photos/ -k 10

    Example: selflabel label recordings/ -k 20 --windows 3

    Example: selflabel label photos/ -k 10 --parts patches
    """
    with Terminal(json) as terminal:
        terminal.on_progress("starting")  # torch takes seconds to import
        settings = label_settings(typed_values(context), config, set_ or [], method)
    folder = out or Path("runs") / f"{source_name(settings['source'])}-{settings.get('method', method)}"
    report = run_label(settings, folder, resume, overwrite, json)
    if json:
        print(jsonlib.dumps(report))


@app.command()
def compare(
    source: Source,
    methods: Annotated[
        str, typer.Option(help="Names with commas between; key=value after a name is a setting or an option of that one.")
    ],
    items: ItemFiles = None,
    images: ImagesFolder = None,
    clusters: Annotated[int | None, typer.Option("--clusters", "-k", help="Number of clusters.")] = None,
    epochs: Annotated[int | None, typer.Option(help="Epochs of every method.")] = None,
    seconds: Annotated[float | None, typer.Option(help="Seconds of training for every method, instead of --epochs.")] = None,
    encoder: Annotated[str, typer.Option(help=ENCODER_HELP)] = "auto",
    weights: Annotated[str | None, typer.Option(help="Pretrained weights, a .safetensors file.")] = None,
    truth: Annotated[str | None, typer.Option(help="As of `score`: a CSV with path and label, or 'folders'.")] = None,
    windows: Windows = None,
    hop: Hop = None,
    out: Annotated[Path | None, typer.Option(help="Folder to write. [default: runs/<source>-compared]")] = None,
    seed: Seed = 0,
    device: Device = "auto",
    cache: Cache = None,
    follow_links: FollowLinks = False,
    outliers: Outliers = None,
    json: AsJson = False,
) -> None:
    """Label SOURCE with several methods under one budget: one table, one plot. The same command again continues.

    Example: selflabel compare photos/ -k 10 --methods 'sela-nn, scan, deepcluster version=2' --seconds 120
    """
    from selflabel.base.settings import make_settings
    from selflabel.jobs.compare import as_table
    from selflabel.jobs.compare import compare as compare_methods

    check_clusters(clusters)
    values: dict[str, Any] = {"clusters": clusters, "epochs": epochs, "encoder": encoder, "weights": weights, "seed": seed}
    values |= {"items": items, "images": images, "outliers": outliers, "follow_links": follow_links}
    values |= {"windows": windows, "hop": hop}
    settings = make_settings(source=one_or_several(source), device=device, cache=cache, **values)
    folder = out or Path("runs") / f"{source_name(settings.source)}-compared"
    say = (lambda text: None) if json else (lambda text: print(text, file=sys.stderr))
    rows = compare_methods(settings, [m.strip() for m in methods.split(",") if m.strip()], folder, seconds, say, truth)
    print(jsonlib.dumps(rows) if json else f"{as_table(rows)}\n\nlook at   {folder / 'comparison.png'}")


def run_label(values: dict[str, Any], out: Path, resume: bool, overwrite: bool, quiet: bool) -> dict[str, Any]:
    """Label with progress on the terminal; print the report unless quiet.

    Args:
        values: of `base.settings.Settings`, by name.
        out, resume, overwrite: as in `jobs.label.label`.
        quiet: print nothing.

    Returns:
        The report.
    """
    from selflabel.base.settings import make_settings

    settings = make_settings(**values)
    check_clusters(settings.clusters)
    quiet = quiet or os.environ.get("RANK", "0") != "0"  # under torchrun one process prints
    with Terminal(quiet) as terminal:
        terminal.on_progress("starting")
        from selflabel.jobs.label import label as label_items

        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, terminal.stop)
        report = label_items(settings, out, resume, overwrite, terminal.callbacks()).report
    if not quiet:
        print(report_lines(report, out))
    return report
