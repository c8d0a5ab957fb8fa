"""What else lies in a folder: nothing is left out without a line."""

import json
import os
import tarfile
import tempfile
from pathlib import Path

import pytest

from selflabel.base.errors import UserError
from selflabel.items import open_items
from selflabel.items.endings import HAS_HEIC, reason_not_read
from tests.items.pictures import png

BAD = b"caf\xe9.png"  # Latin-1


def fill(root, *names):
    for name in names:
        place = Path(root) / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(png() if place.suffix in (".png", ".jpg") else b"x")


def test_hidden_and_system_folders_are_passed_over_with_one_line(tmp_path):
    folders = (".git", ".thumbnails", ".Trash-0/files", "@eaDir/a.png", "$RECYCLE.BIN", "System Volume Information", "__MACOSX")
    fill(tmp_path, "a.png", "sub/b.png", *(f"{folder}/x.png" for folder in folders), "sub/.ipynb_checkpoints/x.png", ".c.png")
    items = open_items(tmp_path)
    assert items.paths == ["a.png", "sub/b.png"] and not items.skipped
    assert len(items.notes) == 1 and "8 hidden or system folders (" in items.notes[0] and "1 hidden file (" in items.notes[0]


def test_runs_exports_and_comparisons_are_passed_over_unless_they_are_the_source(tmp_path):
    fill(tmp_path, "a.png", "runs/r/run.toml", "runs/r/labels.csv", "runs/r/clusters.png", "runs/r/thumbs/x.png")
    fill(tmp_path, "begun/run.toml", "begun/checkpoint/x", "begun/x.png", "c/comparison.json", "c/comparison.png")
    fill(tmp_path, "r-folders/cats/a.png", "other/export.json", "other/b.png", "mine/run.toml", "mine/c.png")
    (tmp_path / "r-folders" / "export.json").write_text('{"format": "folders", "run": "r", "selflabel": "0.2.0"}')
    items = open_items(tmp_path)
    assert items.paths == ["a.png", "mine/c.png", "other/b.png"]
    line = next(note for note in items.notes if note.startswith("passed over"))
    assert "2 runs of selflabel" in line and "1 export of selflabel (r-folders)" in line and "1 comparison of selflabel" in line
    assert open_items(tmp_path / "r-folders").paths == ["cats/a.png"]


def test_names_that_are_no_utf8_are_listed_escaped_and_others_are_kept(tmp_path):
    fill(tmp_path, "a\nb.png", "tab\t'\"\x07.png", "ü.png")
    for place in (BAD, b"f\xff/x.png"):
        fill(tmp_path, os.fsdecode(place))
    items = open_items(tmp_path)
    assert items.paths == ["a\nb.png", "tab\t'\"\x07.png", "ü.png"]
    reason = "its name is not UTF-8; rename it"
    assert sorted(items.skipped) == [("caf\\xe9.png", reason), ("f\\xff/x.png", reason)]
    assert all("\n" not in note and note.isascii() for note in items.notes)


def test_a_source_whose_own_name_is_no_utf8_is_a_sentence(tmp_path):
    fill(tmp_path, os.fsdecode(b"f\xff/x.png"))
    with pytest.raises(UserError, match=r"f\\xff: its name, or that of its folder, is not UTF-8"):
        open_items(tmp_path / os.fsdecode(b"f\xff"))


def test_media_that_is_not_read_is_listed_and_other_files_are_counted(tmp_path):
    fill(tmp_path, "a.png", "b.JXL", "c.cr2", "d.zip", "notes.txt", "x.txt", "y.json", "LICENSE")
    items = open_items(tmp_path)
    assert items.paths == ["a.png"] and [path for path, _ in items.skipped] == ["b.JXL", "c.cr2", "d.zip"]
    assert "not read: 2 .txt" in items.notes[0] and "1 .json" in items.notes[0] and "without an ending" in items.notes[0]
    assert sum("skipped 1: " in note for note in items.notes) == 3


def test_the_error_of_a_folder_without_media_says_what_is_there(tmp_path):
    fill(tmp_path, "a.jxl", "b.txt")
    with pytest.raises(UserError, match=r"1 \.txt; a\.jxl: files ending in \.jxl are not read"):
        open_items(tmp_path)


def test_the_extra_for_heic_is_named_where_it_is_missing(tmp_path):
    fill(tmp_path, "a.png", "b.HEIC")
    items = open_items(tmp_path)
    assert "pip install 'selflabel[heic]'" in reason_not_read(".heic")
    assert HAS_HEIC or dict(items.skipped) == {"b.HEIC": reason_not_read(".heic")}


def test_typescript_is_no_video(tmp_path):
    fill(tmp_path, "a.png", "b.png")
    for i in range(5):
        (tmp_path / f"{i}.ts").write_text("Great: export const x = 1\n" * 20)
    items = open_items(tmp_path)
    assert items.paths == ["a.png", "b.png"] and "5 .ts" in items.notes[0]


def test_links_to_folders_are_counted_or_followed_without_end(tmp_path):
    fill(tmp_path, "set/a.png", "set/sub/b.png", "away/c.png")
    (tmp_path / "set" / "link").symlink_to(tmp_path / "away")
    (tmp_path / "set" / "circle").symlink_to(tmp_path / "set")
    (tmp_path / "set" / "again").symlink_to(tmp_path / "set" / "sub")
    items = open_items(tmp_path / "set")
    assert items.paths == ["a.png", "sub/b.png"] and "3 links to folders, not followed (--follow-links" in items.notes[0]
    followed = open_items(tmp_path / "set", follow_links=True)
    assert followed.paths == ["a.png", "link/c.png", "sub/b.png"] and not followed.notes


def test_a_folder_that_cannot_be_read_is_listed():
    with tempfile.TemporaryDirectory() as name:
        fill(name, "a.png", "locked/b.png")
        Path(name).chmod(0o755)
        (Path(name) / "locked").chmod(0)
        shown = as_plain_user(lambda: [(items := open_items(name)).paths, items.skipped])
        (Path(name) / "locked").chmod(0o755)
    assert shown == [["a.png"], [["locked", "the folder cannot be read (Permission denied)"]]]


def as_plain_user(work):
    """What a function returns in a process that may not read everything, as root may."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            if os.getuid() == 0:
                os.setuid(65534)
            os.write(writer, json.dumps(work()).encode())
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    os.close(writer)
    with os.fdopen(reader) as f:
        return json.load(f)


def test_a_folder_of_tar_shards_or_tables_is_opened_as_these(tmp_path):
    fill(tmp_path, "x.png", "shards/README.md")
    for i in range(2):
        with tarfile.open(tmp_path / "shards" / f"{i}.tar", "w") as tar:
            tar.add(tmp_path / "x.png", "a.png")
    items = open_items(tmp_path / "shards")
    assert items.paths == ["0.tar/a.png", "1.tar/a.png"] and not items.skipped and "1 .md" in items.notes[-1]
