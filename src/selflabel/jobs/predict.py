"""A finished run labels unseen items. Nothing is trained, nothing is fetched, and the model file runs no code."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from selflabel.base.errors import UserError
from selflabel.base.settings import Settings, make_settings
from selflabel.contract import Method, Task
from selflabel.decode.look import Look, look_at
from selflabel.edits import Edited, apply_to_unseen
from selflabel.encoders import GivenFeatures
from selflabel.items import Items, open_items
from selflabel.jobs.label import make_options
from selflabel.jobs.prepare import SOUNDS, Notices, Part, Prepared, encoder_of, form_of, tensors
from selflabel.methods import find_method
from selflabel.runs.run import Run, csv_text
from selflabel.training.checkpoint import restore_method
from selflabel.training.data import ResidentData
from selflabel.training.distributed import Ranks, pick_device
from selflabel.views.clip import SHOWN

BATCH = 256
KINDS = {"image": "pictures", "video": "videos", "audio": "sounds"}


@dataclass(frozen=True)
class Predicted:
    """paths: as people see them. log_probs: (N, K) of the reported head. features: (N, D). skipped: (path, reason). edited: with
    the run's merges, splits and names; None where they are left aside.
    """

    paths: list[str]
    log_probs: Tensor
    features: Tensor
    skipped: list[tuple[str, str]]
    edited: Edited | None = None

    @property
    def labels(self) -> np.ndarray:
        return self.log_probs.argmax(dim=1).numpy() if self.edited is None else self.edited.labels

    @property
    def names(self) -> list[str]:
        """Of each item's cluster; empty where it has none."""
        known = self.edited.names if self.edited is not None else {}
        return [known.get(label, "") for label in self.labels.tolist()]

    @property
    def confidence(self) -> np.ndarray:
        return self.log_probs.max(dim=1).values.exp().numpy()


@dataclass(frozen=True)
class Model:
    """A finished run's networks on a device, in eval mode. looks: how a modality is shown, and its frozen backbone."""

    method: Method
    looks: dict[str, Part]
    settings: Settings
    task: Task
    head: int
    device: torch.device
    ranks: ClassVar[Ranks] = Ranks()  # labels are predicted in one process

    @classmethod
    def of(cls, method: Method, prepared: Prepared, settings: Settings, head: int, device: torch.device) -> Model:
        """The networks that were just trained, without the set."""
        looks = {m: replace(part, tensor=None, weights=None, lengths=None, rows=None) for m, part in prepared.parts.items()}
        return cls(method, looks, settings, method.task, head, device)

    @torch.no_grad()
    def predict(self, source: Any, notices: Notices | None = None) -> Predicted:
        """Label a source of the same kind that the run was trained on.

        Raises:
            UserError: nothing there can be labelled, or features of another length.
        """
        shown = self.opened(source, notices or Notices())
        data = shown.data(self.device, self.ranks, self.settings.seed)
        features = {m: self.features(data, m) for m in data.items}
        log_probs = self.log_probs(features, data.present)
        return Predicted(shown.items.paths, log_probs, torch.cat(list(features.values()), dim=1), shown.items.skipped)

    def opened(self, source: Any, notices: Notices) -> Prepared:
        """The source's items, shown as the run's were."""
        items = open_items(source)
        takes_features = next(iter(self.looks.values())).px == 0
        if items.are_features != takes_features or not set(self.looks) & set(items.modalities):
            wanted = "features" if takes_features else " and ".join(KINDS.get(m, m) for m in self.looks)
            raise UserError(f"{items.source}: this run was trained on {wanted}; give it {wanted}.")
        if not takes_features:
            return self.shown(items, notices)
        tensor, dim = np.asarray(items.array), self.method.encoders["image"].dim
        if tensor.shape[1] != dim:
            raise UserError(f"{items.source}: has {tensor.shape[1]} features an item, the run was trained on {dim}.")
        return Prepared(items, {"image": replace(self.looks["image"], tensor=tensor)})

    def shown(self, items: Items, notices: Notices) -> Prepared:
        """The items decoded as the run's were."""
        forms = {}
        for m, part in self.looks.items():
            if m in items.modalities:
                short = look_at(items, m).short_px
                fixed = part.backbone is not None and part.look.kind not in SOUNDS
                forms[m] = form_of(part.look, min(part.px, max(short, 1)) if fixed else part.px)
        kept, decoded = tensors(items, forms, self.settings, notices)
        return Prepared(
            kept, {m: replace(self.looks[m], tensor=x, lengths=n, rows=rows) for m, (x, n, _, rows) in decoded.items()}
        )

    def features(self, data: ResidentData, modality: str) -> Tensor:
        """(N, D) of all items, on the CPU."""
        part, found = self.looks[modality], []
        for rows in torch.arange(data.n_items).split(BATCH):
            x = data.view(modality, rows, "centre", 0)
            with data.autocast():
                if part.backbone is not None:
                    x = part.backbone(x).float()
                found.append(self.method.encoders[modality](x).float().cpu())
        return torch.cat(found)

    def log_probs(self, features: dict[str, Tensor], present: dict[str, Tensor]) -> Tensor:
        """(N, K) of the reported head from features of some modalities, on the CPU."""
        found = []
        for rows in torch.arange(len(next(iter(features.values())))).split(BATCH):
            block, has = ({m: of[m][rows.to(of[m].device)].to(self.device) for m in features} for of in (features, present))
            found.append(self.method.predict(block, has).log_probs[self.head].float().cpu())
        return torch.cat(found)


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
    file = run.folder / "model.safetensors"
    try:
        with safe_open(file, "pt") as f:
            tensors, state = {k: f.get_tensor(k) for k in f.keys()}, json.loads(f.metadata()["state"])  # noqa: SIM118
    except (OSError, SafetensorError, KeyError, TypeError) as error:
        raise UserError(f"{file}: cannot be read as this run's model ({error}).") from error
    where = pick_device(device)
    make = find_method(settings.method).make
    method = make(task, make_options(make, settings))
    looks = {m: look_of(m, worked, task, tensors, where) for m, worked in recorded["worked_out"].items()}
    method.build(nn.ModuleDict({m: input_encoder(m, part, task, tensors) for m, part in looks.items()}))
    own = {f"method.{k}": v for k, v in method.state_dict().items() if k in method.per_item}
    try:
        restore_method(method, tensors | own, state["method"])
    except RuntimeError as error:
        raise UserError(f"{file}: does not fit this version's method {settings.method}; label the source again.") from error
    return Model(method.to(where).eval(), looks, settings, task, state["head"], where)


def look_of(modality: str, worked: dict[str, Any], task: Task, tensors: dict[str, Tensor], device: torch.device) -> Part:
    """How the run showed a modality, with its frozen backbone where it had one."""
    look = Look(worked["kind"], 0, worked["channels"], worked["seconds"], worked["rate"], worked.get("frames", SHOWN))
    part = Part(None, look, worked["px"], worked["channels"], worked["encoder"])
    prefix, backbone = f"backbone.{modality}.", None
    own = {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
    if own:
        backbone = encoder_of(part, fetch=False).eval()
        backbone.load_state_dict(own)
        backbone = backbone.to(device)
    return replace(part, backbone=backbone)


def input_encoder(modality: str, part: Part, task: Task, tensors: dict[str, Tensor]) -> nn.Module:
    if task.kind_of(modality) == "features":
        return GivenFeatures(len(tensors[f"method.encoders.{modality}.mean"]))
    return encoder_of(part, fetch=False)


def predict(
    run: Run,
    source: Any,
    device: str = "auto",
    cache: str | None = None,
    notices: Notices | None = None,
    raw: bool = False,
) -> Predicted:
    """Label unseen items with a finished run, as its edits merged, split and named its clusters; `raw` leaves edits aside."""
    found = load_model(run, device, cache).predict(source, notices)
    edits = [] if raw else run.edits()
    if not edits:
        return found
    clusters = np.unique(run.raw_labels["label"].to_numpy())
    return replace(found, edited=apply_to_unseen(found.labels, found.features.numpy(), edits, clusters))


def predictions_csv(found: Predicted) -> str:
    """path, label, confidence, name."""
    rows = zip(found.paths, found.labels.tolist(), [f"{c:.4f}" for c in found.confidence], found.names)
    return csv_text(["path", "label", "confidence", "name"], rows)
