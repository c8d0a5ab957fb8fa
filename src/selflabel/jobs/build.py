"""A method, built for a task around its encoders."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from selflabel.base.errors import UserError, did_you_mean
from selflabel.base.settings import Settings, value_for_modality
from selflabel.contract import Finder, Method, Task
from selflabel.encoders import GivenFeatures, JoinedFeatures, to_channels_last
from selflabel.items import Items
from selflabel.jobs.prepare import Modality, Prepared
from selflabel.runs.truth import read_values, values_of_items
from selflabel.views import PRESETS

ITEMS_PER_CLUSTER = 10  # on average, where a method's default would be more clusters
SPARSE = 10  # given label numbers are kept up to so many times the number of labels; above that they are numbered again

RANGE_ERRORS = ("greater_than", "greater_than_equal", "less_than", "less_than_equal", "finite_number", "too_short")


def make_task(settings: Settings, prepared: Prepared, device: torch.device) -> Task:
    """What is known before training.

    Raises:
        UserError: more clusters than items, views that do not suit the items, or fixed labels that do not fit.
    """
    n, first = len(prepared.items), prepared.first
    if settings.clusters is not None and settings.clusters > n:
        raise UserError(
            f"--clusters {settings.clusters}: the source has only {n} item{'s' * (n > 1)}; ask for at most as many clusters."
        )
    for m, modality in prepared.modalities.items():
        check_views(settings.views, m, next(iter(prepared.modalities)), modality.kind)
    labels, clusters = None, settings.clusters
    if settings.labels is not None:
        labels = read_fixed_labels(Path(settings.labels), prepared.items)
        clusters = int(labels.max()) + 1
    return Task(
        n_items=n,
        clusters=clusters,
        kind=first.kind,
        px=0 if first.kind == "features" else first.px,
        channels=first.channels,
        mass=settings.mass,
        preset=settings.preset,
        epochs=settings.epochs,
        gpu=device.type == "cuda",
        seed=settings.seed,
        views=settings.views,
        given_labels=labels,
        pretrained=bool(first.weights) or first.encoder.startswith("timm:"),
        kinds={m: modality.kind for m, modality in prepared.modalities.items()},
        text_dim=0 if prepared.texts is None else prepared.texts.dim,
    )


def with_clusters(task: Task, make: type[Method], begun: dict[str, Any] | None) -> Task:
    """The task with a default of many clusters made definite: ten items to a cluster on average, at least two clusters.

    Args:
        task: what is known before training.
        make: class of the method.
        begun: section `task` of the run.toml that is resumed, or None. A run of 0.3.0 and before keeps the heads that it has.

    Example:
        >>> from selflabel.methods.label.sela import SeLa
        >>> with_clusters(Task(60, None, "photo", 32, 3), SeLa, None).clusters
        6
    """
    if task.clusters is not None or make.most_clusters is None or (begun is not None and "clusters" not in begun):
        return task
    return replace(task, clusters=min(make.most_clusters, task.n_items, max(2, task.n_items // ITEMS_PER_CLUSTER)))


def check_views(views: str, modality: str, first: str, kind: str) -> None:
    """Raise UserError where there is no such preset, where it would mirror a sound, or where it changes features only."""
    name = value_for_modality(views, modality, first) or "auto"
    if name != "auto" and name not in PRESETS:
        raise UserError(
            f"--views {name}: there is no preset of that name; there are {', '.join(PRESETS)}{did_you_mean(name, PRESETS)}"
        )
    if name != "auto" and modality == "audio" and PRESETS[name].flip:
        raise UserError(f"--views {name}: mirrors views, and a mirrored sound is another one; use sound or spoken.")
    if name == "dropout" and kind != "features":
        raise UserError("--views dropout: changes features only, and these items are files; leave it out or name another preset.")


def read_fixed_labels(file: Path, items: Items) -> Tensor:
    """(N,) labels to train on, from a run's labels.csv or any table with path and label; see `runs.truth` for how they match.

    Raises:
        UserError: the file is not there, lacks a column, or has no label for an item.
    """
    if not file.exists():
        raise UserError(f"--labels {file}: there is no such file.")
    table = read_values(file, ("label",))
    if table is None:
        raise UserError(f"--labels {file}: needs the columns 'path' and 'label', as in a run's labels.csv.")
    found = values_of_items(table, items.paths, items.pieces)
    values = [value for value in found if value]
    missing = [path for path, value in zip(items.paths, found) if not value]
    if missing:
        raise UserError(f"--labels {file}: has no label for {len(missing)} items, the first {missing[0]}.")
    are_numbers = all(v.isdecimal() for v in values)
    names = sorted(set(values), key=int if are_numbers else str)  # type: ignore[arg-type]
    keep_numbers = are_numbers and int(names[-1]) < SPARSE * len(names)
    code = {name: int(name) if keep_numbers else i for i, name in enumerate(names)}
    return torch.tensor([code[v] for v in values])


def make_method(
    make: type[Method], name: str, options: dict[str, Any], task: Task, prepared: Prepared, device: torch.device
) -> Method:
    """The method on the device, built around new encoders.

    Args:
        make: its class.
        name: as in `--method`.
        options: of `--set`.
        task: what is known before training.
        prepared: the set.
        device: where it will be trained.

    Raises:
        UserError: an option is wrong, or the method cannot train on fixed labels.
    """
    torch.manual_seed(task.seed)
    method = make(task, make_options(make, name, options))
    if task.given_labels is not None and not method.takes_given_labels:
        raise UserError(f"--labels: method {name} solves its own labels; training on fixed ones is --method sela.")
    method.build(nn.ModuleDict({m: fitted_encoder(modality) for m, modality in prepared.modalities.items()}))
    to_channels_last(method.to(device))
    return method


def fitted_encoder(modality: Modality) -> nn.Module:
    """The encoder that a method trains, or the standardisation of features, fitted to them."""
    assert modality.tensor is not None
    encoder = modality.make_encoder(feature_dim=modality.tensor.shape[1])
    if isinstance(encoder, GivenFeatures | JoinedFeatures):
        features = torch.from_numpy(np.array(modality.tensor, np.float32))
        encoder.fit(features, modality.space_weights) if isinstance(encoder, JoinedFeatures) else encoder.fit(features)
    return encoder


def stored_options(make: type[Method] | type[Finder], name: str, options: dict[str, Any]) -> Any:
    """A method's options as a run stored them. One that was allowed before there were ranges takes its default."""
    from pydantic import ValidationError

    try:
        return make.options_type(**options)
    except ValidationError as error:
        out_of_range = {e["loc"][0] for e in error.errors() if e["type"] in RANGE_ERRORS}
    return make_options(make, name, {k: v for k, v in options.items() if k not in out_of_range})


def make_options(make: type[Method] | type[Finder], name: str, options: dict[str, Any]) -> Any:
    """A method's checked options.

    Raises:
        UserError: an option is unknown or out of range.
    """
    from pydantic import ValidationError

    try:
        return make.options_type(**options)
    except (ValidationError, TypeError) as error:
        names = list(make.options_type.__dataclass_fields__)  # type: ignore[attr-defined]
        unknown = next((option for option in options if option not in names), None)
        if unknown is not None:
            text, end = f"{unknown}: {name} has no such option", did_you_mean(unknown, names)
        elif isinstance(error, ValidationError):
            first = error.errors()[0]
            text, end = f"{first['loc'][0]} = {first['input']!r}: {first['msg'][0].lower()}{first['msg'][1:]}", "."
        else:
            text, end = str(error), "."
        raise UserError(f"--set {text}; options of {name} are {', '.join(names)}{end}") from error
