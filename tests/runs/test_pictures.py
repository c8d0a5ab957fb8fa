"""Items as small pictures: of the page, and of the contact sheet."""

import io

import numpy as np
import pytest
from PIL import Image

from selflabel.decode.image import Undecodable
from selflabel.items import Blob, open_items
from selflabel.runs.missing import Missing
from selflabel.runs.opening import open_source
from selflabel.runs.pictures import (
    array_picture,
    encode_thumbnail,
    feature_picture,
    middle_frame,
    spectrogram,
    tile_reader,
)
from tests.films import bars, tone, write_film

rng = np.random.default_rng(0)


def thumbnail(folder, source, path):
    data = encode_thumbnail(open_source(folder / "run", str(source), [path], moved_to=str(source)).source, 0)
    return Image.open(io.BytesIO(data))


def test_a_photo_becomes_a_square_jpeg_and_a_small_one_stays_exact(tmp_path):
    Image.fromarray(np.full((300, 500, 3), (200, 30, 40), np.uint8)).save(tmp_path / "a.png")
    small = rng.integers(0, 255, (20, 30, 3)).astype(np.uint8)
    Image.fromarray(small).save(tmp_path / "b.png")
    photo, exact = thumbnail(tmp_path, tmp_path, "a.png"), thumbnail(tmp_path, tmp_path, "b.png")
    assert photo.size == (128, 128) and photo.format == "JPEG"
    assert np.abs(np.asarray(photo, int) - (200, 30, 40)).max() < 8
    assert exact.format == "PNG" and (np.asarray(exact) == small[:, 5:25]).all()


def test_what_cannot_be_read_is_missing_with_a_reason(tmp_path):
    (tmp_path / "a.png").write_bytes(b"junk")
    with pytest.raises(Missing, match="not an image"):
        thumbnail(tmp_path, tmp_path, "a.png")
    (tmp_path / "list.csv").write_text(f"path\n{tmp_path / 'gone.png'}\n")
    with pytest.raises(Missing, match="it cannot be read"):
        thumbnail(tmp_path, tmp_path / "list.csv", str(tmp_path / "gone.png"))


def test_arrays_and_features_are_pictures_too(tmp_path):
    assert thumbnail(tmp_path, "digits", "row:000003").size == (8, 8)
    grey, colour = array_picture(np.zeros((4, 5, 1), np.uint8)), array_picture(np.zeros((4, 5, 4), np.uint8))
    assert (grey.mode, grey.size, colour.mode) == ("L", (5, 4), "RGB")
    np.save(tmp_path / "x.npy", np.arange(18.0).reshape(2, 9))
    assert thumbnail(tmp_path, tmp_path / "x.npy", "row:000001").size == (128, 128)
    light = np.asarray(feature_picture(np.arange(9.0)).convert("L"), int)[21::42, 21::42]
    assert (np.diff(light.ravel()) > 0).all()  # the larger the lighter
    dark = np.asarray(feature_picture(np.ones(3)))
    assert (dark == dark[0, 0]).all()


def test_a_film_is_its_middle_frame(tmp_path):
    frames = np.stack([np.full((32, 32, 3), 8 * i, np.uint8) for i in range(30)])
    file = write_film(tmp_path / "a.mp4", frames)
    picture = middle_frame(Blob(str(file)))
    assert picture.size == (128, 128) and abs(np.asarray(picture).mean() - 80) < 16
    assert thumbnail(tmp_path, tmp_path, "a.mp4").size == (128, 128)


def test_a_spectrogram_has_pitch_upwards_and_silence_is_dark(tmp_path):
    heights = []
    for hertz in (300, 1500, 6000):
        file = write_film(tmp_path / "a.wav", wave=tone(hertz, 1.0), sound="pcm_s16le")
        light = np.asarray(spectrogram(Blob(str(file))).convert("L"), int).mean(axis=1)
        heights.append(128 - int(light.argmax()))
    assert heights == sorted(heights) and heights[2] - heights[0] > 40
    silent = write_film(tmp_path / "b.mkv", bars(8, 0, rng), np.zeros(16_000, np.int16), sound="flac")
    assert len(np.unique(np.asarray(spectrogram(Blob(str(silent)))).reshape(-1, 3), axis=0)) == 1


def test_tiles_of_images_arrays_and_features(tmp_path):
    pixels = rng.integers(0, 255, (3, 6, 6, 1)).astype(np.uint8)
    assert (tile_reader(open_items(pixels))(1) == pixels[1, :, :, 0]).all()
    assert tile_reader(open_items(np.ones((3, 2)))) is None
    Image.fromarray(np.full((200, 300), 90, np.uint8)).save(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(b"junk")
    tile = tile_reader(open_items(tmp_path))
    assert tile(0).shape == (96, 96, 3) and (tile(0) == 90).all()
    with pytest.raises(Undecodable):
        tile(1)


def test_tiles_of_films_have_a_strip_of_sound_below(tmp_path):
    write_film(tmp_path / "a.mp4", bars(10, 0, rng), tone(440, 1.0))
    write_film(tmp_path / "b.mp4", bars(10, 0, rng))
    (tmp_path / "c.mp4").write_bytes(b"junk")
    write_film(tmp_path / "d.wav", wave=tone(440, 1.0), sound="pcm_s16le")
    items = open_items(tmp_path)
    assert items.paths == ["a.mp4", "b.mp4", "c.mp4", "d.wav"]
    tile = tile_reader(items)
    frame, strip = (np.asarray(f(items.blobs[m][0])) for f, m in ((middle_frame, "video"), (spectrogram, "audio")))
    assert tile(0).shape == (128 + 42, 128, 3) and (tile(0)[:128] == frame).all()
    assert (tile(3) == np.asarray(spectrogram(items.blobs["audio"][3]))).all() and strip.shape == (128, 128, 3)
    assert (tile(2) == 255).all() and tile(2).shape == (96, 96, 3)


def test_an_item_without_the_image_is_white(tmp_path):
    Image.new("L", (9, 9)).save(tmp_path / "a.png")
    write_film(tmp_path / "a.wav", wave=tone(440, 0.3), sound="pcm_s16le")
    write_film(tmp_path / "b.wav", wave=tone(440, 0.3), sound="pcm_s16le")
    tile = tile_reader(open_items(tmp_path))
    assert (tile(1) == 255).all() and (tile(0) == 0).all()
