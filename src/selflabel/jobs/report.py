"""What a finished labelling says about itself, without truth: best labels, neighbours, diagnostics, and the report."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from torch import Tensor

from selflabel.assignment.neighbours import nearest
from selflabel.contract import Features, Method, Outcome, Task
from selflabel.evaluation.accuracy_models import model_of
from selflabel.evaluation.collapse import are_equal, is_collapsed
from selflabel.evaluation.diagnostics import Diagnostics, diagnose, histogram
from selflabel.evaluation.estimate import RunFacts, estimated_accuracy, no_estimate
from selflabel.items import Items, Pieces
from selflabel.jobs.prepare import Prepared
from selflabel.runs.writing import Labelling
from selflabel.training.data import ResidentData

BEST_LABELS = 5  # of each item, with their probabilities
NOTES = {"n_clusters": "number_of_clusters"}  # notes of a method that have another name in the report
RUN_NEIGHBOURS = 10  # of each item in the run folder
BLOCK_ROWS = 16_384  # items whose probabilities are read at a time


def describe(method: Method, data: ResidentData, items: Items, outcome: Outcome, task: Task) -> tuple[Labelling, Diagnostics]:
    """What is written of a finished labelling, and the diagnostics that need no truth."""
    top_labels, top_probs = best_labels(outcome.probabilities)
    pooled = {m: data.features(m) for m in task.modalities}
    features = torch.cat(list(pooled.values()), dim=1) if len(pooled) > 1 else pooled[task.modality]
    neighbours = nearest(features, RUN_NEIGHBOURS).rows.numpy()
    heads = [x.cpu().numpy() for x in outcome.labels]
    changed = {m: random_view_features(data, task, m) for m in task.modalities}
    signs = diagnose(heads, outcome.head, predicted_labels(method, changed, outcome.head), neighbours, top_probs[:, 0])
    del changed
    by_modality = {}
    if len(pooled) > 1:
        by_modality = {m: modality_labels(method, m, x, data.present[m], outcome.head) for m, x in pooled.items()}
    labelling = Labelling(
        items.paths,
        heads[outcome.head],
        top_labels,
        top_probs,
        features.cpu().numpy(),
        neighbours,
        items.skipped,
        items.truth,
        by_modality,
        pieces=items.pieces,
    )
    return labelling, signs


def best_labels(probabilities_NK: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """(N, at most 5) labels of the highest probabilities, and these, float32."""
    count = min(BEST_LABELS, probabilities_NK.shape[1])
    blocks = [block.float().cpu().topk(count, dim=1) for block in probabilities_NK.split(BLOCK_ROWS)]
    return torch.cat([block.indices for block in blocks]).numpy(), torch.cat([block.values for block in blocks]).numpy()


def predicted_labels(method: Method, pooled: dict[str, Tensor], head: int) -> np.ndarray:
    """(N,) labels that a head predicts for features (N, D) of each modality."""
    blocks = zip(*(x.split(BLOCK_ROWS) for x in pooled.values()))
    predicted = (method.predict(Features(dict(zip(pooled, block)))).log_probs[head] for block in blocks)
    return torch.cat([log_probs.argmax(dim=1).cpu() for log_probs in predicted]).numpy()


def modality_labels(method: Method, modality: str, features: Tensor, present: Tensor, head: int) -> np.ndarray:
    """(N,) labels predicted from one modality only; -1 where an item lacks it."""
    labels = method.predict(Features({modality: features}, {modality: present})).log_probs[head].argmax(dim=1)
    return labels.masked_fill(~present, -1).cpu().numpy()


def random_view_features(data: ResidentData, task: Task, modality: str) -> Tensor:
    """(N, D) features of one random view of each item, by the preset of its kind."""
    kind = task.kind_of(modality)
    return data.features(modality, view={"features": "dropout"}.get(kind, kind), draw=1)


def choice_of_k(method: Method, clusters: int | None) -> str:
    """Who chose the number of clusters, for people. clusters: K as asked for, or None."""
    if clusters:
        return "the user"
    return "the method, without truth" if method.chooses_k else "the method's default; choose another with --clusters"


def piece_of_report(pieces: Pieces | None) -> dict[str, str]:
    """The entry of report.json that says what the items are, where they are objects that were found in photos, or all boxes."""
    if pieces is None or pieces.scores is None:
        return {"piece": "box"} if pieces is not None and not np.isnan(pieces.boxes).any() else {}
    return {"piece": "object"}


def make_report(
    name: str,
    method: Method,
    clusters: int | None,
    prepared: Prepared,
    labelling: Labelling,
    outcome: Outcome,
    signs: Diagnostics,
    history: list[dict[str, Any]],
    seconds: dict[str, float],
) -> dict[str, Any]:
    """report.json.

    Args:
        name: of the method.
        method: it.
        clusters: K as asked for; None where it was left to the method.
        prepared, labelling, outcome, signs: the data set and its finished labelling.
        history: the loop's line for each epoch.
        seconds: duration of each step, in seconds.
    """
    K = int(outcome.probabilities.shape[1])
    labels = labelling.fitting_labels
    sizes = np.bincount(labels[labels >= 0], minlength=K)
    found = int((sizes > 0).sum())
    has_views = any(modality.kind != "features" for modality in prepared.modalities.values())
    features_equal = are_equal(labelling.features)
    collapsed = K > 1 and (features_equal or is_collapsed(labelling.labels, K, labelling.neighbours))
    epochs, shown = len(history) if method.phases() else None, outcome.notes.get("n_clusters", {}).get("found")
    facts, model = RunFacts(labels[labels >= 0], K, len(outcome.labels), collapsed, epochs, shown), model_of(name, has_views)
    reason = no_estimate(signs, facts, model)
    return {
        "modalities": {m: modality.info.kind for m, modality in prepared.modalities.items()},
        "n_items": len(labelling.paths),
        **piece_of_report(labelling.pieces),
        "n_skipped": len(labelling.skipped),
        **({"windows": prepared.cut} if prepared.cut else {}),
        "n_clusters": found,
        "clusters_found": found,
        "clusters_requested": clusters,
        "clusters_chosen_by": choice_of_k(method, clusters),
        "sizes": sizes.tolist(),
        **({} if labelling.outliers is None else {"n_outliers": int(labelling.outliers.sum())}),
        "method": name,
        "encoder": ", ".join(modality.encoder for modality in prepared.modalities.values()),
        "head": outcome.head,
        **{NOTES.get(key, key): value for key, value in outcome.notes.items()},
        "signs": {k: round(v, 4) for k, v in asdict(signs).items()},
        "median_confidence": round(float(np.median(labelling.top_probs[:, 0])), 4),
        "confidence_histogram": histogram(labelling.top_probs[:, 0]),
        "estimated_accuracy": estimated_accuracy(signs, model, found) if model is not None and reason is None else None,
        "no_estimate": reason,
        "collapsed": collapsed,
        "features_equal": features_equal,
        "epochs": len(history),
        "items_per_s": float(np.median([line["items_per_s"] for line in history])) if history else None,
        "seconds": {k: round(v, 2) for k, v in seconds.items()},
    }
