"""More rows of features than a method is trained on: it is trained on a sample of them, and all get labels, a block at a time.

The scores of the head that is reported are computed from features.npy, which is written first and then memory-mapped, and the
masses of its labels are solved over all rows, so that no array of N x K is ever held. What a labelling says about itself without
truth is measured on the sample.

Axes: N rows, M of them that are trained on, B of a block, K labels, D features.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from selflabel.assignment import Assignment, LinearScores, sinkhorn
from selflabel.assignment.mass import Mass
from selflabel.assignment.sampled_neighbours import SampleIndex
from selflabel.base.sampling import drawn_rows
from selflabel.base.settings import Settings
from selflabel.contract import Features, LinearSolve, Method, Outcome
from selflabel.evaluation.diagnostics import histogram
from selflabel.jobs.callbacks import Callbacks
from selflabel.jobs.labelling import Timer
from selflabel.jobs.prepare import Prepared
from selflabel.jobs.report import BEST_LABELS, RUN_NEIGHBOURS
from selflabel.runs.reading import read_array
from selflabel.runs.run import Run
from selflabel.runs.tables import slices, write_rows
from selflabel.runs.writing import Labelling, write_labels

LARGE, MOST_SCORES = 200_000, 50_000_000  # rows, and scores of a head, above which a method is trained on a sample
SAMPLE, ROWS_PER_LABEL = 20_000, 30  # rows that are trained on: so many, or so many for a label where that is more
NEIGHBOUR_ROWS = 100_000  # rows that the neighbours of all are found among
BLOCK_ROWS, BLOCK_ENTRIES = 1 << 16, 1 << 22  # rows that are read, and scores that are computed, at a time
SOLVER_BYTES = 1 << 30  # that the solver may hold beside the features
MOST_HALF = 65_504.0  # in float16
TOLERANCE, MAX_ITERATIONS = 2e-2, 100  # largest relative error of the label masses, and iterations to get there

Progress = Callable[[int, int], None]  # with rows done and rows in all


def rows_of_sample(prepared: Prepared, settings: Settings, begun: dict[str, Any] | None) -> np.ndarray | None:
    """(M,) the rows to train on, ascending and always the same; None for all.

    Args:
        prepared: the set.
        settings: of the run.
        begun: section `task` of the run.toml that is resumed: a run that was begun on all rows goes on so.
    """
    n, K, first = len(prepared.items), settings.clusters or 1, prepared.first
    most, is_large = max(SAMPLE, ROWS_PER_LABEL * K), n > LARGE or n * K > MOST_SCORES
    is_plain = first.kind == "features" and len(prepared.modalities) == 1 and prepared.items.pieces is None
    needs_all = settings.labels is not None or settings.outliers is not None
    if not (is_plain and is_large) or needs_all or n <= most or (begun is not None and begun.get("n_items") == n):
        return None
    return drawn_rows(n, most)


def sample_text(n: int, m: int) -> str:
    """What is said before the training on a sample."""
    return f"{n:,} rows of features: the method is trained on {m:,} of them, drawn at random, and then all rows get labels."


@dataclass(frozen=True, eq=False)
class Scored:
    """The labels of all rows, by the reported head.

    Attributes:
        labels: (N,) int32.
        top_labels: (N, <= 5) int32, the most probable ones.
        top_probs: (N, <= 5) float16, their probabilities.
        notes: entries of report.json.
    """

    labels: np.ndarray
    top_labels: np.ndarray
    top_probs: np.ndarray
    notes: dict[str, Any]


def label_all_rows(
    run: Run, method: Method, prepared: Prepared, outcome: Outcome, timer: Timer, callbacks: Callbacks
) -> tuple[Labelling, dict[str, Any]]:
    """Label all rows and write their tables and arrays.

    Args:
        run: the run folder.
        method: trained on a sample.
        prepared: all rows.
        outcome: of the sample.
        timer: gets the seconds of each stage.
        callbacks: of the job.

    Returns:
        The labelling of all rows, its features and neighbours memory-mapped, and what the report says otherwise than of the
        sample.
    """
    n = len(prepared.items)

    def progress(step: str) -> Progress:
        callbacks.on_progress(step, 0, n)
        return partial(callbacks.on_progress, step)

    write_features(run, method, prepared, progress("describing all rows"))
    features = torch.from_numpy(np.load(run.folder / "features.npy", mmap_mode="c"))
    timer.stop("features")
    callbacks.on_progress("solving the labels of all rows", 0, 0)
    scored = scored_rows(method, outcome, features, progress)
    timer.stop("solve")
    recall = write_neighbours(run, features, progress("finding neighbours of all rows"))
    timer.stop("neighbours")
    items = prepared.items
    arrays = read_array(run.file("features.npy"), n), read_array(run.file("neighbours.npy"), n)
    labelling = Labelling(items.paths, scored.labels, scored.top_labels, scored.top_probs, *arrays, items.skipped, items.truth)
    callbacks.on_progress("writing the labels", 0, 0)
    write_labels(run.folder, labelling)
    timer.stop("write")
    return labelling, scored.notes | facts_of(labelling, len(outcome.probabilities), outcome.probabilities.shape[1], recall)


def facts_of(labelling: Labelling, m: int, K: int, recall: float) -> dict[str, Any]:
    """The entries of report.json that are counted over all rows. m: rows trained on."""
    sizes, confidence = np.bincount(labelling.labels, minlength=K), labelling.top_probs[:, 0]
    found = int((sizes > 0).sum())
    return {
        "n_items": len(labelling.labels),
        "n_trained_on": m,
        "n_clusters": found,
        "clusters_found": found,
        "sizes": sizes.tolist(),
        "median_confidence": round(float(np.median(confidence)), 4),
        "confidence_histogram": histogram(confidence),
        "neighbours_among": min(NEIGHBOUR_ROWS, len(labelling.labels)),
        "neighbours_recall": round(recall, 4),
    }


# ----------------------------------------------------------------------------------------------------------- features


def write_features(run: Run, method: Method, prepared: Prepared, progress: Progress) -> None:
    """Write features.npy: all rows, float16, as the method's encoder gives them."""
    (m, modality), n = next(iter(prepared.modalities.items())), len(prepared.items)
    encoder = method.encoders[m]
    device = next(iter(encoder.buffers()), torch.zeros(())).device

    def blocks() -> Iterator[np.ndarray]:
        for rows in slices(n, BLOCK_ROWS):
            x = torch.from_numpy(np.array(modality.tensor[rows], np.float32)).to(device)
            yield encoder(x).float().clamp(-MOST_HALF, MOST_HALF).cpu().half().numpy()
            progress(rows.stop, n)

    write_rows(run.folder / "features.npy", (n, method.dim(m)), np.float16, blocks())


# ------------------------------------------------------------------------------------------------------------- labels


def scored_rows(method: Method, outcome: Outcome, features_ND: Tensor, progress: Callable[[str], Progress]) -> Scored:
    """The labels of all rows: solved where the method says how, else the most probable ones."""
    solve, step = outcome.solve, "labelling all rows"
    if solve is None:
        return best_of_rows(partial(predicted_probs, method, outcome.head), features_ND, None, progress(step))
    solution = solve_all_rows(solve, features_ND)
    scored = best_of_rows(partial(solved_probs, solve, solution), features_ND, solution.labels, progress(step))
    return replace(scored, notes=Mass(solve.mass, solve.relax).notes(solution))


def solve_all_rows(solve: LinearSolve, features_ND: Tensor) -> Assignment:
    """The transport of all rows to the labels, read from the features block by block."""
    scores = LinearScores(features_ND, solve.weight, solve.bias)
    start, memory = solve.potentials, SOLVER_BYTES
    return sinkhorn(scores, solve.epsilon, solve.shares, solve.relax, TOLERANCE, MAX_ITERATIONS, start, memory=memory)


def solved_probs(solve: LinearSolve, solution: Assignment, features_BD: Tensor) -> Tensor:
    """(B, K) probabilities by a head and the potentials of its labels."""
    scores = LinearScores(features_BD, solve.weight, solve.bias).product()
    return torch.softmax((scores + solution.potentials.to(scores)) / solve.temperature, dim=1)


def predicted_probs(method: Method, head: int, features_BD: Tensor) -> Tensor:
    """(B, K) probabilities that a head predicts."""
    x = features_BD.float().to(next(method.parameters(), features_BD).device)
    return method.predict(Features({method.task.modality: x})).log_probs[head].exp()


def best_of_rows(
    probabilities: Callable[[Tensor], Tensor], features_ND: Tensor, labels: Tensor | None, progress: Progress
) -> Scored:
    """The best labels of all rows; `labels` (N,) where they were solved."""
    n, K = len(features_ND), probabilities(features_ND[:1]).shape[1]
    count = min(BEST_LABELS, K)
    top_labels, top_probs = np.empty((n, count), np.int32), np.empty((n, count), np.float16)
    for rows in slices(n, max(1, BLOCK_ENTRIES // K)):
        best = probabilities(features_ND[rows]).topk(count, dim=1)
        top_labels[rows], top_probs[rows] = best.indices.cpu().numpy(), best.values.cpu().numpy()
        progress(rows.stop, n)
    own = top_labels[:, 0].copy() if labels is None else labels.cpu().numpy().astype(np.int32)
    return Scored(own, top_labels, top_probs, {})


# --------------------------------------------------------------------------------------------------------- neighbours


def write_neighbours(run: Run, features_ND: Tensor, progress: Progress) -> float:
    """Write neighbours.npy: for each row the nearest of a sample of all rows. Returns the recall of the search."""
    n = len(features_ND)
    drawn = drawn_rows(n, NEIGHBOUR_ROWS)
    index = SampleIndex.of(features_ND[torch.from_numpy(drawn)].float(), drawn)
    k = min(RUN_NEIGHBOURS, len(drawn) - 1)

    def blocks() -> Iterator[np.ndarray]:
        for rows in slices(n, BLOCK_ROWS):
            yield index.nearest(features_ND[rows], np.arange(rows.start, rows.stop), k)
            progress(rows.stop, n)

    write_rows(run.folder / "neighbours.npy", (n, k), np.int32, blocks())
    return index.recall(features_ND, k)
