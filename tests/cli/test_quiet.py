"""What a command leaves on the screen: its own lines, whatever libraries have to say about damaged files."""

import re
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from tests.films import bars, tone, write_film

OWN = (
    r"decoding( \w+)?: \d+ in ",
    r"[\w-]+: \d+ epochs?$",
    r"[\w-]+: done in ",
    r"skipped ",
    r"[\w-]+ \.\.\.$",
    r"\d+ of \d+ items have no ",
    r"method \w+ uses ",
    r"selflabel: ",
    r"no pretrained encoder can be had ",
    r"\d+ skipped, see ",
)  # how a line of standard error begins


def assert_own_lines(done):
    assert done.returncode == 0, done.stderr
    for line in done.stderr.splitlines():
        assert any(re.match(own, line) for own in OWN), done.stderr
    assert len(done.stderr.splitlines()) <= 12


def damaged(data, rng, places=60):
    data = bytearray(data)
    start = data.index(b"mdat") + 8 if b"mdat" in data else len(data) // 4
    for at in rng.integers(start, start + (len(data) - start) // 3, places):
        data[at] = rng.integers(0, 256)
    return bytes(data)


def films(folder):
    rng = np.random.default_rng(0)
    for i in range(14):
        file = write_film(folder / f"{i:02d}.mp4", bars(12, i % 2, rng), codec="h264" if i % 3 else "mpeg4")
        if i < 4:
            (folder / f"bad{i}.mp4").write_bytes(damaged(file.read_bytes(), rng))
            (folder / f"cut{i}.mp4").write_bytes(file.read_bytes()[:-900])


def sounds(folder):
    rng = np.random.default_rng(0)
    for i in range(14):
        file = write_film(folder / f"{i:02d}.mp3", wave=tone((400, 1500)[i % 2], 0.6, rng=rng), sound="libmp3lame")
        if i < 4:
            (folder / f"bad{i}.mp3").write_bytes(damaged(file.read_bytes(), rng))


def pictures(folder):
    rng = np.random.default_rng(0)
    for i in range(14):
        Image.fromarray(rng.integers(0, 255, (40, 40, 3)).astype(np.uint8)).save(
            folder / f"{i:02d}.jpg", exif=b"Exif\0\0nonsense"
        )
    palette = Image.fromarray(rng.integers(0, 255, (40, 40)).astype(np.uint8)).convert("P")
    palette.save(folder / "palette.png", transparency=b"\0\1")
    (folder / "cut.jpg").write_bytes((folder / "00.jpg").read_bytes()[:900])


@pytest.mark.slow
@pytest.mark.parametrize(("make", "more"), [(films, "MORE_FILMS"), (sounds, "MORE_SOUNDS"), (pictures, "MORE_P")])
def test_every_command_prints_its_own_lines_only(selflabel, tmp_path, make, more):
    source, run = tmp_path / "items", tmp_path / "run"
    source.mkdir()
    make(source)
    names = sorted(f.name for f in source.iterdir())
    (tmp_path / "truth.csv").write_text("path,label\n" + "".join(f"{n},{i % 2}\n" for i, n in enumerate(names)))
    truth = ["--truth", tmp_path / "truth.csv"]
    done = selflabel("label", source, "-k", 2, "--epochs", 1, "--out", run)
    assert_own_lines(done)
    said = [line for line in done.stdout.splitlines() if not line.startswith(("items:", "est. accuracy:"))]
    assert more in done.stdout and not any("items" in line for line in said)
    kind = {films: "video", sounds: "audio", pictures: "image"}[make]
    rest = (["score", run, *truth, "--plot", tmp_path / "p.png"], ["probe", run, *truth], ["export", run, "--to", "html"])
    for words in (
        ["predict", run, source, "--out", tmp_path / "more.csv"],
        ["score", run, *truth, "--degrade", kind],
        *(rest if make is pictures else ()),
    ):
        assert_own_lines(selflabel(*words))


@pytest.mark.slow
def test_methods_that_stand_on_chatty_libraries_are_quiet_too(selflabel, tmp_path, blobs):
    np.save(tmp_path / "x.npy", blobs()[0])
    words = [tmp_path / "x.npy", "-k", 3]
    assert_own_lines(selflabel("compare", *words, "--methods", "umap-hdbscan", "--out", tmp_path / "out"))
    command = [sys.executable, "-m", "selflabel.cli", "label", *words, "--method", "gaussian-mixture", "--out", tmp_path / "run"]
    assert_own_lines(subprocess.run(list(map(str, command)), capture_output=True, text=True))  # imports included


NOISY = """
import logging, sys, warnings
from selflabel.cli import app, main

@app.command()
def noisy(fails: bool = False):
    import sklearn  # adds a filter of its own, which shows deprecations
    warnings.warn("a warning")
    warnings.warn("an old name", DeprecationWarning)
    logging.getLogger("some.library").error("a log line")
    if fails:
        raise RuntimeError("a real error")

main()
"""


@pytest.mark.slow
def test_warnings_and_log_lines_are_dropped_and_errors_show(tmp_path):
    (tmp_path / "noisy.py").write_text(NOISY)

    def run(*words, **named):
        return subprocess.run([sys.executable, *words], capture_output=True, text=True, timeout=100, **named)

    quiet = run(tmp_path / "noisy.py", "noisy")
    assert quiet.returncode == 0 and quiet.stderr == ""
    failed = run(tmp_path / "noisy.py", "noisy", "--fails")
    assert failed.returncode == 1 and "RuntimeError: a real error" in failed.stderr and "a warning" not in failed.stderr
    assert "a warning" in run("-W", "default", tmp_path / "noisy.py", "noisy").stderr  # a developer asked for it
