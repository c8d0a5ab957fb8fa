"""The networks of a finished run, read from its folder, and the labels that they give unseen items.

Nothing is trained or fetched, and the model file runs no code.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from functools import partial
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from selflabel.base.errors import UserError
from selflabel.base.settings import make_settings
from selflabel.base.tensor_files import read_tensors
from selflabel.contract import PRETEXT, Features, Localiser, Method, Task
from selflabel.decode.fitting import fit_pieces
from selflabel.decode.limits import DEFAULT_LIMITS, Limits
from selflabel.decode.look import Look, MediaInfo, inspect_items
from selflabel.decode.scale import Scale, scale_from_record
from selflabel.edits import EditedLabels
from selflabel.evaluation.seen import Seen
from selflabel.items import Items, Pieces
from selflabel.jobs.build import stored_options
from selflabel.jobs.callbacks import Callbacks
from selflabel.jobs.prepare import Modality, Prepared, stored_as
from selflabel.jobs.prepare.choices import SOUND_KINDS, is_frozen, seconds_used, storage_format, stored_px
from selflabel.jobs.prepare.decoding import decode_items
from selflabel.jobs.prepare.prepared import SPACES
from selflabel.jobs.prepare.windows import Windows, cut_into_windows, partly_used
from selflabel.jobs.run_source import open_source
from selflabel.jobs.seen import from_tensors, is_unlike
from selflabel.jobs.trust import modality_weights
from selflabel.methods import entry_of
from selflabel.runs.reading import damaged, outliers_in
from selflabel.runs.run import MODEL, Run
from selflabel.runs.writing import used_labels
from selflabel.training.checkpoint import restore_method
from selflabel.training.data import ResidentData
from selflabel.training.distributed import Ranks, pick_device
from selflabel.views.clip import FRAMES

BATCH = 256
MOST_VALUES = 1 << 24  # of an item: channels, pixels and frames that run.toml can say
MAX_HEADS = 10_000
MOST_TEXT_DIM = 1 << 16  # entries of a sentence's feature that run.toml can say
MOST_SAMPLED = 1_000_000  # patches that run.toml can say labels were learned on
WRONG = (KeyError, IndexError, TypeError, ValueError, AttributeError, AssertionError, OverflowError, RuntimeError)
BARELY = 1 / 16  # of the run's range: unseen pictures that use no more are black
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
        outliers: (N,) bool, whether an item is unlike everything that the run has seen; None for a run of 0.3.0 or older,
            which does not say.
        pieces: (N,) the pieces of files that the items are; None for whole files.
    """

    paths: Sequence[str]
    log_probs: Tensor
    features: Tensor
    skipped: list[tuple[str, str]]
    edited: EditedLabels | None = None
    outliers: np.ndarray | None = None
    pieces: Pieces | None = None

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
        """(N,) highest probabilities, 0 to 1; 0 for an item that is unlike everything that the run has seen."""
        highest = self.log_probs.max(dim=1).values.exp().numpy()
        return highest if self.outliers is None else np.where(self.outliers, np.float32(0), highest)


@dataclass(frozen=True)
class Model:
    """The networks of a finished run on a device, in eval mode.

    Attributes:
        method: with its encoders.
        modalities: how each modality is shown, without its tensor; with its fixed backbone where there is one.
        task: of the run.
        head: the reported head.
        device: where the networks are.
        cache, workers, limits: for decoding (see `base.settings.Settings`).
        seen: what the run has seen (see `jobs.seen`); empty where it stored nothing.
        in_use: labels that the run gave to items, ascending: unseen items get no other one. None allows all.
        windows: that the run's sounds or films were cut into; None where they were not.
    """

    method: Method
    modalities: dict[str, Modality]
    task: Task
    head: int
    device: torch.device
    cache: str | None = None
    workers: int = 0
    limits: Limits = DEFAULT_LIMITS
    seen: dict[str, Seen] = field(default_factory=dict)
    in_use: np.ndarray | None = None
    windows: Windows | None = None
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
    def predict(
        self,
        source: Any,
        callbacks: Callbacks | None = None,
        follow_links: bool = False,
        files: str | list[str] | None = None,
        images: str | None = None,
        windows: Windows | None = None,
    ) -> Predicted:
        """Label a source of the same kind that the run was trained on.

        Args:
            source: whatever `jobs.run_source.open_source` takes.
            callbacks: progress.
            follow_links, files, images: as in `open_items`.
            windows: that sounds and films are cut into; None cuts whole files as the run's were.

        Raises:
            UserError: nothing there can be labelled, or features of another length.
        """
        prepared = self.prepare(source, callbacks or Callbacks(), follow_links, files, images, windows)
        data = prepared.dataset(self.device, self.ranks, self.task.seed)
        features = {m: self.features(data, m) for m in data.stored}
        log_probs = self.log_probs(features, data.present)
        pooled = torch.cat(list(features.values()), dim=1)
        unlike = is_unlike(self.seen, data, features)
        items = prepared.items
        return Predicted(items.paths, log_probs, pooled, items.skipped, outliers=unlike, pieces=items.pieces)

    def prepare(
        self,
        source: Any,
        callbacks: Callbacks,
        follow_links: bool = False,
        files: str | list[str] | None = None,
        images: str | None = None,
        windows: Windows | None = None,
    ) -> Prepared:
        """The source's items, prepared as the run's were."""
        items = open_source(source, follow_links, files, images)
        items = fit_pieces(items, self.limits, partial(callbacks.on_progress, "looking at the files"), callbacks.say)
        if items.are_features and items.blobs and not self.takes_features:
            items = items.without_features
        for note in items.notes:
            callbacks.say(note)
        if items.are_features != self.takes_features or not set(self.modalities) & set(items.modalities):
            wanted = "features" if self.takes_features else " and ".join(NAMES.get(m, m) for m in self.modalities)
            raise UserError(f"{items.source}: this run was trained on {wanted}; give it {wanted}.")
        windows = windows or (self.windows if items.pieces is None else None)
        if windows is not None:
            shared = [m for m in self.modalities if m in items.modalities]
            items, cut = cut_into_windows(items.only(shared), windows, self.workers, callbacks, self.limits)
            callbacks.say(f"{cut}.")
        if not self.takes_features:
            return self.decode(items, callbacks, windows is not None)
        tensor, dim = items.array, self.method.encoders["image"].dim
        own, dims = items.space_dims, self.modalities["image"].space_dims
        if tensor.shape[1] != dim or (own and own != dims):
            given, trained = (" and ".join(map(str, of)) for of in (own or [tensor.shape[1]], dims or [dim]))
            raise UserError(f"{items.source}: has {given} features per item, the run was trained on {trained}.")
        return Prepared(items, {"image": replace(self.modalities["image"], tensor=tensor)})

    def decode(self, items: Items, callbacks: Callbacks, are_windows: bool = False) -> Prepared:
        """The items decoded as the run's were. are_windows: whether they were cut at fixed times."""
        formats = {}
        for m, modality in self.modalities.items():
            if m in items.modalities:
                frozen = modality.backbone is not None and modality.info.kind not in SOUND_KINDS
                found = inspect_items(items, m, Look(self.limits, callbacks.on_progress, callbacks.say))
                shown = replace(modality.info, scale=modality.info.scale or found.scale, short_px=found.short_px)
                if note := scale_note(modality.info.scale, found.scale):
                    callbacks.say(note)
                may_be_cut = not isinstance(self.method, Localiser)
                if note := partly_used(found, seconds_used(modality.info), are_windows, may_be_cut):
                    callbacks.say(note)
                formats[m] = storage_format(shown, stored_px(modality.px, shown, frozen), are_windows, modality.whole)
        kept, decoded = decode_items(items, formats, self.cache, self.workers, callbacks, self.limits)
        ready = {}
        for m, d in decoded.items():  # without the backbone: the items are not features yet
            ready[m] = stored_as(replace(self.modalities[m], backbone=None), d)
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
        """(N, K) of the reported head from features of some modalities, on the CPU; each counts as `jobs.trust` says."""
        parts, weights = [], modality_weights(self.seen, features, present)
        for rows in torch.arange(len(next(iter(features.values())))).split(BATCH):
            each = [{m: x[m][rows.to(x[m].device)].to(self.device) for m in x} for x in (features, present, weights)]
            heads = self.method.predict(Features(pooled=each[0], present=each[1], weights=each[2])).log_probs
            if self.head >= len(heads):
                raise UserError(f"{MODEL}: says head {self.head}, and there are {len(heads)}; copy the run folder again.")
            parts.append(heads[self.head].float().cpu())
        return among(torch.cat(parts), self.in_use)


def among(log_probs_NK: Tensor, labels: np.ndarray | None) -> Tensor:
    """(N, K) log-probabilities of some labels as they are, -inf for the others. labels: ascending; None for all.

    Example:
        >>> [round(p, 3) for p in among(torch.tensor([[0.5, 0.25, 0.25]]).log(), np.array([0, 2])).exp()[0].tolist()]
        [0.5, 0.0, 0.25]
    """
    K = log_probs_NK.shape[1]
    labels = np.arange(K) if labels is None else labels[labels < K]  # a damaged table may name others
    if len(labels) in (0, K):
        return log_probs_NK
    kept = torch.full_like(log_probs_NK[:1], -torch.inf)
    kept[:, torch.from_numpy(labels).long()] = 0
    return log_probs_NK + kept


def load_model(run: Run, device: str = "auto", cache: str | None = None) -> Model:
    """The networks of a finished run.

    Args:
        run: finished.
        device: "auto", "cpu", "cuda" or "mps".
        cache: folder for decoded items.

    Raises:
        UserError: the model file is missing, damaged, or not of this run.
    """
    try:
        return read_model(run, device, cache)
    except torch.OutOfMemoryError:
        raise
    except WRONG as error:  # another's run.toml and model can say anything
        reason = f"{type(error).__name__}: {error}".splitlines()[0][:200]
        raise damaged(run.file(MODEL), f"does not fit run.toml ({reason})") from error


def read_model(run: Run, device: str, cache: str | None) -> Model:
    """See `load_model`; what does not fit is any exception."""
    recorded, file = run.recorded, run.file(MODEL)
    tensors, state = read_tensors(file, "copy the run folder again, or label the source again")
    check_sizes(run)
    settings = make_settings(**(recorded["settings"] | {"device": device, "cache": cache}))
    task_fields = {f.name for f in fields(Task)}
    task = Task(**{"clusters": None, **{k: v for k, v in recorded["task"].items() if k in task_fields}})
    where = pick_device(device)
    make = entry_of(settings.method).make
    method = make(task, stored_options(make, settings.method, settings.options))
    modalities = {m: stored_modality(m, record, tensors, where) for m, record in run.modalities.items()}
    dims = {m: len(tensors.get(f"method.encoders.{m}.mean", [])) for m in modalities}  # of features
    method.build(nn.ModuleDict({m: modality.make_encoder(dims[m], fetch=False) for m, modality in modalities.items()}))
    unused = {f"method.{k}": v for k, v in method.state_dict().items() if k in method.per_item or k.startswith(f"{PRETEXT}.")}
    try:
        restore_method(method, unused | tensors, state["method"])  # what only training needs may be missing
    except RuntimeError as error:
        raise UserError(f"{file}: does not fit this version's method {settings.method}; label the source again.") from error
    limits = Limits(settings.item_seconds, settings.item_gb)
    head = range(MAX_HEADS)[state["head"]]  # `log_probs` sees whether the method has it
    seen, table = from_tensors(tensors), run.raw_labels
    in_use = used_labels(table["label"].to_numpy(), outliers_in(table))
    windows = Windows.of(settings.windows, settings.hop)
    method = method.to(where).eval()
    return Model(method, modalities, task, head, where, cache, settings.workers, limits, seen, in_use, windows)


def check_sizes(run: Run) -> None:
    """Raise UserError where run.toml says sizes that no run has: networks and items of these sizes would be made."""
    file, recorded = run.file("run.toml"), run.recorded
    missing = {"settings", "task", "worked_out"} - recorded.keys()
    if missing:
        raise damaged(file, f"lacks the section {min(missing)}")
    task, sections = recorded["task"], recorded["worked_out"].values()
    n, table = task.get("n_items"), run.raw_labels
    is_sample = outliers_in(table) is not None or run.report.get("n_trained_on") == n  # outliers may not have been trained on
    least = 1 if is_sample else len(table)
    least, most = (1, MOST_SAMPLED) if recorded["settings"].get("parts") == "patches" else (least, len(table))
    if not isinstance(n, int) or not least <= n <= most:
        raise damaged(file, "says another number of items than labels.parquet has")
    clusters = task.get("clusters", 1)
    if not isinstance(clusters, int) or not 0 <= clusters <= run.file(MODEL).stat().st_size:  # each has a weight at least
        raise damaged(file, f"says clusters = {clusters}, which no run has")
    text_dim = task.get("text_dim", 0)
    if not isinstance(text_dim, int) or not 0 <= text_dim <= MOST_TEXT_DIM:
        raise damaged(file, f"says text_dim = {text_dim}, which no run has")
    for part in sections:
        if sum(part.get("space_dims", [])) > run.file(MODEL).stat().st_size or max(part.get("sides", [0])) > part.get("px", 0):
            raise damaged(file, "says sizes of feature spaces that no run has")
        if part.get("px", 0) ** 2 * part.get("channels", 1) * max(1, part.get("frames", 1)) > MOST_VALUES:
            raise damaged(file, f"says px = {part['px']}, which no run has")


def stored_modality(name: str, record: dict[str, Any], tensors: dict[str, Tensor], device: torch.device) -> Modality:
    """How the run showed a modality, with its fixed backbone where it had one.

    Args:
        name: of the modality.
        record: its section of run.toml (see `jobs.save.modality_record`).
        tensors: of model.safetensors.
        device: of the backbone.
    """
    seconds, rate, frames = record["seconds"], record["rate"], record.get("frames", FRAMES)
    info = MediaInfo(record["kind"], 0, record["channels"], seconds, rate, frames, scale_from_record(record))
    spaces: dict[str, Any] = {key: tuple(record.get(key, ())) for key in SPACES}
    shown = Modality(info, record["px"], record["channels"], record["encoder"], network=record.get("network"))
    modality = replace(shown, whole=record.get("whole") is True, **spaces)
    prefix = f"backbone.{name}."
    weights = {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
    if not weights and not is_frozen(modality.encoder):
        return modality
    backbone = modality.make_encoder(fetch=False).eval()
    backbone.load_state_dict(weights)
    return replace(modality, backbone=backbone.to(device))


def scale_note(run: Scale | None, found: Scale | None) -> str:
    """What the user should know of the scale of unseen pictures; "" where there is nothing.

    Args:
        run: of the run's pictures.
        found: of the unseen ones, by a sample.
    """
    if found is None or (run is not None and run.per_item):
        return ""
    if run is None:
        return found.describe()
    width = run.high - run.low
    if found.high <= run.low + BARELY * width or found.low >= run.high:
        values = f"values from {found.low:g} to {found.high:g}"
        return f"the pictures have {values}, the run's had {run.low:g} to {run.high:g}: nearly all of them are black or white."
    return ""
