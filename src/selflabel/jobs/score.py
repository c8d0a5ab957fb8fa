"""A finished run against labels that people gave: its labels, what each modality says alone, and its features."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from selflabel.base.errors import UserError
from selflabel.base.files import write_whole
from selflabel.evaluation.metrics import accuracy, nmi, score
from selflabel.evaluation.probes import probe
from selflabel.evaluation.purity import drawn
from selflabel.runs.run import Run, read_column, read_truth


@dataclass(frozen=True)
class Known:
    """The items of a run whose class is known and that nobody rejected: rows, their paths, labels and classes."""

    rows: np.ndarray
    paths: list[str]
    labels: np.ndarray
    classes: list[str]

    @property
    def by_path(self) -> dict[str, str]:
        """path -> class."""
        return dict(zip(self.paths, self.classes))


def known_items(run: Run, truth: str | None, raw: bool = False) -> Known:
    """Match a run's items with the truth.

    Args:
        truth: a CSV with path and label, "folders" (an item's folder is its class), or None: what the source carried.
        raw: leave edits aside.

    Raises:
        UserError: there is no truth, none of its paths is in the run, or every item is rejected.
    """
    table = run.raw_labels if raw else run.labels
    paths, labels = table["path"].to_pylist(), table["label"].to_numpy()
    by_path = {p: str(Path(p).parent) for p in paths} if truth == "folders" else read_truth(Path(truth)) if truth else run.truth
    if by_path is None:
        raise UserError(f"{run.folder}: its source carried no truth; give it with --truth FILE.csv or --truth folders.")
    if (labels < 0).all():
        raise UserError(f"{run.folder}: every item is rejected, so nothing is left to score; add --raw, or restore some.")
    rows = np.array([i for i, p in enumerate(paths) if p in by_path and labels[i] >= 0], np.int64)
    if not len(rows):
        first = next(iter(by_path), "missing")
        raise UserError(
            f"{truth}: none of its paths is in {run.folder}: its first is {first}, the run's is {paths[0]}; label the folder "
            "that they start from, or write them as in the run's labels.csv."
        )
    return Known(rows, [paths[i] for i in rows], labels[rows], [by_path[paths[i]] for i in rows])


def score_run(run: Run, truth: str | None, raw: bool = False) -> dict[str, Any]:
    """The eight numbers; those against truth are None where there is none."""
    if truth is None and run.truth is None:
        labels = (run.raw_labels if raw else run.labels)["label"].to_numpy()
        return score(None, labels[labels >= 0])
    known = known_items(run, truth, raw)
    return score(known.classes, known.labels)


def score_alone(run: Run, truth: str | None) -> dict[str, tuple[float, float]]:
    """Modality to (accuracy, NMI) of the labels it gives by itself, on the items that have it; empty for a run of one."""
    if not run.alone or (truth is None and run.truth is None):
        return {}
    known, found = known_items(run, truth, raw=True), {}
    classes = np.array(known.classes)
    for modality, labels in run.alone.items():
        given = labels[known.rows]
        if (given >= 0).any():
            found[modality] = accuracy(classes[given >= 0], given[given >= 0]), nmi(classes[given >= 0], given[given >= 0])
    return found


def probe_run(run: Run, truth: str | None, seed: int = 0, papers: bool = False) -> dict[str, Any]:
    """How good a run's features are; a `group` column of the truth says which items stay on one side."""
    known, by_path = known_items(run, truth, raw=True), groups_of(truth)
    groups = [by_path[p] for p in known.paths] if by_path else None
    return probe(run.features[known.rows], known.classes, groups, seed, papers)


def groups_of(truth: str | None) -> dict[str, str] | None:
    """path -> group, where the truth is a file that has such a column."""
    return read_column(Path(truth), ("group",)) if truth is not None and truth != "folders" else None


def draw_purity(run: Run, truth: str | None, raw: bool, file: Path) -> None:
    """Histograms of the clusters' purity and entropy, as PNG."""
    known = known_items(run, truth, raw)
    write_whole(file, lambda p: drawn(known.classes, known.labels).savefig(p, format="png", dpi=110))
