"""`selflabel compare`: several methods on the same data under one budget, as one table and one plot of quality against time.

Each method runs in a process of its own, so that its peak memory and its failure are its own; all of them share the cache of
decoded items. Without truth they are ranked by one measure: the merit of their labels (`assignment.merit`), averaged over the
neighbours in the features of all of them, so that no method is judged only by the features that it learned. comparison.csv,
comparison.md and comparison.png lie beside the runs and are written again after every method. Finished runs are not repeated,
and unfinished ones are resumed.
"""

from __future__ import annotations

import hashlib
import json
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from selflabel.base.errors import Interrupted, UserError
from selflabel.base.files import remove_leftovers, write_atomically, write_text
from selflabel.base.settings import Settings, as_toml, chosen_encoder, differences, make_settings, with_overrides
from selflabel.jobs.score import score_run
from selflabel.methods import BASELINES, option_names
from selflabel.runs.run import Run, csv_text, read_truth_table

FIRST_TRIAL, TRIAL_SHARE = 3, 0.2  # epochs of the first trial; share of the seconds that a second trial may take
STOPPED = 130  # exit code of a run that was asked to stop
FAILED = "failed.json"
NEIGHBOURS = "neighbours.npy"
SCORES = ("accuracy", "nmi", "ami", "ari")
SIGNS = ("agreement", "support", "stability", "neighbours", "confidence")
MADE = ("clusters", "outliers", "epochs", "seconds", "MB", "failed")
COLUMNS = ("method", *SCORES, "merit", "estimated accuracy", *SIGNS, *MADE)


def compare(
    settings: Settings,
    methods: list[str],
    out: Path,
    seconds: float | None = None,
    say: Callable[[str], None] = lambda text: None,
    truth: str | None = None,
) -> list[dict[str, Any]]:
    """Label with every method in turn and write the comparison.

    Args:
        settings: of all runs; their epochs are the budget where `seconds` is None; without either each method takes its own.
        methods: names as in `selflabel methods`, each with its own options: "sela-nn", "deepcluster version=2", "iic epochs=9"
            (which then needs no trial).
        out: the folder of the comparison, with a run folder for each method.
        seconds: of training, for each method; epochs are fitted to it after a short trial.
        say: called with a sentence about each method.
        truth: by which the methods are scored, as in `jobs.score.match_truth`; None is that of the source, where it has any.

    Returns:
        A row for each method: the COLUMNS by name, None where a value is missing.

    Raises:
        UserError: no method, an unknown one, no time, or `out` holds something else.
        Interrupted: a run was stopped.
    """
    if settings.epochs is not None and seconds is not None:
        raise UserError("--epochs and --seconds: the budget is one of them; leave the other out.")
    if seconds is not None and not seconds > 0:
        raise UserError(f"--seconds {seconds:g}: give the seconds of training a method has, more than 0.")
    if not methods:
        raise UserError("--methods: name one method at least, as `selflabel methods` lists them.")
    if truth is not None and truth != "folders":
        read_truth_table(Path(truth))  # one that cannot be read is refused before anything is trained
    by_entry = {" ".join(entry.split()): settings_of(entry, settings) for entry in methods}
    remove_leftovers(out)
    claim(out, settings, seconds)
    rows: list[dict[str, Any]] = []
    runs: dict[str, Run] = {}
    known: dict[tuple[str, str], float] = {}
    for name, own_settings in by_entry.items():
        folder = folder_of(name, out)
        result = run_method(with_encoder_of(out, own_settings), folder, seconds, say)
        rows.append(row_of(name, result, truth))
        if rows[-1]["failed"] is None:
            runs[name] = Run(result)
        merits = common_merits(runs, known, settings.clusters)
        rows = [row | {"merit": merits.get(row["method"])} for row in rows]
        write_comparison(out, rows)
    return rows


def settings_of(entry: str, settings: Settings) -> Settings:
    """The settings of one entry of `methods`: its name, then `key=value` words as in `label --set`."""
    name, *words = entry.split() or [""]
    values = with_overrides(None, words, option_names(name))
    return make_settings(**asdict(settings) | values | {"method": name, "options": settings.options | values["options"]})


def with_encoder_of(out: Path, settings: Settings) -> Settings:
    """The settings of the next method, with what "auto" was for the first one: all methods see the same features.

    Args:
        out: the folder of the comparison.
        settings: of the method.
    """
    if settings.encoder != "auto":
        return settings
    begun = sorted(out.glob("*/run.toml"), key=lambda file: file.stat().st_mtime)
    chosen = chosen_encoder(Run(begun[0].parent).modalities) if begun else ""
    return replace(settings, encoder=chosen or "auto")


def folder_of(name: str, out: Path) -> Path:
    """The run folder of an entry of `methods`."""
    return out / re.sub(r"[^\w.=-]+", "-", name)


def claim(out: Path, settings: Settings, seconds: float | None) -> None:
    """Record the settings in the folder; a later call with the same settings continues the comparison.

    Raises:
        UserError: the folder holds another comparison, or something else.
    """
    file = out / "comparison.json"
    if file.exists():
        known = json.loads(file.read_text(encoding="utf-8"))
        changed = differences(known["settings"], settings)
        if changed or known["seconds"] != seconds:
            text = "; ".join(changed) or f"--seconds: {known['seconds']}, now {seconds}"
            raise UserError(f"{out}: holds a comparison with other settings ({text}); give another folder with --out.")
    elif out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"{out}: holds something else; give an empty or new folder with --out.")
    kept = {k: v for k, v in asdict(settings).items() if v is not None}
    write_text(file, json.dumps({"settings": kept, "seconds": seconds}, indent=1) + "\n")


# ---------------------------------------------------------------------------------------------------------- one method


def run_method(settings: Settings, folder: Path, seconds: float | None, say: Callable[[str], None]) -> Path:
    """Run one method. Returns the run folder, or the file with the reason of its failure."""
    failed = folder.with_name(f"{folder.name}-{FAILED}")
    if Run(folder).is_finished:
        say(f"{folder.name}: was finished already")
        return folder
    failed.unlink(missing_ok=True)
    began = time.perf_counter()
    say(f"{folder.name} ...")
    epochs, reason = fitted_epochs(settings, folder, seconds)
    reason = reason or in_process(replace(settings, epochs=epochs), folder)
    if reason is not None:
        write_text(failed, json.dumps({"failed": reason, "seconds": round(time.perf_counter() - began, 1)}) + "\n")
        say(f"{folder.name}: {reason}")
        return failed
    return folder


def fitted_epochs(settings: Settings, folder: Path, seconds: float | None) -> tuple[int | None, str | None]:
    """(epochs, None), or (None, reason) where a trial failed.

    The epochs are those of the settings, those of an unfinished run, or as many as fit into the seconds.
    """
    if (folder / "run.toml").exists():
        return Run(folder).recorded["settings"].get("epochs"), None
    trains_nothing = settings.method in BASELINES and not settings.options.get("pretext")
    if settings.epochs is not None or seconds is None or trains_nothing:
        return settings.epochs, None
    trials: list[tuple[int, float]] = []
    with tempfile.TemporaryDirectory() as place:
        while (epochs := next_trial(seconds, trials)) is not None:
            trial = Path(place) / f"{epochs}-epochs"
            reason = in_process(replace(settings, epochs=epochs), trial)
            if reason:
                return None, reason
            report = Run(trial).report
            trials.append((report["epochs"], report["seconds"]["train"]))
    return epochs_for(seconds, trials), None


def next_trial(seconds: float, trials: list[tuple[int, float]]) -> int | None:
    """Epochs of the next trial, or None: few in the first trial, most of which is the start; then a share of the budget.

    Args:
        seconds: of the budget.
        trials: (epochs, seconds) of the trials before.

    Example:
        >>> next_trial(60, []), next_trial(60, [(3, 1.0)]), next_trial(60, [(3, 9.0)]), next_trial(60, [(3, 30.0)])
        (3, 36, 9, None)
    """
    if not trials:
        return FIRST_TRIAL
    if len(trials) > 1 or trials[0][1] > TRIAL_SHARE * seconds:
        return None
    return max(3 * FIRST_TRIAL, epochs_for(TRIAL_SHARE * seconds, trials))


def epochs_for(seconds: float, trials: list[tuple[int, float]]) -> int:
    """The epochs that fit into a time, from one trial, or from a short and a longer one.

    The difference between two trials gives the cost of an epoch. If the machine was busy during the first one, the difference is
    too small, so the start is taken to be at most half of the longer trial.

    Args:
        seconds: of the budget.
        trials: (epochs, seconds) of each trial.

    Example:
        >>> epochs_for(60, [(3, 6.0)]), epochs_for(62, [(3, 6.0), (13, 16.0)]), epochs_for(60, [(3, 6.0), (12, 6.0)])
        (30, 59, 228)
    """
    epochs, elapsed = trials[-1]
    per_epoch = elapsed / epochs
    if len(trials) > 1:
        per_epoch = max((elapsed - trials[0][1]) / (epochs - trials[0][0]), per_epoch / 2)
    start = max(0.0, elapsed - epochs * per_epoch)
    return max(1, int((seconds - start) / max(per_epoch, 1e-6)))


def in_process(settings: Settings, folder: Path) -> str | None:
    """Label in a process of its own. Returns None, or the reason of its failure.

    Raises:
        Interrupted: the process was asked to stop, and saved its run.
    """
    sources = [settings.source] if isinstance(settings.source, str) else settings.source
    with tempfile.TemporaryDirectory() as place:
        config = Path(place) / "settings.toml"
        write_text(config, as_toml({k: v for k, v in asdict(settings).items() if k != "source"}))
        words = [sys.executable, "-m", "selflabel.cli", "label", *sources, "--config", str(config), "--out", str(folder)]
        status, errors = run_process([*words, "--resume", "--json"])
    if status in (STOPPED, -signal.SIGINT, -signal.SIGTERM):
        raise Interrupted
    if status == 0:
        return None
    lines = [line for line in errors.strip().splitlines() if line.strip()]
    return lines[-1].removeprefix("selflabel: ") if lines else f"ended by signal {-status}"


def run_process(words: list[str]) -> tuple[int, str]:
    """(exit status, standard error) of a process. It gets SIGTERM when this process does."""
    in_main = threading.current_thread() is threading.main_thread()
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        before = signal.signal(signal.SIGTERM, lambda *_: process.terminate()) if in_main else None
        try:
            text = process.communicate()[1]
        except KeyboardInterrupt:  # Ctrl-C reached it, too; it is saving
            text = process.communicate()[1]
        finally:
            if in_main:
                signal.signal(signal.SIGTERM, before)
    return process.returncode, text


def row_of(name: str, result: Path, truth: str | None = None) -> dict[str, Any]:
    """The table's row for a run folder, or for the file of a failure. truth: see `compare`."""
    row: dict[str, Any] = dict.fromkeys(COLUMNS) | {"method": name}
    if result.suffix == ".json":
        return row | json.loads(result.read_text(encoding="utf-8"))
    run = Run(result)
    report = run.report
    estimate = report["estimated_accuracy"]
    scores = score_run(run, truth)
    return (
        row
        | {k: scores[k] for k in SCORES}
        | {"estimated accuracy": estimate and estimate["value"], **{k: report["signs"][k] for k in SIGNS}}
        | {"clusters": report.get("clusters_found", report["n_clusters"]), "outliers": report.get("n_outliers")}
        | {"epochs": report["epochs"]}
        | {"seconds": round(report["seconds"]["train"] + report["seconds"]["label"], 1)}
        | {"MB": round(sum(report["peak_bytes"].values()) / 1e6)}
    )


def common_merits(runs: dict[str, Run], known: dict[tuple[str, str], float], K: int | None) -> dict[str, float]:
    """Every run's merit in nats, averaged over the neighbours of all runs; equal neighbours count once.

    Args:
        runs: name to run.
        known: (name of the run, digest of the neighbours) to merit, from before; new ones are added.
        K: clusters asked for; None where each method chose its own.
    """
    import torch

    from selflabel.assignment.merit import neighbour_merit

    files = [run.folder / NEIGHBOURS for run in runs.values()]
    by_digest = {hashlib.blake2b(file.read_bytes()).hexdigest(): file for file in files}
    for name, run in runs.items():
        new = [digest for digest in by_digest if (name, digest) not in known]
        labels = torch.from_numpy(run.raw_labels["label"].to_numpy().astype(np.int64)) if new else torch.zeros(0)
        for digest in new:
            rows = torch.from_numpy(np.load(by_digest[digest], allow_pickle=False)).long()
            known[name, digest] = neighbour_merit(labels, rows, max(K or 0, int(labels.max()) + 1))
    return {name: sum(known[name, digest] for digest in by_digest) / len(by_digest) for name in runs}


# ------------------------------------------------------------------------------------------------------------- writing


def write_comparison(out: Path, rows: list[dict[str, Any]]) -> None:
    """Write comparison.csv, comparison.md and comparison.png."""
    write_text(out / "comparison.csv", csv_text(list(COLUMNS), [["" if r[c] is None else r[c] for c in COLUMNS] for r in rows]))
    write_text(out / "comparison.md", as_table(rows) + "\n")
    figure = plot_comparison(rows)
    if figure is not None:
        write_atomically(out / "comparison.png", lambda p: figure.savefig(p, format="png", dpi=130))


def as_table(rows: list[dict[str, Any]]) -> str:
    """A Markdown table, best method first, without empty columns.

    Example:
        >>> print(as_table([dict.fromkeys(COLUMNS) | {"method": "kmeans", "nmi": 0.5, "seconds": 2.0}]))
        | method | nmi | seconds |
        | --- | --- | --- |
        | kmeans | 0.500 | 2.0 |
    """
    columns = [c for c in COLUMNS if any(r[c] is not None for r in rows)]
    lines = [columns, ["---"] * len(columns)]
    for r in sorted(rows, key=lambda r: -(quality(r)[1] or -1)):
        lines.append([format_value(c, r[c]) for c in columns])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def format_value(column: str, value: Any) -> str:
    """A cell of the table."""
    if value is None:
        return ""
    if column == "seconds":
        return f"{value:.1f}"
    return f"{value:.3f}" if isinstance(value, float) else str(value).replace("|", "/")


def quality(row: dict[str, Any]) -> tuple[str, Any]:
    """(name, value) of the measure that ranks a row: accuracy where there is truth, else the merit."""
    name = "accuracy" if row["accuracy"] is not None else "merit"
    return name, row[name]


def plot_comparison(rows: list[dict[str, Any]]) -> Any:
    """A figure of quality against time; None where every method failed."""
    from matplotlib.figure import Figure

    good = [(r["method"], max(r["seconds"], 0.1), *quality(r)) for r in rows if not r["failed"]]
    if not good:
        return None
    figure = Figure(figsize=(6.4, 4.2), layout="constrained")
    axis = figure.subplots()
    for method, seconds, _, value in good:
        axis.scatter(seconds, value, color="#8a8a8a" if method.split()[0] in BASELINES else "#1f5fa8", zorder=3)
        axis.annotate(method, (seconds, value), xytext=(5, 4), textcoords="offset points", fontsize=8)
    measure = good[0][2]
    axis.set(xscale="log", xlabel="seconds", ylabel="merit (nats, without truth)" if measure == "merit" else measure)
    axis.set_ylim(0, 1.02 if measure == "accuracy" else None)
    axis.margins(x=0.2)
    axis.grid(alpha=0.3)
    return figure
