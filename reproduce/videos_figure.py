"""docs/videos.png from results/ucf101_av7.json: what sound adds, joint learning beside its alternatives, and labels of degraded
pictures and sounds. These are the three claims of SeLaVi's talk.

    python -m reproduce.videos_figure
"""

from __future__ import annotations

import json

from matplotlib.figure import Figure

from reproduce.common import RESULTS, ROOT

OURS, OTHERS, PLAIN = "#1f5fa8", "#7d9dc1", "#b8b8b8"


def colour_of(variant: str) -> str:
    return OURS if variant.startswith("sela-nn") else PLAIN if variant.startswith("k-means") else OTHERS


def bars(axis, methods: dict) -> None:
    """NMI of every variant, mean and standard deviation over seeds."""
    variants = sorted(methods, key=lambda v: methods[v]["summary"]["nmi"]["mean"])
    scores = [methods[v]["summary"]["nmi"] for v in variants]
    axis.barh(variants, [s["mean"] for s in scores], xerr=[s["sd"] for s in scores], color=[colour_of(v) for v in variants])
    axis.set_xlabel("NMI, mean and spread over seeds")
    axis.tick_params(axis="y", labelsize=8)


def curves(axis, degraded: dict, modality: str, change: str) -> None:
    """NMI of every degraded variant as one modality gets worse, from all modalities and from this one."""
    for variant, by_modality in degraded.items():
        rows = by_modality[modality]
        shown = [rows[0], *(r for r in rows if r["way"] == change)]
        names = ["as it is", *(r["level"] for r in shown[1:])]
        axis.plot(names, [r["nmi"] for r in shown], "o-", color=colour_of(variant), label=variant)
        if change != "dropped":
            nmi = [r["alone_nmi"] for r in shown]
            axis.plot(names, nmi, "s:", color=colour_of(variant), label=f"{variant}, {modality} only")
    axis.set_title(f"{modality} {change}", fontsize=9)
    axis.tick_params(axis="x", rotation=30, labelsize=7)
    axis.set_ylim(0, None)
    axis.grid(alpha=0.3)


def main() -> None:
    results = json.loads((RESULTS / "ucf101_av7.json").read_text())
    figure = Figure(figsize=(12, 6), layout="constrained")
    left, right = figure.subfigures(1, 2, width_ratios=(1, 1.25))
    bars(left.subplots(), results["methods"])
    panels = [("video", "compressed"), ("video", "blurred"), ("video", "dropped")]
    panels += [("audio", "muffled"), ("audio", "noisy"), ("audio", "dropped")]
    axes = right.subplots(2, 3, sharey=True)
    for axis, (modality, change) in zip(axes.flat, panels):
        curves(axis, results["degraded"], modality, change)
    axes[0, 0].set_ylabel("NMI")
    axes[1, 0].set_ylabel("NMI")
    axes[0, 0].legend(fontsize=6)
    figure.savefig(ROOT / "docs" / "videos.png", dpi=90)


if __name__ == "__main__":
    main()
