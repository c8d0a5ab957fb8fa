"""The commands on finished runs: predict, score, probe, browse, export."""

from __future__ import annotations

import json as jsonlib
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from selflabel.cli.app import AsJson, Cache, Device, FollowLinks, MovedTo, Raw, RunFolder, Seed, Source, app, one_or_several
from selflabel.cli.wording import degraded_lines, probe_lines, progress_bar, score_lines
from selflabel.exports import format_names


@app.command()
def predict(
    run: RunFolder,
    source: Source,
    out: Annotated[Path | None, typer.Option(help="CSV to write. [default: printed]")] = None,
    raw: Raw = False,
    device: Device = "auto",
    cache: Cache = None,
    follow_links: FollowLinks = False,
) -> None:
    """Label unseen items with a finished run, as its edits merged, split and named its clusters.

    Example: selflabel predict runs/photos-sela-nn new-photos/ --out labels.csv
    """
    from selflabel.base.files import write_text
    from selflabel.base.text import printable
    from selflabel.jobs.callbacks import Callbacks
    from selflabel.jobs.predict import predict as predict_items
    from selflabel.jobs.predict import predictions_csv
    from selflabel.runs.run import Run

    callbacks = Callbacks(say=lambda text: print(text, file=sys.stderr))
    predicted = predict_items(Run.open(run), one_or_several(source), device, cache, callbacks, raw, follow_links)
    if out is not None:
        write_text(out, predictions_csv(predicted))
        print(f"{len(predicted.paths)} items labelled, {len(predicted.skipped)} skipped: {out}")
    else:
        print(predictions_csv(predicted), end="")
    for path, reason in predicted.skipped:
        print(printable(f"skipped {path}: {reason}"), file=sys.stderr)


@app.command()
def score(
    run: RunFolder,
    truth: Annotated[
        str | None, typer.Option(help="CSV with path and label, or 'folders': the class is the item's folder.")
    ] = None,
    raw: Raw = False,
    degrade: Annotated[
        str | None, typer.Option(help="video, audio or image: corrupt it more and more, and score the labels predicted then.")
    ] = None,
    plot: Annotated[Path | None, typer.Option(help="PNG to write: histograms of the clusters' purity and entropy.")] = None,
    device: Device = "auto",
    json: AsJson = False,
) -> None:
    """Score a finished run, edits applied, against labels that people gave. Rejected items are left out.

    Example: selflabel score runs/photos-sela-nn --truth truth.csv
    """
    from selflabel.jobs.score import plot_purity, score_modalities, score_run
    from selflabel.runs.run import Run

    opened = Run.open(run)
    if degrade is not None:
        return print_degraded(opened, truth, degrade, device, json)
    scores = score_run(opened, truth, raw)
    print(jsonlib.dumps(scores) if json else score_lines(scores))
    for modality, (accuracy, nmi) in ({} if json else score_modalities(opened, truth)).items():
        print(f"{modality + ' only':16} accuracy {accuracy:.4f}, NMI {nmi:.4f}")
    if plot is not None:
        plot_purity(opened, truth, raw, plot)


@app.command()
def probe(
    run: RunFolder,
    truth: Annotated[
        str | None, typer.Option(help="CSV with path, label and perhaps group (items that stay in one fold), or 'folders'.")
    ] = None,
    seed: Seed = 0,
    papers: Annotated[
        bool,
        typer.Option("--papers", help="Also report the linear-probe schedules and nearest-neighbour settings of the papers."),
    ] = False,
    finetune: Annotated[
        int | None,
        typer.Option(min=1, help="Train the networks on the classes for N epochs, from the run and from scratch."),
    ] = None,
    device: Device = "auto",
    json: AsJson = False,
) -> None:
    """Measure a run's features: nearest neighbours, a linear layer, few labels, retrieval; over five folds.

    Example: selflabel probe runs/photos-sela-nn --truth truth.csv
    """
    from selflabel.jobs.score import groups_of, match_truth, probe_run
    from selflabel.runs.run import Run

    opened = Run.open(run)
    scores = probe_run(opened, truth, seed, papers)
    if finetune is not None:
        from selflabel.jobs.finetune import finetune as finetune_run

        classes = match_truth(opened, truth, raw=True).by_path
        scores["fine-tuned"] = finetune_run(opened, classes, groups_of(truth), finetune, seed, device)
    print(jsonlib.dumps(scores) if json else probe_lines(scores))


@app.command()
def browse(
    run: RunFolder,
    port: Annotated[int, typer.Option(help="The first port to try; the next free one is taken.")] = 8765,
    no_open: Annotated[bool, typer.Option("--no-open", help="Print the address, open no browser.")] = False,
    truth: Annotated[Path | None, typer.Option(help="CSV with path and label, to show how pure each cluster is.")] = None,
    source: MovedTo = None,
    follow_links: FollowLinks = False,
) -> None:
    """Look at the clusters of a finished run in the browser: name, merge, split, correct and export them.

    Example: selflabel browse runs/photos-sela-nn
    """
    from selflabel.gallery.serving import browse as serve
    from selflabel.runs.run import Run

    serve(Run.open(run), port, not no_open, truth, source, follow_links)


@app.command()
def export(
    run: RunFolder,
    to: Annotated[str, typer.Option(help=f"{format_names()}.", show_default=False)],
    out: Annotated[Path | None, typer.Option(help="File or folder to write. [default: RUN-FORMAT]")] = None,
    raw: Raw = False,
    copy: Annotated[bool, typer.Option("--copy", help="Copy the items' files; this is the default.")] = False,
    hard: Annotated[
        bool, typer.Option("--hard", help="Hard-link the items' files: takes no disk space, same disk only.")
    ] = False,
    link: Annotated[bool, typer.Option("--link", help="Link to the items' files where they are.")] = False,
    source: MovedTo = None,
    follow_links: FollowLinks = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier export.")] = False,
    json: AsJson = False,
) -> None:
    """Write the labels, edits applied, in another tool's format. Rejected items are left out.

    Example: selflabel export runs/photos-sela-nn --to folders
    """
    from selflabel.base.errors import UserError
    from selflabel.exports import export as export_run
    from selflabel.runs.run import Run

    if copy + hard + link > 1:
        raise UserError("--copy, --hard, --link: files are copied, hard-linked or linked; give one of them.")
    how = "hard" if hard else "link" if link else "copy"
    with progress_bar(f"export to {to}", quiet=json) as progress:
        done = export_run(
            Run.open(run),
            to,
            out,
            raw=raw,
            how=how,
            overwrite=overwrite,
            source=source,
            follow_links=follow_links,
            progress=progress,
        )
    if json:
        print(jsonlib.dumps(done.as_dict()))
        return
    print(f"{done.n_items:,} items: {done.place}")
    if done.n_rejected:
        print(f"{done.n_rejected:,} rejected, left out")
    if done.n_left_out:
        text = f"{done.n_left_out:,} items could not be read (see left-out.csv); the first, {done.first_left_out}"
        print(text, file=sys.stderr)


def print_degraded(run: Any, truth: str | None, modality: str, device: str, json: bool) -> None:
    """Score, print and plot a run with one modality corrupted more and more."""
    from selflabel.jobs.degrade import degrade, write_degraded
    from selflabel.jobs.score import match_truth

    rows = degrade(run, modality, match_truth(run, truth, raw=True).by_path, device)
    _, picture = write_degraded(rows, modality, run.folder)
    print(jsonlib.dumps([asdict(r) for r in rows]) if json else f"{degraded_lines(rows, modality)}\nlook at   {picture}")
