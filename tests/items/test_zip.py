import io
import struct
import zipfile

import numpy as np
import pytest

from selflabel.base.errors import UserError
from selflabel.items import open_items
from tests.items.pictures import png


def write(file, members, how=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(file, "w", how) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return file


@pytest.mark.parametrize("how", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_zip_is_read_in_place_as_a_folder(tmp_path, how):
    members = {
        "set/b.png": png(1),
        "set/a.png": png(2) * 50,
        "set/a.wav": b"x" * 99,
        "__MACOSX/set/._a.png": b"x",
        "notes.txt": b"",
    }
    items = open_items(write(tmp_path / "a.zip", members, how))
    assert items.paths == ["set/a.png", "set/b.png"] and items.modalities == ("image", "audio")
    assert [blob.read() for blob in items.blobs["image"]] == [png(2) * 50, png(1)]
    assert len({blob.stamp() for blob in items.blobs["image"]}) == 2
    assert "1 hidden or system folder (__MACOSX)" in items.notes[0] and "1 .txt" in items.notes[1]


def test_members_that_cannot_be_read_are_listed(tmp_path):
    link = zipfile.ZipInfo("link.png")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a.png", png())
        archive.writestr(link, "a.png")
        archive.writestr("../evil.png", png())
        archive.writestr("b.png", png(), zipfile.ZIP_BZIP2)
        archive.writestr("inner.zip", b"x")
    items = open_items(tmp_path / "a.zip")
    reasons = dict(items.skipped)
    assert items.paths == ["a.png"] and set(reasons) == {"link.png", "../evil.png", "b.png", "inner.zip"}
    assert "link" in reasons["link.png"] and "leaves" in reasons["../evil.png"] and "method 12" in reasons["b.png"]


def test_a_member_is_never_larger_than_the_archive_says(tmp_path):
    file = write(tmp_path / "a.zip", {"a.png": bytes(1 << 24)})
    data = bytearray(file.read_bytes())
    place = data.rindex(b"PK\x01\x02")
    data[place + 24 : place + 28] = struct.pack("<I", 1000)
    file.write_bytes(data)
    with pytest.raises(OSError, match="another length"):
        open_items(file).blobs["image"][0].read()
    data[place + 24 : place + 28] = struct.pack("<I", (1 << 31) - 1)
    file.write_bytes(data)
    with pytest.raises(UserError, match=r"no images.*more than 1,073,741,824 bytes"):
        open_items(file)


def test_damaged_members_are_errors_of_their_items_and_a_cut_archive_is_a_sentence(tmp_path):
    noise = np.random.default_rng(0).bytes(4000)
    file = write(tmp_path / "a.zip", {"a.png": png() * 20, "b.png": noise})
    whole = file.read_bytes()
    items = open_items(file)
    file.write_bytes(whole[:50] + b"\xff" * 40 + whole[90:])
    with pytest.raises(OSError, match=r"damaged|length"):
        items.blobs["image"][0].read()
    assert items.blobs["image"][1].read() == noise
    file.write_bytes(whole[:2000])
    with pytest.raises(UserError, match=r"cannot be read as a .zip"):
        open_items(file)
    file.write_bytes(io.BytesIO(whole).read(0))
    with pytest.raises(UserError, match=r"cannot be read as a .zip"):
        open_items(file)
