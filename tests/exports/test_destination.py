"""Where an export is written: nothing overwritten unasked, and nothing left of one that fails."""

import errno
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from selflabel.base.errors import UserError
from selflabel.edits import Reject, append
from selflabel.exports import EXPORTS, default_path, export, fitting_formats
from selflabel.exports.destination import atomic_folder, check_destination
from selflabel.runs.run import Run
from tests.exports.test_run_export import OF_FOLDERS, contents

OF_PHOTOS = fitting_formats("image", None)


@pytest.mark.parametrize("name", OF_PHOTOS)
def test_nothing_is_overwritten_unasked_and_only_an_export_when_asked(name, photos, tmp_path):
    out = tmp_path / "out"
    export(photos, name, out)
    first = out.read_bytes() if out.is_file() else contents(out)
    append(photos.folder, Reject(items=[0]))
    with pytest.raises(UserError, match="--overwrite"):
        export(photos, name, out)
    assert (out.read_bytes() if out.is_file() else contents(out)) == first
    assert export(photos, name, out, overwrite=True).n_items == 39
    assert (out.read_bytes() if out.is_file() else contents(out)) != first
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "mine.txt").write_text("mine")
    with pytest.raises(UserError, match="is a folder"):
        export(photos, name, precious, overwrite=True)
    assert contents(precious) == {"mine.txt": b"mine"}


@pytest.mark.parametrize("name", OF_FOLDERS)
def test_a_folder_is_not_written_over_a_file_but_into_an_empty_folder(name, photos, tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(UserError, match="is a file"):
        export(photos, name, tmp_path / "file", overwrite=True)
    (tmp_path / "empty").mkdir()
    assert export(photos, name, tmp_path / "empty").n_items == 40


@pytest.mark.parametrize("name", OF_PHOTOS)
def test_an_export_that_fails_on_the_way_leaves_nothing(name, photos, tmp_path, monkeypatch):
    def breaks(context, path):
        whole.write(context, path)
        raise OSError(errno.ENOSPC, "No space left on device")

    whole = EXPORTS[name]
    export(photos, name, tmp_path / "out")
    before = sorted(p.name for p in tmp_path.rglob("*") if "run" not in p.parts)
    monkeypatch.setitem(EXPORTS, name, replace(whole, write=breaks))
    with pytest.raises(UserError, match=r"No space left|the disk is full"):
        export(photos, name, tmp_path / "out", overwrite=True)
    with pytest.raises(UserError, match=r"No space left|the disk is full"):
        export(photos, name, tmp_path / "other")
    assert sorted(p.name for p in tmp_path.rglob("*") if "run" not in p.parts) == before


def test_the_default_place_is_beside_the_run(photos):
    assert default_path(photos, "coco") == photos.folder.parent / "run-coco"
    assert default_path(photos, "csv") == photos.folder.parent / "run.csv"
    assert export(photos, "csv").place == photos.folder.parent / "run.csv"


def test_a_relative_place_in_the_working_folder(photos, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert export(Run(Path("run")), "folders", Path("mine")).place == tmp_path / "mine"
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert export(photos, "folders", Path()).n_items == 40
    assert (tmp_path / "here" / "export.json").exists()


def test_a_broken_link_counts_as_a_file_that_is_there(tmp_path):
    (tmp_path / "x.csv").symlink_to(tmp_path / "nowhere")
    with pytest.raises(UserError, match="is there already"):
        check_destination(tmp_path / "x.csv", ".csv", False)


def test_a_folder_is_renamed_when_it_is_complete_and_takes_the_place_of_an_older_one(tmp_path):
    out = tmp_path / "deep" / "out"
    for text in ("one", "two"):
        with atomic_folder(out) as folder:
            assert folder.parent == out.parent and folder != out
            (folder / "x.txt").write_text(text)
        assert (out / "x.txt").read_text() == text and [p.name for p in out.parent.iterdir()] == ["out"]
    assert out.stat().st_mode & 0o777 == 0o755
    with pytest.raises(KeyError), atomic_folder(out) as folder:
        (folder / "x.txt").write_text("three")
        raise KeyError
    assert (out / "x.txt").read_text() == "two" and [p.name for p in out.parent.iterdir()] == ["out"]


FULL_DISK = """
import resource, sys
from pathlib import Path
from selflabel.base.errors import UserError
from selflabel.exports import EXPORTS, export
from selflabel.gallery.export_job import ExportJob
from selflabel.runs.run import Run
run, out = Run.open(Path(sys.argv[1])), Path(sys.argv[2])
paths = run.paths
resource.setrlimit(resource.RLIMIT_FSIZE, (200, 200))
for name in sys.argv[3:]:
    for write in (lambda: export(run, name, out / name), lambda: ExportJob(run, paths, None, False).write(name)):
        try:
            write()
        except UserError as error:
            print(name, error)
"""


def test_a_full_disk_is_one_sentence_for_every_format_and_leaves_nothing(photos, tmp_path):
    before = sorted(path.name for path in photos.folder.parent.iterdir())
    command = [sys.executable, "-c", FULL_DISK, str(photos.folder), str(tmp_path / "out"), *OF_PHOTOS]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert [line.split(" ")[0] for line in lines] == [name for name in OF_PHOTOS for _ in range(2)]
    assert all("cannot be written (" in line and "make room" in line for line in lines), lines
    assert sorted(path.name for path in photos.folder.parent.iterdir()) == sorted({*before, "out"})
    assert contents(tmp_path / "out") == {}


@pytest.mark.parametrize("name", ["csv", "folders"])
@pytest.mark.parametrize("place", ["/proc/nothing/x", "/dev/null/x", "x" * 300])
def test_a_place_that_cannot_be_written_is_one_sentence(name, place, photos, tmp_path):
    with pytest.raises(UserError, match="cannot be written") as error:
        export(photos, name, tmp_path / place)
    assert "\n" not in str(error.value)
