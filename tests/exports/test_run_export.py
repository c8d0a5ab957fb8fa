"""What holds for every format: whole or not at all, nothing overwritten, nothing lost in silence, edits applied."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from selflabel.base.errors import UserError
from selflabel.edits import Reject, append
from selflabel.exports import EXPORTS, export, fitting_formats
from tests.exports.conftest import KEPT, LABELS

OF_PHOTOS = fitting_formats("image", None)
OF_FILES = [name for name in OF_PHOTOS if EXPORTS[name].needs_source]
OF_FOLDERS = [name for name in OF_PHOTOS if not EXPORTS[name].ending]


def contents(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in Path(folder).rglob("*") if p.is_file()}


def left(folder):
    return {row["path"]: row["reason"] for row in csv.DictReader((folder / "left-out.csv").open(encoding="utf-8"))}


@pytest.mark.parametrize("name", OF_PHOTOS)
def test_every_format_leaves_the_run_and_the_items_as_they_were(name, edited, tmp_path):
    before = contents(edited.folder), contents(tmp_path / "photos")
    done = export(edited, name, tmp_path / "out")
    assert (done.n_items, done.n_rejected, done.n_left_out) == (len(KEPT), 2, 0)
    after = contents(edited.folder), contents(tmp_path / "photos")
    thumbs = {k for k in after[0] if k.startswith("thumbs/")}
    assert ({k: v for k, v in after[0].items() if k not in thumbs}, after[1]) == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out", "photos", "run"]


@pytest.mark.parametrize("name", OF_PHOTOS)
def test_exports_of_one_run_are_alike(name, edited, tmp_path):
    one, two = (export(edited, name, tmp_path / out / "x").place for out in ("one", "two"))
    if one.is_file():
        assert one.read_bytes() == two.read_bytes()
    else:
        assert {k: v for k, v in contents(one).items() if not k.endswith(".tar")} == {
            k: v for k, v in contents(two).items() if not k.endswith(".tar")
        }


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
    record = json.loads((tmp_path / "out" / "export.json").read_text(encoding="utf-8"))
    assert (record["n_items"], record["n_left_out"], record["n_rejected"]) == (done.n_items, done.n_left_out, 2)


@pytest.mark.parametrize("name", OF_FILES)
def test_an_export_of_nothing_that_can_be_read_is_an_error_and_leaves_nothing(name, photos, tmp_path):
    for path in photos.labels["path"].to_pylist():
        (tmp_path / "photos" / path).unlink()
    if name != "html":
        with pytest.raises(UserError, match="none of its 40 items can be read"):
            export(photos, name, tmp_path / "out")
        assert sorted(p.name for p in tmp_path.iterdir()) == ["photos", "run"]


@pytest.mark.parametrize("name", OF_PHOTOS)
def test_a_source_that_moved_is_named_where_its_items_are_needed_and_can_be_given_anew(name, photos, tmp_path):
    (tmp_path / "photos").rename(tmp_path / "moved")
    if name in OF_FILES and name != "html":
        with pytest.raises(UserError, match="--source"):
            export(photos, name, tmp_path / "out")
        assert not (tmp_path / "out").exists()
    assert export(photos, name, tmp_path / "out", source=str(tmp_path / "moved")).n_items == 40


@pytest.mark.parametrize("name", OF_PHOTOS)
def test_raw_leaves_edits_aside(name, edited, tmp_path):
    done = export(edited, name, tmp_path / "out", raw=True)
    assert (done.n_items, done.n_rejected) == (40, 0)
    if name in OF_FOLDERS:
        record = json.loads((tmp_path / "out" / "export.json").read_text(encoding="utf-8"))
        assert [c["name"] for c in record["classes"]] == [f"cluster-00{i}" for i in range(4)]
        assert [c["size"] for c in record["classes"]] == np.bincount(LABELS).tolist() and not record["edits_applied"]


def test_a_run_whose_items_are_all_rejected_has_nothing_to_export(photos, tmp_path):
    append(photos.folder, Reject(items=list(range(40))))
    with pytest.raises(UserError, match="every item is rejected"):
        export(photos, "csv", tmp_path / "out.csv")


@pytest.mark.parametrize("kind", ["arrays", "shards"])
@pytest.mark.parametrize("name", OF_PHOTOS)
def test_arrays_and_shards_are_exported_like_files(name, kind, request, tmp_path):
    assert export(request.getfixturevalue(kind), name, tmp_path / "out").n_items == 40


def test_wrong_words_are_sentences(photos, tmp_path):
    with pytest.raises(UserError, match="there are csv, folders"):
        export(photos, "excel", tmp_path / "out")
    with pytest.raises(UserError, match="files of its own"):
        export(photos, "csv", tmp_path / "out.csv", how="link")


def test_progress_is_reported_from_none_to_all(photos, tmp_path):
    calls = []
    export(photos, "folders", tmp_path / "out", progress=lambda done, total: calls.append((done, total)))
    assert calls[0] == (0, 40) and calls[-1] == (40, 40)
