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
from selflabel.runs.run import Run, read_truth_table
from selflabel.runs.truth import ValueTable, classes_of, is_class, read_values, values_of_items


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
    def by_row(self) -> dict[int, str]:
        """Row in the run to class."""
        return dict(zip(self.rows.tolist(), self.classes))


def match_truth(run: Run, truth: str | None, raw: bool = False) -> TruthItems:
    """Match a run's items with the truth: see `runs.truth`.

    Args:
        run: finished.
        truth: a CSV with path and label, and perhaps spans or boxes; "folders", where an item's folder is its class; None for the
            truth of the source.
        raw: ignore edits.

    Raises:
        UserError: there is no truth, it has one folder or no class, it is of no item of the run, or every item is rejected.
    """
    paths, labels = run.paths.column.to_pylist(), labels_of(run, raw)
    table = read_truth_table(Path(truth)) if truth and truth != "folders" else None
    if table is not None:
        classes = classes_of(values_of_items(table, paths, run.pieces))
    elif truth:
        classes = folder_classes(run, paths)
    elif run.classes is not None:
        classes = run.classes
    else:
        raise UserError(f"{run.folder}: its source carried no truth; give it with --truth FILE.csv or --truth folders.")
    if table is not None and not any(map(is_class, table.values)):
        raise UserError(f"{truth}: has a class for none of its items; write the class of each in the column 'label'.")
    if (labels < 0).all():
        raise UserError(f"{run.folder}: every item is rejected, so nothing is left to score; add --raw, or restore some.")
    rows = np.array([i for i, name in enumerate(classes) if name and labels[i] >= 0], np.int64)
    if not len(rows):
        raise no_match(run, table, paths) if table is not None else no_class_left(run)
    return TruthItems(rows, [paths[i] for i in rows], labels[rows], [classes[i] for i in rows])


def no_match(run: Run, table: ValueTable, paths: Sequence[str]) -> UserError:
    """The error of a truth that is of no item of the run."""
    if not set(table.paths).isdisjoint(paths):
        return UserError(f"{table.file}: nothing in it overlaps an item of {run.folder} that has a label; look at its columns.")
    first = next((path for path, name in zip(table.paths, table.values) if is_class(name)), "missing")
    return UserError(
        f"{table.file}: none of its paths is in {run.folder}: its first is {first}, the run's is {paths[0]}; label the folder "
        "that they start from, or write them as in the run's labels.csv."
    )


def no_class_left(run: Run) -> UserError:
    """The error of a run whose items with a class are all rejected."""
    return UserError(f"{run.folder}: every item whose class is known is rejected; add --raw, or restore some.")


def labels_of(run: Run, raw: bool) -> np.ndarray:
    """(N,) labels, -1 for items that are rejected or fit no cluster. raw: without edits."""
    return run.labels_without_edits() if raw else run.edited().labels


def folder_classes(run: Run, paths: Sequence[str]) -> list[str]:
    """(N,) the folder of every item.

    Raises:
        UserError: all items lie in one folder.
    """
    folders = [str(Path(path).parent) for path in paths]
    if len(set(folders)) < 2:
        raise UserError(
            f"--truth folders: all items of {run.folder} lie in one folder, which says nothing about their classes; "
            "give the classes with --truth FILE.csv, with the columns path and label."
        )
    return folders


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
    if truth is None and run.classes is None:
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
    if not by_modality or (truth is None and run.classes is None):
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
    items, groups = match_truth(run, truth, raw=True), groups_of(run, truth)
    own = None if groups is None else [groups[row] for row in items.rows.tolist()]
    return probe(run.features[items.rows], items.classes, own, seed, papers)


def groups_of(run: Run, truth: str | None) -> list[str] | None:
    """(N,) the group of every item, where the truth is a file with such a column; pieces of a file are of one group otherwise.

    None where every item is a group of its own.
    """
    table = read_values(Path(truth), ("group",)) if truth is not None and truth != "folders" else None
    if table is None:
        return None if run.pieces is None else run.paths.column.to_pylist()
    paths = run.paths.column.to_pylist()
    return [path if group is None else group for path, group in zip(paths, values_of_items(table, paths, run.pieces))]


def plot_purity(run: Run, truth: str | None, raw: bool, file: Path) -> None:
    """Write histograms of the clusters' purity and entropy as PNG."""
    known = match_truth(run, truth, raw)
    write_atomically(file, lambda p: plot_purities(known.classes, known.labels).savefig(p, format="png", dpi=110))
