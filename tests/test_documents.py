"""README's commands, the docstrings' examples, `__all__`, and a documented command for each verb."""

import ast
import doctest
import importlib
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import selflabel
from selflabel.cli import app
from selflabel.exports import EXPORTS
from selflabel.methods import METHODS
from tests.run_folders import write_run

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
MODULES = [m.name for m in pkgutil.walk_packages(selflabel.__path__, "selflabel.")]


@pytest.mark.slow
@pytest.mark.parametrize("name", MODULES)
def test_docstring_examples_run(name):
    found = doctest.testmod(importlib.import_module(name))
    assert found.failed == 0


def test_every_public_name_is_there_and_documented():
    assert selflabel.__all__ == sorted(selflabel.__all__)
    for name in selflabel.__all__:
        assert getattr(selflabel, name).__doc__
    with pytest.raises(AttributeError, match="nothing"):
        selflabel.nothing  # noqa: B018


@pytest.mark.parametrize("name", MODULES)
def test_public_functions_and_classes_have_docstrings(name):
    tree = ast.parse(Path(importlib.import_module(name).__file__).read_text())
    assert ast.get_docstring(tree)
    bare = [n.name for n in tree.body if isinstance(n, ast.ClassDef) and not ast.get_docstring(n)]
    assert not [n for n in bare if n not in ("Residual", "TimmTrunk")]


def test_readme_shows_the_first_code_by_line_20_and_the_picture():
    lines = README.splitlines()
    assert next(i for i, line in enumerate(lines) if line.startswith("```")) < 20
    assert (ROOT / re.search(r"!\[.*?\]\((.*?)\)", README).group(1)).exists()


@pytest.mark.slow
def test_readmes_table_is_that_of_results():
    done = subprocess.run([sys.executable, "-m", "reproduce.tables", "--check"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("code", re.findall(r"```python\n(.*?)```", README, re.S))
def test_readmes_python_runs(code, monkeypatch):
    monkeypatch.setattr("selflabel.methods.label.sela_nn.heads.epochs_for_budget", lambda *_: 2)  # how well is tested elsewhere
    names: dict = {}
    exec(compile(code, "README.md", "exec"), names)
    assert len(names["labels"]) == 1797 if "labels" in names else names["soft"].shape == (1000, 10)


def test_readmes_commands_are_understood(here, sign_folder, tmp_path):
    commands = re.findall(r"^(selflabel [^#\n]*)", README, re.M)
    verbs = {command.split()[1] for command in commands}
    assert {"label", "predict", "score"} <= verbs
    for command in commands:
        options = set(re.findall(r"(--[a-z-]+|-k)\b", command))
        help_text = here(command.split()[1], "--help").stdout
        assert all(option in help_text for option in options), command


def test_every_command_has_help_with_an_example(here):
    for command in app.registered_commands:
        text = here(command.callback.__name__, "--help").stdout
        assert "Example" in text and command.callback.__name__ in text


def test_every_method_has_its_page_and_is_reached_by_name():
    for name in METHODS:
        assert (ROOT / "docs" / "methods" / f"{name}.md").read_text().startswith("# ")


def test_the_source_words_of_pickle_and_torch_load_appear_nowhere():
    for file in (ROOT / "src").rglob("*.py"):
        text = file.read_text()
        assert "torch.load(" not in text and "import pickle" not in text
        assert not re.search(r"allow_pickle=True", text)


@pytest.mark.slow
@pytest.mark.parametrize("code", re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "solver.md").read_text(), re.S))
def test_the_solver_pages_python_runs(code):
    names: dict = {}
    exec(compile(code, "solver.md", "exec"), names)
    if "dummy" in names:
        assert abs((names["a"].labels < 0).float().mean() - 0.1) < 0.02 and len(names["a"].potentials) == 11
    else:
        assert names["soft"].sum(dim=0).sub(100).abs().max() < 2


def test_the_exports_page_has_every_format_as_it_describes_itself():
    page = (ROOT / "docs" / "exports.md").read_text()
    words = {"image": "images", "video": "videos", "audio": "sounds"}
    for name, chosen in EXPORTS.items():
        holds = "anything" if "features" in chosen.kinds else ", ".join(words[kind] for kind in chosen.kinds)
        assert f"| `{name}` | {chosen.description} | {chosen.readers} | {holds} |" in page


def test_the_exports_pages_python_runs(tmp_path, monkeypatch):
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "exports.md").read_text(), re.S)
    Image.fromarray(np.zeros((9, 9), np.uint8)).save(tmp_path / "a.png")
    write_run(tmp_path / "runs" / "photos-sela-nn", tmp_path, ["a.png"], [0])
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    exec(compile(code, "exports.md", "exec"), names)
    assert (tmp_path / "runs" / "photos-sela-nn-folders" / "cluster-000" / "a.png").stat().st_nlink == 2


def test_the_exports_pages_commands_are_understood(here):
    text = here("export", "--help").stdout
    options = set(re.findall(r"(--[a-z][a-z-]+)", (ROOT / "docs" / "exports.md").read_text()))
    assert all(option in text for option in options)
    assert {f"--{name}" for name in ("raw", "hard", "link", "source", "follow-links", "overwrite")} <= options
