"""`selflabel export`, as people type it."""

import json
import subprocess
import sys

from selflabel.exports import EXPORTS
from tests.exports.conftest import KEPT


def test_it_says_what_was_written_what_was_rejected_and_what_could_not_be_read(here, edited, tmp_path):
    gone = edited.labels["path"].to_pylist()[9]
    (tmp_path / "photos" / gone).unlink()
    done = here("export", edited.folder, "--to", "folders")
    assert done.returncode == 0, done.stderr
    assert f"{len(KEPT) - 1} items: {tmp_path / 'run-folders'}" in done.stdout and "2 in no cluster, left out" in done.stdout
    assert gone in done.stderr and "left-out.csv" in done.stderr
    record = json.loads(here("export", edited.folder, "--to", "folders", "--overwrite", "--json").stdout)
    assert list(record) == ["place", "n_items", "n_left_out", "n_rejected", "first_left_out", "n_changed", "first_changed"]
    assert (record["n_items"], record["n_left_out"]) == (37, 1)


def test_files_are_linked_as_asked(here, photos, tmp_path):
    first = photos.labels["path"].to_pylist()[0]
    assert here("export", photos.folder, "--to", "folders", "--link", "--out", tmp_path / "l").returncode == 0
    assert all(p.is_symlink() for p in (tmp_path / "l" / "cluster-000").iterdir())
    assert here("export", photos.folder, "--to", "coco", "--hard", "--out", tmp_path / "h").returncode == 0
    assert (tmp_path / "photos" / first).stat().st_nlink == 2
    assert here("export", photos.folder, "--to", "folders", "--copy", "--out", tmp_path / "c").returncode == 0
    assert not any(p.is_symlink() or p.stat().st_nlink > 1 for p in (tmp_path / "c" / "cluster-000").iterdir())
    for two in (("--hard", "--link"), ("--copy", "--link")):
        done = here("export", photos.folder, "--to", "folders", *two)
        assert done.returncode == 2 and "give one of them" in done.stderr


def test_what_goes_wrong_is_one_sentence(here, photos, tmp_path):
    for words in (["--to", "excel"], ["--to", "csv", "--link"], ["--to", "csv", "--out", tmp_path]):
        done = here("export", photos.folder, *words)
        assert done.returncode == 2 and len(done.stderr.strip().splitlines()) == 1 and "Traceback" not in done.stderr
    assert here("export", tmp_path, "--to", "csv").returncode == 2


def test_an_export_made_of_links_can_be_labelled_and_exported_again(here, photos, tmp_path):
    out = tmp_path / "out"
    assert here("export", photos.folder, "--to", "folders", "--link", "--out", out).returncode == 0
    done = here("label", out, "-k", 2, "--epochs", 1, "--out", tmp_path / "again", "--device", "cpu", "--json")
    assert done.returncode == 0 and json.loads(done.stdout)["n_items"] == 40
    assert "none of its 40 items" in here("export", tmp_path / "again", "--to", "yolo").stderr
    assert "40 photos" in here("export", tmp_path / "again", "--to", "yolo", "--follow-links").stdout


def test_help_names_every_format(here):
    text = here("export", "--help").stdout
    assert all(name in text for name in EXPORTS)


def test_exporting_needs_no_torch(photos, tmp_path):
    code = (
        "import sys; from pathlib import Path; from selflabel import Run; from selflabel.exports import export, fitting_formats\n"
        "for name in fitting_formats('image', None): export(Run.open(sys.argv[1]), name, Path(sys.argv[2]) / name)\n"
        "Run.open(sys.argv[1]).show()\n"
        "assert not {'torch', 'sklearn', 'scipy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, str(photos.folder), str(tmp_path / "all")], check=True)
