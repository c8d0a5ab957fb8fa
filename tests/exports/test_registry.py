"""The list of formats."""

import subprocess
import sys
from importlib import import_module

import pytest

from selflabel import exports
from selflabel.base.errors import UserError
from selflabel.exports import EXPORTS, format_names
from selflabel.exports.registry import find_format, writer_of

LIGHT = """
import sys
from selflabel.exports import EXPORTS, format_names
heavy = {"numpy", "pyarrow", "pydantic", "PIL", "jinja2", "torch"} & set(sys.modules)
assert EXPORTS and format_names() and not heavy, heavy
"""


def test_listing_the_formats_imports_nothing_heavy():
    subprocess.run([sys.executable, "-c", LIGHT], check=True)


def test_the_names_are_a_part_of_a_sentence_with_every_format():
    text = format_names()
    assert text.replace(" or ", ", ").split(", ") == list(EXPORTS) and text.count(" or ") == 1


@pytest.mark.parametrize("name", EXPORTS)
def test_every_format_has_a_module_that_writes_it_and_says_what_it_is(name):
    module = import_module(f"selflabel.exports.{'csv_file' if name == 'csv' else name.replace('-', '_')}")
    assert callable(module.write) and module.__doc__.startswith(f"{name}:")
    assert find_format(name) is EXPORTS[name] and EXPORTS[name].description and EXPORTS[name].readers


def test_a_format_calls_the_write_of_its_module(monkeypatch):
    csv_file = import_module("selflabel.exports.csv_file")
    monkeypatch.setattr(csv_file, "write", lambda context, path: {"called": (context, path)})
    assert writer_of("csv_file")("context", "path") == {"called": ("context", "path")}
    assert EXPORTS["csv"].write("context", "path") == {"called": ("context", "path")}


def test_an_unknown_format_is_named_with_those_that_there_are():
    with pytest.raises(UserError, match="--to excel: there is no such format; there are csv, folders"):
        find_format("excel")


def test_every_public_name_of_the_package_is_there():
    assert all(getattr(exports, name) is not None for name in exports.__all__)
    with pytest.raises(AttributeError, match="nothing"):
        exports.nothing  # noqa: B018
