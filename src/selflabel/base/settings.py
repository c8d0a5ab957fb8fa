"""Every setting of a run: those that change the result, and those that change only speed or place."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Collection
from dataclasses import asdict, field, fields, replace
from pathlib import Path
from typing import Any, Literal

import tomli_w
from pydantic import ConfigDict, ValidationError
from pydantic.dataclasses import dataclass

from selflabel.base.errors import UserError, did_you_mean
from selflabel.base.text import as_utf8

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
        source: a folder, manifest, array, archive, tar shards or embedded set, the address of one, or a list of these; or arrays
            of features of the same items with + between.
        items: where the source is an array of features, the files that its rows belong to: a list of files, a folder or their
            paths, row i the i-th of them; None has none.
        images: where the source is a COCO file, the folder of its pictures; None looks for them beside it.
        solos: of `find --method dsol`, a second source, of pictures or films in which one thing sounds; None has none.
        follow_links: whether links to folders are followed, and links of a manifest out of its folder.
        clusters: number of clusters K, from 1 to the number of items; None is estimated by sela-nn, without truth, and the
            default of other methods.
        method: its name, as in `selflabel methods`.
        encoder: name of the network, as in `selflabel encoders`; "scratch" trains one by the data and the device; "auto" takes a
            pretrained one for photographs, films and sounds where it can be had, and is else the same as "scratch".
        weights: .safetensors file of pretrained weights; None starts from random ones, except that pretrained encoders have their
            own.
        mass: demanded cluster sizes: equal (uniform), those of a Gaussian or of Zipf's law, estimated from the data, not demanded
            (relaxed); "auto" is the method's own way, which in sela-nn is the same as "relaxed".
        views: preset of the random views; "auto" is by the data.
        epochs: of all phases together, at least 1; None is by the data.
        preset: "paper" for the published network and length; None suits the data and the machine.
        labels: CSV with the columns path and label: fixed labels to train on, with the method sela.
        outliers: share of items that fit no cluster, above 0 and at most 0.5; "auto" finds it; None gives every item a cluster.
        seed: of every random number; the same seed on the same machine gives the same labels.
        px: side of a view in pixels, at least 1; None is by the data; sounds have a size of their own.
        frames: frames of a view of a video, at least 1; None is 8, with the preset "paper" 30 or what a pretext's paper has.
        fps: at which a video's frames are shown, in frames a second, above 0; None spreads them evenly.
        rate: samples a second at which sounds are kept, in Hz, up to 1000000; None is their own, 16000 at most.
        windows: length in seconds of the windows that sounds and films are cut into, at least 0.05; every window is an item. None
            labels whole files.
        hop: seconds from the start of a window to that of the next, at least 0.01 and at most `windows`; None is `windows`, so
            that none overlap.
        parts: "patches" labels the patches of photos instead of photos, and gives a class map for each; None labels whole items.
        modality: use this modality only; None uses as many as the method takes.
        options: options of the method; `--set NAME=VALUE` gives each of them.

    Attributes that change only speed or place:
        device: "auto", "cpu", "cuda" or "mps"; "auto" is a GPU where there is one.
        cache: folder for decoded items; None is ~/.cache/selflabel.
        workers: decoding processes; 0 is one for each core that may be used.
        item_seconds: that decoding one item may take, above 0; one that takes longer is skipped and listed.
        item_gb: memory in GB that decoding one item may take, above 0 (on Linux); one that needs more is skipped and listed.
    """

    source: str | list[str]
    items: str | list[str] | None = None
    images: str | None = None
    solos: str | None = None
    clusters: int | None = None
    method: str = "sela-nn"
    encoder: str = "auto"
    weights: str | None = None
    mass: Literal["auto", "uniform", "gaussian", "zipf", "estimated", "relaxed"] = "auto"
    views: str = "auto"
    epochs: int | None = None
    preset: Literal["paper"] | None = None
    labels: str | None = None
    outliers: str | float | None = None
    seed: int = 0
    px: int | None = None
    frames: int | None = None
    fps: float | None = None
    rate: int | None = None
    windows: float | None = None
    hop: float | None = None
    parts: Literal["patches"] | None = None
    modality: Literal["image", "video", "audio"] | None = None
    follow_links: bool = False
    options: dict[str, Any] = field(default_factory=dict)
    device: str = "auto"
    cache: str | None = None
    workers: int = 0
    item_seconds: float = 30.0
    item_gb: float = 1.0


MAX_RATE = 1_000_000  # Hz
LEAST_WINDOW_S, LEAST_HOP_S = 0.05, 0.01
MODALITIES = ("image", "video", "audio")
MAX_DOTS = 100  # of a key in a TOML file: the parser takes time by their square
SETTINGS = tuple(f.name for f in fields(Settings))
SPEED_ONLY = ("device", "cache", "workers", "item_seconds", "item_gb")


def make_settings(**given: Any) -> Settings:
    """Settings from plain values.

    Args:
        given: fields of `Settings` by name; `source` must be among them.

    Raises:
        UserError: a value of the wrong type or range, named with what it should be.
    """
    try:
        settings = Settings(**given)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(map(str, first["loc"])) or "settings"
        if name not in SETTINGS and "." not in name:
            raise UserError(f"{name}: there is no setting of that name{did_you_mean(name, SETTINGS)}") from error
        raise UserError(f"{name} = {first['input']!r}: {first['msg'][0].lower()}{first['msg'][1:]}.") from error
    if settings.fps is not None and not settings.fps > 0:
        raise UserError(f"fps = {settings.fps}: must be more than 0.")
    for name in ("item_seconds", "item_gb"):
        if not getattr(settings, name) > 0:
            raise UserError(f"{name} = {getattr(settings, name)}: must be more than 0.")
    for name, least in (("clusters", 1), ("epochs", 1), ("px", 1), ("frames", 1), ("rate", 1000)):
        value = getattr(settings, name)
        if value is not None and value < least:
            raise UserError(f"{name} = {value}: must be at least {least}.")
    if settings.rate is not None and settings.rate > MAX_RATE:
        raise UserError(f"rate = {settings.rate}: must be at most {MAX_RATE}.")
    check_windows(settings.windows, settings.hop)
    return replace(settings, outliers=checked_outliers(settings.outliers))


def check_windows(windows: float | None, hop: float | None) -> None:
    """Raise UserError where sounds and films cannot be cut into such windows, of so many seconds."""
    if windows is not None and not LEAST_WINDOW_S <= windows < math.inf:
        raise UserError(f"windows = {windows}: must be at least {LEAST_WINDOW_S} seconds.")
    if hop is not None and windows is None:
        raise UserError(f"hop = {hop}: is the step between windows; give their length, too, with --windows.")
    if hop is not None and windows is not None and not LEAST_HOP_S <= hop <= windows:
        raise UserError(f"hop = {hop}: must be at least {LEAST_HOP_S} and at most the length of a window, {windows:g} seconds.")


def checked_outliers(outliers: str | float | None) -> str | float | None:
    """The share of outliers as a number; "auto" and None as they are.

    Raises:
        UserError: it is no such share.

    Example:
        >>> checked_outliers("0.1"), checked_outliers("auto")
        (0.1, 'auto')
    """
    if outliers is None or outliers == "auto":
        return outliers
    try:
        share = float(outliers)
    except ValueError:
        share = -1.0
    if not 0 < share <= 0.5:
        raise UserError(f"outliers = {outliers}: must be auto, or a share above 0 and at most 0.5.")
    return share


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
        config: a TOML file with settings, or the run.toml of a run.
        sets: arguments, as in `--set`.
        method_options: names that `sets` gives to the method although there is a setting of that name, as SeLaVi's `labels`.

    Raises:
        UserError: the file cannot be read or a setting in it is wrong, or an argument is no `key=value`.
    """
    values = read_config(Path(config)) if config else {}
    options = {**values.pop("options", {}), **{k: values.pop(k) for k in list(values) if k not in SETTINGS}}
    for argument in sets:
        key, equals, text = argument.partition("=")
        if not equals or not key:
            raise UserError(f"--set {argument}: write it as key=value.")
        key, value = key.strip(), parse(text.strip())
        if key == "options" and not isinstance(value, dict):
            raise UserError(f"--set {argument}: write each option as key=value.")
        if key == "options" or key in method_options or key not in SETTINGS:
            options |= value if key == "options" else {key: value}
        else:
            values[key] = value
    return values | {"options": options}


def read_config(file: Path) -> dict[str, Any]:
    """The settings in a TOML file; of a run.toml its section of settings. Keys that are no settings are there, too.

    Raises:
        UserError: it cannot be read, or a setting in it has a wrong value.
    """
    values = read_toml(file)
    if isinstance(values.get("settings"), dict):
        values = with_chosen_encoder(values)
    if not isinstance(values.get("options", {}), dict):
        raise UserError(f"{place_in(file, 'options')}: options = {values['options']!r}: must be a table of options.")
    for key, value in values.items():
        if key in SETTINGS:
            try:
                make_settings(**{"source": ""} | {key: value})
            except UserError as error:
                raise UserError(f"{place_in(file, key)}: {error}") from error
    return values


def with_chosen_encoder(recorded: dict[str, Any]) -> dict[str, Any]:
    """The settings of a run.toml, with what "auto" was for its encoders: whoever repeats a run gets the same ones."""
    settings, chosen = dict(recorded["settings"]), chosen_encoder(recorded.get("worked_out", {}))
    return settings | {"encoder": chosen} if settings.get("encoder") == "auto" and chosen else settings


def chosen_encoder(worked_out: Any) -> str:
    """The setting `encoder` that says what a run chose; "scratch" for networks that it trained; "" where it does not say.

    Args:
        worked_out: modality to its section of run.toml.

    Example:
        >>> chosen_encoder({"image": {"encoder": "resnet9"}})
        'scratch'
        >>> chosen_encoder({"video": {"encoder": "frozen:timm:x"}, "audio": {"encoder": "resnet9"}})
        'video=frozen:timm:x,audio=scratch'
    """
    if not isinstance(worked_out, dict):
        return ""
    names = {m: part.get("encoder") for m, part in worked_out.items() if isinstance(part, dict)}
    fixed = {m: name if str(name).startswith("frozen:") else "scratch" for m, name in names.items() if name}
    return "scratch" if set(fixed.values()) == {"scratch"} else ",".join(f"{m}={name}" for m, name in fixed.items())


def check_keys(file: Path, options: Collection[str], method: str) -> None:
    """Raise UserError where a TOML file has a key that is neither a setting nor an option of the method."""
    values = read_config(file)
    for key in [*values, *values.get("options", {})]:
        if key not in options and (key not in SETTINGS or key in values.get("options", {})):
            close = did_you_mean(key, [*SETTINGS, *options])
            raise UserError(f"{place_in(file, key)}: {key} is no setting and no option of {method}{close}")


def place_in(file: Path, key: str) -> str:
    """A TOML file and the line of a key in it, for people; only the file where the line is not found."""
    lines = file.read_text(encoding="utf-8").splitlines()
    start = re.compile(rf"""\s*(\[\s*)?["']?{re.escape(key)}["']?\s*[=\]]""")
    number = next((i for i, line in enumerate(lines, 1) if start.match(line)), None)
    return f"{file}, line {number}" if number else str(file)


def parse(text: str) -> Any:
    """A TOML value, or the text itself where it is no TOML."""
    try:
        return tomllib.loads(f"x = {text}")["x"]
    except tomllib.TOMLDecodeError:
        return text


def read_toml(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
        if any(line.partition("=")[0].count(".") > MAX_DOTS for line in text.split("\n")):
            raise ValueError(f"a key has more than {MAX_DOTS} parts")
        return tomllib.loads(text)
    except (OSError, ValueError, RecursionError) as error:  # errors of TOML and UTF-8 are ValueErrors
        raise UserError(f"{path}: cannot be read as TOML ({error}).") from error


def as_toml(sections: dict[str, Any]) -> str:
    """TOML text of nested sections; None values are left out."""
    return tomli_w.dumps(without_none(sections))


def without_none(value: Any) -> Any:
    """A nested value as TOML can hold it: without None, and with what is no UTF-8 escaped, as in a file's name."""
    if isinstance(value, str):
        return as_utf8(value)
    if isinstance(value, dict):
        return {k: without_none(v) for k, v in value.items() if v is not None}
    return [without_none(v) for v in value] if isinstance(value, (list, tuple)) else value


def differences(old: dict[str, Any], new: Settings) -> list[str]:
    """The settings that change the result and differ, each as "name: old, now new".

    A setting that an older version did not have counts as off.
    """
    now = without_none(asdict(new))
    old = {"follow_links": False} | without_none(old)
    names = [k for k in sorted({*old, *now}) if k not in SPEED_ONLY]
    pairs = ((k, old.get(k, "unset"), now.get(k, "unset")) for k in names)
    return [f"{k}: {in_short(a)}, now {in_short(b)}" for k, a, b in pairs if a != b]


def in_short(value: Any) -> Any:
    """A long list of sources by its first."""
    return f"{value[0]} and {len(value) - 1:,} more" if isinstance(value, list) and len(value) > 2 else value
