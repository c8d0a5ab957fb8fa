"""SEVERAL METHODS ON THE SAME DATA under the same budget: one table, one picture of quality against time.

Each method runs in a process of its own, so that its peak memory is its own and a failure is its own too; all of them read one
cache of decoded items. Without truth they are ranked by one yardstick: the merit of their labels (`assignment.merit`) by the
neighbours in the features of all of them, so that none is judged by what it learned itself alone. Beside the runs lie
comparison.csv, comparison.md and comparison.png, written anew after every method. What is finished is not run again, and what
was cut off is resumed.
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
from selflabel.base.files import write_text, write_whole
from selflabel.base.settings import Settings, as_toml, differences, make_settings, with_overrides
from selflabel.evaluation.metrics import score
from selflabel.methods import BASELINES, find_method
from selflabel.runs.run import Run, csv_text

FIRST_TRIAL, TRIAL_SHARE = 3, 0.2  # epochs; of a budget of seconds, for a second trial
STOPPED = 130  # exit code of a run that was asked to stop
FAILED = "failed.json"
NEIGHBOURS = "neighbours.npy"
SCORES = ("accuracy", "nmi", "ami", "ari")
SIGNS = ("agreement", "support", "stability", "neighbours", "confidence")
COLUMNS = ("method", *SCORES, "merit", "estimated accuracy", *SIGNS, "clusters", "epochs", "seconds", "MB", "failed")


def compare(
    settings: Settings,
    methods: list[str],
    out: Path,
    seconds: float | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> list[dict[str, Any]]:
    """Label with every method in turn and write the comparison.

    Args:
        settings: of all runs; their epochs are the budget where `seconds` is None; without either each method takes its own.
        methods: names, as in `selflabel methods`, each with what is set for it alone: "sela-nn", "deepcluster version=2",
            "iic epochs=9" (which then needs no trial).
        out: the folder of the comparison; a run folder a method.
        seconds: of training, a method; epochs are fitted to it after a short trial.
        say: who is told.

    Returns:
        A row a method: COLUMNS by name, None where there is nothing to say.

    Raises:
        UserError: no or an unknown method, no time, or `out` holds something else. Interrupted: a run was stopped.
    """
    if settings.epochs is not None and seconds is not None:
        raise UserError("--epochs and --seconds: the budget is one of them; leave the other out.")
    if seconds is not None and not seconds > 0:
        raise UserError(f"--seconds {seconds:g}: give the seconds of training a method has, more than 0.")
    if not methods:
        raise UserError("--methods: name one method at least, as `selflabel methods` lists them.")
    every = {" ".join(entry.split()): settings_of(entry, settings) for entry in methods}
    claim(out, settings, seconds)
    rows: list[dict[str, Any]] = []
    runs: dict[str, Run] = {}
    known: dict[tuple[str, str], float] = {}
    for name, asked in every.items():
        place = run_method(asked, folder_of(name, out), seconds, say)
        rows.append(row_of(name, place))
        if rows[-1]["failed"] is None:
            runs[name] = Run(place)
        merits = common_merits(runs, known, settings.clusters)
        rows = [row | {"merit": merits.get(row["method"])} for row in rows]
        write_comparison(out, rows)
    return rows


def settings_of(entry: str, settings: Settings) -> Settings:
    """Those of one entry of the methods: its name, then `key=value` words as `label --set` takes them."""
    name, *words = entry.split() or [""]
    find_method(name)
    given = with_overrides(None, words)
    return make_settings(**asdict(settings) | given | {"method": name, "options": settings.options | given["options"]})


def folder_of(name: str, out: Path) -> Path:
    """The run folder of an entry of the methods."""
    return out / re.sub(r"[^\w.=-]+", "-", name)


def claim(out: Path, settings: Settings, seconds: float | None) -> None:
    """Make the folder this comparison's own; a later call with the same settings goes on with it."""
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
    """Run one method to its end or its failure; the run folder, or the file that says why there is none."""
    failed = folder.with_name(f"{folder.name}-{FAILED}")
    if Run(folder).is_finished:
        say(f"{folder.name}: finished before")
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
    """(epochs, None): those asked for all or set for this one, or those of a run that was cut off, or those that fit into the
    time; (None, reason) where a trial for that failed.
    """
    if (folder / "run.toml").exists():
        return Run(folder).recorded["settings"].get("epochs"), None
    if settings.epochs is not None or seconds is None or settings.method in BASELINES:
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
    """Epochs of the next trial: few at first, which tell more of what starting costs than of an epoch; then a share of the time.

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
    """The epochs that fit into a time, from the (epochs, seconds) of one trial, or of a short and a longer one.

    Of two, the difference tells what an epoch costs. Where the machine was busy during the first it tells too little, so starting
    is taken for half of the longer one at most.

    Example:
        >>> epochs_for(60, [(3, 6.0)]), epochs_for(62, [(3, 6.0), (13, 16.0)]), epochs_for(60, [(3, 6.0), (12, 6.0)])
        (30, 59, 228)
    """
    epochs, took = trials[-1]
    a_piece = took / epochs
    if len(trials) > 1:
        a_piece = max((took - trials[0][1]) / (epochs - trials[0][0]), a_piece / 2)
    start = max(0.0, took - epochs * a_piece)
    return max(1, int((seconds - start) / max(a_piece, 1e-6)))


def in_process(settings: Settings, folder: Path) -> str | None:
    """Label in a process of its own; None, or the reason why it failed.

    Raises:
        Interrupted: it was asked to stop, and saved.
    """
    with tempfile.TemporaryDirectory() as place:
        config = Path(place) / "settings.toml"
        write_text(config, as_toml({k: v for k, v in asdict(settings).items() if k != "source"}))
        words = [sys.executable, "-m", "selflabel.cli", "label", settings.source, "--config", str(config), "--out", str(folder)]
        status, text = ended([*words, "--resume", "--json"])
    if status in (STOPPED, -signal.SIGINT, -signal.SIGTERM):
        raise Interrupted
    if status == 0:
        return None
    said = [line for line in text.strip().splitlines() if line.strip()]
    return said[-1].removeprefix("selflabel: ") if said else f"ended by signal {-status}"


def ended(words: list[str]) -> tuple[int, str]:
    """(exit status, what it said on standard error) of a process that is told to stop when this one is, and is waited for."""
    in_main = threading.current_thread() is threading.main_thread()
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        before = signal.signal(signal.SIGTERM, lambda *_: process.terminate()) if in_main else None
        try:
            text = process.communicate()[1]
        except KeyboardInterrupt:  # it heard Ctrl-C, too, and is saving
            text = process.communicate()[1]
        finally:
            if in_main:
                signal.signal(signal.SIGTERM, before)
    return process.returncode, text


def row_of(name: str, place: Path) -> dict[str, Any]:
    """The table's row of a run folder, or of a failure."""
    row: dict[str, Any] = dict.fromkeys(COLUMNS) | {"method": name}
    if place.suffix == ".json":
        return row | json.loads(place.read_text(encoding="utf-8"))
    run = Run(place)
    report, table = run.report, run.labels
    guess = report["estimated_accuracy"]
    truth = run.truth
    found = score(None if truth is None else [truth[p] for p in table["path"].to_pylist()], table["label"].to_numpy())
    return (
        row
        | {k: found[k] for k in SCORES}
        | {"estimated accuracy": guess and guess["value"], **{k: report["signs"][k] for k in SIGNS}}
        | {"clusters": report["n_clusters"], "epochs": report["epochs"]}
        | {"seconds": round(report["seconds"]["train"] + report["seconds"]["label"], 1)}
        | {"MB": round(sum(report["peak_bytes"].values()) / 1e6)}
    )


def common_merits(runs: dict[str, Run], known: dict[tuple[str, str], float], K: int | None) -> dict[str, float]:
    """Every run's merit in nats: the mean over the neighbours that the runs found, the same ones counted once.

    known: what was worked out before, (name of the run, digest of the neighbours) to merit; it grows. K: labels asked for.
    """
    import torch

    from selflabel.assignment.merit import neighbour_merit

    ways = {hashlib.blake2b((run.folder / NEIGHBOURS).read_bytes()).hexdigest(): run.folder / NEIGHBOURS for run in runs.values()}
    for name, run in runs.items():
        new = [way for way in ways if (name, way) not in known]
        labels = torch.from_numpy(run.raw_labels["label"].to_numpy().astype(np.int64)) if new else torch.zeros(0)
        for way in new:
            near = torch.from_numpy(np.load(ways[way], allow_pickle=False)).long()
            known[name, way] = neighbour_merit(labels, near, max(K or 0, int(labels.max()) + 1))
    return {name: sum(known[name, way] for way in ways) / len(ways) for name in runs}


# ------------------------------------------------------------------------------------------------------------- writing


def write_comparison(out: Path, rows: list[dict[str, Any]]) -> None:
    """comparison.csv, comparison.md and comparison.png."""
    write_text(out / "comparison.csv", csv_text(list(COLUMNS), [["" if r[c] is None else r[c] for c in COLUMNS] for r in rows]))
    write_text(out / "comparison.md", as_table(rows) + "\n")
    drawing = drawn(rows)
    if drawing is not None:
        write_whole(out / "comparison.png", lambda p: drawing.savefig(p, format="png", dpi=130))


def as_table(rows: list[dict[str, Any]]) -> str:
    """Markdown, best first, without the columns that no method fills.

    Example:
        >>> print(as_table([dict.fromkeys(COLUMNS) | {"method": "kmeans", "nmi": 0.5, "seconds": 2.0}]))
        | method | nmi | seconds |
        | --- | --- | --- |
        | kmeans | 0.500 | 2.0 |
    """
    columns = [c for c in COLUMNS if any(r[c] is not None for r in rows)]
    lines = [columns, ["---"] * len(columns)]
    for r in sorted(rows, key=lambda r: -(quality(r)[1] or -1)):
        lines.append([shown(c, r[c]) for c in columns])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def shown(column: str, value: Any) -> str:
    if value is None:
        return ""
    if column == "seconds":
        return f"{value:.1f}"
    return f"{value:.3f}" if isinstance(value, float) else str(value).replace("|", "/")


def quality(row: dict[str, Any]) -> tuple[str, Any]:
    """What a row is ranked by: accuracy where there is truth, else the merit."""
    name = "accuracy" if row["accuracy"] is not None else "merit"
    return name, row[name]


def drawn(rows: list[dict[str, Any]]) -> Any:
    """A figure of quality against time; None where no method ended well."""
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
