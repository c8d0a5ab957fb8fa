"""docs/videos.png from results/ucf101_av7.json: what sound adds, joint learning beside its alternatives, and how labels bear
worse pictures and sounds. These are the three claims of SeLaVi's talk.

    python -m reproduce.videos_figure
"""

from __future__ import annotations

import json

from matplotlib.figure import Figure

from reproduce.common import RESULTS, ROOT

OURS, OTHERS, PLAIN = "#1f5fa8", "#7d9dc1", "#b8b8b8"


def colour_of(way: str) -> str:
    return OURS if way.startswith("sela-nn") else PLAIN if way.startswith("k-means") else OTHERS


def bars(axis, methods: dict) -> None:
    """NMI of every way, mean over seeds with its spread."""
    ways = sorted(methods, key=lambda w: methods[w]["summary"]["nmi"]["mean"])
    found = [methods[w]["summary"]["nmi"] for w in ways]
    axis.barh(ways, [f["mean"] for f in found], xerr=[f["sd"] for f in found], color=[colour_of(w) for w in ways])
    axis.set_xlabel("NMI, mean and spread over seeds")
    axis.tick_params(axis="y", labelsize=8)


def curves(axis, degraded: dict, modality: str, wanted: str) -> None:
    """NMI as one modality gets worse, of every way that was degraded; beside it what that modality says alone."""
    for way, by_modality in degraded.items():
        rows = by_modality[modality]
        shown = [rows[0], *(r for r in rows if r["way"] == wanted)]
        names = ["as it is", *(r["level"] for r in shown[1:])]
        axis.plot(names, [r["nmi"] for r in shown], "o-", color=colour_of(way), label=way)
        if wanted != "dropped":
            axis.plot(names, [r["alone_nmi"] for r in shown], "s:", color=colour_of(way), label=f"{way}, {modality} alone")
    axis.set_title(f"{modality} {wanted}", fontsize=9)
    axis.tick_params(axis="x", rotation=30, labelsize=7)
    axis.set_ylim(0, None)
    axis.grid(alpha=0.3)


def main() -> None:
    found = json.loads((RESULTS / "ucf101_av7.json").read_text())
    figure = Figure(figsize=(12, 6), layout="constrained")
    left, right = figure.subfigures(1, 2, width_ratios=(1, 1.25))
    bars(left.subplots(), found["methods"])
    panels = [("video", "compressed"), ("video", "blurred"), ("video", "dropped")]
    panels += [("audio", "muffled"), ("audio", "noisy"), ("audio", "dropped")]
    axes = right.subplots(2, 3, sharey=True)
    for axis, (modality, way) in zip(axes.flat, panels):
        curves(axis, found["degraded"], modality, way)
    axes[0, 0].set_ylabel("NMI")
    axes[1, 0].set_ylabel("NMI")
    axes[0, 0].legend(fontsize=6)
    figure.savefig(ROOT / "docs" / "videos.png", dpi=90)


if __name__ == "__main__":
    main()
