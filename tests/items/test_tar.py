import io
import tarfile

import pytest

from selflabel.base.errors import UserError
from selflabel.items import open_items, tar_shards
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
        listed = [(m.name, m.offset_data, m.size) for m in tar if m.isfile()]
    assert [(m.name, m.offset_data, m.size) for m in tar_members(file)] == listed and len(listed) == 5
    assert [blob.read() for blob in open_items(file).blobs["image"]] == [png(i) for i in range(5)]


def test_a_truncated_tar_and_a_missing_shard_are_errors(tmp_path):
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        add(tar, "a.png", png())
        add(tar, "b.png", png() * 100)
    (tmp_path / "a.tar").write_bytes((tmp_path / "a.tar").read_bytes()[:1700])
    with pytest.raises(UserError, match="uncompressed tar"):
        open_items(tmp_path / "a.tar")
    with pytest.raises(UserError, match="no such tar shard"):
        tar_shards(str(tmp_path / "b-{0..3}.tar"))
    assert tar_shards("photos") == []
