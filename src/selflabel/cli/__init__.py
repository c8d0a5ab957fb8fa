"""One thin command a verb. Heavy imports wait inside the commands, so that --help answers at once."""

from __future__ import annotations

import json as jsonlib
import os
import signal
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from selflabel.cli.wording import browse_line, degraded_lines, probe_lines, progress_bar, report_lines, score_lines

app = typer.Typer(
    help="Unlabelled images in, labels out: self-labelling by balanced optimal transport.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Source = Annotated[
    str,
    typer.Argument(help="A folder, a .csv/.jsonl/.parquet manifest, an .npy/.npz array, .tar shards, digits or mnist5k."),
]
RunFolder = Annotated[Path, typer.Argument(help="The folder of a finished run.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
Raw = Annotated[bool, typer.Option("--raw", help="Leave edits aside: the labels as the run wrote them.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")]
Cache = Annotated[str | None, typer.Option(help="Folder for decoded items. [default: ~/.cache/selflabel]")]
Seed = Annotated[int, typer.Option(help="Seed of every random draw.")]


@app.command()
def demo(
    seed: Seed = 0,
    out: Annotated[Path, typer.Option(help="Run folder to write; an earlier demo there is replaced.")] = Path("selflabel-demo"),
    device: Device = "auto",
    json: AsJson = False,
) -> None:
    """Label the embedded MNIST-5k, score it against the truth, and say what to type next.

    Example: selflabel demo
    """
    from selflabel.jobs.score import score_run
    from selflabel.runs.run import Run

    report = run_label({"source": "mnist5k", "clusters": 10, "seed": seed, "device": device}, out, False, True, json)
    found = score_run(Run.open(out), None)
    if json:
        print(jsonlib.dumps(report | {"score": found}))
        return
    print(f"\nScored against the truth, which training never saw:\n{score_lines(found)}")
    print(f"\nLook at the clusters, name them and mend them:\n{browse_line(out)}")


@app.command()
def label(
    source: Source,
    clusters: Annotated[
        int | None, typer.Option("--clusters", "-k", help="Labels; left out, their number is chosen without truth.")
    ] = None,
    method: Annotated[str, typer.Option(help="See `selflabel methods`.")] = "sela-nn",
    encoder: Annotated[str, typer.Option(help="See `selflabel encoders`; auto is by the data.")] = "auto",
    weights: Annotated[str | None, typer.Option(help="Pretrained weights, a .safetensors file.")] = None,
    mass: Annotated[str, typer.Option(help="auto, uniform (equipartition), gaussian, zipf, estimated or relaxed.")] = "auto",
    views: Annotated[str, typer.Option(help="Preset of the random views: photo, glyph, ...; auto is by the data.")] = "auto",
    out: Annotated[Path | None, typer.Option(help="Run folder to write. [default: runs/<source>-<method>]")] = None,
    epochs: Annotated[int | None, typer.Option(help="Epochs of all phases together.")] = None,
    preset: Annotated[str | None, typer.Option(help="paper: the published network and length.")] = None,
    seed: Seed = 0,
    device: Device = "auto",
    cache: Cache = None,
    labels: Annotated[str | None, typer.Option(help="Train anew on the fixed labels of this CSV (method sela).")] = None,
    config: Annotated[str | None, typer.Option(help="Settings from a TOML file.")] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="key=value: a setting, or an option of the method; repeatable.")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the run in the folder; start anew where there is none.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the run in the folder.")] = False,
    json: AsJson = False,
) -> None:
    """Give every item of SOURCE a label, and write a run folder.

    Example: selflabel label photos/ -k 10
    """
    from selflabel.base.settings import with_overrides

    typed = {
        "clusters": clusters,
        "method": method,
        "encoder": encoder,
        "weights": weights,
        "mass": mass,
        "views": views,
        "epochs": epochs,
        "preset": preset,
        "seed": seed,
        "device": device,
        "cache": cache,
        "labels": labels,
    }
    given = with_overrides(config, set_ or [])
    defaults = {"method": "sela-nn", "encoder": "auto", "mass": "auto", "views": "auto", "seed": 0, "device": "auto"}
    said = {k: v for k, v in typed.items() if v is not None and v != defaults.get(k)}
    given = {**given, **said, "source": source}
    place = out or Path("runs") / f"{source_name(source)}-{given.get('method', 'sela-nn')}"
    report = run_label(given, place, resume, overwrite, json)
    if json:
        print(jsonlib.dumps(report))


@app.command()
def predict(
    run: RunFolder,
    source: Source,
    out: Annotated[Path | None, typer.Option(help="CSV to write. [default: printed]")] = None,
    raw: Raw = False,
    device: Device = "auto",
    cache: Cache = None,
) -> None:
    """Label unseen items with a finished run, as its edits merged, split and named its clusters.

    Example: selflabel predict runs/photos-sela-nn new-photos/ --out labels.csv
    """
    from selflabel.base.files import write_text
    from selflabel.jobs.predict import predict as predict_items
    from selflabel.jobs.predict import predictions_csv
    from selflabel.runs.run import Run

    found = predict_items(Run.open(run), source, device, cache, raw=raw)
    if out is not None:
        write_text(out, predictions_csv(found))
        print(f"{len(found.paths)} items labelled, {len(found.skipped)} skipped: {out}")
    else:
        print(predictions_csv(found), end="")
    for path, reason in found.skipped:
        print(f"skipped {path}: {reason}", file=sys.stderr)


@app.command()
def score(
    run: RunFolder,
    truth: Annotated[
        str | None, typer.Option(help="CSV with path and label, or 'folders': the class is the item's folder.")
    ] = None,
    raw: Raw = False,
    degrade: Annotated[
        str | None, typer.Option(help="video, audio or image: show it worse and worse, and score the labels predicted then.")
    ] = None,
    plot: Annotated[Path | None, typer.Option(help="PNG to write: histograms of the clusters' purity and entropy.")] = None,
    device: Device = "auto",
    json: AsJson = False,
) -> None:
    """Score a finished run, edits applied, against labels that people gave. Rejected items are left out.

    Example: selflabel score runs/photos-sela-nn --truth truth.csv
    """
    from selflabel.jobs.score import draw_purity, score_alone, score_run
    from selflabel.runs.run import Run

    opened = Run.open(run)
    if degrade is not None:
        return print_degraded(opened, truth, degrade, device, json)
    found = score_run(opened, truth, raw)
    print(jsonlib.dumps(found) if json else score_lines(found))
    for modality, (accuracy, nmi) in ({} if json else score_alone(opened, truth)).items():
        print(f"{modality + ' alone':16} accuracy {accuracy:.4f}, NMI {nmi:.4f}")
    if plot is not None:
        draw_purity(opened, truth, raw, plot)


@app.command()
def probe(
    run: RunFolder,
    truth: Annotated[
        str | None, typer.Option(help="CSV with path, label and perhaps group (items that must stay together), or 'folders'.")
    ] = None,
    seed: Seed = 0,
    papers: Annotated[bool, typer.Option("--papers", help="By the papers' schedules and neighbours, too.")] = False,
    finetune: Annotated[
        int | None,
        typer.Option(min=1, help="Teach the networks the classes for so many epochs, from the run and from nothing."),
    ] = None,
    device: Device = "auto",
    json: AsJson = False,
) -> None:
    """Say how good a run's features are: nearest neighbours, a linear layer, few labels, retrieval; over five folds.

    Example: selflabel probe runs/photos-sela-nn --truth truth.csv
    """
    from selflabel.jobs.score import groups_of, known_items, probe_run
    from selflabel.runs.run import Run

    opened = Run.open(run)
    found = probe_run(opened, truth, seed, papers)
    if finetune is not None:
        from selflabel.jobs.finetune import finetuned

        classes = known_items(opened, truth, raw=True).by_path
        found["fine-tuned"] = finetuned(opened, classes, groups_of(truth), finetune, seed, device)
    print(jsonlib.dumps(found) if json else probe_lines(found))


@app.command()
def browse(
    run: RunFolder,
    port: Annotated[int, typer.Option(help="The first port to try; the next free one is taken.")] = 8765,
    no_open: Annotated[bool, typer.Option("--no-open", help="Print the address, open no browser.")] = False,
    truth: Annotated[Path | None, typer.Option(help="CSV with path and label, to show how pure each cluster is.")] = None,
    source: Annotated[str | None, typer.Option(help="Where the items are now, if they were moved.")] = None,
    follow_links: Annotated[
        bool, typer.Option("--follow-links", help="Show what links in the source lead to, wherever that is.")
    ] = False,
) -> None:
    """Look at the clusters of a finished run in the browser: name, merge, split, mend and export them.

    Example: selflabel browse runs/photos-sela-nn
    """
    from selflabel.gallery.serving import browse as serve
    from selflabel.runs.run import Run

    serve(Run.open(run), port, not no_open, truth, source, follow_links)


@app.command()
def export(
    run: RunFolder,
    to: Annotated[
        str,
        typer.Option(
            help="csv, folders, parquet, html, imagefolder, webdataset, coco, yolo, label-studio, fiftyone, cleanlab or cvat.",
            show_default=False,
        ),
    ],
    out: Annotated[Path | None, typer.Option(help="File or folder to write. [default: RUN-FORMAT]")] = None,
    raw: Raw = False,
    copy: Annotated[bool, typer.Option("--copy", help="Copy the items' files, as is done unless said otherwise.")] = False,
    hard: Annotated[bool, typer.Option("--hard", help="Hard-link the items' files: no room needed, same disk only.")] = False,
    link: Annotated[bool, typer.Option("--link", help="Link to the items' files where they lie.")] = False,
    source: Annotated[str | None, typer.Option(help="Where the items are now, if they have moved.")] = None,
    follow_links: Annotated[
        bool, typer.Option("--follow-links", help="Read what links in the source lead to, wherever that is.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier export.")] = False,
    json: AsJson = False,
) -> None:
    """Take the labels away, edits applied, as another tool reads them. Rejected items are left out.

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
        print(
            f"{done.n_left_out:,} items could not be read (see left-out.csv); the first, {done.first_left_out}", file=sys.stderr
        )


@app.command()
def compare(
    source: Source,
    methods: Annotated[str, typer.Option(help="Names with commas between; what is set for one stands behind its name.")],
    clusters: Annotated[int | None, typer.Option("--clusters", "-k", help="Labels.")] = None,
    epochs: Annotated[int | None, typer.Option(help="Epochs of every method.")] = None,
    seconds: Annotated[float | None, typer.Option(help="Seconds of training of every method, instead of --epochs.")] = None,
    encoder: Annotated[str, typer.Option(help="See `selflabel encoders`; auto is by the data.")] = "auto",
    weights: Annotated[str | None, typer.Option(help="Pretrained weights, a .safetensors file.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder to write. [default: runs/<source>-compared]")] = None,
    seed: Seed = 0,
    device: Device = "auto",
    cache: Cache = None,
    json: AsJson = False,
) -> None:
    """Label SOURCE with several methods under one budget: one table, one picture. The same command again goes on.

    Example: selflabel compare photos/ -k 10 --methods 'sela-nn, scan, deepcluster version=2' --seconds 120
    """
    from selflabel.base.settings import make_settings
    from selflabel.jobs.compare import as_table
    from selflabel.jobs.compare import compare as compare_methods

    given = {"clusters": clusters, "epochs": epochs, "encoder": encoder, "weights": weights, "seed": seed}
    settings = make_settings(source=source, device=device, cache=cache, **given)
    place = out or Path("runs") / f"{source_name(source)}-compared"
    say = (lambda text: None) if json else (lambda text: print(text, file=sys.stderr))
    rows = compare_methods(settings, [m.strip() for m in methods.split(",") if m.strip()], place, seconds, say)
    print(jsonlib.dumps(rows) if json else f"{as_table(rows)}\n\nlook at   {place / 'comparison.png'}")


@app.command()
def methods() -> None:
    """List the methods, with paper, modalities and cost.

    Example: selflabel methods
    """
    from selflabel.methods import BASELINES, METHODS

    for name, entry in (METHODS | BASELINES).items():
        takes = "one modality" if entry.make.most_modalities == 1 else "one modality or several"
        print(f"{name:16} {entry.paper}\n{'':16} {takes}; {entry.cost}")


@app.command()
def encoders() -> None:
    """List the encoders, with what they suit.

    Example: selflabel encoders
    """
    from selflabel.encoders import CLIP_ENCODERS, ENCODERS

    for name, entry in (ENCODERS | CLIP_ENCODERS).items():
        print(f"{name:14} {entry.what}; {entry.suits}")
    print(f"{'timm:NAME':14} any timm backbone with its pretrained weights, or --weights FILE.safetensors; trained further")
    print(f"{'frozen':14} feature input as it is")
    print(f"{'frozen:NAME':14} a fixed backbone, e.g. frozen:timm:resnet50: features computed once, then labels in seconds")
    print("Image encoders take films frame by frame, and sounds as spectrograms. A name alone is that of the pictures;")
    print("films with sound may have two: --encoder video=r2plus1d,audio=resnet18 (--weights and --views likewise)")


@app.command()
def cache(
    folder: Annotated[str | None, typer.Option("--cache", help="The folder. [default: ~/.cache/selflabel]")] = None,
    clear: Annotated[bool, typer.Option("--clear", help="Delete all decoded items.")] = False,
) -> None:
    """Say where decoded items are kept and how large they are, or clear them.

    Example: selflabel cache --clear
    """
    from selflabel.decode.cache import clear as clear_stores
    from selflabel.decode.cache import default_cache, stores

    place = Path(folder) if folder else default_cache()
    if clear:
        print(f"{place}: freed {clear_stores(place) / 1e6:,.0f} MB")
    else:
        kept = stores(place)
        print(f"{place}: {len(kept)} sets, {sum(size for _, size, _ in kept) / 1e6:,.0f} MB")


# ----------------------------------------------------------------------------------------------- what commands share


def run_label(given: dict[str, Any], out: Path, resume: bool, overwrite: bool, quiet: bool) -> dict[str, Any]:
    """Call the library with progress on the terminal; print the report unless quiet."""
    from selflabel.base.settings import make_settings

    settings = make_settings(**given)
    quiet = quiet or os.environ.get("RANK", "0") != "0"  # under torchrun one process speaks
    from selflabel.cli.terminal import Terminal
    from selflabel.jobs.label import label as label_items

    with Terminal(quiet) as terminal:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, terminal.stop)
        report = label_items(settings, out, resume, overwrite, terminal.notices())
    if not quiet:
        print(report_lines(report, out))
    return report


def print_degraded(run: Any, truth: str | None, modality: str, device: str, json: bool) -> None:
    """Score, print and draw a modality shown worse and worse."""
    from selflabel.jobs.degrade import degraded, write_degraded
    from selflabel.jobs.score import known_items

    found = degraded(run, modality, known_items(run, truth, raw=True).by_path, device)
    _, picture = write_degraded(found, modality, run.folder)
    print(jsonlib.dumps([asdict(r) for r in found]) if json else f"{degraded_lines(found, modality)}\nlook at   {picture}")


def source_name(source: str) -> str:
    """A short name for the default run folder."""
    stem = Path(source.rstrip("/")).name.split(".")[0]
    return "".join(c if c.isalnum() or c in "-_" else "-" for c in stem).strip("-") or "items"


def main() -> None:
    """The entry point: a user's error is one sentence and exit code 2."""
    from selflabel.base.errors import Interrupted, UserError

    try:
        app()
    except UserError as error:
        print(f"selflabel: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    except Interrupted:
        print("selflabel: stopped and saved; the same command with --resume goes on.", file=sys.stderr)
        raise SystemExit(130) from None


if __name__ == "__main__":
    main()
