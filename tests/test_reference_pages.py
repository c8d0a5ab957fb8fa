"""docs/settings.md and docs/api.md say what the code says: generated parts are current, examples run, no variable is missing."""

import doctest
import re
from pathlib import Path

import pytest
import tomli_w

import selflabel
from reproduce import api_entries, docstrings, reference_pages, settings_tables
from reproduce.api_entries import ENTRIES
from reproduce.reference_pages import PAGES, with_parts
from selflabel.base.settings import make_settings, read_toml, with_overrides
from selflabel.cli import app
from selflabel.methods import BASELINES, METHODS

ROOT = Path(__file__).parents[1]
SETTINGS, API = ((ROOT / "docs" / name).read_text() for name in ("settings.md", "api.md"))
SOURCES = [file.read_text() for file in (ROOT / "src").rglob("*.py")]


@pytest.mark.parametrize("page", PAGES)
def test_the_generated_parts_are_what_the_code_says(page):
    text = (ROOT / page).read_text()
    assert with_parts(text, PAGES[page]) == text, "run python -m reproduce.reference_pages"


@pytest.mark.parametrize("module", [api_entries, docstrings, reference_pages, settings_tables], ids=lambda m: m.__name__)
def test_the_examples_of_the_generator_run(module):
    assert doctest.testmod(module).failed == 0


def test_every_public_name_has_an_entry():
    assert {f"selflabel.{name}" for name in selflabel.__all__} <= set(ENTRIES)


@pytest.mark.slow
def test_the_python_examples_of_the_api_page_run_one_after_the_other(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    for i, code in enumerate(re.findall(r"```python\n(.*?)```", API, re.S)):
        exec(compile(code, f"api.md, block {i + 1}", "exec"), names)
    assert capsys.readouterr().out == "clusters = 0: must be at least 1.\n"
    assert len(set(names["model"].labels_[:30])) == 1 and len(names["table"]) == 1797
    assert names["run"].edited().names == {3: "threes"} and (tmp_path / "labels.csv").exists()
    assert names["score_run"](names["run"], None)["accuracy"] > 0.6


def test_every_environment_variable_that_the_code_reads_is_on_the_page_and_no_other():
    read = {name for text in SOURCES for name in re.findall(r"environ(?:\.get\(|\[)\"(\w+)\"", text)}
    table = SETTINGS.split("## Environment variables")[1].split("\n\n")[1]
    assert read and read == {name for line in table.splitlines()[2:] for name in re.findall(r"`(\w+)`", line.split("|")[1])}


def test_the_toml_of_the_page_is_understood(tmp_path):
    (text,) = re.findall(r"```toml\n(.*?)```", SETTINGS, re.S)
    (tmp_path / "mine.toml").write_text(text)
    values = with_overrides(str(tmp_path / "mine.toml"), ["px=32"])
    settings = make_settings(source="digits", **values)
    assert (settings.px, settings.epochs, settings.options) == (32, 20, {"heads": 8, "fine": [3, 5]})
    METHODS[settings.method].make.options_type(**settings.options)
    assert read_toml(tmp_path / "mine.toml")["px"] == 96 and tomli_w.dumps(values)


def test_the_commands_of_the_page_have_only_options_that_exist(here):
    text = here("label", "--help").stdout + "".join(command.callback.__doc__ or "" for command in app.registered_commands)
    for command in re.findall(r"^selflabel label [^#\n]*", SETTINGS, re.M) + re.findall(r"`(selflabel label [^`]*)`", SETTINGS):
        assert all(option in text for option in re.findall(r"(--[a-z]+|-k)\b", command)), command


def test_an_option_that_a_command_of_the_page_sets_is_one_of_sela_nn_or_a_setting():
    options = METHODS["sela-nn"].make.options_type.__dataclass_fields__
    keys = [key for line in re.findall(r"^selflabel .*", SETTINGS, re.M) for key in re.findall(r"--set \"?(\w+)=", line)]
    assert keys and not [k for k in keys if k not in options and k not in make_settings(source="digits").__dataclass_fields__]


@pytest.mark.parametrize("name", METHODS | BASELINES)
def test_every_option_of_a_method_is_described(name):
    rows = SETTINGS.split(f"[{name}](methods/")[1].split("\n### ")[0].split("\n## ")[0]
    for option in (METHODS | BASELINES)[name].make.options_type.__dataclass_fields__:
        (row,) = (line for line in rows.splitlines() if line.startswith(f"| `{option}` |"))
        assert all(cell.strip() for cell in row.split("|")[2:4]) and len(row.split("|")[4]) > 12, row
