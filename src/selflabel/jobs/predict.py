"""`selflabel predict`: a finished run labels unseen items. Nothing is trained or fetched, and the model file runs no code."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from selflabel.base.cells import plain_cell
from selflabel.base.errors import UserError
from selflabel.base.settings import make_settings
from selflabel.contract import Features, Method, Task
from selflabel.decode.look import MediaInfo, inspect_items
from selflabel.edits import EditedLabels, apply_to_unseen
from selflabel.items import Items, open_items
from selflabel.jobs.build import stored_options
from selflabel.jobs.callbacks import Callbacks
from selflabel.jobs.prepare import Modality, Prepared
from selflabel.jobs.prepare.choices import SOUND_KINDS, storage_format, stored_px
from selflabel.jobs.prepare.decoding import decode_items
from selflabel.methods import find_method
from selflabel.runs.run import Run, csv_text
from selflabel.training.checkpoint import restore_method
from selflabel.training.data import ResidentData
from selflabel.training.distributed import Ranks, pick_device
from selflabel.views.clip import FRAMES

BATCH = 256
NAMES = {"image": "images", "video": "videos", "audio": "sounds"}


@dataclass(frozen=True)
class Predicted:
    """Labels of unseen items.

    Attributes:
        paths: (N,) as people see them.
        log_probs: (N, K) of the reported head.
        features: (N, D).
        skipped: (path, reason) of items that cannot be decoded.
        edited: the labels with the run's merges, splits and names; None without edits.
    """

    paths: list[str]
    log_probs: Tensor
    features: Tensor
    skipped: list[tuple[str, str]]
    edited: EditedLabels | None = None

    @property
    def labels(self) -> np.ndarray:
        """(N,) labels."""
        return self.log_probs.argmax(dim=1).numpy() if self.edited is None else self.edited.labels

    @property
    def names(self) -> list[str]:
        """(N,) names of the items' clusters; empty where a cluster has none."""
        names = self.edited.names if self.edited is not None else {}
        return [names.get(label, "") for label in self.labels.tolist()]

    @property
    def confidence(self) -> np.ndarray:
        """(N,) highest probabilities, 0 to 1."""
        return self.log_probs.max(dim=1).values.exp().numpy()


@dataclass(frozen=True)
class Model:
    """The networks of a finished run on a device, in eval mode.

    Attributes:
        method: with its encoders.
        modalities: how each modality is shown, without its tensor; with its fixed backbone where there is one.
        task: of the run.
        head: the reported head.
        device: where the networks are.
        cache, workers: for decoding (see `base.settings.Settings`).
    """

    method: Method
    modalities: dict[str, Modality]
    task: Task
    head: int
    device: torch.device
    cache: str | None = None
    workers: int = 0
    ranks: ClassVar[Ranks] = Ranks()  # labels are predicted in one process

    @classmethod
    def of(cls, method: Method, prepared: Prepared, head: int, device: torch.device, cache: str | None = None) -> Model:
        """The networks that were just trained, without their set."""
        shown = {m: replace(x, tensor=None, weights=None, lengths=None, index=None) for m, x in prepared.modalities.items()}
        return cls(method, shown, method.task, head, device, cache)

    @property
    def takes_features(self) -> bool:
        """Whether the run was trained on given features."""
        return next(iter(self.modalities.values())).px == 0

    @torch.no_grad()
    def predict(self, source: Any, callbacks: Callbacks | None = None) -> Predicted:
        """Label a source of the same kind that the run was trained on.

        Args:
            source: whatever `open_items` takes.
            callbacks: progress.

        Raises:
            UserError: nothing there can be labelled, or features of another length.
        """
        prepared = self.prepare(source, callbacks or Callbacks())
        data = prepared.dataset(self.device, self.ranks, self.task.seed)
        features = {m: self.features(data, m) for m in data.stored}
        log_probs = self.log_probs(features, data.present)
        pooled = torch.cat(list(features.values()), dim=1)
        return Predicted(prepared.items.paths, log_probs, pooled, prepared.items.skipped)

    def prepare(self, source: Any, callbacks: Callbacks) -> Prepared:
        """The source's items, prepared as the run's were."""
        items = open_items(source)
        if items.are_features != self.takes_features or not set(self.modalities) & set(items.modalities):
            wanted = "features" if self.takes_features else " and ".join(NAMES.get(m, m) for m in self.modalities)
            raise UserError(f"{items.source}: this run was trained on {wanted}; give it {wanted}.")
        if not self.takes_features:
            return self.decode(items, callbacks)
        tensor, dim = np.asarray(items.array), self.method.encoders["image"].dim
        if tensor.shape[1] != dim:
            raise UserError(f"{items.source}: has {tensor.shape[1]} features per item, the run was trained on {dim}.")
        return Prepared(items, {"image": replace(self.modalities["image"], tensor=tensor)})

    def decode(self, items: Items, callbacks: Callbacks) -> Prepared:
        """The items decoded as the run's were."""
        formats = {}
        for m, modality in self.modalities.items():
            if m in items.modalities:
                frozen = modality.backbone is not None and modality.info.kind not in SOUND_KINDS
                info = replace(modality.info, short_px=inspect_items(items, m).short_px)
                formats[m] = storage_format(modality.info, stored_px(modality.px, info, frozen))
        kept, decoded = decode_items(items, formats, self.cache, self.workers, callbacks)
        ready = {}
        for m, d in decoded.items():  # without the backbone: the items are not features yet
            ready[m] = replace(self.modalities[m], backbone=None, tensor=d.tensor, lengths=d.lengths, index=d.index)
        return Prepared(kept, ready)

    def features(self, data: ResidentData, modality: str) -> Tensor:
        """(N, D) features of centre views of all items, on the CPU."""
        backbone, parts = self.modalities[modality].backbone, []
        for rows in torch.arange(data.n_items).split(BATCH):
            x = data.view(modality, rows, "centre", 0).pixels
            with data.autocast():
                if backbone is not None:
                    x = backbone(x).float()
                parts.append(self.method.encoders[modality](x).float().cpu())
        return torch.cat(parts)

    def log_probs(self, features: dict[str, Tensor], present: dict[str, Tensor]) -> Tensor:
        """(N, K) of the reported head from features of some modalities, on the CPU."""
        parts = []
        for rows in torch.arange(len(next(iter(features.values())))).split(BATCH):
            block = [{m: x[m][rows.to(x[m].device)].to(self.device) for m in features} for x in (features, present)]
            parts.append(self.method.predict(Features(*block)).log_probs[self.head].float().cpu())
        return torch.cat(parts)


def load_model(run: Run, device: str = "auto", cache: str | None = None) -> Model:
    """The networks of a finished run.

    Args:
        run: finished.
        device: "auto", "cpu", "cuda" or "mps".
        cache: folder for decoded items.

    Raises:
        UserError: the model file is missing, damaged, or not of this run.
    """
    from safetensors import SafetensorError, safe_open

    recorded = run.recorded
    settings = make_settings(**(recorded["settings"] | {"device": device, "cache": cache}))
    task_fields = {f.name for f in fields(Task)}
    task = Task(**{"clusters": None, **{k: v for k, v in recorded["task"].items() if k in task_fields}})
    file = run.folder / "model.safetensors"
    try:
        with safe_open(file, "pt") as f:
            tensors, state = {k: f.get_tensor(k) for k in f.keys()}, json.loads(f.metadata()["state"])  # noqa: SIM118
    except (OSError, SafetensorError, KeyError, TypeError) as error:
        raise UserError(f"{file}: cannot be read as this run's model ({error}).") from error
    where = pick_device(device)
    make = find_method(settings.method).make
    method = make(task, stored_options(make, settings.method, settings.options))
    modalities = {m: stored_modality(m, record, tensors, where) for m, record in run.modalities.items()}
    dims = {m: len(tensors.get(f"method.encoders.{m}.mean", [])) for m in modalities}  # of features
    method.build(nn.ModuleDict({m: modality.make_encoder(dims[m], fetch=False) for m, modality in modalities.items()}))
    per_item = {f"method.{k}": v for k, v in method.state_dict().items() if k in method.per_item}  # not stored
    try:
        restore_method(method, tensors | per_item, state["method"])
    except RuntimeError as error:
        raise UserError(f"{file}: does not fit this version's method {settings.method}; label the source again.") from error
    return Model(method.to(where).eval(), modalities, task, state["head"], where, cache, settings.workers)


def stored_modality(name: str, record: dict[str, Any], tensors: dict[str, Tensor], device: torch.device) -> Modality:
    """How the run showed a modality, with its fixed backbone where it had one.

    Args:
        name: of the modality.
        record: its section of run.toml (see `jobs.save.modality_record`).
        tensors: of model.safetensors.
        device: of the backbone.
    """
    seconds, rate, frames = record["seconds"], record["rate"], record.get("frames", FRAMES)
    info = MediaInfo(record["kind"], 0, record["channels"], seconds, rate, frames)
    modality = Modality(info, record["px"], record["channels"], record["encoder"])
    prefix = f"backbone.{name}."
    weights = {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
    if not weights:
        return modality
    backbone = modality.make_encoder(fetch=False).eval()
    backbone.load_state_dict(weights)
    return replace(modality, backbone=backbone.to(device))


def predict(
    run: Run,
    source: Any,
    device: str = "auto",
    cache: str | None = None,
    callbacks: Callbacks | None = None,
    raw: bool = False,
) -> Predicted:
    """Label unseen items with a finished run, as its edits merged, split and named its clusters.

    Args:
        run: finished.
        source: whatever `open_items` takes.
        device: "auto", "cpu", "cuda" or "mps".
        cache: folder for decoded items.
        callbacks: progress.
        raw: ignore edits.

    Raises:
        UserError: see `load_model` and `Model.predict`.
    """
    predicted = load_model(run, device, cache).predict(source, callbacks)
    edits = [] if raw else run.edits()
    if not edits:
        return predicted
    clusters = np.unique(run.raw_labels["label"].to_numpy())
    return replace(predicted, edited=apply_to_unseen(predicted.labels, predicted.features.numpy(), edits, clusters))


def predictions_csv(predicted: Predicted) -> str:
    """CSV text with the columns path, label, confidence, name."""
    confidence = [f"{c:.4f}" for c in predicted.confidence]
    rows = zip(predicted.paths, predicted.labels.tolist(), confidence, map(plain_cell, predicted.names))
    return csv_text(["path", "label", "confidence", "name"], rows)
