"""Every setting of a run, in two groups: what changes the result, and what changes only speed or place."""

from __future__ import annotations

import sys
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
    """What `label` was asked.

    Changes the result: source, clusters (None: chosen without truth), method, encoder, weights, mass, views, epochs, preset,
    labels (train anew on fixed labels), seed, px (side of the picture as shown), frames (of a film as shown), fps (at which they
    are shown; None: spread evenly), modality (use this one alone), options (of the method).
    encoder, weights and views are a name for what items are first of all (pictures or films before their sound), or one for each:
    "video=r2plus1d,audio=resnet18".
    Changes only speed or place: device, cache, workers.
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


MODALITIES = ("image", "video", "audio")
SPEED_ONLY = ("device", "cache", "workers")


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
    for name, least in (("clusters", 1), ("epochs", 1), ("px", 1), ("frames", 1)):
        value = getattr(settings, name)
        if value is not None and value < least:
            raise UserError(f"{name} = {value}: must be at least {least}.")
    return settings


def of_modality(asked: str, modality: str, first: str) -> str | None:
    """What was asked for one modality; None where nothing was. A name alone speaks of the `first`.

    Example:
        >>> [of_modality("video=r2plus1d,audio=resnet18", m, "video") for m in ("video", "audio")]
        ['r2plus1d', 'resnet18']
        >>> [of_modality("resnet50", m, "video") for m in ("video", "audio")]
        ['resnet50', None]
    """
    parts = [part.partition("=") for part in asked.split(",")]
    if all(name in MODALITIES and equals for name, equals, _ in parts):
        return {name: value for name, _, value in parts}.get(modality)
    return asked if modality == first else None


def with_overrides(config: str | None, sets: list[str]) -> dict[str, Any]:
    """Values from a TOML file, then from `key=value` words; a key that is no setting is an option of the method."""
    given = read_toml(Path(config)) if config else {}
    for word in sets:
        key, equals, text = word.partition("=")
        if not equals or not key:
            raise UserError(f"--set {word}: write it as key=value.")
        given[key.strip()] = parse(text.strip())
    names = {f.name for f in fields(Settings)}
    options = {k: v for k, v in given.items() if k not in names}
    return {k: v for k, v in given.items() if k in names} | {"options": {**given.get("options", {}), **options}}


def parse(text: str) -> Any:
    """A TOML value, or the text itself where it is none."""
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
    """TOML text; None is left out."""
    return tomli_w.dumps(without_none(sections))


def without_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: without_none(v) for k, v in value.items() if v is not None}
    return [without_none(v) for v in value] if isinstance(value, (list, tuple)) else value


def differences(old: dict[str, Any], new: Settings) -> list[str]:
    """The settings that change the result and are not the same, as 'name: old, now new'."""
    now = without_none(asdict(new))
    names = [k for k in sorted({*old, *now}) if k not in SPEED_ONLY]
    return [f"{k}: {old.get(k, 'unset')}, now {now.get(k, 'unset')}" for k in names if old.get(k) != now.get(k)]
