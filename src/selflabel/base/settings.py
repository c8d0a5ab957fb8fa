"""Every setting of a run: those that change the result, and those that change only speed or place."""

from __future__ import annotations

import sys
from collections.abc import Collection
from dataclasses import asdict, field, fields
from pathlib import Path
from typing import Any, Literal

import tomli_w
from pydantic import ConfigDict, ValidationError
from pydantic.dataclasses import dataclass

from selflabel.base.errors import UserError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Settings:
    """The settings of `label`, as stored in run.toml.

    `encoder`, `weights` and `views` are one name, for the first modality (images or videos before their sound), or one for each
    modality: "video=r2plus1d,audio=resnet18".

    Attributes that change the result:
        source: a folder, manifest, array, tar shards or embedded set.
        clusters: K; None is estimated by sela-nn, without truth, and the default of other methods.
        method, encoder: names, as in `selflabel methods` and `selflabel encoders`.
        weights: .safetensors file of pretrained weights.
        mass: cluster sizes: "auto", "uniform", "gaussian", "zipf", "estimated" or "relaxed".
        views: preset of the random views.
        epochs: of all phases together; None is by the data.
        preset: "paper" for the published network and length.
        labels: CSV of fixed labels to train on.
        seed: of every random number.
        px: side of a view in pixels; sounds have a size of their own.
        frames: frames of a view of a video.
        fps: at which a video's frames are shown, in frames a second; None spreads them evenly.
        modality: use this modality only.
        options: of the method.

    Attributes that change only speed or place:
        device: "auto", "cpu", "cuda" or "mps".
        cache: folder for decoded items.
        workers: decoding processes; 0 is one for each core that may be used.
        item_seconds: that decoding one item may take; one that takes longer is skipped and listed.
        item_gb: memory in GB that decoding one item may take (on Linux); one that needs more is skipped and listed.
    """

    source: str
    clusters: int | None = None
    method: str = "sela-nn"
    encoder: str = "auto"
    weights: str | None = None
    mass: Literal["auto", "uniform", "gaussian", "zipf", "estimated", "relaxed"] = "auto"
    views: str = "auto"
    epochs: int | None = None
    preset: Literal["paper"] | None = None
    labels: str | None = None
    seed: int = 0
    px: int | None = None
    frames: int | None = None
    fps: float | None = None
    modality: Literal["image", "video", "audio"] | None = None
    options: dict[str, Any] = field(default_factory=dict)
    device: str = "auto"
    cache: str | None = None
    workers: int = 0
    item_seconds: float = 30.0
    item_gb: float = 1.0


MODALITIES = ("image", "video", "audio")
SPEED_ONLY = ("device", "cache", "workers", "item_seconds", "item_gb")


def make_settings(**given: Any) -> Settings:
    """Settings from plain values.

    Raises:
        UserError: a value of the wrong type or range, named with what it should be.
    """
    try:
        settings = Settings(**given)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(map(str, first["loc"])) or "settings"
        raise UserError(f"{name} = {first['input']!r}: {first['msg'][0].lower()}{first['msg'][1:]}.") from error
    if settings.fps is not None and not settings.fps > 0:
        raise UserError(f"fps = {settings.fps}: must be more than 0.")
    for name in ("item_seconds", "item_gb"):
        if not getattr(settings, name) > 0:
            raise UserError(f"{name} = {getattr(settings, name)}: must be more than 0.")
    for name, least in (("clusters", 1), ("epochs", 1), ("px", 1), ("frames", 1)):
        value = getattr(settings, name)
        if value is not None and value < least:
            raise UserError(f"{name} = {value}: must be at least {least}.")
    return settings


def value_for_modality(value: str, modality: str, first: str) -> str | None:
    """The part of a setting that is for one modality; None where there is none. A plain name is for the first modality.

    Example:
        >>> [value_for_modality("video=r2plus1d,audio=resnet18", m, "video") for m in ("video", "audio")]
        ['r2plus1d', 'resnet18']
        >>> [value_for_modality("resnet50", m, "video") for m in ("video", "audio")]
        ['resnet50', None]
    """
    pairs = [pair.partition("=") for pair in value.split(",")]
    if all(name in MODALITIES and equals for name, equals, _ in pairs):
        return {name: part for name, _, part in pairs}.get(modality)
    return value if modality == first else None


def with_overrides(config: str | None, sets: list[str], method_options: Collection[str] = ()) -> dict[str, Any]:
    """Values from a TOML file, then from `key=value` arguments. A key that is no setting is an option of the method.

    Args:
        config: a TOML file.
        sets: arguments, as in `--set`.
        method_options: names that `sets` gives to the method although there is a setting of that name, as SeLaVi's `labels`.

    Raises:
        UserError: the file cannot be read, or an argument is no `key=value`.
    """
    values = read_toml(Path(config)) if config else {}
    names = {f.name for f in fields(Settings)}
    options = {**values.pop("options", {}), **{k: values.pop(k) for k in list(values) if k not in names}}
    for argument in sets:
        key, equals, text = argument.partition("=")
        if not equals or not key:
            raise UserError(f"--set {argument}: write it as key=value.")
        key, value = key.strip(), parse(text.strip())
        if key == "options" and not isinstance(value, dict):
            raise UserError(f"--set {argument}: write each option as key=value.")
        if key == "options" or key in method_options or key not in names:
            options |= value if key == "options" else {key: value}
        else:
            values[key] = value
    return values | {"options": options}


def parse(text: str) -> Any:
    """A TOML value, or the text itself where it is no TOML."""
    try:
        return tomllib.loads(f"x = {text}")["x"]
    except tomllib.TOMLDecodeError:
        return text


def read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read as TOML ({error}).") from error


def as_toml(sections: dict[str, Any]) -> str:
    """TOML text of nested sections; None values are left out."""
    return tomli_w.dumps(without_none(sections))


def without_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: without_none(v) for k, v in value.items() if v is not None}
    return [without_none(v) for v in value] if isinstance(value, (list, tuple)) else value


def differences(old: dict[str, Any], new: Settings) -> list[str]:
    """The settings that change the result and differ, each as "name: old, now new"."""
    now = without_none(asdict(new))
    names = [k for k in sorted({*old, *now}) if k not in SPEED_ONLY]
    return [f"{k}: {old.get(k, 'unset')}, now {now.get(k, 'unset')}" for k in names if old.get(k) != now.get(k)]
