"""A finished run labels unseen items. Nothing is trained, nothing is fetched, and the model file runs no code."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from selflabel.decode.look import look_at
from selflabel.encoders import FROZEN, Encoder, GivenFeatures, make_encoder
from selflabel.errors import UserError
from selflabel.items import open_items
from selflabel.labelling import make_options
from selflabel.methods import find_method
from selflabel.methods.base import Method, Task
from selflabel.preparing import Notices, pixels
from selflabel.run import Run
from selflabel.settings import Settings, make_settings
from selflabel.training.checkpoint import restore_method
from selflabel.training.data import ResidentData
from selflabel.training.distributed import Ranks, pick_device

BATCH = 256


@dataclass(frozen=True)
class Predicted:
    """paths: as people see them. log_probs: (N, K) of the reported head. features: (N, D). skipped: (path, reason)."""

    paths: list[str]
    log_probs: Tensor
    features: Tensor
    skipped: list[tuple[str, str]]

    @property
    def labels(self) -> np.ndarray:
        return self.log_probs.argmax(dim=1).numpy()

    @property
    def confidence(self) -> np.ndarray:
        return self.log_probs.max(dim=1).values.exp().numpy()


@dataclass(frozen=True)
class Model:
    """A finished run's networks on a device, in eval mode."""

    method: Method
    backbone: Encoder | None
    settings: Settings
    task: Task
    px: int
    channels: int
    head: int
    device: torch.device

    @torch.no_grad()
    def predict(self, source: Any, notices: Notices | None = None) -> Predicted:
        """Label a source of the same kind that the run was trained on.

        Raises:
            UserError: nothing there can be labelled, or features of another length.
        """
        items = open_items(source)
        takes_features = self.px == 0
        if items.are_features != takes_features:
            wanted = "features" if takes_features else "pictures"
            raise UserError(f"{items.source}: this run was trained on {wanted}; give it {wanted}.")
        if takes_features:
            kept, tensor = items, np.asarray(items.array)
            dim = self.method.encoders["image"].dim
            if tensor.shape[1] != dim:
                raise UserError(f"{items.source}: has {tensor.shape[1]} features an item, the run was trained on {dim}.")
        else:
            short = look_at(items).short_px
            px = min(self.px, max(short, 1)) if self.backbone else self.px
            kept, tensor, _ = pixels(items, px, self.channels, self.settings, notices or Notices())
        data = ResidentData({"image": tensor}, self.px, self.device, Ranks(), self.settings.seed)
        parts = [self.block(data, rows) for rows in torch.arange(len(kept)).split(BATCH)]
        log_probs, features = (torch.cat(p) for p in zip(*parts))
        return Predicted(kept.paths, log_probs, features, kept.skipped)

    def block(self, data: ResidentData, rows: Tensor) -> tuple[Tensor, Tensor]:
        x = data.view("image", rows, "centre", 0)
        with data.autocast():
            if self.backbone is not None:
                x = self.backbone(x).float()
            features = self.method.encoders["image"](x).float()
        log_probs = self.method.predict({"image": features}).log_probs[self.head]
        return log_probs.float().cpu(), features.cpu()


def load_model(run: Run, device: str = "auto", cache: str | None = None) -> Model:
    """The networks of a finished run.

    Raises:
        UserError: the model file is missing or is not of this run.
    """
    from safetensors import SafetensorError, safe_open

    recorded = run.recorded
    settings = make_settings(**(recorded["settings"] | {"device": device, "cache": cache}))
    known = {f.name for f in fields(Task)}
    task = Task(**{"clusters": None, **{k: v for k, v in recorded["task"].items() if k in known}})
    worked = recorded["worked_out"]
    file = run.folder / "model.safetensors"
    try:
        with safe_open(file, "pt") as f:
            tensors, state = {k: f.get_tensor(k) for k in f.keys()}, json.loads(f.metadata()["state"])  # noqa: SIM118
    except (OSError, SafetensorError, KeyError, TypeError) as error:
        raise UserError(f"{file}: cannot be read as this run's model ({error}).") from error
    where = pick_device(device)
    make = find_method(settings.method).make
    method = make(task, make_options(make, settings))
    method.build(nn.ModuleDict({"image": input_encoder(task, worked, tensors)}))
    own = {f"method.{k}": v for k, v in method.state_dict().items() if k in method.per_item}
    restore_method(method, tensors | own, state["method"])
    backbone = None
    if any(k.startswith("backbone.") for k in tensors):
        name = worked["encoder"].removeprefix(f"{FROZEN}:")
        backbone = make_encoder(name, worked["channels"], worked["px"], fetch=False).eval()
        backbone.load_state_dict({k.removeprefix("backbone."): v for k, v in tensors.items() if k.startswith("backbone.")})
        backbone = backbone.to(where)
    return Model(method.to(where).eval(), backbone, settings, task, worked["px"], worked["channels"], state["head"], where)


def input_encoder(task: Task, worked: dict[str, Any], tensors: dict[str, Tensor]) -> nn.Module:
    if task.kind == "features":
        return GivenFeatures(len(tensors["method.encoders.image.mean"]))
    return make_encoder(worked["encoder"], task.channels, task.px, fetch=False)


def predict(run: Run, source: Any, device: str = "auto", cache: str | None = None, notices: Notices | None = None) -> Predicted:
    """Label unseen items with a finished run."""
    return load_model(run, device, cache).predict(source, notices)


def write_predictions(found: Predicted, file: Path) -> None:
    """path, label, confidence as CSV, written whole."""
    from selflabel.files import write_text
    from selflabel.run import csv_text

    rows = zip(found.paths, found.labels.tolist(), [f"{c:.4f}" for c in found.confidence])
    write_text(file, csv_text(["path", "label", "confidence"], rows))
