"""Tables of docs/numbers.md: photos from scratch, and our labels beside the public table of k-means by backbone."""

from __future__ import annotations

from typing import Any

from reproduce.common import read_results

NOT_YET = "not run yet"

# (set, uneven, kind of device) that the page shows, with what it is and the minutes of a call
SCRATCH = {
    ("imagenette128", None, "CPU"): ("Imagenette: 13,394 photos of 128 px, 10 classes", 20),
    ("imagenette128", 10.0, "CPU"): ("the same, classes falling 1:10", 20),
    ("cifar10", None, "GPU"): ("CIFAR-10: 50,000 photos of 32 px, 10 classes; one H100", 8.8),
}

TASKS = {
    "CIFAR10Clustering": "CIFAR-10",
    "CIFAR100Clustering": "CIFAR-100",
    "ImageNetDog15Clustering": "15 kinds of dogs",
    "ImageNet10Clustering": "ImageNet-10",
    "TinyImageNetClustering": "Tiny ImageNet",
}
# Accuracy and NMI of k-means as MTEB publishes them, in the order of TASKS: `cluster_accuracy` and `nmi` of
# https://github.com/embeddings-benchmark/results, results/MODEL/REVISION/TASK.json, all made by mteb 1.14.15, read on 2026-11-28.
PUBLISHED = {
    "facebook/dinov2-small": ((0.801, 0.792), (0.572, 0.726), (0.757, 0.873), (0.835, 0.912), (0.478, 0.706)),
    "facebook/dinov2-base": ((0.754, 0.826), (0.602, 0.772), (0.753, 0.857), (0.966, 0.939), (0.555, 0.743)),
    "facebook/dinov2-large": ((0.728, 0.799), (0.658, 0.799), (0.779, 0.862), (0.951, 0.922), (0.608, 0.772)),
    "laion/CLIP-ViT-L-14-DataComp.XL-s13B-b90K": (
        (0.953, 0.936),
        (0.717, 0.843),
        (0.690, 0.826),
        (0.862, 0.934),
        (0.585, 0.783),
    ),
}


def markdown(header: list[str], rows: list[list[str]]) -> str:
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (header, ["---"] * len(header), *rows))


def scratch_table(results: dict[str, Any] | None = None) -> str:
    """What photos from scratch reach within minutes, beside k-means on pixels; what was not run says so."""
    rows = (read_results("photos-scratch") if results is None else results).get("rows", [])
    lines = []
    for (name, uneven, kind), (what, minutes) in SCRATCH.items():
        found = [r for r in rows if (r["set"], r["uneven"], device_kind(r["device"])) == (name, uneven, kind)]
        lines += [scratch_cells(what, row) for row in found] or [[what, "", f"{minutes:g}", "", NOT_YET, "", "", ""]]
    header = ["photos", "device", "minutes", "epochs", "accuracy", "mean over classes", "NMI", "k-means on pixels: accuracy, NMI"]
    return markdown(header, lines)


def device_kind(device: str) -> str:
    """Whether a device, as the results call it, is a CPU or a GPU."""
    return "CPU" if "CPU" in device else "GPU"


def scratch_cells(what: str, row: dict[str, Any]) -> list[str]:
    """One run's cells."""
    pixels = row["k-means on pixels"]
    scores = [f"{row[k]:.3f}" for k in ("accuracy", "macro_accuracy", "nmi")]
    beside = f"{pixels['accuracy']:.3f}, {pixels['nmi']:.3f}"
    seconds = row["seconds_cpu" if device_kind(row["device"]) == "CPU" else "seconds_of_call"]
    return [what, row["device"], f"{seconds / 60:.1f}", str(row["epochs"]), *scores, beside]


def mteb_table(results: dict[str, Any] | None = None) -> str:
    """Published k-means by backbone; below each backbone that was run here, k-means and sela-nn on the same features."""
    encoders = (read_results("mteb-images") if results is None else results).get("encoders", {})
    models = list(PUBLISHED) + [e.removeprefix("hf:") for e in encoders if e.removeprefix("hf:") not in PUBLISHED]
    lines = []
    for model in models:
        if model in PUBLISHED:
            lines.append([f"{model}, k-means, published", *(f"{a:.3f}, {nmi:.3f}" for a, nmi in PUBLISHED[model])])
        lines += own_lines(model, encoders.get(f"hf:{model}") or encoders.get(model))
    return markdown(["backbone, method", *TASKS.values()], lines)


def own_lines(model: str, tasks: dict[str, Any] | None) -> list[list[str]]:
    """The lines of what was run here."""
    if tasks is None:
        return [[f"{model}, `sela-nn`", NOT_YET, *[""] * (len(TASKS) - 1)]]
    kmeans = [tasks[t]["k-means as MTEB"] if t in tasks else None for t in TASKS]
    ours = [tasks[t]["sela-nn"]["summary"] if t in tasks else None for t in TASKS]
    return [
        [f"{model}, k-means, here", *("" if s is None else f"{s['accuracy']:.3f}, {s['nmi']:.3f}" for s in kmeans)],
        [
            f"{model}, `sela-nn`",
            *("" if s is None else f"{s['accuracy']['median']:.3f}, {s['nmi']['median']:.3f}" for s in ours),
        ],
    ]
