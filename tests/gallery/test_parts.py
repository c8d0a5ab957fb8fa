"""What the page gets of items that are pieces of files: where they are, their masks, the others of the file, the sound around."""

import io
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from selflabel.base.rle import Rle, encode
from selflabel.gallery import parts, stretch
from selflabel.gallery.mask_picture import mask_picture
from selflabel.gallery.region_picture import region_picture
from selflabel.gallery.stretch import read_stretch
from selflabel.items import Blob
from selflabel.runs.missing import Missing
from tests.films import tone, write_film
from tests.gallery.client import Client
from tests.gallery.conftest import served
from tests.gallery.pieces import BOXES, SIZE, box_run, ellipse, region_run, span_run


def test_the_picture_of_a_mask_is_its_pixels_at_any_size_of_the_photo():
    for mask, side in ((ellipse(BOXES[0]), 512), (ellipse((100, 50, 1900, 700), (2000, 800)), 1024)):
        x0, y0, x1, y1 = encode(mask).box
        picture = np.asarray(mask_picture(encode(mask)))
        h, w = picture.shape[:2]
        assert max(h, w) == side and w / h == pytest.approx((x1 - x0) / (y1 - y0), rel=0.01)
        rows = y0 + ((np.arange(h) + 0.5) * (y1 - y0) / h).astype(int)
        columns = x0 + ((np.arange(w) + 0.5) * (x1 - x0) / w).astype(int)
        assert (picture[..., 3] == 255 * mask[np.ix_(rows, columns)]).all()


@pytest.mark.parametrize("mask", [Rle(4, 4, b"13"), Rle(4, 4, b"\xff"), Rle(0, 0, b"13"), encode(np.zeros((4, 4)))])
def test_a_mask_that_is_damaged_or_empty_is_missing(mask):
    with pytest.raises(Missing, match="its mask is"):
        mask_picture(mask)


def test_a_damaged_mask_of_a_run_from_elsewhere_is_a_sentence(tmp_path):
    run = box_run(tmp_path)
    table = pq.read_table(run.file("parts.parquet"))
    masks = [b"5", *table["mask"].to_pylist()[1:]]
    at = table.schema.get_field_index("mask")
    pq.write_table(table.set_column(at, table.schema.field("mask"), [masks]), run.file("parts.parquet"))
    with served(type(run)(run.folder)) as address:
        client = Client(address)
        response, body = client.request("/media/0/mask")
        assert response.status == 404 and b"its mask is damaged" in body
        piece = client.json("/api/items/0")["piece"]
        assert piece["mask"] is None and "its mask is damaged" in piece["mask_problem"]
        assert client.request("/media/1/mask")[0].getheader("content-type") == "image/png"
        assert client.json("/api/items/1")["piece"]["mask_problem"] == ""


def test_the_picture_of_a_photos_regions_says_which_one_every_pixel_is_of(tmp_path):
    run = region_run(tmp_path)
    with served(run) as address:
        client = Client(address)
        response, body = client.request("/media/1/regions")
        assert response.getheader("content-type") == "image/png" and client.json("/api/about")["pieces"]["regions"]
    found = np.asarray(Image.open(io.BytesIO(body)))
    assert found.shape == (256, 512, 3) and (found[..., 1:] == 0).all()
    assert (found[:, :256, 0] == 1).all() and (found[:128, 256:, 0] == 2).all() and (found[128:, 256:, 0] == 3).all()
    damaged = replace(run.pieces, masks=[Rle(120, 240, b"5"), *run.pieces.masks[1:]])
    places = np.asarray(region_picture(damaged, np.arange(3)))[..., 0]
    assert set(np.unique(places)) == {0, 2, 3}
    with pytest.raises(Missing, match="too many to be drawn"):
        region_picture(run.pieces, np.zeros(3000, np.int64))


def test_an_item_says_where_it_is_and_which_others_are_in_its_file(tmp_path):
    with served(box_run(tmp_path)) as address:
        client = Client(address)
        piece = client.json("/api/items/1")["piece"]
        assert piece["pixels"] == list(BOXES[1]) and piece["size"] == list(SIZE) and piece["score"] == pytest.approx(0.4)
        assert piece["box"] == pytest.approx([150 / 240, 40 / 120, 210 / 240, 70 / 120], abs=1e-6)
        file = client.json("/api/items/1/file")
        assert file["rows"] == [0, 1, 2] and file["labels"] == [0, 0, 1] and file["total"] == 3 and file["spans"] == [None] * 3
        assert client.json("/api/items/3/file")["rows"] == [3]
        assert client.json("/api/pieces?rows=1,3")["pieces"][0] == {k: piece[k] for k in ("span", "box", "size", "score")}


def test_of_very_many_items_of_a_file_the_nearest_in_time_are_listed(tmp_path, monkeypatch):
    monkeypatch.setattr(parts, "MAX_NEAR", 4)
    with served(span_run(tmp_path)) as address:
        near = {row: Client(address).json(f"/api/items/{row}/file") for row in (0, 6, 11)}
    assert {row: file["rows"] for row, file in near.items()} == {0: [0, 1, 2, 3], 6: [4, 5, 6, 7], 11: [8, 9, 10, 11]}
    assert near[6]["total"] == 12 and near[6]["spans"][0] == [2, 2.5]


def test_a_run_of_whole_files_has_no_pieces(client):
    assert client.json("/api/about")["pieces"] is None and client.json("/api/items/3")["piece"] is None
    assert client.json("/api/pieces?rows=1,2")["pieces"] == [None, None]
    assert client.status("/media/3/mask") == 404 and "no span" in client.json("/api/items/3/sound")["problem"]


def test_the_sound_around_a_span_has_its_columns_at_their_times(tmp_path, monkeypatch):
    silence = np.zeros(32_000, np.int16)
    write_film(tmp_path / "a.wav", wave=np.concatenate([silence, tone(1000, 1.0), silence]), sound="pcm_s16le")
    whole = read_stretch(Blob(str(tmp_path / "a.wav")), (1.5, 3.5))
    assert (whole.from_s, whole.to_s, whole.length_s) == (0, 5, 5)  # as long again on both sides, within the file
    loud = np.flatnonzero(whole.high_C > 60) / len(whole.high_C) * 5
    assert loud.min() == pytest.approx(2, abs=0.02) and loud.max() == pytest.approx(3, abs=0.02)
    light = np.asarray(whole.spectrogram).sum(axis=2).max(axis=0)
    bright = np.flatnonzero(light > 500) / len(light) * 5
    assert bright.min() == pytest.approx(2, abs=0.05) and bright.max() == pytest.approx(3, abs=0.05)
    monkeypatch.setattr(stretch, "BLOCK_S", 0.7)
    in_blocks = read_stretch(Blob(str(tmp_path / "a.wav")), (1.5, 3.5))
    assert np.abs(in_blocks.high_C - whole.high_C).max() <= 8 and np.abs(in_blocks.low_C - whole.low_C).max() <= 8
    silent = read_stretch(Blob(str(tmp_path / "a.wav")), (0.5, 1.0))
    assert not silent.high_C.any() and np.asarray(silent.spectrogram).max() < 100
