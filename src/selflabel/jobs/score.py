"""`selflabel score` and `selflabel probe`: a finished run against labels that people gave."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from selflabel.base.errors import UserError
from selflabel.base.files import write_atomically
from selflabel.evaluation.metrics import accuracy, nmi, score
from selflabel.evaluation.probes import probe
from selflabel.evaluation.purity import plot_purities
from selflabel.runs.run import Run, read_column, read_truth


@dataclass(frozen=True)
class TruthItems:
    """The items of a run whose class is known and that nobody rejected.

    Attributes:
        rows: (M,) their rows in the run.
        paths: their paths.
        labels: (M,) the run's labels.
        classes: their classes.
    """

    rows: np.ndarray
    paths: list[str]
    labels: np.ndarray
    classes: list[str]

    @property
    def by_path(self) -> dict[str, str]:
        """Path to class."""
        return dict(zip(self.paths, self.classes))


def match_truth(run: Run, truth: str | None, raw: bool = False) -> TruthItems:
    """Match a run's items with the truth.

    Args:
        run: finished.
        truth: a CSV with path and label; "folders", where an item's folder is its class; None for the truth of the source.
        raw: ignore edits.

    Raises:
        UserError: there is no truth, it has one folder or no class, none of its paths is in the run, or every item is rejected.
    """
    paths, labels = run.paths.column.to_pylist(), labels_of(run, raw)
    by_path = folder_classes(run, paths) if truth == "folders" else read_truth(Path(truth)) if truth else run.truth
    if by_path is None:
        raise UserError(f"{run.folder}: its source carried no truth; give it with --truth FILE.csv or --truth folders.")
    if not by_path:
        raise UserError(f"{truth}: has a class for none of its items; write the class of each in the column 'label'.")
    if (labels < 0).all():
        raise UserError(f"{run.folder}: every item is rejected, so nothing is left to score; add --raw, or restore some.")
    rows = np.array([i for i, p in enumerate(paths) if p in by_path and labels[i] >= 0], np.int64)
    if not len(rows):
        first = next(iter(by_path), "missing")
        raise UserError(
            f"{truth}: none of its paths is in {run.folder}: its first is {first}, the run's is {paths[0]}; label the folder "
            "that they start from, or write them as in the run's labels.csv."
        )
    return TruthItems(rows, [paths[i] for i in rows], labels[rows], [by_path[paths[i]] for i in rows])


def labels_of(run: Run, raw: bool) -> np.ndarray:
    """(N,) labels, -1 for items that are rejected or fit no cluster. raw: without edits."""
    return run.labels_without_edits() if raw else run.edited().labels


def folder_classes(run: Run, paths: Sequence[str]) -> dict[str, str]:
    """Path to the folder of the item.

    Raises:
        UserError: all items lie in one folder.
    """
    by_path = {p: str(Path(p).parent) for p in paths}
    if len(set(by_path.values())) < 2:
        raise UserError(
            f"--truth folders: all items of {run.folder} lie in one folder, which says nothing about their classes; "
            "give the classes with --truth FILE.csv, with the columns path and label."
        )
    return by_path


def score_run(run: Run, truth: str | None, raw: bool = False) -> dict[str, Any]:
    """The metrics of `evaluation.metrics.score`, of the items with a truth; those that need truth are None where there is none.

    Where some items have no truth, "n_without_truth" says how many; where some fit no cluster, "n_outliers".

    Args:
        run: finished.
        truth: a CSV with path and label; "folders", where an item's folder is its class; None for the truth of the source.
        raw: ignore edits.

    Raises:
        UserError: none of the truth's paths is in the run, or every item is rejected.
    """
    if truth is None and run.truth is None:
        labels = labels_of(run, raw)
        return score(None, labels[labels >= 0]) | left_out(run, raw)
    items = match_truth(run, truth, raw)
    labels = labels_of(run, raw)
    missing = int((labels >= 0).sum()) - len(items.rows)
    return score(items.classes, items.labels) | ({"n_without_truth": missing} if missing else {}) | left_out(run, raw)


def left_out(run: Run, raw: bool) -> dict[str, int]:
    """How many items fit no cluster and are not scored ("n_outliers"); empty for a run that looked for none.

    Args: as in `labels_of`.
    """
    outliers = run.outliers(edits=[] if raw else None)
    return {} if outliers is None else {"n_outliers": int(outliers.sum())}


def score_modalities(run: Run, truth: str | None) -> dict[str, tuple[float, float]]:
    """Modality to (accuracy, NMI) of the labels predicted from it only, on the items that have it.

    Empty for a run of one modality, and without truth.
    """
    by_modality = run.labels_by_modality
    if not by_modality or (truth is None and run.truth is None):
        return {}
    items = match_truth(run, truth, raw=True)
    classes, scores = np.array(items.classes), {}
    for modality, all_labels in by_modality.items():
        labels = all_labels[items.rows]
        has = labels >= 0
        if has.any():
            scores[modality] = accuracy(classes[has], labels[has]), nmi(classes[has], labels[has])
    return scores


def probe_run(run: Run, truth: str | None, seed: int = 0, papers: bool = False) -> dict[str, Any]:
    """The probes of `evaluation.probes.probe` on a run's features.

    Args:
        run, truth: as in `match_truth`; items of one `group` (a column of the truth) stay in one fold.
        seed: of the folds.
        papers: by the papers' schedules and neighbours, too.
    """
    items, by_path = match_truth(run, truth, raw=True), groups_of(truth)
    groups = [by_path[p] for p in items.paths] if by_path else None
    return probe(run.features[items.rows], items.classes, groups, seed, papers)


def groups_of(truth: str | None) -> dict[str, str] | None:
    """Path to group, where the truth is a file with such a column."""
    return read_column(Path(truth), ("group",)) if truth is not None and truth != "folders" else None


def plot_purity(run: Run, truth: str | None, raw: bool, file: Path) -> None:
    """Write histograms of the clusters' purity and entropy as PNG."""
    known = match_truth(run, truth, raw)
    write_atomically(file, lambda p: plot_purities(known.classes, known.labels).savefig(p, format="png", dpi=110))
