"""Fine-tuning: a finished run's networks are taught the classes of some of its items and scored on the others, beside the same
networks taught from nothing (the protocol by which SeLaVi, section 4.3, and others measure what was learned).

Truth teaches here. The run itself is not changed.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from selflabel.base.errors import UserError
from selflabel.contract import Batch, Data, Final, Method, Phase, Prediction, Recipe, Task, finished, one_cycle
from selflabel.evaluation.metrics import codes
from selflabel.evaluation.probes import split
from selflabel.jobs.predict import Model, input_encoder, load_model
from selflabel.jobs.prepare import Notices
from selflabel.runs.run import Run
from selflabel.training.data import ResidentData
from selflabel.training.loop import train

FOLDS = 3
EPOCHS = 20
RECIPE = Recipe(1e-3, one_cycle, "adamw", 1e-2)
BATCH = 32


class Taught(Method):
    """A linear layer on the features of all modalities side by side, trained with the encoders on `fit`'s classes."""

    def __init__(self, task: Task, classes: Tensor, fit: Tensor):
        super().__init__(task, None)
        self.fit = fit
        self.classes: Tensor
        self.register_buffer("classes", classes)

    def build(self, encoders: nn.ModuleDict) -> None:
        self.encoders = encoders
        self.head = nn.Linear(sum(self.dim(m) for m in encoders), self.task.clusters or 0)

    def phases(self) -> list[Phase]:
        views = {m: (self.view_of(m),) for m in self.encoders}
        batch = min(BATCH, max(4, len(self.fit) // 8))  # a small set needs steps too
        return [Phase("fine-tune", self.task.epochs or EPOCHS, views, RECIPE, batch)]

    def draw(self, phase: Phase, epoch: int, generator: torch.Generator) -> Tensor:
        return self.fit[torch.randperm(len(self.fit), generator=generator)][:, None]

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        features = {m: self.encoders[m](view) for m, (view,) in batch.views.items()}
        return {"classes": F.cross_entropy(self.scores(features, batch.present), self.classes[batch.rows_BG[:, 0]])}

    def scores(self, features: dict[str, Tensor], present: dict[str, Tensor]) -> Tensor:
        """(B, K); a modality that an item lacks is nought."""
        parts = [features[m] * present[m][:, None] if m in present else features[m] for m in self.encoders]
        return self.head(torch.cat(parts, dim=1)).float()

    def predict(self, block: dict[str, Tensor], present: dict[str, Tensor] | None = None) -> Prediction:
        return Prediction([F.log_softmax(self.scores(block, present or {}), dim=1)])

    def final(self, data: Data, generator: torch.Generator) -> Final:
        features = {m: data.features(m) for m in self.encoders}
        return finished(self.predict(features, data.present).log_probs, 0, {})


def finetuned(
    run: Run,
    classes: dict[str, str],
    groups: dict[str, str] | None = None,
    epochs: int = EPOCHS,
    seed: int = 0,
    device: str = "auto",
    notices: Notices | None = None,
) -> dict[str, Any]:
    """Accuracy on items that were held out, as means over FOLDS parts of which each is held out once.

    Args:
        run: finished, with encoders of its own; its source must still be where it was.
        classes: path -> class, of some items or all.
        groups: path -> group; items of one group are on one side.
        epochs: of every training, 2 * FOLDS in all.
        seed: of folds, first weights and draws.

    Returns:
        "from the run" and "from nothing", accuracies; "epochs", "folds".

    Raises:
        UserError: the run's features are fixed, its source is gone, or fewer than two classes or groups are known.
    """
    model = load_model(run, device, run.recorded["settings"].get("cache"))
    if any(part.px == 0 or part.backbone is not None for part in model.looks.values()):
        raise UserError(f"{run.folder}: its features are fixed, nothing is to be tuned; use --papers for linear layers.")
    shown = model.opened(run.recorded["settings"]["source"], notices or Notices())
    rows = np.array([i for i, path in enumerate(shown.items.paths) if path in classes], np.int64)
    known = [shown.items.paths[i] for i in rows]
    y = codes([classes[path] for path in known]) if known else np.zeros(0, np.int64)
    folds = split(y, [groups.get(path, path) for path in known] if groups else None, seed, FOLDS) if known else []
    if not folds or y.max() < 1:
        raise UserError(f"{run.folder}: fine-tuning needs two classes and two groups at least.")
    every = torch.zeros(len(shown.items.paths), dtype=torch.long)
    every[torch.from_numpy(rows)] = torch.from_numpy(y)
    data = shown.data(model.device, model.ranks, seed)
    task = replace(model.task, n_items=data.n_items, clusters=int(y.max()) + 1, epochs=epochs)
    found: dict[str, list[float]] = {"from the run": [], "from nothing": []}
    for fold, (fit, held) in enumerate(folds):
        starts = {"from the run": deepcopy(model.method.encoders), "from nothing": fresh(model, seed + fold)}
        for start, encoders in starts.items():
            said = taught(Taught(task, every, torch.from_numpy(rows[fit])), encoders, data, seed + fold)
            found[start].append(float((said[rows[held]] == y[held]).mean()))
    return {start: round(float(np.mean(values)), 4) for start, values in found.items()} | {"epochs": epochs, "folds": len(folds)}


def fresh(model: Model, seed: int) -> nn.ModuleDict:
    """The run's encoders with first weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.ModuleDict({m: input_encoder(m, part, model.task, {}) for m, part in model.looks.items()})


def taught(method: Taught, encoders: nn.ModuleDict, data: ResidentData, seed: int) -> np.ndarray:
    """(N,) the class that each item gets, once the method has been trained."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        method.build(encoders)
    method.to(data.device)
    data.encoders = method.encoders
    train(method, data, None, seed)
    with torch.no_grad():
        return method.eval().final(data, torch.Generator()).labels[0].cpu().numpy()
