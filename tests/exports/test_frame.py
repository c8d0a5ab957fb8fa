"""What holds for every format: whole or not at all, nothing overwritten, nothing lost in silence, edits applied."""

import csv
import errno
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from selflabel.base.errors import UserError
from selflabel.edits import Reject, append
from selflabel.exports import EXPORTS, default_place, export
from selflabel.exports.frame import check_free
from selflabel.runs.run import Run
from tests.exports.conftest import KEPT, LABELS

OF_FILES = [name for name, chosen in EXPORTS.items() if chosen.wants_source]
OF_FOLDERS = [name for name, chosen in EXPORTS.items() if not chosen.ending]


def contents(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in Path(folder).rglob("*") if p.is_file()}


def left(folder):
    return {row["path"]: row["reason"] for row in csv.DictReader((folder / "left-out.csv").open(encoding="utf-8"))}


@pytest.mark.parametrize("name", EXPORTS)
def test_every_format_leaves_the_run_and_the_items_as_they_were(name, edited, tmp_path):
    before = contents(edited.folder), contents(tmp_path / "photos")
    done = export(edited, name, tmp_path / "out")
    assert (done.n_items, done.n_rejected, done.n_left_out) == (len(KEPT), 2, 0)
    after = contents(edited.folder), contents(tmp_path / "photos")
    thumbs = {k for k in after[0] if k.startswith("thumbs/")}
    assert ({k: v for k, v in after[0].items() if k not in thumbs}, after[1]) == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out", "photos", "run"]


@pytest.mark.parametrize("name", EXPORTS)
def test_exports_of_one_run_are_alike(name, edited, tmp_path):
    one, two = (export(edited, name, tmp_path / out / "x").place for out in ("one", "two"))
    if one.is_file():
        assert one.read_bytes() == two.read_bytes()
    else:
        assert {k: v for k, v in contents(one).items() if not k.endswith(".tar")} == {
            k: v for k, v in contents(two).items() if not k.endswith(".tar")
        }


@pytest.mark.parametrize("name", EXPORTS)
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


@pytest.mark.parametrize("name", OF_FILES)
def test_an_item_that_is_gone_is_left_out_and_listed(name, edited, tmp_path):
    paths = edited.labels["path"].to_pylist()
    gone, cut = paths[8], paths[9]
    (tmp_path / "photos" / gone).unlink()
    (tmp_path / "photos" / cut).write_bytes(b"")
    done = export(edited, name, tmp_path / "out")
    reasons = left(tmp_path / "out")
    assert reasons.pop(paths[5]) == reasons.pop(paths[6]) == "rejected"
    assert gone in reasons and done.n_left_out == len(reasons) and done.n_items == len(KEPT) - len(reasons)
    if name in ("coco", "cvat"):
        assert cut in reasons
    told = json.loads((tmp_path / "out" / "export.json").read_text(encoding="utf-8"))
    assert (told["n_items"], told["n_left_out"], told["n_rejected"]) == (done.n_items, done.n_left_out, 2)


@pytest.mark.parametrize("name", OF_FILES)
def test_an_export_of_nothing_that_can_be_read_is_an_error_and_leaves_nothing(name, photos, tmp_path):
    for path in photos.labels["path"].to_pylist():
        (tmp_path / "photos" / path).unlink()
    if name != "html":
        with pytest.raises(UserError, match="none of its 40 items can be read"):
            export(photos, name, tmp_path / "out")
        assert sorted(p.name for p in tmp_path.iterdir()) == ["photos", "run"]


@pytest.mark.parametrize("name", EXPORTS)
def test_a_source_that_moved_is_named_where_its_items_are_needed_and_can_be_given_anew(name, photos, tmp_path):
    (tmp_path / "photos").rename(tmp_path / "moved")
    if name in OF_FILES and name != "html":
        with pytest.raises(UserError, match="--source"):
            export(photos, name, tmp_path / "out")
        assert not (tmp_path / "out").exists()
    assert export(photos, name, tmp_path / "out", source=str(tmp_path / "moved")).n_items == 40


@pytest.mark.parametrize("name", EXPORTS)
def test_an_export_that_fails_on_the_way_leaves_nothing(name, photos, tmp_path, monkeypatch):
    def breaks(taken, place):
        whole.write(taken, place)
        raise OSError(errno.ENOSPC, "No space left on device")

    whole = EXPORTS[name]
    export(photos, name, tmp_path / "out")
    before = sorted(p.name for p in tmp_path.rglob("*") if "run" not in p.parts)
    monkeypatch.setitem(EXPORTS, name, replace(whole, write=breaks))
    with pytest.raises((UserError, OSError), match="No space left"):
        export(photos, name, tmp_path / "out", overwrite=True)
    with pytest.raises((UserError, OSError), match="No space left"):
        export(photos, name, tmp_path / "other")
    assert sorted(p.name for p in tmp_path.rglob("*") if "run" not in p.parts) == before


@pytest.mark.parametrize("name", EXPORTS)
def test_raw_leaves_edits_aside(name, edited, tmp_path):
    done = export(edited, name, tmp_path / "out", raw=True)
    assert (done.n_items, done.n_rejected) == (40, 0)
    if name in OF_FOLDERS:
        told = json.loads((tmp_path / "out" / "export.json").read_text(encoding="utf-8"))
        assert [c["name"] for c in told["classes"]] == [f"cluster-00{i}" for i in range(4)]
        assert [c["size"] for c in told["classes"]] == np.bincount(LABELS).tolist() and not told["edits_applied"]


def test_a_run_whose_items_are_all_rejected_has_nothing_to_export(photos, tmp_path):
    append(photos.folder, Reject(items=list(range(40))))
    with pytest.raises(UserError, match="every item is rejected"):
        export(photos, "csv", tmp_path / "out.csv")


@pytest.mark.parametrize("kind", ["films", "sounds", "features"])
@pytest.mark.parametrize("name", EXPORTS)
def test_what_a_format_cannot_hold_is_said_with_those_that_can(name, kind, request, tmp_path):
    run, needs = request.getfixturevalue(kind), {"films": "video", "sounds": "audio", "features": "features"}[kind]
    if needs in EXPORTS[name].takes:
        assert export(run, name, tmp_path / "out").n_left_out == 0
        return
    with pytest.raises(UserError, match="can hold them") as said:
        export(run, name, tmp_path / "out")
    able = [other for other in EXPORTS if needs in EXPORTS[other].takes]
    assert all(other in str(said.value) for other in able) and "csv" in able


@pytest.mark.parametrize("kind", ["arrays", "shards"])
@pytest.mark.parametrize("name", EXPORTS)
def test_arrays_and_shards_are_exported_like_files(name, kind, request, tmp_path):
    assert export(request.getfixturevalue(kind), name, tmp_path / "out").n_items == 40


def test_wrong_words_are_sentences(photos, tmp_path):
    with pytest.raises(UserError, match="there are csv, folders"):
        export(photos, "excel", tmp_path / "out")
    with pytest.raises(UserError, match="files of its own"):
        export(photos, "csv", tmp_path / "out.csv", how="link")


def test_the_default_place_is_beside_the_run(photos):
    assert default_place(photos, "coco") == photos.folder.parent / "run-coco"
    assert default_place(photos, "csv") == photos.folder.parent / "run.csv"
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
        check_free(tmp_path / "x.csv", EXPORTS["csv"], False)


def test_progress_is_told(photos, tmp_path):
    told = []
    export(photos, "folders", tmp_path / "out", progress=lambda done, total: told.append((done, total)))
    assert told[0] == (0, 40) and told[-1] == (40, 40)
