"""The entries of docs/api.md: signature and docstring of every public function and class."""

from __future__ import annotations

import inspect
import re
from dataclasses import is_dataclass
from importlib import import_module
from typing import Any

from reproduce.docstrings import items, paragraphs, sections

# a name as it is imported, to the members of a class that are shown; None where it is a function
ENTRIES: dict[str, tuple[str, ...] | None] = {
    "selflabel.SelfLabeler": ("fit", "predict", "predict_proba", "predict_outliers", "transform"),
    "selflabel.label": None,
    "selflabel.base.settings.make_settings": None,
    "selflabel.Labelled": (),
    "selflabel.UserError": (),
    "selflabel.Run": (
        "open", "is_finished", "report", "settings", "modalities", "labels", "raw_labels", "paths", "features", "truth",
        "labels_by_modality", "maps", "edits", "edited", "show",
    ),
    "selflabel.jobs.predict.predict": None,
    "selflabel.jobs.model.Predicted": ("labels", "names", "confidence"),
    "selflabel.jobs.score.score_run": None,
    "selflabel.evaluation.metrics.score": None,
    "selflabel.evaluation.metrics.accuracy": None,
    "selflabel.evaluation.metrics.nmi": None,
    "selflabel.evaluation.probes.probe": None,
    "selflabel.exports.export": None,
    "selflabel.exports.ExportResult": (),
    "selflabel.edits.parse": None,
    "selflabel.edits.append": None,
    "selflabel.edits.read_edits": None,
    "selflabel.edits.EditedLabels": ("labels",),
    "selflabel.open_items": None,
    "selflabel.items.Items": ("modalities", "are_features"),
}  # fmt: skip
LINE = 100  # characters of a signature from which its arguments stand on lines of their own


def entry(name: str) -> str:
    """The entry of a name of ENTRIES, in Markdown."""
    module, _, short = name.rpartition(".")
    thing, members = getattr(import_module(module), short), ENTRIES[name]
    parts = [f"### {short}", f"```text\nfrom {module} import {short}\n\n{signature(thing, short)}\n```", described(thing)]
    parts += [member_entry(thing, member) for member in members or ()]
    return "\n\n".join(part for part in parts if part)


def described(thing: Any) -> str:
    """The paragraphs and sections of a docstring, but for its examples."""
    parts = [as_markdown(paragraphs(thing))]
    for title, text in sections(thing).items():
        if title in ("Example", "Source"):
            continue
        if title == "Returns":
            parts.append(f"**Returns** {as_markdown(text)}")
        else:
            lines = [f"- `{name}`: {as_markdown(description)}" for name, description in items(text).items()]
            parts.append("\n".join([f"**{'Arguments' if title == 'Args' else title}**", "", *lines]))
    return "\n\n".join(part for part in parts if part)


def member_entry(owner: Any, name: str) -> str:
    """A property of a class as a paragraph, a method as a section."""
    member = inspect.getattr_static(owner, name)
    function = getattr(member, "__func__", member)
    if not inspect.isfunction(function):
        return f"**`.{name}`** {as_markdown(paragraphs(getattr(member, 'func', member)))}"
    head = f"{owner.__name__ if isinstance(member, classmethod) else ''}.{signature(function, name, longest=1000)}"
    return f"#### `{head}`\n\n{described(function)}"


def signature(thing: Any, name: str, longest: int = LINE) -> str:
    """A call with its arguments, defaults and result, without `self`; of a plain class its name.

    Args:
        thing: a function or a class.
        name: of it.
        longest: characters from which its arguments stand on lines of their own.
    """
    if inspect.isclass(thing) and not is_dataclass(thing) and "__init__" not in vars(thing):
        return name
    found = inspect.signature(thing.__init__ if inspect.isclass(thing) else thing)
    arguments = [p for p in found.parameters.values() if p.name not in ("self", "cls")]
    texts = [argument_text(p) for p in arguments]
    first_named = next((i for i, p in enumerate(arguments) if p.kind is p.KEYWORD_ONLY), None)
    if first_named is not None:
        texts.insert(first_named, "*")
    result = "" if inspect.isclass(thing) or found.return_annotation in ("None", None) else found.return_annotation
    end = f") -> {plain_type(result)}" if result else ")"
    line = f"{name}({', '.join(texts)}{end}"
    return line if len(line) <= longest else f"{name}(\n" + "".join(f"    {text},\n" for text in texts) + end


def argument_text(parameter: inspect.Parameter) -> str:
    """An argument with its type and default, as in the source."""
    text = str(parameter.replace(annotation=plain_type(parameter.annotation), default=parameter.empty))
    text = text.replace("'", "")
    if parameter.default is parameter.empty:
        return text
    default = repr(parameter.default)
    return f"{text} = {'...' if '<' in default else default}"


def plain_type(annotation: Any) -> Any:
    """An annotation as a string without the modules of its names."""
    text = annotation if isinstance(annotation, str) else getattr(annotation, "__name__", str(annotation))
    return re.sub(r"\b(?:\w+\.)+(\w+)", r"\1", text)


def as_markdown(text: str) -> str:
    """Text of a docstring: an indented block becomes code, angle brackets are kept."""
    return re.sub(r"\s*\n(?!\n)", " ", text).strip().replace("<", "&lt;").replace("|", "\\|")
