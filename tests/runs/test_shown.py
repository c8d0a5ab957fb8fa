"""What a run shows of pictures that are not plain 8-bit is what its networks saw: thumbnails, tiles, arrays."""

import io

import numpy as np
import pytest
from PIL import Image

from selflabel.decode.look import MediaInfo
from selflabel.decode.scale import Scale
from selflabel.items import open_items
from selflabel.runs.missing import Missing
from selflabel.runs.opening import open_source
from selflabel.runs.pictures import encode_thumbnail, tile_reader
from selflabel.runs.run import Run
from selflabel.runs.shown import ShownSource
from selflabel.runs.sources import LostSource
from selflabel.runs.writing import write_start
from tests.run_folders import write_run

GREY = np.tile(np.arange(0, 250, 8, np.uint8), (32, 1))
DEEP = np.stack([GREY, GREY[::-1], GREY.T]).astype(np.uint16) * 16


def run_over(folder, source, paths, image):
    write_run(folder, source, paths, [0, 1, 0])
    write_start(folder, {"settings": {"source": str(source)}, "worked_out": {"image": {"kind": "photo", **image}}})
    return Run(folder)


def test_thumbnails_pixels_and_tiles_are_in_the_scale_of_the_run(tmp_path):
    np.save(tmp_path / "x.npy", DEEP)
    (tmp_path / "files").mkdir()
    for i, picture in enumerate(DEEP):
        Image.fromarray(picture).save(tmp_path / "files" / f"{i}.png")
    scale = Scale(0.0, 4095.0)
    for source, paths in (("x.npy", [f"row:{i:06d}" for i in range(3)]), ("files", [f"{i}.png" for i in range(3)])):
        run = run_over(tmp_path / f"run-{source}", tmp_path / source, paths, scale.as_record())
        opened = run.source()
        assert opened.error == "" and opened.source.scale == scale
        shown = np.asarray(Image.open(io.BytesIO(encode_thumbnail(opened.source, 0))).convert("L"), int)
        assert np.abs(shown - GREY).max() <= 1
        tile = tile_reader(open_items(tmp_path / source), {"image": MediaInfo("photo", scale=scale)})(0)
        assert np.abs(np.asarray(Image.fromarray(tile).convert("L").resize((32, 32)), int) - GREY).max() <= 6
    assert np.abs(np.asarray(opened.source.scaled_picture(1), int) - GREY).max() <= 1
    values = Run(tmp_path / "run-x.npy").source().source.values(2)
    assert values.dtype == np.uint8 and np.abs(values.astype(int) - GREY.T).max() <= 1


def test_a_run_of_plain_pictures_or_of_an_older_version_has_no_scale(tmp_path):
    np.save(tmp_path / "x.npy", np.stack([GREY / 255] * 3))
    run = run_over(tmp_path / "run", tmp_path / "x.npy", [f"row:{i:06d}" for i in range(3)], {})
    source = run.source().source
    assert source.scale is None and source.scaled_picture(0) is None and np.abs(source.values(0).astype(int) - GREY).max() <= 1
    assert isinstance(run.source(str(tmp_path / "gone")).source, LostSource)
    assert (
        ShownSource.of(source, {"audio": {"rate": 384_000}}).rate == 384_000
        and ShownSource.of(source, {"image": "odd"}).scale is None
    )


def test_a_scaled_picture_that_cannot_be_read_is_missing(tmp_path):
    (tmp_path / "a.png").write_bytes(b"junk")
    with pytest.raises(Missing):
        ShownSource(open_source(tmp_path / "run", "", ["a.png"], moved_to=str(tmp_path)).source, Scale(0, 1)).scaled_picture(0)
