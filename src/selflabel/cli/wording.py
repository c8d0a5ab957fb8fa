"""The text that commands print: reports and scores as lines."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

from selflabel.runs.report_text import (
    ONE_HEAD,
    estimate_text,
    found_text,
    numbers_text,
    other_number_text,
    sizes_text,
    target_text,
    trained_text,
)

PRETRAINED = "frozen:timm:vit_small_patch14_dinov2.lvd142m"  # what `auto` takes; encoders.pretrained takes long to import
NOUNS = {"photo": "photo", "glyph": "picture", "video": "film", "sound": "sound", "spoken": "sound"}  # by kind
PRETRAINED_LINE = f"selflabel label SOURCE --encoder {PRETRAINED}   pretrained; far better on most photographs"


def report_lines(report: dict[str, Any], out: Path) -> str:
    """The summary at the end of `label`.

    Args:
        report: as in report.json.
        out: the run folder.
    """
    signs = report["signs"]
    compared = report["estimated_accuracy"] or not (report.get("no_estimate", ONE_HEAD) == ONE_HEAD or report["collapsed"])
    skipped = f" ({report['n_skipped']} skipped, see skipped.csv)" if report["n_skipped"] else ""
    numbers, trained = numbers_text(report), trained_text(report)
    rows = [
        ("items", f"{count(report['n_items'], report)}{skipped}"),
        *([("windows", report["windows"])] if report.get("windows") else []),
        *([("trained on", trained)] if trained else []),
        ("clusters found", found_text(report)),
        *([("other numbers", numbers)] if numbers else []),
        ("sizes", sizes_text(report)),
        *([("fit no cluster", f"{count(report['n_outliers'], report)}")] if report.get("n_outliers") is not None else []),
        ("size target", target_text(report)),
        *([("head agreement", f"{signs['agreement']:.3f} NMI")] if compared else []),  # several heads, and they say something
        ("view stability", f"{signs['stability']:.3f}"),
        ("confidence", f"{report['median_confidence']:.3f} median"),
        ("est. accuracy", estimate_text(report)),
        ("seconds", ", ".join(f"{k} {v:.1f}" for k, v in report["seconds"].items())),
        ("run folder", str(out)),
    ]
    lines = "\n".join(f"{name + ':':15} {value}" for name, value in rows)
    notes = [collapse_text(report) if report["collapsed"] else other_number_text(report), unsolved_text(report)]
    warning = "".join(f"\n{note}" for note in notes if note)
    warning = f"\n{warning}" if warning else ""
    truth = "" if (out / "truth.csv").exists() else " --truth TRUTH.csv"
    folder = shlex.quote(str(out))
    after = f"look at   {browse_line(out)}\nnext      selflabel score {folder}{truth}"
    better = f"\n          {PRETRAINED_LINE}" if is_from_scratch(report) else ""
    return f"{lines}{warning}\n\n{after}\n          selflabel predict {folder} {more(report)}{better}"


def is_from_scratch(report: dict[str, Any]) -> bool:
    """Whether photographs were described by a network that was trained on them alone."""
    return kind_of(report) == "photo" and ":" not in str(report.get("encoder", ":"))


def unsolved_text(report: dict[str, Any]) -> str:
    """What to do where the last solve did not reach the sizes that were asked of it; "" where it did, or there was none."""
    if report.get("converged") is not False:
        return ""
    error = f"{report['mass_error']:.3g}"
    remedy = "ask for fewer clusters, or leave sizes free with --mass relaxed"
    return f"The last solve stopped at a mass error of {error}, so sizes are not as asked for: {remedy}."


def noun(report: dict[str, Any]) -> str:
    """What was labelled, as one word for one of them. The report of version 0.2.0 does not say."""
    if report.get("piece") in ("object", "box", "region"):
        return str(report["piece"])
    return "window" if report.get("windows") else NOUNS.get(kind_of(report), "item")


def more(report: dict[str, Any]) -> str:
    """What `predict` takes, as a name for people to replace."""
    return "MORE_FEATURES.npy" if kind_of(report) == "features" else f"MORE_{NOUNS.get(kind_of(report), 'item').upper()}S"


def kind_of(report: dict[str, Any]) -> str:
    """The kind of the main modality; "" where the report does not say."""
    kinds = report.get("modalities")
    kind = next(iter(kinds.values()), "") if isinstance(kinds, dict) else ""
    return kind if isinstance(kind, str) else ""  # a stranger's report may say anything


def count(n: int, report: dict[str, Any]) -> str:
    """A number of what was labelled, for people.

    Example:
        >>> count(1, {"modalities": {"image": "photo"}}), count(1200, {"modalities": {"audio": "sound"}}), count(3, {})
        ('1 photo', '1,200 sounds', '3 items')
    """
    one = noun(report)
    return f"{n:,} {one if n == 1 else plural(one)}"


def plural(one: str) -> str:
    """Several of what a word names."""
    return f"{one}es" if one == "box" else f"{one}s"


def collapse_text(report: dict[str, Any]) -> str:
    """What happened in a collapse, and what to try."""
    one, sizes = noun(report), report["sizes"]
    many = plural(one)
    remedy = "try more --epochs, another --encoder or --mass uniform"
    if report.get("features_equal"):
        every = "got the same label" if max(sizes) == sum(sizes) else "could have got any label"
        remedy = "look at them: if they differ, try another --encoder"
        return f"The features of all {many} are equal, so every {one} {every}; {remedy}."
    if max(sizes) == sum(sizes):
        return f"Every {one} got the same label: nothing was found that tells the {many} apart; if they differ, {remedy}."
    share = max(sizes) / sum(sizes)
    return f"One cluster holds {share:.0%} of the {many}, and the others hold no group of their own; {remedy}."


def browse_line(out: Path) -> str:
    """The command that opens the page, quoted for a shell."""
    return f"selflabel browse {shlex.quote(str(out))}"


def score_lines(scores: dict[str, Any]) -> str:
    """A line for each score."""

    def text(value: Any) -> str:
        return "no truth" if value is None else f"{value:,}" if isinstance(value, int) else f"{value:.4f}"

    missing = scores.get("n_without_truth", 0)
    lines = [f"{name:16} {text(value)}" for name, value in scores.items() if name != "n_without_truth"]
    if missing:
        n = scores["n_items"]
        lines.append(f"{n:,} of {n + missing:,} items have a truth; the others are left out.")
    if scores.get("accuracy", 0) is None:
        lines.append(
            "Give the truth with --truth FILE.csv (columns path and label), or --truth folders (an item's class is its folder)."
        )
    return "\n".join(lines)


def degraded_lines(rows: list[Any], modality: str) -> str:
    """A line for each level; see `jobs.degrade.Row`."""

    def line(row: Any) -> str:
        text = f"{row.way + ' ' + row.level:28} NMI {row.nmi:.3f}, accuracy {row.accuracy:.3f}"
        if row.alone_nmi is None:
            return text
        return f"{text}   {modality} only: NMI {row.alone_nmi:.3f}, accuracy {row.alone_accuracy:.3f}"

    return "\n".join(map(line, rows))


def probe_lines(scores: dict[str, Any]) -> str:
    """A line for each probe."""
    rows = [("nearest neighbours", scores["knn"]), ("linear layer", scores["linear"])]
    rows += [(f"{n} labelled per class", value) for n, value in scores["few"].items()]
    rows += [(f"recall at {k}", value) for k, value in scores["recall"].items()]
    rows += [(f"neighbours ({k_sigma})", value) for k_sigma, value in scores.get("knn by k and sigma", {}).items()]
    rows += [(f"linear, {schedule}", value) for schedule, value in scores.get("linear by schedule", {}).items()]
    tuned = scores.get("fine-tuned", {})
    rows += [(f"fine-tuned {start}", tuned[start]) for start in ("from the run", "from nothing") if tuned]
    return "\n".join(f"{name:24} {value:.4f}" for name, value in rows)
