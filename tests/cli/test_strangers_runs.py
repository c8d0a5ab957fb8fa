"""On the command line: another project's pictures, and a run folder from somebody else."""

import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image


def pictures(folder, level):
    folder.mkdir(parents=True)
    for i in range(12):
        pixels = np.full((16, 16, 3), level + 40 * (i % 2), np.uint8)
        pixels[i % 5 :: 5] += i
        Image.fromarray(pixels).save(folder / f"{i:02d}.png")
    return folder


@pytest.fixture
def project(tmp_path, selflabel):
    pictures(tmp_path / "a/photos", 20)
    done = selflabel("label", "photos", "-k", 2, "--method", "kmeans", cwd=tmp_path / "a")
    assert done.returncode == 0, done.stderr
    return tmp_path / "a"


def exported(folder):
    return sorted(file.read_bytes() for file in folder.rglob("*.png"))


def test_a_run_exports_its_own_pictures_from_within_another_project(project, tmp_path, selflabel):
    pictures(tmp_path / "b/photos", 120)
    done = selflabel("export", project / "runs/photos-kmeans", "--to", "folders", "--out", "f", cwd=tmp_path / "b")
    assert done.returncode == 0, done.stderr
    assert exported(tmp_path / "b/f") == exported(project / "photos")


def test_a_strangers_run_reads_what_the_user_names_and_that_is_remembered(project, tmp_path, selflabel, monkeypatch):
    shutil.copytree(project / "runs/photos-kmeans", tmp_path / "run")
    monkeypatch.setenv("SELFLABEL_CONFIG", str(tmp_path / "another-user"))
    done = selflabel("export", tmp_path / "run", "--to", "folders")
    assert done.returncode == 2 and "made elsewhere" in done.stderr and "--source" in done.stderr
    assert len(done.stderr.splitlines()) == 1 and not (tmp_path / "run-folders").exists()
    done = selflabel("export", tmp_path / "run", "--to", "csv", "--out", tmp_path / "x.csv")
    assert done.returncode == 0, done.stderr  # labels lie in the folder itself
    done = selflabel("export", tmp_path / "run", "--to", "folders", "--source", "gone")
    assert done.returncode == 2 and "--source gone: there is no such file or folder." in done.stderr
    done = selflabel("export", tmp_path / "run", "--to", "folders", "--source", project / "photos")
    assert done.returncode == 0, done.stderr
    done = selflabel("export", tmp_path / "run", "--to", "folders", "--out", tmp_path / "again")
    assert done.returncode == 0 and exported(tmp_path / "again") == exported(project / "photos")


def test_a_person_at_the_terminal_is_asked_once(project, tmp_path, monkeypatch):
    monkeypatch.setenv("SELFLABEL_CONFIG", str(tmp_path / "another-user"))
    command = f"{sys.executable} -m selflabel.cli export {project}/runs/photos-kmeans --to folders --out {tmp_path}/f"
    script = ["script", "-qec", command, "/dev/null"]  # util-linux: a terminal for the command
    if shutil.which("script") is None:
        pytest.skip("needs `script`, which makes a terminal")
    no = subprocess.run(script, input=b"n\n", capture_output=True, timeout=120)
    assert b"May it show the items in" in no.stdout and no.returncode == 2
    yes = subprocess.run(script, input=b"y\n", capture_output=True, timeout=120)
    assert yes.returncode == 0 and exported(tmp_path / "f") == exported(project / "photos")
    again = subprocess.run([*script[:2], command + "2", "/dev/null"], input=b"", capture_output=True, timeout=120)
    assert again.returncode == 0 and b"May it show" not in again.stdout


def test_a_configuration_folder_that_cannot_be_written_is_said(tmp_path, selflabel, monkeypatch):
    monkeypatch.setenv("SELFLABEL_CONFIG", "/proc/none")
    pictures(tmp_path / "photos", 20)
    done = selflabel("label", "photos", "-k", 2, "--method", "kmeans", cwd=tmp_path)
    assert done.returncode == 0 and "/proc/none cannot be written" in done.stderr
