"""The tables of docs/settings.md: settings, options of methods, encoders and views, from the code's types and docstrings."""

from __future__ import annotations

import re
import types
import typing
from dataclasses import MISSING, Field, fields
from typing import Any, Literal, get_args, get_origin

import typer.main

from reproduce.docstrings import attributes
from reproduce.tables import markdown
from selflabel.base.settings import SPEED_ONLY, Settings
from selflabel.cli import app
from selflabel.encoders import CLIP_ENCODERS, ENCODERS, WAVE_ENCODERS
from selflabel.methods import BASELINES, FINDERS, METHODS, TEACHABLE, option_names
from selflabel.methods.label.sela_nn import plans
from selflabel.views import PRESETS, Preset

WORDS = {bool: "`true` or `false`", int: "whole number", float: "number", str: "text", dict: "table"}


# ------------------------------------------------------------------------------------------------------------- settings


def settings_table(which: str) -> str:
    """The settings that change the "result", or only the "speed" or place."""
    described, flags, hints = attributes(Settings), label_flags(), typing.get_type_hints(Settings, include_extras=True)
    rows = []
    for field in fields(Settings):
        if (field.name in SPEED_ONLY) == (which == "speed"):
            flag, kind = flags.get(field.name, f"`--set {field.name}=`"), type_text(hints[field.name])
            rows.append([f"`{field.name}`", flag, kind, default_text(field), sentence(described[field.name])])
    return markdown(["setting", "on the command line", "type", "default", "what it is"], rows)


def label_flags() -> dict[str, str]:
    """The settings that `selflabel label` takes as an argument or an option, with how it is written there."""
    command = typer.main.get_command(app).commands["label"]  # type: ignore[attr-defined]
    flags = {}
    for parameter in command.params:
        names = sorted(parameter.opts, key=len, reverse=True)
        flags[parameter.name] = " ".join(f"`{name}`" for name in names) if names[0].startswith("-") else "`SOURCE`"
    return flags


# -------------------------------------------------------------------------------------------------------------- methods


def method_tables() -> str:
    """A table of options for every method; some baselines share theirs."""
    parts = [f"### {linked(name, name)}\n\n{options_table(entry.make.options_type)}" for name, entry in METHODS.items()]
    by_kind: dict[Any, list[str]] = {}
    for name, entry in BASELINES.items():
        by_kind.setdefault(entry.make.options_type, []).append(linked(name, "baselines"))
    parts += [f"### {linked(name, name)}\n\n{options_table(entry.make.options_type)}" for name, entry in FINDERS.items()]
    parts += [
        f"### {linked(name, name)}\n\n{options_table(entry.make.options_type)}"
        for name, entry in TEACHABLE.items()
        if option_names(name)
    ]
    return "\n\n".join([*parts, *(f"### {', '.join(names)}\n\n{options_table(kind)}" for kind, names in by_kind.items())])


def linked(name: str, page: str) -> str:
    return f"[{name}](methods/{page}.md)"


def options_table(options: Any) -> str:
    """The options of a method: type with range, default, meaning."""
    described, hints = attributes(options), typing.get_type_hints(options, include_extras=True)
    rows = [
        [f"`{field.name}`", type_text(hints[field.name]), default_text(field), sentence(described[field.name])]
        for field in fields(options)
    ]
    return markdown(["option", "type", "default", "what it is"], rows)


def plan_table() -> str:
    """The defaults of sela-nn that depend on the kind of data."""
    named = {"glyph, fewer than 4,000 items": plans.FEW_GLYPHS, "photo, from scratch on a CPU": plans.PHOTO_FROM_SCRATCH}
    shown = [f.name for f in fields(plans.Options) if f.name in {g.name for g in fields(plans.Plan)}]
    rows = []
    for kind, plan in sorted((plans.PLANS | named).items()):
        values = [getattr(plan, name) for name in shown]
        rows.append([kind, *(f"`{list(v)}`" if isinstance(v, tuple) else f"`{v}`" for v in values)])
    return markdown(["kind of data", *(f"`{name}`" for name in shown)], rows)


# ------------------------------------------------------------------------------------------------- types, as people write


def type_text(hint: Any) -> str:
    """A type with its range, in words.

    Example:
        >>> from selflabel.methods.option_types import PositiveInt, Share
        >>> type_text(PositiveInt | None), type_text(tuple[Share, ...]), type_text(Literal["a", "b"])
        ('whole number, 1 or more', 'list of: number, 0 or more, at most 1', '`a`, `b`')
    """
    limits: list[Any] = []
    while get_origin(hint) in (typing.Union, types.UnionType, typing.Annotated):
        limits += limits_of(hint)
        hint = next(part for part in get_args(hint) if part is not type(None))
    if get_origin(hint) is Literal:
        return ", ".join(f"`{value}`" for value in get_args(hint))
    if get_origin(hint) is tuple:
        return f"list of: {type_text(get_args(hint)[0])}"
    return ", ".join([WORDS[get_origin(hint) or hint], *range_words(limits)])


def limits_of(hint: Any) -> list[Any]:
    """The limits in the annotations of a type."""
    extras = [extra for extra in getattr(hint, "__metadata__", ()) if hasattr(extra, "metadata")]
    return [limit for extra in extras for limit in extra.metadata]


def range_words(limits: list[Any]) -> list[str]:
    """Limits in words: "above 0", "1 or more", "at most 1"."""
    low = [f"above {x.gt:g}" for x in limits if hasattr(x, "gt")] + [f"{x.ge:g} or more" for x in limits if hasattr(x, "ge")]
    high = [f"below {x.lt:g}" for x in limits if hasattr(x, "lt")] + [f"at most {x.le:g}" for x in limits if hasattr(x, "le")]
    return low + high


def default_text(field: Field) -> str:
    """A default as it is written after `--set key=`; "none" where a setting may be left out and has no value of its own."""
    if field.default is MISSING:
        return "must be given" if field.default_factory is MISSING else "empty"
    value = getattr(field.default, "default", field.default)
    if value is None:
        return "none"
    return f"`{str(value).lower()}`" if isinstance(value, bool) else f"`{value}`" if value != () else "empty"


def sentence(text: str) -> str:
    """A description as a cell of a table."""
    return re.sub(r"\s+", " ", text).replace("|", "\\|").rstrip(".")


# ------------------------------------------------------------------------------------------------------ encoders and views


def encoder_table() -> str:
    """Every name that --encoder takes."""
    rows = [
        [
            "`auto`",
            "a fixed pretrained encoder for photographs, films and sounds where it can be had, else as `scratch`",
            "everything",
        ],
        [
            "`scratch`",
            "a network trained on the items alone, by the kind of data and the device",
            "drawn signs, words, the papers' setting",
        ],
    ]
    rows += [[f"`{name}`", e.description, e.suits] for name, e in (ENCODERS | CLIP_ENCODERS).items()]
    rows += [["`timm:NAME`", "any timm backbone with its pretrained weights, trained further", "photos"]]
    rows += [["`frozen:NAME`", "a fixed backbone: features are computed once", "photos, e.g. `frozen:timm:resnet50`"]]
    rows += [[f"`frozen:{name}`", e.description, e.suits] for name, e in WAVE_ENCODERS.items()]
    rows += [["`frozen:hf:NAME`", "a fixed model of transformers, or a folder with one; an extra", "photos, films, sounds"]]
    rows += [["`frozen`", "feature input as it is; the default there", "arrays of features"]]
    return markdown(["name", "what it is", "suits"], rows)


def views_table() -> str:
    """Every preset of views with what it changes."""
    default, described = Preset(), attributes(Preset)
    rows = []
    for name, preset in PRESETS.items():
        if name == "dropout":  # of features; its numbers mean nothing
            rows.append([f"`{name}`", "of features: a tenth of the entries is set to zero"])
            continue
        changes = [(key, value) for key in described if (value := getattr(preset, key)) != getattr(default, key)]
        rows.append([f"`{name}`", ", ".join(f"{key} {view_value(value)}" for key, value in changes) or "nothing"])
    return markdown(["preset", "what a random view changes"], rows)


def view_value(value: Any) -> str:
    if isinstance(value, tuple):
        return " / ".join(f"{v:.3g}" for v in value)
    return f"{value:.3g}"
