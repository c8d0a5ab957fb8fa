"""One thin command a verb. Heavy imports wait inside the commands, so that --help answers at once."""

from __future__ import annotations

import json as jsonlib
import os
import signal
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

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
    report = run_label({"source": "mnist5k", "clusters": 10, "seed": seed, "device": device}, out, False, True, json)
    found = score_run(out, None)
    if json:
        print(jsonlib.dumps(report | {"score": found}))
        return
    print(f"\nScored against the truth, which training never saw:\n{score_lines(found)}")


@app.command()
def label(
    source: Source,
    clusters: Annotated[
        int | None, typer.Option("--clusters", "-k", help="Labels; left out, their number is chosen without truth.")
    ] = None,
    method: Annotated[str, typer.Option(help="See `selflabel methods`.")] = "sela-nn",
    encoder: Annotated[str, typer.Option(help="See `selflabel encoders`; auto is by the data.")] = "auto",
    weights: Annotated[str | None, typer.Option(help="Pretrained weights, a .safetensors file.")] = None,
    mass: Annotated[str, typer.Option(help="auto, uniform (equipartition), gaussian, zipf or relaxed.")] = "auto",
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
    from selflabel.settings import with_overrides

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
    device: Device = "auto",
    cache: Cache = None,
) -> None:
    """Label unseen items with a finished run.

    Example: selflabel predict runs/photos-sela-nn new-photos/ --out labels.csv
    """
    from selflabel.predict import predict as predict_items
    from selflabel.predict import write_predictions
    from selflabel.run import Run, csv_text

    found = predict_items(Run.open(run), source, device, cache)
    if out is not None:
        write_predictions(found, out)
        print(f"{len(found.paths)} items labelled, {len(found.skipped)} skipped: {out}")
    else:
        rows = zip(found.paths, found.labels.tolist(), [f"{c:.4f}" for c in found.confidence])
        print(csv_text(["path", "label", "confidence"], rows), end="")
    for path, reason in found.skipped:
        print(f"skipped {path}: {reason}", file=sys.stderr)


@app.command()
def score(
    run: RunFolder,
    truth: Annotated[
        str | None, typer.Option(help="CSV with path and label, or 'folders': the class is the item's folder.")
    ] = None,
    degrade: Annotated[
        str | None, typer.Option(help="video, audio or image: show it worse and worse, and score the labels predicted then.")
    ] = None,
    plot: Annotated[Path | None, typer.Option(help="PNG to write: histograms of the clusters' purity and entropy.")] = None,
    device: Device = "auto",
    json: AsJson = False,
) -> None:
    """Score a finished run against labels that people gave.

    Example: selflabel score runs/photos-sela-nn --truth truth.csv
    """
    if degrade is not None:
        return score_degraded(run, truth, degrade, device, json)
    found = score_run(run, truth)
    print(jsonlib.dumps(found) if json else "\n".join([score_lines(found), *alone_lines(run, truth)]))
    if plot is not None:
        plot_purity(run, truth, plot)


@app.command()
def probe(
    run: RunFolder,
    truth: Annotated[
        str | None, typer.Option(help="CSV with path, label and perhaps group (items that must stay together), or 'folders'.")
    ] = None,
    seed: Seed = 0,
    json: AsJson = False,
) -> None:
    """Say how good a run's features are: nearest neighbours, a linear layer, few labels, retrieval; over five folds.

    Example: selflabel probe runs/photos-sela-nn --truth truth.csv
    """
    from selflabel.evaluation.probes import probe as probe_features
    from selflabel.run import Run, read_column

    known, rows, _ = known_items(run, truth)
    paths = Run.open(run).labels["path"].to_pylist()
    by = read_column(Path(truth), ("group",)) if truth is not None and truth != "folders" else None
    groups = [by[paths[i]] for i in rows] if by else None
    found = probe_features(Run.open(run).features[rows], known, groups, seed)
    print(jsonlib.dumps(found) if json else probe_lines(found))


@app.command()
def compare(
    source: Source,
    methods: Annotated[str, typer.Option(help="Names with commas between, see `selflabel methods`.")],
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

    Example: selflabel compare photos/ -k 10 --methods sela-nn,scan,umap-kmeans --seconds 120
    """
    from selflabel.compare import as_table
    from selflabel.compare import compare as compare_methods
    from selflabel.settings import make_settings

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
    from selflabel.encoders import ENCODERS

    for name, entry in ENCODERS.items():
        print(f"{name:14} {entry.what}; {entry.suits}")
    print(f"{'timm:NAME':14} any timm backbone with its pretrained weights, or --weights FILE.safetensors; trained further")
    print(f"{'frozen':14} feature input as it is")
    print(f"{'frozen:NAME':14} a fixed backbone, e.g. frozen:timm:resnet50: features computed once, then labels in seconds")


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
    from selflabel.settings import make_settings

    settings = make_settings(**given)
    quiet = quiet or os.environ.get("RANK", "0") != "0"  # under torchrun one process speaks
    from selflabel.labelling import label as label_items
    from selflabel.terminal import Terminal

    with Terminal(quiet) as terminal:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, terminal.stop)
        report = label_items(settings, out, resume, overwrite, terminal.notices())
    if not quiet:
        print(report_lines(report, out))
    return report


def report_lines(report: dict[str, Any], out: Path) -> str:
    """The short report that `label` ends with."""
    sizes = sorted(report["sizes"], reverse=True)
    few = ", ".join(map(str, sizes[:12])) + (", ..." if len(sizes) > 12 else "")
    signs, guess = report["signs"], report["estimated_accuracy"]
    skipped = f" ({report['n_skipped']} skipped, see skipped.csv)" if report["n_skipped"] else ""
    rows = [
        ("items", f"{report['n_items']:,}{skipped}"),
        ("clusters", f"{report['n_clusters']}, chosen by {report['clusters_chosen_by']}"),
        ("sizes", few),
        ("masses", report["mass"]),
        ("head agreement", f"{signs['agreement']:.3f} NMI"),
        ("view stability", f"{signs['stability']:.3f}"),
        ("confidence", f"{report['median_confidence']:.3f} median"),
        ("est. accuracy", f"{guess['value']:.2f} ({guess['low']:.2f} to {guess['high']:.2f}), estimated without truth"),
        ("seconds", ", ".join(f"{k} {v:.1f}" for k, v in report["seconds"].items())),
        ("run folder", str(out)),
    ]
    lines = "\n".join(f"{name:15} {value}" for name, value in rows)
    warning = (
        "\nWarning: one label holds far more than its share; more epochs, other views or --mass uniform may help."
        if report["collapsed"]
        else ""
    )
    after = f"look at   {out / 'clusters.png'}\nnext      selflabel score {out} --truth truth.csv"
    return f"{lines}{warning}\n\n{after}\n          selflabel predict {out} MORE_IMAGES"


def score_run(folder: Path, truth: str | None) -> dict[str, Any]:
    """The eight numbers; those against truth are None where there is none."""
    from selflabel.evaluation.metrics import score as score_labels
    from selflabel.run import Run

    if truth is None and Run.open(folder).truth is None:
        return score_labels(None, Run.open(folder).labels["label"].to_numpy())
    known, rows, labels = known_items(folder, truth)
    return score_labels(known, labels[rows])


def known_items(folder: Path, truth: str | None) -> tuple[list[str], list[int], Any]:
    """(classes, rows) of the items whose class is known, and the labels of all.

    Raises:
        UserError: no truth, or none of its paths is in the run.
    """
    from selflabel.errors import UserError
    from selflabel.run import Run, read_truth

    run = Run.open(folder)
    table = run.labels
    paths = table["path"].to_pylist()
    if truth == "folders":
        known: dict[str, str] | None = {p: str(Path(p).parent) for p in paths}
    else:
        known = read_truth(Path(truth)) if truth else run.truth
    if known is None:
        raise UserError(f"{folder}: its source carried no truth; give it with --truth FILE.csv or --truth folders.")
    rows = [i for i, p in enumerate(paths) if p in known]
    if not rows:
        raise UserError(f"{truth}: none of its paths is in {folder}; the run's first is {paths[0]}.")
    return [known[paths[i]] for i in rows], rows, table["label"].to_numpy()


def alone_lines(folder: Path, truth: str | None) -> list[str]:
    """What each modality's labels would score by themselves, where a run has several and truth is known."""
    from selflabel.evaluation.metrics import accuracy, nmi
    from selflabel.run import Run

    run, lines = Run.open(folder), []
    if truth is None and run.truth is None:
        return []
    for modality, labels in run.alone.items():
        known, rows, _ = known_items(folder, truth)
        has = [(c, labels[i]) for c, i in zip(known, rows) if labels[i] >= 0]
        if has:
            classes, given = zip(*has)
            lines.append(f"{modality + ' alone':16} accuracy {accuracy(classes, given):.4f}, NMI {nmi(classes, given):.4f}")
    return lines


def plot_purity(folder: Path, truth: str | None, file: Path) -> None:
    from selflabel.evaluation.purity import drawn
    from selflabel.files import write_whole

    known, rows, labels = known_items(folder, truth)
    write_whole(file, lambda p: drawn(known, labels[rows]).savefig(p, format="png", dpi=110))


def score_degraded(folder: Path, truth: str | None, modality: str, device: str, json: bool) -> None:
    """Score, print and draw a modality shown worse and worse."""
    from dataclasses import asdict

    from selflabel.degrade import degraded, write_degraded
    from selflabel.run import Run

    run = Run.open(folder)
    known, rows, _ = known_items(folder, truth)
    paths = run.labels["path"].to_pylist()
    found = degraded(run, modality, {paths[i]: c for i, c in zip(rows, known)}, device)
    files = write_degraded(found, modality, folder)
    if json:
        print(jsonlib.dumps([asdict(r) for r in found]))
        return
    for r in found:
        alone = "" if r.alone_nmi is None else f"   {modality} alone: NMI {r.alone_nmi:.3f}, accuracy {r.alone_accuracy:.3f}"
        print(f"{r.way + ' ' + r.level:28} NMI {r.nmi:.3f}, accuracy {r.accuracy:.3f}{alone}")
    print(f"look at   {files[1]}")


def probe_lines(found: dict[str, Any]) -> str:
    rows = [("nearest neighbours", found["knn"]), ("linear layer", found["linear"])]
    rows += [(f"{n} labelled a class", value) for n, value in found["few"].items()]
    rows += [(f"recall at {k}", value) for k, value in found["recall"].items()]
    return "\n".join(f"{name:20} {value:.4f}" for name, value in rows)


def score_lines(found: dict[str, Any]) -> str:
    def shown(value: Any) -> str:
        return "no truth" if value is None else f"{value:,}" if isinstance(value, int) else f"{value:.4f}"

    return "\n".join(f"{name:16} {shown(value)}" for name, value in found.items())


def source_name(source: str) -> str:
    """A short name for the default run folder."""
    stem = Path(source.rstrip("/")).name.split(".")[0]
    return "".join(c if c.isalnum() or c in "-_" else "-" for c in stem).strip("-") or "items"


def main() -> None:
    """The entry point: a user's error is one sentence and exit code 2."""
    from selflabel.errors import Interrupted, UserError

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
