import numpy as np

from selflabel.decode.cache import decoded_items
from selflabel.decode.formats import DecodedFormat
from selflabel.items import Blob, from_folder
from tests.films import bars, tone, write_film, write_set
from tests.items.pictures import png

rng = np.random.default_rng(0)


def test_one_bad_film_is_skipped_and_one_without_sound_is_kept(tmp_path):
    write_set(tmp_path / "films", n=5)
    (tmp_path / "films" / "bad.mp4").write_bytes(b"junk")
    write_film(tmp_path / "films" / "mute.mp4", bars(8, 0, rng))
    items = from_folder(tmp_path / "films")
    assert items.modalities == ("video", "audio")
    clips = decoded_items(items.blobs["video"], DecodedFormat("clip", (8, 3, 24, 24)), tmp_path / "cache")
    sounds = decoded_items(items.blobs["audio"], DecodedFormat("sound", (8000,), 16_000), tmp_path / "cache")
    assert [items.paths[i] for i in clips.errors] == ["bad.mp4"]
    assert (clips.lengths > 0).tolist() == [True] * 5 + [False, True]
    assert (sounds.lengths > 0).tolist() == [True] * 5 + [False, False] and list(sounds.errors) == [5]
    again = decoded_items(items.blobs["video"], DecodedFormat("clip", (8, 3, 24, 24)), tmp_path / "cache")
    assert again.n_decoded == 0 and np.array_equal(again.items, clips.items)


def test_a_format_has_the_name_that_version_0_1_0_gave_it():
    assert DecodedFormat("image", (3, 8, 8)).stored_name == "Form(kind='image', shape=(3, 8, 8), rate=0)"
    assert DecodedFormat("sound", (8000,), 16_000).stored_name == "Form(kind='sound', shape=(8000,), rate=16000)"


def test_every_kind_decodes_to_its_shape_and_type(tmp_path):
    film = write_film(tmp_path / "a.mp4", bars(8, 0, rng), tone(440, 0.8))
    (tmp_path / "a.png").write_bytes(png(9))
    for target, file, length in [
        (DecodedFormat("image", (3, 8, 8)), tmp_path / "a.png", 1),
        (DecodedFormat("clip", (4, 3, 16, 16)), film, 4),
        (DecodedFormat("sound", (800,), 8000), film, 800),
    ]:
        item, n, _ = target.decode(Blob(str(file)))
        assert item.shape == target.shape and item.dtype == target.dtype and item.nbytes == target.nbytes and n == length
