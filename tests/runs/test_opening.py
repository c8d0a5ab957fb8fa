"""A run finds its items by what it recorded, and reads outside its own folder only what this user made or named."""

import json
import os
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from selflabel.base.errors import UserError
from selflabel.edits import append, parse
from selflabel.exports import export
from selflabel.items import open_items
from selflabel.runs.claiming import refuse_links
from selflabel.runs.missing import Missing
from selflabel.runs.opening import check_same_items, record_source
from selflabel.runs.origin import NAME, Origin, config_folder, read_origin, sign
from selflabel.runs.recorded import RecordedSource
from selflabel.runs.run import Run
from selflabel.runs.thumbs import ThumbnailFile, Thumbs, thumbnail_reader
from tests.run_folders import write_run


def pictures(folder, n=6, level=0):
    folder.mkdir(parents=True)
    for i in range(n):
        Image.fromarray(np.full((8, 8, 3), level + i, np.uint8)).save(folder / f"{i}.png")
    return folder


def made_here(folder, source, name=None):
    """A run of this user, as `label` writes it, over a source that was named so."""
    items = open_items(str(name or source))
    run = write_run(folder, name or source, items.paths, np.arange(len(items)) % 2)
    record_source(run.folder, items, str(name or source))
    return run


@pytest.fixture
def own(tmp_path):
    return made_here(tmp_path / "run", pictures(tmp_path / "photos"))


@pytest.fixture
def foreign(own, monkeypatch, tmp_path):
    """The same run, as somebody else with another key gets it."""
    monkeypatch.setenv("SELFLABEL_CONFIG", str(tmp_path / "other-config"))
    return own


def reason(run, row=0, **given):
    with pytest.raises(Missing) as error:
        run.source(**given).source.blobs(row)
    return str(error.value)


# ------------------------------------------------------------------------------------------------------- what was recorded


def test_a_run_shows_its_own_files_in_whatever_folder_a_command_is_started(tmp_path, monkeypatch):
    first, second = tmp_path / "a", tmp_path / "b"
    pictures(first / "photos"), pictures(second / "photos", level=100)
    monkeypatch.chdir(first)
    run = made_here(first / "runs" / "x", first / "photos", name="photos")
    monkeypatch.chdir(second)
    assert run.source().source.blobs(2)["image"].file == str(first / "photos" / "2.png")
    export(run, "folders", tmp_path / "out")
    assert (tmp_path / "out/cluster-000/2.png").read_bytes() == (first / "photos/2.png").read_bytes()


def test_another_size_is_refused_and_another_time_is_only_counted(own, tmp_path):
    (tmp_path / "photos/1.png").write_bytes(b"another picture")
    os.utime(tmp_path / "photos/2.png", (1, 1))
    (tmp_path / "photos/3.png").unlink()
    source = own.source().source
    assert "another file is there now: it has 15 bytes" in reason(own, 1) and reason(own, 3) == "there is no such file any more"
    assert source.blobs(2) and source.blobs(0) and [os.path.basename(f) for f in source.changed] == ["2.png"]  # noqa: PTH119


def test_a_source_that_moved_may_only_give_files_of_the_sizes_that_were_labelled(own, tmp_path):
    (tmp_path / "photos").rename(tmp_path / "moved")
    assert "say where it is now with --source" in own.source().error
    assert own.source(str(tmp_path / "moved")).source.blobs(4)["image"].file == str(tmp_path / "moved/4.png")
    (tmp_path / "moved/4.png").write_bytes(b"x")
    assert "another file" in reason(own, 4, moved_to=str(tmp_path / "moved"))


def test_sounds_beside_films_and_members_of_shards_are_recorded_too(tmp_path):
    import tarfile

    folder = pictures(tmp_path / "photos", 2)
    (folder / "1.wav").write_bytes(b"sound")
    (folder / "0.wav").write_bytes(b"sounds")
    run = made_here(tmp_path / "beside", folder)
    assert {m: b.file[-5:] for m, b in run.source().source.blobs(1).items()} == {"image": "1.png", "audio": "1.wav"}
    with tarfile.open(tmp_path / "x.tar", "w") as tar:
        tar.add(folder / "0.png", "0.png")
        tar.add(folder / "1.png", "1.png")
    run = made_here(tmp_path / "tar", tmp_path / "x.tar")
    assert run.source().source.blobs(1)["image"].read() == (folder / "1.png").read_bytes()
    os.truncate(tmp_path / "x.tar", 5000)
    assert "another file" in reason(run, 1)


def test_an_array_of_another_size_is_not_shown(tmp_path):
    np.save(tmp_path / "x.npy", np.arange(6.0).reshape(3, 2))
    run = made_here(tmp_path / "run", tmp_path / "x.npy")
    assert run.source().source.values(2).tolist() == [4, 5]
    np.save(tmp_path / "x.npy", np.zeros((30, 2)))
    assert "another file is there now" in run.source().error


def test_lines_are_found_in_every_row_group(tmp_path, monkeypatch):
    from selflabel.runs import recorded

    monkeypatch.setattr(recorded, "ROWS_PER_GROUP", 2)
    run = made_here(tmp_path / "run", pictures(tmp_path / "photos", 7))
    assert pq.ParquetFile(run.folder / "sources.parquet").num_row_groups == 4
    source = run.source().source
    assert isinstance(source.source, RecordedSource)
    assert [source.blobs(row)["image"].file[-5:] for row in (6, 0, 3, 5)] == ["6.png", "0.png", "3.png", "5.png"]
    assert reason(run, 7) == "the run recorded no file for it"


def test_an_unfinished_run_goes_on_only_with_the_files_that_it_was_begun_with(own, tmp_path):
    check_same_items(own.folder, open_items(tmp_path / "photos"))
    shutil.copytree(tmp_path / "photos", tmp_path / "copy")
    check_same_items(own.folder, open_items(tmp_path / "copy"))
    (tmp_path / "copy/2.png").write_bytes(b"other")
    with pytest.raises(UserError, match=r"not as it was.*2\.png.*--overwrite"):
        check_same_items(own.folder, open_items(tmp_path / "copy"))
    (tmp_path / "photos/7.png").write_bytes(b"new")
    with pytest.raises(UserError, match=r"7\.png was added"):
        check_same_items(own.folder, open_items(tmp_path / "photos"))


# ------------------------------------------------------------------------------------------------------ who may read what


def test_a_run_from_elsewhere_shows_nothing_outside_its_folder_until_its_source_is_named(foreign, tmp_path):
    assert "--source" in foreign.source().error and "made elsewhere" in reason(foreign)
    with pytest.raises(UserError, match="--source"):
        _ = foreign.place
    assert foreign.source(str(tmp_path / "photos")).source.blobs(0)
    sign(foreign.folder, Origin((str(tmp_path / "photos"),), False))  # as the command line does for --source
    assert foreign.source().source.blobs(0) and foreign.place == str(tmp_path / "photos")


def test_a_record_that_was_changed_is_not_believed(own, tmp_path):
    assert read_origin(own.folder).is_recorded
    table = pq.read_table(own.folder / "sources.parquet")
    changed = table.set_column(2, "file", [["/etc/passwd"] * len(table)])
    pq.write_table(changed, own.folder / "sources.parquet")
    assert read_origin(own.folder) is None and "made elsewhere" in reason(own)


@pytest.mark.parametrize(
    "values", [{}, {"places": ["/"]}, {"places": 3}, {"places": ["/"], "recorded": False, "signature": "0" * 64}, []]
)
def test_a_forged_origin_is_none(own, values):
    (own.folder / NAME).write_text(json.dumps(values))
    assert read_origin(own.folder) is None


def test_the_key_is_the_users_own(own):
    key = config_folder() / "key"
    assert key.stat().st_size == 32 and key.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("source", ["/", "/etc", ".."])
def test_a_wide_source_in_run_toml_opens_nothing(foreign, source):
    text = (foreign.folder / "run.toml").read_text()
    (foreign.folder / "run.toml").write_text(text.replace(str(foreign.settings["source"]), source))
    assert "--source" in reason(foreign)


def test_what_lies_in_a_strangers_folder_is_shown_but_not_what_its_manifest_names_elsewhere(foreign, tmp_path):
    secret = tmp_path / "secret.png"
    secret.write_bytes((tmp_path / "photos/0.png").read_bytes())
    shutil.copy(tmp_path / "photos/1.png", foreign.folder / "inside.png")
    (foreign.folder / "list.csv").write_text(f"path\n{secret}\ninside.png\n")
    text = (foreign.folder / "run.toml").read_text()
    (foreign.folder / "run.toml").write_text(text.replace(str(foreign.settings["source"]), "run/list.csv"))
    for given in ({}, {"moved_to": str(foreign.folder / "list.csv")}):
        source = foreign.source(paths=[str(secret), "inside.png"], **given).source
        assert source.blobs(1)["image"].file == str(foreign.folder / "inside.png")
        with pytest.raises(Missing, match="outside the source"):
            source.blobs(0)


# -------------------------------------------------------------------------------------------------------- links and forgery


@pytest.mark.parametrize("name", ["report.json", "run.toml", "labels.parquet", "features.npy", "neighbours.npy", "truth.csv"])
def test_a_link_in_a_run_folder_is_not_followed(own, tmp_path, name):
    if not (own.folder / name).exists():
        (own.folder / name).write_text("path,label\n0.png,a\n")
    (own.folder / name).rename(tmp_path / "elsewhere")
    (own.folder / name).symlink_to(tmp_path / "elsewhere")
    read = {"report.json": "report", "run.toml": "recorded", "labels.parquet": "raw_labels", "truth.csv": "truth"}
    with pytest.raises(UserError, match="is a link"):
        getattr(Run(own.folder), read.get(name, name.partition(".")[0]))


def test_edits_are_neither_read_nor_written_through_a_link(own, tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("no newline here")
    (own.folder / "edits.jsonl").symlink_to(victim)
    with pytest.raises(UserError, match="cannot be written"):
        append(own.folder, parse({"do": "name", "cluster": 0, "name": "x"}))
    with pytest.raises(UserError, match="no link"):
        own.edits()
    assert victim.read_text() == "no newline here"


@pytest.mark.parametrize("name", ["tiles.bin", "index.bin", ""])
def test_thumbnails_are_neither_read_nor_written_through_a_link(own, tmp_path, name):
    victim = tmp_path / "victim"
    if name:
        victim.write_bytes(b"\x89PNG" + b"precious" * 12)
        (own.folder / "thumbs").mkdir()
        (own.folder / "thumbs" / name).symlink_to(victim)
        before = victim.read_bytes()
    else:
        victim.mkdir()
        (own.folder / "thumbs").symlink_to(victim)
    thumbs = Thumbs(own.folder / "thumbs", own.source().source, 6)
    assert thumbs.one(1).startswith(b"\x89PNG") and not thumbs.file.is_open
    assert victim.read_bytes() == before if name else not list(victim.iterdir())
    with pytest.raises(UserError, match="is a link"):
        refuse_links(own.folder)


@pytest.mark.parametrize("entry", [(0, 6), (0, 2**63), (2**63, 6), (100, 6), (0, 2**21)])
def test_a_forged_index_shows_no_other_bytes(own, entry):
    (own.folder / "thumbs").mkdir()
    (own.folder / "thumbs/tiles.bin").write_bytes(b"SECRET")
    np.array([entry] + [(0, 0)] * 5, np.uint64).tofile(own.folder / "thumbs/index.bin")
    assert ThumbnailFile(own.folder / "thumbs", 6).get(0) is None
    assert thumbnail_reader(own.folder / "thumbs", own.source().source, 6)(0).startswith(b"\x89PNG")


# ------------------------------------------------------------------------------------------------------ several sources


def run_of(folder, names, follow_links=False):
    """A run of this user over several sources."""
    items = open_items(names, follow_links)
    run = write_run(folder, names[0], items.paths, np.arange(len(items)) % 2)
    record_source(run.folder, items, names)
    return run


def test_items_of_several_folders_files_and_patterns_are_found_again(tmp_path):
    for name in ("a", "b", "c"):
        pictures(tmp_path / name, 2)
    names = [str(tmp_path / "a"), str(tmp_path / "b"), str(tmp_path / "c" / "*.png")]
    run = run_of(tmp_path / "run", names)
    assert export(run, "folders", tmp_path / "out").n_items == 6
    (tmp_path / "secret.png").write_bytes((tmp_path / "b/0.png").read_bytes())
    (tmp_path / "b/0.png").unlink()
    (tmp_path / "b/0.png").symlink_to(tmp_path / "secret.png")
    assert "outside the source" in reason(run, list(run.paths).index("b/0.png"))
    shutil.rmtree(tmp_path / "a")
    assert export(run, "folders", tmp_path / "rest").n_items == 3


def test_a_run_that_followed_links_follows_them_when_its_items_are_shown(tmp_path):
    pictures(tmp_path / "there")
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos/link").symlink_to(tmp_path / "there")
    run = run_of(tmp_path / "run", [str(tmp_path / "photos")], follow_links=True)
    assert "outside the source" in reason(run)
    text = (run.folder / "run.toml").read_text()
    (run.folder / "run.toml").write_text(text.replace("[settings]\n", "[settings]\nfollow_links = true\n"))
    assert export(run, "folders", tmp_path / "out").n_items == 6


def test_a_table_of_pictures_that_was_moved_is_read_where_the_user_says(tmp_path):
    cells = [file.read_bytes() for file in sorted(pictures(tmp_path / "photos").iterdir())]
    pq.write_table(pa.table({"image": cells}), tmp_path / "set.parquet")
    run = run_of(tmp_path / "run", [str(tmp_path / "set.parquet")])
    (tmp_path / "set.parquet").rename(tmp_path / "moved.parquet")
    assert export(run, "folders", tmp_path / "out", source=str(tmp_path / "moved.parquet")).n_items == 6


@pytest.mark.parametrize("damage", ["pipe", "endless", "noise", "other columns"])
def test_a_record_that_is_none_neither_hangs_nor_ends_in_a_traceback(own, tmp_path, damage):
    record = own.folder / "sources.parquet"
    if damage == "endless":
        os.truncate(record, 1 << 40)
    elif damage == "noise":
        record.write_bytes(b"noise" * 99)
    elif damage == "other columns":
        pq.write_table(pa.table({"id": [0], "file": ["/etc/passwd"]}), record)
    else:
        record.unlink()
        os.mkfifo(record)
    assert "made elsewhere" in own.source().error
    with pytest.raises(UserError, match=r"sources\.parquet"):
        check_same_items(own.folder, open_items(str(tmp_path / "photos")))
