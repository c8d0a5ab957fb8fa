import gzip
import io
import tarfile

import numpy as np
import pytest

from selflabel.base.errors import UserError
from selflabel.items import open_items, tar_shards, unpacked
from selflabel.items.tar import tar_members
from tests.items.pictures import png


def add(tar, name, data):
    info = tarfile.TarInfo(name)
    info.size = len(data)
    tar.addfile(info, io.BytesIO(data))


def test_tar_shards_are_read_in_place_with_truth_beside(tmp_path):
    for shard in range(2):
        with tarfile.open(tmp_path / f"s-{shard:03d}.tar", "w") as tar:
            add(tar, f"{shard}a.png", png(shard))
            add(tar, f"{shard}a.cls", b"7")
            add(tar, "../evil.png", png())
            add(tar, "/evil.png", png())
    items = open_items(str(tmp_path / "s-{000..001}.tar"))
    assert len(items) == 2 and items.truth == ["7", "7"] and len(items.skipped) == 4
    assert items.blobs["image"][1].read() == png(1)
    assert len(open_items(str(tmp_path / "s-*.tar"))) == 2
    assert open_items(str(tmp_path / "s-000.tar")).paths == ["0a.png"]


def test_members_are_those_that_tarfile_lists(tmp_path):
    file = tmp_path / "a.tar"
    with tarfile.open(file, "w", format=tarfile.PAX_FORMAT) as tar:
        for i in range(5):
            add(tar, f"folder/{i}-{'long' * 60 * (i % 2)}é.png", png(i))
        link = tarfile.TarInfo("link.png")
        link.type, link.linkname = tarfile.SYMTYPE, "folder/0-é.png"
        tar.addfile(link)
    with tarfile.open(file) as tar:
        listed = [(m.name, m.offset_data, m.size) for m in tar if not m.isdir()]
    assert [(m.name, m.offset_data, m.size) for m in tar_members(file)] == listed and len(listed) == 6
    items = open_items(file)
    assert [blob.read() for blob in items.blobs["image"]] == [png(i) for i in range(5)]
    assert items.skipped == [("link.png", "is a link inside the tar (to folder/0-é.png), which is not followed")]


def test_members_before_a_cut_are_used_and_the_cut_one_is_listed(tmp_path):
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        for name in "abc":
            add(tar, f"{name}.png", png() * 100)
    whole = (tmp_path / "a.tar").read_bytes()
    (tmp_path / "a.tar").write_bytes(whole[: len(whole) // 2 + 100])
    items = open_items(tmp_path / "a.tar")
    assert items.paths == ["a.png"] and [path for path, _ in items.skipped] == ["b.png", "a.tar"]
    assert "ends inside it" in items.skipped[0][1] and "cut off at byte" in items.skipped[1][1]
    (tmp_path / "a.tar").write_bytes(whole[:600])
    with pytest.raises(UserError, match="cannot be read as a tar"):
        open_items(tmp_path / "a.tar")
    (tmp_path / "b.tar").write_bytes(whole)
    both = open_items(str(tmp_path / "*.tar"))
    assert len(both) == 3 and str(tmp_path / "a.tar") in dict(both.skipped)


def test_damage_in_the_middle_and_a_second_tar_behind_the_first_are_listed(tmp_path):
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        for name in "abc":
            add(tar, f"{name}.png", png())
    whole = (tmp_path / "a.tar").read_bytes()
    (tmp_path / "damaged.tar").write_bytes(whole[:1024] + b"x" * 512 + whole[1536:])
    (tmp_path / "two.tar").write_bytes(whole + whole)
    for name, n in (("damaged", 1), ("two", 3)):
        items = open_items(tmp_path / f"{name}.tar")
        assert len(items) == n and "what follows is not read" in items.skipped[0][1]


def test_a_missing_shard_is_an_error(tmp_path):
    with pytest.raises(UserError, match="no such tar shard"):
        tar_shards(str(tmp_path / "b-{0..3}.tar"))
    assert tar_shards("photos") == []


def write_tar(file, names, mode="w"):
    with tarfile.open(file, mode) as tar:
        for i, name in enumerate(names):
            add(tar, name, b"7" if name.endswith(".cls") else png(i))
    return file


def test_a_sample_is_one_item_and_its_masks_and_second_views_are_listed(tmp_path):
    names = [f"{i}.{ending}" for i in range(3) for ending in ("cls", "depth.png", "jpg", "seg.png", "json")]
    items = open_items(write_tar(tmp_path / "masks.tar", names))
    assert items.paths == ["0.jpg", "1.jpg", "2.jpg"] and items.truth == ["7"] * 3 and len(items.skipped) == 6
    assert items.blobs["image"][1].read() == png(7)
    assert any("3 .json" in note for note in items.notes) and any("skipped 6" in note for note in items.notes)
    views = [f"{i}.{side}.png" for i in range(3) for side in ("left", "right")]
    assert open_items(write_tar(tmp_path / "views.tar", views)).paths == ["0.left.png", "1.left.png", "2.left.png"]
    dotted = ["a.2021.png", "a.2022.png", "b.2023.png", "b.2024.png", "c.png"]
    assert open_items(write_tar(tmp_path / "dotted.tar", dotted)).paths == dotted


def test_hidden_members_and_names_that_are_no_utf8_are_not_items(tmp_path):
    bad = b"caf\xe9.png".decode(errors="surrogateescape")
    items = open_items(write_tar(tmp_path / "a.tar", ["a.png", "__MACOSX/._a.png", "._b.png", bad, "b.jxl"]))
    assert items.paths == ["a.png"]
    assert items.skipped[0] == ("caf\\xe9.png", "its name is not UTF-8; rename it") and items.skipped[1][0] == "b.jxl"
    assert "1 hidden or system folder (__MACOSX)" in items.notes[0] and "1 hidden file (._b.png)" in items.notes[0]


@pytest.mark.parametrize("ending", ["tar.gz", "tgz", "tar.bz2", "tar.xz"])
def test_a_compressed_tar_is_unpacked_once_into_the_cache(tmp_path, monkeypatch, ending):
    monkeypatch.setenv("SELFLABEL_CACHE", str(tmp_path / "cache"))
    mode = {"gz": "w:gz", "tgz": "w:gz", "bz2": "w:bz2", "xz": "w:xz"}[ending.split(".")[-1]]
    file = write_tar(tmp_path / f"a.{ending}", ["a.png", "a.cls", "b.png"], mode)
    items = open_items(file)
    assert items.paths == ["a.png", "b.png"] and items.truth == ["7", ""]
    blob = items.blobs["image"][1]
    assert blob.file == str(file) and blob.read() == png(2)
    assert len(list((tmp_path / "cache").iterdir())) == 1
    for folder in (tmp_path / "cache").iterdir():
        (folder / "members.tar").unlink()
        folder.rmdir()
    assert blob.read() == png(2)  # unpacked again


def test_a_cut_gzip_is_read_as_far_as_it_goes_and_a_bomb_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("SELFLABEL_CACHE", str(tmp_path / "cache"))
    rng = np.random.default_rng(0)
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as tar:
        for name in "abc":
            add(tar, f"{name}.png", rng.bytes(20_000))
    whole = (tmp_path / "a.tar.gz").read_bytes()
    (tmp_path / "a.tar.gz").write_bytes(whole[: len(whole) // 2])
    items = open_items(tmp_path / "a.tar.gz")
    assert items.paths == ["a.png"] and any("compressed tar is damaged or cut off" in reason for _, reason in items.skipped)
    monkeypatch.setattr(unpacked, "SMALL", 1 << 20)
    (tmp_path / "bomb.tar.gz").write_bytes(gzip.compress(bytes(8 << 20)))
    with pytest.raises(UserError, match="unpacks to more than 200 times its size"):
        open_items(tmp_path / "bomb.tar.gz")
    (tmp_path / "junk.tgz").write_bytes(b"junk")
    with pytest.raises(UserError, match="cannot be read as a tar"):
        open_items(tmp_path / "junk.tgz")
    assert not list((tmp_path / "cache").glob(".building-*"))


def sparse_header():
    """A member of GNU's old sparse format that claims a terabyte."""
    info = tarfile.TarInfo("huge.png")
    info.type, info.size = tarfile.GNUTYPE_SPARSE, 512
    block = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    block[386:398] = block[398:410] = b"00000000000\0"
    block[483:495] = b"20000000000\0"
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block) + bytes(512)


def test_sparse_members_negative_lengths_and_chains_of_headers_are_sentences(tmp_path):
    good = write_tar(tmp_path / "good.tar", ["a.png"]).read_bytes()[:1024]
    (tmp_path / "sparse.tar").write_bytes(good + sparse_header() + bytes(1024))
    items = open_items(tmp_path / "sparse.tar")
    assert items.paths == ["a.png"] and items.skipped == [("huge.png", "is no plain file in the tar")]
    info = tarfile.TarInfo("b.png")
    info.size = -1024
    (tmp_path / "negative.tar").write_bytes(good + info.tobuf(tarfile.GNU_FORMAT) + bytes(1024))
    assert open_items(tmp_path / "negative.tar").paths == ["a.png"]
    long = tarfile.TarInfo("x" * 200).tobuf(tarfile.GNU_FORMAT)[:1024]
    (tmp_path / "chain.tar").write_bytes(good + long * 5000 + good + bytes(1024))
    assert open_items(tmp_path / "chain.tar").paths == ["a.png"]


def test_a_range_of_too_many_shards_is_a_sentence():
    for span in ("{0..99999999999}", "{0..%s}" % ("9" * 5000)):
        with pytest.raises(UserError, match="more than 1,000,000 files"):
            tar_shards(f"a-{span}.tar")


def test_the_bytes_say_whether_a_tar_is_compressed(tmp_path, monkeypatch):
    monkeypatch.setenv("SELFLABEL_CACHE", str(tmp_path / "cache"))
    for name, mode in (("packed.tar", "w:gz"), ("plain.tar.gz", "w")):
        items = open_items(write_tar(tmp_path / name, ["a.png", "b.png"], mode))
        assert [blob.read() for blob in items.blobs["image"]] == [png(0), png(1)]
