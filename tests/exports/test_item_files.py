"""Items' own files in an export: copies, hard links, links, pairs of files, names."""

from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from selflabel.base.errors import UserError
from selflabel.exports import EXPORTS, export, fitting_formats, item_files
from selflabel.exports.item_files import item_stem, unused_path
from selflabel.runs.missing import Missing
from tests.exports.conftest import LABELS, write_photos
from tests.films import tone, write_film
from tests.run_folders import write_run


def files(folder):
    return sorted(p for p in folder.rglob("*") if p.suffix in (".png", ".jpg", ".gif", ".flac", ".wav", ".mp4"))


LINKING = [name for name in fitting_formats("image", None) if EXPORTS[name].can_link]


@pytest.mark.parametrize("name", LINKING)
def test_files_are_copied_hard_linked_or_linked(name, photos, tmp_path):
    wanted = sorted(p.read_bytes() for p in files(tmp_path / "photos"))
    for how in ("copy", "hard", "link"):
        export(photos, name, tmp_path / how, how=how)
        written = files(tmp_path / how)
        assert sorted(p.read_bytes() for p in written) == wanted
        assert all(p.is_symlink() == (how == "link") for p in written)
        assert all((p.stat().st_nlink > 1) == (how != "copy") for p in written if how != "link") or how == "copy"
    inodes = {p.stat().st_ino for p in files(tmp_path / "photos")}
    assert {p.stat().st_ino for p in files(tmp_path / "hard")} == inodes == {p.stat().st_ino for p in files(tmp_path / "link")}


def test_hard_links_across_file_systems_are_refused_with_the_remedy(photos, tmp_path, monkeypatch):
    def refuses(*_):
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(item_files.os, "link", refuses)
    with pytest.raises(UserError, match="--link"):
        export(photos, "folders", tmp_path / "out", how="hard")
    assert not (tmp_path / "out").exists()


def test_arrays_become_the_same_pixels(arrays, tmp_path):
    export(arrays, "folders", tmp_path / "out", how="link")  # there is no file to link to
    x = np.load(tmp_path / "x.npz")["x"]
    for row in range(40):
        file = tmp_path / "out" / f"cluster-00{LABELS[row]}" / f"row-{row:06d}.png"
        assert np.array_equal(np.asarray(Image.open(file)), x[row])


def test_members_of_shards_are_their_own_bytes(shards, tmp_path):
    export(shards, "folders", tmp_path / "out", how="hard")
    wanted = sorted(p.read_bytes() for p in files(tmp_path / "for-tars"))
    assert sorted(p.read_bytes() for p in files(tmp_path / "out")) == wanted


def test_items_of_one_name_keep_both_and_a_name_that_looks_like_anothers_is_safe(tmp_path):
    names = ["a/x.png", "b/x.png", "c/x-000001.png"]
    for i, name in enumerate(names):
        (tmp_path / "src" / name).parent.mkdir(parents=True)
        Image.new("RGB", (4, 4), (i, i, i)).save(tmp_path / "src" / name)
    run = write_run(tmp_path / "run", tmp_path / "src", names, [0, 0, 0])
    export(run, "folders", tmp_path / "out")
    written = {p.read_bytes() for p in files(tmp_path / "out")}
    assert written == {(tmp_path / "src" / name).read_bytes() for name in names}


def test_a_picture_and_its_sound_stay_together(tmp_path):
    names = []
    for i in range(4):
        for half in ("a", "b"):
            (tmp_path / "src" / half).mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (8, 8), (60 * i, 0, 0)).save(tmp_path / "src" / half / f"{i}.png")
            write_film(tmp_path / "src" / half / f"{i}.flac", wave=tone(300, 0.1), sound="flac")
            names.append(f"{half}/{i}.png")
    run = write_run(tmp_path / "run", tmp_path / "src", sorted(names), [0] * 8, {"image": "glyph", "audio": "spoken"})
    export(run, "folders", tmp_path / "out")
    stems = [p.stem for p in files(tmp_path / "out")]
    assert len(stems) == 16 and all(stems.count(stem) == 2 for stem in stems)
    without_sound = write_run(tmp_path / "run2", tmp_path / "src", sorted(names), [0] * 8, {"image": "glyph"})
    export(without_sound, "folders", tmp_path / "out2")
    assert len(files(tmp_path / "out2")) == 8  # a run that only looked takes no sounds along


def test_a_manifests_relative_and_absolute_paths_and_odd_endings(tmp_path):
    paths = write_photos(tmp_path / "pics", 20)
    (tmp_path / "pics" / "odd").write_bytes((tmp_path / "pics" / paths[0]).read_bytes())
    shown = [*paths[1:], "odd"]
    shown[3] = str(tmp_path / "pics" / shown[3])
    lines = "\n".join(f'"{p}"' for p in shown)
    (tmp_path / "pics" / "m.csv").write_text(f"path\n{lines}\n", encoding="utf-8")
    run = write_run(tmp_path / "run", tmp_path / "pics" / "m.csv", shown, np.arange(len(shown)) % 2)
    done = export(run, "folders", tmp_path / "out")
    assert done.n_items == len(shown), done
    assert (tmp_path / "out").rglob("odd")


def test_what_ends_in_the_middle_is_left_out_whole(photos, tmp_path, monkeypatch):
    read_chunks = item_files.read_chunks
    bad = photos.labels["path"].to_pylist()[2]

    def tears(blob):
        yield from read_chunks(blob)
        if blob.file.endswith(bad):
            raise Missing("torn")

    monkeypatch.setattr(item_files, "read_chunks", tears)
    done = export(photos, "folders", tmp_path / "out")
    assert done.n_left_out == 1 and len(files(tmp_path / "out")) == 39


def test_a_gif_becomes_a_png_where_readers_know_no_gif(tmp_path):
    (tmp_path / "src").mkdir()
    for i in range(3):
        Image.new("P", (6, 5), i).save(tmp_path / "src" / f"{i}.gif")
    run = write_run(tmp_path / "run", tmp_path / "src", [f"{i}.gif" for i in range(3)], [0, 0, 0])
    export(run, "yolo", tmp_path / "yolo")
    assert [p.suffix for p in files(tmp_path / "yolo")] == [".png"] * 3
    assert {Image.open(p).format for p in files(tmp_path / "yolo")} == {"PNG"}
    export(run, "coco", tmp_path / "coco")
    assert [p.suffix for p in files(tmp_path / "coco")] == [".gif"] * 3


def test_a_link_out_of_the_source_is_not_followed(photos, tmp_path):
    secret = tmp_path / "secret.png"
    Image.new("RGB", (5, 5)).save(secret)
    target = tmp_path / "photos" / photos.labels["path"].to_pylist()[0]
    target.unlink()
    target.symlink_to(secret)
    done = export(photos, "folders", tmp_path / "out")
    assert done.n_left_out == 1 and "outside" in done.first_left_out and "--follow-links" in done.first_left_out
    for how in ("copy", "hard", "link"):
        assert export(photos, "folders", tmp_path / how, how=how, follow_links=True).n_left_out == 0
        assert secret.read_bytes() in {p.read_bytes() for p in files(tmp_path / how)}


def test_a_path_that_climbs_out_is_never_followed(tmp_path):
    for name in ("in.png", "../out.png", "sub/../../out.png"):
        (tmp_path / "src" / "sub").mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (5, 5)).save(tmp_path / "src" / name)
    paths = ["in.png", "../out.png", "sub/../../out.png", str(tmp_path / "out.png")]
    run = write_run(tmp_path / "run", tmp_path / "src", paths, [0, 0, 0, 0])
    for follow in (False, True):
        assert export(run, "folders", tmp_path / f"{follow}", follow_links=follow).n_items == 1


@pytest.mark.parametrize(
    "path, stem",
    [("a/b c.tar.png", "b c.tar"), ("row:000007", "row-000007"), ("a/...", "item-000007"), ("x/" + "é" * 99 + ".png", "é" * 50)],
)
def test_an_items_file_has_a_safe_name_that_people_know_it_by(path, stem):
    assert item_stem(SimpleNamespace(path=path, row=7, piece=None)) == stem


def test_a_name_that_is_taken_is_followed_by_the_id_until_it_is_free(tmp_path):
    assert unused_path(tmp_path, "x", 3, ".png").name == "x.png"
    (tmp_path / "x.png").symlink_to(tmp_path / "nowhere")
    assert unused_path(tmp_path, "x", 3, ".png").name == "x-000003.png"
    (tmp_path / "x-000003.png").touch()
    assert unused_path(tmp_path, "x", 3, ".png").name == "x-000003-000003.png"
