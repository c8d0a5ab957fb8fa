"""The pictures of the html pages."""

import numpy as np
from PIL import Image

from selflabel.exports.html_pictures import PictureFiles
from tests.exports.test_context import context_of


def test_small_pictures_are_written_without_loss_under_their_row(arrays, tmp_path):
    pictures = PictureFiles(context_of(arrays), tmp_path / "pictures")
    names = pictures.write(np.array([7, 2]))
    assert names == ["000007.png", "000002.png"] and pictures.n_written == 2 and pictures.n_missing == 0
    assert Image.open(tmp_path / "pictures" / names[0]).format == "PNG"


def test_a_large_picture_is_a_jpeg(photos, tmp_path):
    file = tmp_path / "photos" / photos.paths[0]
    Image.new("RGB", (300, 200), (200, 10, 10)).save(file)
    pictures = PictureFiles(context_of(photos), tmp_path / "pictures")
    (name,) = pictures.write(np.array([0]))
    assert name == "000000.jpg" and Image.open(tmp_path / "pictures" / name).format == "JPEG"


def test_items_without_a_picture_are_counted_and_the_first_reason_is_kept(photos, tmp_path):
    for row in (1, 3):
        (tmp_path / "photos" / photos.paths[row]).unlink()
    pictures = PictureFiles(context_of(photos), tmp_path / "pictures")
    assert [bool(name) for name in pictures.write(np.arange(5))] == [True, False, True, False, True]
    assert (pictures.n_written, pictures.n_missing) == (3, 2) and "no such file" in pictures.first_missing
