import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SCRIPTS = sorted(path for folder in ("bench", "reproduce") for path in (ROOT / folder).rglob("*.py"))


@pytest.mark.slow
@pytest.mark.parametrize("script", SCRIPTS, ids=[str(path.relative_to(ROOT)) for path in SCRIPTS])
def test_every_script_of_measurements_finds_what_it_imports(script, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT))
    try:
        module = importlib.import_module(".".join(script.relative_to(ROOT).with_suffix("").parts))
    except ModuleNotFoundError as error:
        if str(error.name).startswith(("selflabel", "reproduce", "bench", "tests")):
            raise
        pytest.skip(f"{error.name} is not installed: only this script needs it")
    assert module.__doc__ or script.name == "__init__.py"


def test_the_stages_of_the_bench_of_features_are_functions_of_the_package():
    for module, name in importlib.import_module("bench.features").STAGES:
        owner = importlib.import_module(module)
        for part in name.split("."):
            owner = getattr(owner, part)
        assert callable(owner)
