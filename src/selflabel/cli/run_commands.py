"""The commands on finished runs: predict, score, probe, browse, export."""

from __future__ import annotations

import json as jsonlib
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from selflabel.cli.app import (
    AsJson,
    Cache,
    Device,
    FollowLinks,
    Hop,
    ImagesFolder,
    ItemFiles,
    MovedTo,
    Raw,
    RunFolder,
    Seed,
    Source,
    app,
    one_or_several,
    open_run,
)
from selflabel.cli.confirming import confirm_source
from selflabel.cli.region_lines import region_lines
from selflabel.cli.terminal import live
from selflabel.cli.wording import count, degraded_lines, probe_lines, score_lines
from selflabel.exports import format_names

if TYPE_CHECKING:
    pass


@app.command()
def predict(
    run: RunFolder,
    source: Source,
    items: ItemFiles = None,
    images: ImagesFolder = None,
    windows: Annotated[
        float | None, typer.Option(help="Seconds: cut sounds and films into windows. [default: as the run did]")
    ] = None,
    hop: Hop = None,
    out: Annotated[Path | None, typer.Option(help="CSV to write. [default: printed]")] = None,
    maps: Annotated[
        Path | None,
        typer.Option(
            help="New folder for class maps, of a run of patches or a segmenter; or heatmaps, of one that learned from sounds."
        ),
    ] = None,
    raw: Raw = False,
    device: Device = "auto",
    cache: Cache = None,
    json: AsJson = False,
    follow_links: FollowLinks = False,
) -> None:
    """Label unseen items with a finished run, as its edits merged, split and named its clusters; of objects, find them first.

    Example: selflabel predict runs/photos-sela-nn new-photos/ --out labels.csv
    """
    with live(json) as terminal:
        from selflabel.base.errors import UserError
        from selflabel.base.files import write_text
        from selflabel.base.settings import check_windows
        from selflabel.jobs.predict import gives_class_maps
        from selflabel.jobs.predict import predict as predict_items
        from selflabel.jobs.predictions import predictions_csv, predictions_dict
        from selflabel.jobs.prepare.windows import Windows
        from selflabel.jobs.report import piece_of_report
        from selflabel.runs.class_maps import has_class_maps
        from selflabel.runs.writing import skipped_csv

        opened = open_run(run)
        check_windows(windows, hop)
        if maps is not None and maps.exists():
            raise UserError(f"{maps}: is there already; give a new folder with --maps.")
        places, cut = one_or_several(source), Windows.of(windows, hop)
        how = (device, cache, terminal.callbacks(), raw, follow_links)
        predicted = predict_items(opened, places, *how, items, images, cut, maps)
    if out is not None:
        write_text(out, predictions_csv(predicted))
        if predicted.skipped or skipped_file(out).exists():  # an earlier list would be of other items
            write_text(skipped_file(out), skipped_csv(predicted.skipped))
    if maps is not None and gives_class_maps(opened) and predicted.pieces is not None:
        from selflabel.exports.predicted_maps import write_predicted_maps

        write_predicted_maps(opened, maps, predicted.paths, predicted.pieces, predicted.labels, predicted.confidence, raw)
    if json:
        return print(jsonlib.dumps(predictions_dict(predicted)))
    piece = {"piece": "region"} if has_class_maps(opened) else piece_of_report(predicted.pieces)
    given = opened.report | {"piece": ""} | piece  # boxes are labelled by a run of photos, and photos by one of boxes
    if out is not None:
        print(f"{count(len(predicted.paths), given)} labelled: {out}")
    else:
        print(predictions_csv(predicted), end="")
    if predicted.outliers is not None and (n := int(predicted.outliers.sum())):
        what = f"{n:,} of {count(len(predicted.paths), given)}"
        print(f"{what} {'is' if n == 1 else 'are'} unlike everything that the run has seen: column outlier", file=sys.stderr)
    if predicted.skipped:  # the terminal has said why, by kind of reason
        place = "--out and --json list them" if out is None else f"see {skipped_file(out)}"
        print(f"{len(predicted.skipped):,} skipped, {place}.", file=sys.stderr)


def skipped_file(out: Path) -> Path:
    """The list of what `predict` left out, beside its table: labels.csv has labels-skipped.csv."""
    return out.with_name(f"{out.stem}-skipped.csv")


@app.command()
def score(
    run: RunFolder,
    truth: Annotated[
        str | None,
        typer.Option(
            help="CSV with path and label, perhaps also spans or boxes; or a folder of masks, where the run found objects; or "
            "'folders': the class is the item's folder."
        ),
    ] = None,
    raw: Raw = False,
    degrade: Annotated[
        str | None, typer.Option(help="video, audio or image: corrupt it more and more, and score the labels predicted then.")
    ] = None,
    plot: Annotated[Path | None, typer.Option(help="PNG to write: histograms of the clusters' purity and entropy.")] = None,
    swap_sound: Annotated[
        bool, typer.Option("--swap-sound", help="Whether heatmaps follow the sound: with another one, and with silence.")
    ] = False,
    source: MovedTo = None,
    device: Device = "auto",
    json: AsJson = False,
) -> None:
    """Score a finished run, edits applied, against what people said. Rejected items are left out.

    Example: selflabel score runs/photos-sela-nn --truth truth.csv
    """
    if degrade is not None:
        return print_degraded(run, truth, degrade, source, device, json)
    if swap_sound:
        return print_swapped(run, source, device, json)
    with live(json):
        from selflabel.jobs.score import plot_purity, score_modalities, score_run
        from selflabel.jobs.score_class_maps import class_map_lines, has_true_maps, score_class_maps
        from selflabel.jobs.score_regions import says_where, score_regions

        opened = open_run(run)
        if truth is not None and has_true_maps(opened, truth):
            of_maps = score_class_maps(opened, truth, raw)
            return print(jsonlib.dumps(of_maps) if json else class_map_lines(of_maps))
        if truth is not None and says_where(opened, truth):
            return print_regions(score_regions(opened, truth, raw), json)
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
    source: MovedTo = None,
    device: Device = "auto",
    json: AsJson = False,
) -> None:
    """Measure a run's features: nearest neighbours, a linear layer, few labels, retrieval; over five folds.

    Example: selflabel probe runs/photos-sela-nn --truth truth.csv
    """
    opened = open_run(run)
    if finetune is not None:
        confirm_source(opened, source)
    with live(json) as terminal:
        from selflabel.jobs.score import groups_of, match_truth, probe_run

        terminal.on_progress("probing")
        scores = probe_run(opened, truth, seed, papers)
        if finetune is not None:
            from selflabel.jobs.finetune import finetune as finetune_run

            classes, groups = match_truth(opened, truth, raw=True).by_row, groups_of(opened, truth)
            scores["fine-tuned"] = finetune_run(opened, classes, groups, finetune, seed, device, terminal.callbacks(), source)
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
    with live(False):
        from selflabel.gallery.serving import browse as serve

        opened = open_run(run)
    confirm_source(opened, source)
    serve(opened, port, not no_open, truth, source, follow_links)


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

    if copy + hard + link > 1:
        raise UserError("--copy, --hard, --link: files are copied, hard-linked or linked; give one of them.")
    how = "hard" if hard else "link" if link else "copy"
    opened = open_run(run)
    confirm_source(opened, source)
    with live(json) as terminal:
        from selflabel.exports import export as export_run

        done = export_run(
            opened,
            to,
            out,
            raw=raw,
            how=how,
            overwrite=overwrite,
            source=source,
            follow_links=follow_links,
            progress=lambda done, total: terminal.on_progress(f"export to {to}", done, total),
        )
    if json:
        print(jsonlib.dumps(done.as_dict()))
        return
    print(f"{count(done.n_items, opened.report)}: {done.place}")
    if done.n_rejected:
        print(f"{done.n_rejected:,} in no cluster, left out")
    if done.n_changed:
        text = "files have another time of change than when they were labelled (copies do); the first,"
        print(f"{done.n_changed:,} {text} {done.first_changed}", file=sys.stderr)
    if done.n_left_out:
        text = f"{count(done.n_left_out, opened.report)} could not be read (see left-out.csv); the first, {done.first_left_out}"
        print(text, file=sys.stderr)


def print_regions(scores: dict[str, Any], json: bool) -> None:
    """Print the scores of objects that were found, and of their classes."""
    print(jsonlib.dumps(scores) if json else region_lines(scores))
    if scores.get("labels") and not json:
        print(f"\nclasses of the objects, each compared with the true box that it overlaps most\n{score_lines(scores['labels'])}")


def print_degraded(folder: Path, truth: str | None, modality: str, source: str | None, device: str, json: bool) -> None:
    """Score, print and plot a run with one modality corrupted more and more."""
    run = open_run(folder)
    confirm_source(run, source)
    with live(json) as terminal:
        from selflabel.jobs.degrade import degrade, write_degraded
        from selflabel.jobs.score import match_truth

        classes = match_truth(run, truth, raw=True).by_row
        rows = degrade(run, modality, classes, device, terminal.callbacks(), source)
        terminal.on_progress("writing")
        _, picture = write_degraded(rows, modality, run.folder)
    print(jsonlib.dumps([asdict(r) for r in rows]) if json else f"{degraded_lines(rows, modality)}\nlook at   {picture}")


def print_swapped(folder: Path, source: str | None, device: str, json: bool) -> None:
    """Print how the heatmaps of a run change with the sound."""
    run = open_run(folder)
    confirm_source(run, source)
    with live(json) as terminal:
        from selflabel.jobs.swap_sound import swap_run, swapped_lines

        found = swap_run(run, source, device, terminal.callbacks())
    print(jsonlib.dumps(found) if json else swapped_lines(found))
