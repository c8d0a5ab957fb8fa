"""A run's items found again by row: in folders, manifests, tar shards, arrays and embedded sets, and never outside them."""

import tarfile

import numpy as np
import pytest

from selflabel.base.errors import UserError
from selflabel.items import Blob, open_items
from selflabel.runs.missing import Missing
from selflabel.runs.opening import locate, open_source
from selflabel.runs.sources import TableSource
from tests.items.pictures import png
from tests.run_folders import write_run


def opened(folder, source, paths, **given):
    return open_source(folder / "run", str(source), paths, moved_to=str(source), **given)


def reason(source, row):
    with pytest.raises(Missing) as error:
        source.blobs(row)
    return str(error.value)


@pytest.fixture
def photos(tmp_path):
    root = tmp_path.resolve() / "photos"
    (root / "sub").mkdir(parents=True)
    for name in ("a.png", "sub/b.png", "sub/b.wav", "c.mp4", "../private.png"):
        (root / name).write_bytes(png())
    (root / "link.png").symlink_to(root.parent / "private.png")
    return root


def test_files_below_a_folder_are_found_with_the_sound_beside_them(photos):
    source, error = opened(photos.parent, photos, ["a.png", "sub/b.png", "c.mp4"])
    assert not error and source.blobs(0) == {"image": Blob(str(photos / "a.png"))}
    assert source.blobs(1) == {"image": Blob(str(photos / "sub/b.png")), "audio": Blob(str(photos / "sub/b.wav"))}
    assert source.blobs(2) == {"video": Blob(str(photos / "c.mp4")), "audio": Blob(str(photos / "c.mp4"))}
    assert list(opened(photos.parent, photos, ["sub/b.png"], with_sound=False).source.blobs(0)) == ["image"]
    with pytest.raises(Missing, match="no row of an array"):
        source.values(0)


def test_nothing_outside_a_folder_is_read_unless_links_are_followed(photos):
    paths = ["link.png", "../private.png", str(photos.parent / "private.png"), "gone.png", "a\0.png", "a.txt"]
    strict, loose = (opened(photos.parent, photos, paths, follow=follow).source for follow in (False, True))
    reasons = [reason(strict, i) for i in range(6)]
    assert [text.split(",")[0] for text in reasons[:3]] == ["it lies outside the source"] * 3 and "--follow-links" in reasons[0]
    assert reasons[3] == "there is no such file any more" and reasons[4] == "its name is that of no file"
    assert reasons[5] == "its ending is that of no image, video or sound"
    assert loose.blobs(0) == {"image": Blob(str(photos / "link.png"))}
    assert [reason(loose, i) for i in (1, 2)] == ["it lies outside the source"] * 2
    assert reason(loose, 3) == "there is no such file any more"


def test_a_manifests_items_are_those_that_were_labelled(photos):
    outside = photos.parent / "private.png"
    lines = ["path,image,audio", "a.png,,sub/b.wav", ",sub/b.png,", f"{outside},,", "a.png,sub/b.png,", "c.mp4,,"]
    (photos / "list.csv").write_text("\n".join(lines) + "\n")
    (photos / "plain.csv").write_text(f"path\na.png\nc.mp4\n{outside}\n")
    items = open_items(photos / "plain.csv")
    source = opened(photos.parent, photos / "plain.csv", items.paths).source
    for row in range(3):
        assert source.blobs(row) == {m: blobs[row] for m, blobs in items.blobs.items() if blobs[row] is not None}
    rows = ["a.png", "sub/b.png", str(outside), "unnamed.png"]
    source = opened(photos.parent, photos / "list.csv", rows).source
    assert source.blobs(0) == {"image": Blob(str(photos / "a.png")), "audio": Blob(str(photos / "sub/b.wav"))}
    assert source.blobs(1) == {"image": Blob(str(photos / "sub/b.png"))} and source.blobs(2) == {"image": Blob(str(outside))}
    assert reason(source, 3) == "list.csv does not name it any more"


def test_of_two_columns_of_one_kind_the_first_is_shown_as_it_was_labelled(photos):
    (photos / "list.csv").write_text("path,image\na.png,sub/b.png\n")
    items = open_items(photos / "list.csv")
    source = opened(photos.parent, photos / "list.csv", items.paths).source
    assert source.blobs(0)["image"] == items.blobs["image"][0] == Blob(str(photos / "a.png"))


def test_members_of_shards_and_rows_of_arrays_are_found_by_their_paths(photos, tmp_path):
    with tarfile.open(tmp_path / "x.tar", "w") as tar:
        for name in ("a.png", "sub/b.png", "sub/b.wav"):
            tar.add(photos / name, name)
    source = opened(tmp_path, tmp_path / "x.tar", ["sub/b.png", "gone.png"]).source
    assert list(source.blobs(0)) == ["image", "audio"] and source.blobs(0)["image"].read() == png()
    assert "does not hold it any more" in reason(source, 1)
    with pytest.raises(Missing, match="no row of an array"):
        source.values(0)
    np.save(tmp_path / "x.npy", np.array([[1.0, 2], [np.nan, 0], [5, 6]]))
    source = opened(tmp_path, tmp_path / "x.npy", ["row:000000", "row:000002", "row:000001"]).source
    assert source.blobs(1) == {} == source.blobs(0) and source.values(1).tolist() == [5, 6]
    with pytest.raises(Missing, match="does not hold it"):
        source.values(2)
    source = opened(tmp_path, "digits", ["row:001796", "row:001797"]).source
    assert source.values(0).shape == (8, 8) and "does not hold it" in reason(source, 1)
    (tmp_path / "x.npy").write_bytes(b"junk")
    assert "cannot be loaded" in reason(TableSource(str(tmp_path / "x.npy"), ["row:000000"]), 0)


def test_a_relative_source_is_looked_for_in_the_folders_above_the_run(photos, tmp_path, monkeypatch):
    run = tmp_path / "runs" / "a"
    run.mkdir(parents=True)
    assert locate(run, "photos") == str(tmp_path / "photos") and locate(run, str(photos)) == str(photos)
    assert locate(run, "gone") is None and locate(run, "gone-{0..3}.tar") is None
    monkeypatch.chdir(photos)
    assert locate(run, "sub") is None  # the folder in which a command is started plays no part


def test_a_lost_source_says_so_once_and_for_every_item(tmp_path):
    source, error = opened(tmp_path, "gone", ["a.png"])
    assert error == "gone is not there any more; say where it is now with --source" == reason(source, 0)
    with pytest.raises(Missing, match="gone"):
        source.values(0)


def test_a_run_opens_its_source_with_the_sound_that_it_used(photos, tmp_path):
    for kinds, modalities in (({"image": "photo"}, ["image"]), ({"image": "photo", "audio": "sound"}, ["image", "audio"])):
        run = write_run(tmp_path / "-".join(kinds), photos, ["a.png", "sub/b.png"], [0, 1], kinds)
        assert list(run.source().source.blobs(1)) == modalities
    photos.rename(tmp_path / "moved")
    assert "not there any more" in run.source().error
    assert run.source(str(tmp_path / "moved"), paths=["sub/b.png"]).source.blobs(0)["image"].read() == png()
    (run.folder / "run.toml").unlink()
    with pytest.raises(UserError, match=r"run\.toml"):
        run.source()
