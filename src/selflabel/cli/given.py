"""The settings of `label`, from the words of the command line and from a configuration file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from selflabel.cli.app import one_or_several

SETTINGS = (
    "source", "items", "images", "clusters", "method", "encoder", "weights", "mass", "views", "epochs", "preset", "seed",
    "device", "cache", "labels", "outliers", "follow_links", "windows", "hop", "parts",
)  # fmt: skip


def label_settings(typed: dict[str, Any], config: str | None, sets: list[str], method: str) -> dict[str, Any]:
    """The settings of `label` by name: what was typed, then `--set`, then the file.

    Args:
        typed: options that stood on the command line, by name.
        config: a TOML file, or the run.toml of a run.
        sets: words of `--set`.
        method: the default one.

    Raises:
        UserError: no source, no such method, or a wrong setting; one of the file is named with the file and its line.
    """
    from selflabel.base.errors import UserError
    from selflabel.base.settings import check_keys, with_overrides

    from_command_line = {name: value for name, value in typed.items() if name in SETTINGS}
    chosen = {**with_overrides(config, sets), **from_command_line}.get("method", method)
    in_file = with_overrides(config, []).get("method") == chosen and "method" not in typed
    names = names_of_options(chosen, Path(config) if config and in_file else None)
    if config:
        check_keys(Path(config), names, chosen)
        check_options(Path(config), chosen)
    settings = {**with_overrides(config, sets, names), **from_command_line}
    if typed.get("source"):
        settings["source"] = one_or_several(typed["source"])
    if not settings.get("source"):
        raise UserError("SOURCE is missing: name a folder of images, videos or sounds; see `selflabel label --help`.")
    return settings


def names_of_options(method: str, file: Path | None) -> tuple[str, ...]:
    """The names of a method's options. file: that named the method, for the error where there is no such method."""
    from selflabel.base.errors import UserError
    from selflabel.base.settings import place_in
    from selflabel.methods import option_names

    try:
        return option_names(method)
    except UserError as error:
        if file is None:
            raise
        raise UserError(f"{place_in(file, 'method')}: {str(error).removeprefix('--')}") from error


def check_options(file: Path, method: str) -> None:
    """Raise UserError where a file gives an option of the method a wrong value."""
    from selflabel.base.errors import UserError
    from selflabel.base.settings import place_in, with_overrides
    from selflabel.jobs.build import make_options
    from selflabel.methods import find_method

    try:
        make_options(find_method(method).make, method, with_overrides(str(file), [])["options"])
    except UserError as error:
        text = str(error).removeprefix("--set ")
        raise UserError(f"{place_in(file, text.split()[0])}: {text}") from error


def check_clusters(clusters: int | None) -> None:
    """Raise UserError where a single cluster was asked for."""
    from selflabel.base.errors import UserError

    if clusters == 1:
        raise UserError("--clusters 1: one cluster holds everything and says nothing; ask for 2 at least, or leave it out.")
