"""The last bar chart of SeLaVi's talk, on real clips: labels learned together with the networks, or pretraining and then k-means.

sela-nn and selavi against DPC, XDC and MIL-NCE, each followed by k-means of features of unit length: the same networks (clip9 on
films, resnet9 on sounds, from random weights), the same decoded frames and sound, the same seconds of training. Epochs are
fitted to the seconds with the first seed; other seeds take as many. DPC sees films only. Writes results/simultaneous.json and
docs/simultaneous.png, where the numbers published for VGG-Sound stand beside ours.

    SELFLABEL_DATA=... python -m reproduce.simultaneous [--seconds 60] [--seeds 0-2]
    python -m reproduce.simultaneous --figure            # from results/simultaneous.json
"""

from __future__ import annotations

import argparse
from pathlib import Path

from reproduce.common import ROOT, read_results, with_summary, with_truth, write_results
from reproduce.field import parse_seeds
from selflabel.base.settings import make_settings
from selflabel.jobs.compare import compare

NAME, SET, CLUSTERS = "simultaneous", "ucf101_av7", 7
TOGETHER = {"sela-nn": "sela-nn", "SeLaVi": "selavi"}
ONE_AFTER_THE_OTHER = {
    "MIL-NCE + k-means": "spherical-kmeans pretext=milnce",
    "XDC + k-means": "xdc",
    "DPC + k-means": "spherical-kmeans pretext=dpc",
}
ENTRIES = TOGETHER | ONE_AFTER_THE_OTHER
# NMI on VGG-Sound: SeLaVi's own, and as quoted beside it of networks pretrained on HowTo100M (MIL-NCE), Kinetics-400 (XDC, DPC)
PUBLISHED = {"SeLaVi": 0.559, "MIL-NCE + k-means": 0.485, "XDC + k-means": 0.167, "DPC + k-means": 0.154}
DARK, LIGHT = "#1f5fa8", "#b8b8b8"


def rows_of_seed(source: str, seed: int, seconds: float, epochs: dict[str, int]) -> dict[str, dict]:
    """Name to its row of `compare`. epochs: fitted with an earlier seed, by name."""
    entries = {f"{entry} epochs={epochs[name]}" if name in epochs else entry: name for name, entry in ENTRIES.items()}
    settings = make_settings(source=source, clusters=CLUSTERS, encoder="scratch", seed=seed)
    out = Path("runs") / f"{NAME}-{seconds:g}s-{seed}"
    found = compare(settings, list(entries), out, seconds, say=lambda text: print(text, flush=True))
    rows = {entries[row["method"]]: row | {"seed": seed} for row in found}
    failed = [f"{name}: {row['failed']}" for name, row in rows.items() if row["failed"]]
    if failed:
        raise SystemExit("; ".join(failed))
    return rows


def measure(seconds: float, seeds: list[int]) -> None:
    """Run every entry with every seed, and write the results after each seed."""
    source, epochs = with_truth(SET), dict[str, int]()
    by_name: dict[str, list[dict]] = {name: [] for name in ENTRIES}
    for seed in seeds:
        for name, row in rows_of_seed(source, seed, seconds, epochs).items():
            by_name[name].append(row)
            epochs.setdefault(name, row["epochs"])
        methods = {name: with_summary(rows) for name, rows in by_name.items()}
        data = "278 clips with sound, seven actions of UCF-101"
        write_results(NAME, {"data": data, "budget": f"{seconds:g} s of training", "methods": methods, "published": PUBLISHED})


def bars(axis, means: dict[str, float], spreads: dict[str, float] | None, title: str) -> None:
    """NMI by name, the lowest at the bottom."""
    names = sorted(means, key=means.__getitem__)
    spread = [spreads[name] for name in names] if spreads else None
    colours = [DARK if name in TOGETHER else LIGHT for name in names]
    axis.barh(names, [means[name] for name in names], xerr=spread, color=colours)
    axis.set_title(title, fontsize=9)
    axis.set_xlabel("NMI")
    axis.set_xlim(0, None)


def draw(results: dict) -> None:
    """docs/simultaneous.png."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 3), layout="constrained")
    ours, published = figure.subplots(1, 2)
    scores = {name: of["summary"]["nmi"] for name, of in results["methods"].items()}
    n_seeds = len(next(iter(results["methods"].values()))["rows"])
    title = f"our clips, {results['budget']}: mean and spread over {n_seeds} seeds"
    bars(ours, {k: s["mean"] for k, s in scores.items()}, {k: s["sd"] for k, s in scores.items()}, title)
    bars(published, results["published"], None, "as published, VGG-Sound: other data, networks and times")
    figure.savefig(ROOT / "docs" / f"{NAME}.png", dpi=90)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60, help="of training, for each run")
    parser.add_argument("--seeds", type=parse_seeds, default=[0, 1, 2])
    parser.add_argument("--figure", action="store_true", help="only draw the figure")
    options = parser.parse_args()
    if not options.figure:
        measure(options.seconds, options.seeds)
    draw(read_results(NAME))


if __name__ == "__main__":
    main()
