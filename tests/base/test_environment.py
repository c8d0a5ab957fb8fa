import os
from pathlib import Path

import pytest

from selflabel.base import environment
from selflabel.base.environment import adapt, can_write, home


@pytest.fixture
def variables(monkeypatch):
    """No variable of a library is set."""
    names = ("NUMBA_CACHE_DIR", "MPLCONFIGDIR", "OMP_NUM_THREADS", "NUMBA_NUM_THREADS")
    for name in names:
        monkeypatch.setenv(name, "")  # so that it is restored in the end
        monkeypatch.delenv(name)
    return lambda: {name: os.environ[name] for name in names if name in os.environ}


def test_where_folders_can_be_written_and_there_is_no_quota_nothing_is_set(variables, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "new" / "cache"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setattr(environment, "usable_cores", environment.allowed_cores)
    adapt()
    assert variables() == {}


def test_libraries_get_temporary_folders_where_the_home_cannot_be_written_and_threads_by_the_quota(variables, monkeypatch):
    monkeypatch.setattr(environment, "can_write", lambda folder: False)
    monkeypatch.setattr(environment, "usable_cores", lambda: 3)
    monkeypatch.setattr(environment, "allowed_cores", lambda: 64)
    monkeypatch.setenv("NUMBA_NUM_THREADS", "5")
    adapt()
    found = variables()
    assert found["OMP_NUM_THREADS"] == "3" and found["NUMBA_NUM_THREADS"] == "5"
    assert all(Path(found[name]).is_dir() for name in ("NUMBA_CACHE_DIR", "MPLCONFIGDIR"))


def test_a_folder_can_be_written_if_it_can_be_made(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    assert can_write(tmp_path / "a" / "b") and not can_write(tmp_path / "file" / "a") and not can_write(None)

    def nobody():
        raise RuntimeError("no home")

    monkeypatch.setattr(Path, "home", nobody)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert home("XDG_CACHE_HOME", ".cache") is None
