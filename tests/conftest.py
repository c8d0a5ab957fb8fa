"""Shared fixtures: real pictures made on the spot, a cache of its own, and the command line in a process."""

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from shutil import which

import numpy as np
import pytest
from PIL import Image

from selflabel.base.files import lock
from tests.fork_server import ForkServer

os.environ["HF_HUB_OFFLINE"] = "1"  # no test asks the network, and none finds what lies in the user's cache
os.environ["HF_HOME"] = os.environ["HF_HUB_CACHE"] = tempfile.mkdtemp(prefix="selflabel-hub-")
os.environ["SELFLABEL_CONFIG"] = tempfile.mkdtemp(prefix="selflabel-config-")  # a key of the tests' own, never the user's

for name in ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS"):  # tests run side by side, a thread each; before torch or numba is imported
    os.environ.setdefault(name, "1")


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    """Every test decodes into a cache of its own, never the user's."""
    monkeypatch.setenv("SELFLABEL_CACHE", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture(scope="session")
def fork_server():
    """Runs modules and scripts in processes of their own, without waiting for imports; see tests/fork_server.py."""
    server = ForkServer()
    yield server
    server.close()


@pytest.fixture
def selflabel(fork_server):
    """Run the command line in a process of its own: selflabel("label", folder, "-k", 2) -> CompletedProcess."""
    return fork_server.run


@pytest.fixture(scope="session")
def demo_folder(tmp_path_factory):
    """The finished run of `selflabel demo` and what it printed, made once for all test processes.

    SELFLABEL_DEMO names one that was made before.
    """
    named = os.environ.get("SELFLABEL_DEMO")
    if named and Path(named, "report.json").exists():
        return Path(named), None
    shared = tmp_path_factory.getbasetemp()
    shared = (shared.parent if "PYTEST_XDIST_WORKER" in os.environ else shared) / "demo"
    shared.mkdir(exist_ok=True)
    with (shared / "lock").open("w") as handle:
        lock(handle.fileno(), wait=True)
        if not (shared / "printed.txt").exists():
            words = [sys.executable, "-m", "selflabel.cli", "demo", "--seed", "7"]
            done = subprocess.run(words, capture_output=True, text=True, cwd=shared, timeout=1200)
            assert done.returncode == 0, done.stderr
            (shared / "printed.txt").write_text(done.stdout)
    return shared / "selflabel-demo", (shared / "printed.txt").read_text()


@pytest.fixture
def here(monkeypatch, capsys):
    """The same command line in this process, for the many calls that end in a sentence: torch is imported once."""
    from selflabel.cli import main

    def call(*words):
        monkeypatch.setattr(sys, "argv", ["selflabel", *map(str, words)])
        handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            main()
            code = 0
        except SystemExit as end:
            code = end.code or 0
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)
        out, err = capsys.readouterr()
        return subprocess.CompletedProcess(words, code, out, err)

    return call


def draw_sign(rng, kind, px=16):
    """A grey picture of a bar or of a square on black paper, shaken."""
    image = np.zeros((px, px), np.uint8)
    y, x = rng.integers(2, px // 2, 2)
    if kind == 0:
        image[1 : px - 1, x : x + 3] = 220
    else:
        image[y : y + 6, x : x + 6] = 220
    noise = rng.integers(0, 25, image.shape)
    return np.clip(image + noise, 0, 255).astype(np.uint8)


@pytest.fixture
def signs():
    """(images (N, 16, 16) uint8, truth (N,)): two kinds of drawn signs."""

    def make(n=120, seed=0):
        rng = np.random.default_rng(seed)
        truth = np.arange(n) % 2
        return np.stack([draw_sign(rng, k) for k in truth]), truth

    return make


@pytest.fixture
def sign_folder(tmp_path, signs):
    """A folder of real PNG files, their truth.csv beside it."""
    images, truth = signs()
    folder = tmp_path / "items"
    folder.mkdir()
    lines = ["path,label"]
    for i, (image, label) in enumerate(zip(images, truth)):
        Image.fromarray(image).save(folder / f"{i:04d}.png")
        lines.append(f"{i:04d}.png,{label}")
    (tmp_path / "truth.csv").write_text("\n".join(lines) + "\n")
    return folder


@pytest.fixture
def blobs():
    """(features (N, D) float32, truth): well separated Gaussian blobs."""

    def make(n=90, k=3, d=8, seed=0):
        rng = np.random.default_rng(seed)
        truth = np.arange(n) % k
        centres = 6 * np.eye(d, dtype=np.float32)[:k]
        return (centres[truth] + rng.normal(size=(n, d))).astype(np.float32), truth

    return make


def real_data() -> Path | None:
    """The folder of real data sets named by SELFLABEL_DATA, where there is one."""
    named = os.environ.get("SELFLABEL_DATA")
    return Path(named) if named and Path(named).is_dir() else None


needs_real_data = pytest.mark.skipif(real_data() is None, reason="SELFLABEL_DATA names no folder of real data sets")


SLOW_FIXTURES = {"fork_server", "chromium", "demo_folder"}  # other processes, a browser


def pytest_collection_modifyitems(items):
    """Mark the tests that start other processes or a browser as slow; others that are slow are marked where they stand. All of
    these come first, and a worker gets few at a time (--maxschedchunk), so that none is left with a long one at the end.
    """
    for item in items:
        if SLOW_FIXTURES & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.slow)
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


CHROMIUM = next((found for name in ("chromium", "chromium-browser", "google-chrome") if (found := which(name))), None)


@pytest.fixture(scope="session")
def chromium():
    """A real browser, started once."""
    sync = pytest.importorskip("playwright.sync_api", reason="the browser tests need playwright: pip install '.[dev]'")
    if CHROMIUM is None:
        pytest.skip("the browser tests need Chromium: apt-get install chromium")
    with sync.sync_playwright() as play:
        browser = play.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--autoplay-policy=no-user-gesture-required"]
        )
        yield browser
        browser.close()
