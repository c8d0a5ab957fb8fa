"""`selflabel probe --finetune`: a finished run's networks are trained on the classes of some items and scored on the others.

Beside them the same networks are trained from scratch (the protocol of SeLaVi, section 4.3, and others). Truth is used for
training here. The run itself is not changed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from selflabel.base.errors import UserError
from selflabel.base.schedules import one_cycle
from selflabel.contract import Batch, Data, Features, Method, Outcome, Phase, Prediction, Recipe, Task, argmax_outcome
from selflabel.evaluation.metrics import encode_labels
from selflabel.evaluation.probes import group_folds
from selflabel.jobs.again import prepare_again, rows_in_run
from selflabel.jobs.callbacks import Callbacks
from selflabel.jobs.model import Model, load_model
from selflabel.runs.run import Run
from selflabel.training.data import ResidentData
from selflabel.training.loop import train

FOLDS = 3
EPOCHS = 20
RECIPE = Recipe(1e-3, one_cycle, "adamw", 1e-2)
BATCH_SIZE = 32


class Supervised(Method):
    """A linear classifier on the concatenated features of all modalities, trained together with the encoders.

    Args:
        task: with K classes.
        classes: (N,) class of every item.
        train_rows: (M,) the items to train on.
    """

    classes: Tensor

    def __init__(self, task: Task, classes: Tensor, train_rows: Tensor):
        super().__init__(task, None)
        self.train_rows = train_rows
        self.register_buffer("classes", classes)

    def build(self, encoders: nn.ModuleDict) -> None:
        self.encoders = encoders
        self.head = nn.Linear(sum(self.dim(m) for m in encoders), self.task.clusters or 0)

    def phases(self) -> list[Phase]:
        views = {m: (self.task.view_preset(m),) for m in self.encoders}
        batch_size = min(BATCH_SIZE, max(4, len(self.train_rows) // 8))  # a small set needs steps, too
        return [Phase("fine-tune", self.task.epochs or EPOCHS, views, RECIPE, self.loss, batch_size, draw=self.draw)]

    def draw(self, epoch: int, generator: torch.Generator) -> Tensor:
        return self.train_rows[torch.randperm(len(self.train_rows), generator=generator)][:, None]

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        features = {m: self.encoders[m](view.pixels) for m, (view,) in batch.views.items()}
        return {"classes": F.cross_entropy(self.scores(features, batch.present), self.classes[batch.rows_BG[:, 0]])}

    def scores(self, features: dict[str, Tensor], present: dict[str, Tensor]) -> Tensor:
        """(B, K); features of a modality that an item lacks are zero."""
        parts = [features[m] * present[m][:, None] if m in present else features[m] for m in self.encoders]
        return self.head(torch.cat(parts, dim=1)).float()

    def predict(self, features: Features) -> Prediction:
        return Prediction([F.log_softmax(self.scores(features.pooled, features.present), dim=1)])

    def final(self, data: Data, generator: torch.Generator) -> Outcome:
        features = Features({m: data.features(m) for m in self.encoders}, data.present)
        return argmax_outcome(self.predict(features).log_probs, 0, {})


def finetune(
    run: Run,
    classes: Mapping[int, str],
    groups: Sequence[str] | None = None,
    epochs: int = EPOCHS,
    seed: int = 0,
    device: str = "auto",
    callbacks: Callbacks | None = None,
    source: str | None = None,
) -> dict[str, Any]:
    """Mean accuracy over FOLDS folds on items that were held out.

    Args:
        run: finished, with encoders of its own; its source must still be there.
        classes: row in the run to class, of some items or all.
        groups: (N,) of the run's items; items of one group are in one fold. None: each item is a group of its own.
        epochs: of each of the 2 * FOLDS trainings.
        seed: of the folds, the first weights and the draws.
        device: "auto", "cpu", "cuda" or "mps".
        callbacks: progress.
        source: where the items are now, where that is not what the run recorded.

    Returns:
        "from the run" and "from nothing" to accuracies in 0 to 1; "epochs" and "folds".

    Raises:
        UserError: the run's features are fixed, its source is gone, or fewer than two classes or groups are known.
    """
    model = load_model(run, device)
    if any(m.px == 0 or m.backbone is not None for m in model.modalities.values()):
        raise UserError(
            f"{run.folder}: its features are fixed, nothing is to be tuned; use --papers for linear layers, or label with "
            "--encoder scratch."
        )
    prepared = prepare_again(run, model, callbacks or Callbacks(), source)
    own = rows_in_run(run, prepared.items.paths)
    rows = np.array([i for i, row in enumerate(own) if row in classes], np.int64)
    y, folds = class_folds([own[i] for i in rows], classes, groups, seed)
    if not folds or y.max() < 1:
        raise UserError(f"{run.folder}: fine-tuning needs two classes and two groups at least.")
    class_of_row = torch.zeros(len(own), dtype=torch.long)
    class_of_row[torch.from_numpy(rows)] = torch.from_numpy(y)
    data = prepared.dataset(model.device, model.ranks, seed)
    task = replace(model.task, n_items=data.n_items, clusters=int(y.max()) + 1, epochs=epochs)
    accuracies: dict[str, list[float]] = {"from the run": [], "from nothing": []}
    for fold, (train_part, test_part) in enumerate(folds):
        starts = {"from the run": deepcopy(model.method.encoders), "from nothing": new_encoders(model, seed + fold)}
        for start, encoders in starts.items():
            method = Supervised(task, class_of_row, torch.from_numpy(rows[train_part]))
            labels = train_classifier(method, encoders, data, seed + fold)
            accuracies[start].append(float((labels[rows[test_part]] == y[test_part]).mean()))
            (callbacks or Callbacks()).on_progress("fine-tuning", sum(map(len, accuracies.values())), 2 * len(folds))
    means = {start: round(float(np.mean(values)), 4) for start, values in accuracies.items()}
    return means | {"epochs": epochs, "folds": len(folds)}


def class_folds(
    rows: list[int], classes: Mapping[int, str], groups: Sequence[str] | None, seed: int
) -> tuple[np.ndarray, list[tuple[np.ndarray, np.ndarray]]]:
    """((M,) class numbers of these rows, (train, test) positions of each fold); no folds where there are no rows."""
    if not rows:
        return np.zeros(0, np.int64), []
    y = encode_labels([classes[row] for row in rows])
    return y, group_folds(y, [groups[row] for row in rows] if groups else None, seed, FOLDS)


def new_encoders(model: Model, seed: int) -> nn.ModuleDict:
    """The run's encoders with random weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.ModuleDict({m: modality.make_encoder(fetch=False) for m, modality in model.modalities.items()})


def train_classifier(method: Supervised, encoders: nn.ModuleDict, data: ResidentData, seed: int) -> np.ndarray:
    """(N,) predicted class of every item, after training."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        method.build(encoders)
    method.to(data.device)
    data.encoders = method.encoders
    train(method, data, None, seed)
    with torch.no_grad():
        return method.eval().final(data, torch.Generator()).labels[0].cpu().numpy()
