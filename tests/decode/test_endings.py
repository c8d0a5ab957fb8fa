"""A file of every ending that is read, as Pillow and PyAV write it, is decoded."""

import av
import numpy as np
import pytest
from PIL import Image

from selflabel.decode.image import decode_square
from selflabel.decode.sound import decode_sound
from selflabel.decode.video import decode_clip
from selflabel.gallery.media import MEDIA_TYPES
from selflabel.items import ENDINGS, open_items
from selflabel.items.endings import HAS_AVIF
from tests.films import bars, tone

PICTURES = {
    ".jpe": "JPEG", ".jfif": "JPEG", ".mpo": "MPO", ".apng": "PNG", ".dib": "DIB", ".avif": "AVIF", ".jp2": "JPEG2000",
    ".j2k": "JPEG2000", ".jpf": "JPEG2000", ".jpx": "JPEG2000", ".tga": "TGA", ".ppm": "PPM", ".pgm": "PPM", ".pbm": "PPM",
    ".pnm": "PPM", ".pfm": "PPM", ".pcx": "PCX", ".dds": "DDS", ".sgi": "SGI", ".bw": "SGI", ".xbm": "XBM", ".msp": "MSP",
    ".ico": "ICO", ".icns": "ICNS", ".blp": "BLP",
}  # fmt: skip
MODES = {".xbm": "1", ".msp": "1", ".pbm": "1", ".pgm": "L", ".bw": "L", ".blp": "P", ".pfm": "F"}
SOUNDS = {
    ".opus": ("ogg", "libopus"), ".oga": ("ogg", "libopus"), ".aac": ("adts", "aac"), ".m4b": ("ipod", "aac"),
    ".wave": ("wav", "pcm_s16le"), ".aiff": ("aiff", "pcm_s16be"), ".aif": ("aiff", "pcm_s16be"),
    ".w64": ("w64", "pcm_s16le"), ".au": ("au", "pcm_s16be"), ".caf": ("caf", "pcm_s16be"), ".mp2": ("mp2", "mp2"),
    ".ac3": ("ac3", "ac3"), ".wma": ("asf", "wmav2"), ".wv": ("wv", "wavpack"), ".tta": ("tta", "tta"),
    ".mka": ("matroska", "libopus"), ".weba": ("webm", "libopus"), ".webm": ("webm", "libopus"),
}  # fmt: skip
FILMS = {
    ".mts": ("mpegts", "libx264"), ".m2ts": ("mpegts", "libx264"), ".ts": ("mpegts", "mpeg2video"),
    ".mpg": ("mpeg", "mpeg1video"), ".mpeg": ("mpeg", "mpeg2video"), ".vob": ("vob", "mpeg2video"), ".wmv": ("asf", "wmv2"),
    ".asf": ("asf", "wmv2"), ".3gp": ("3gp", "libx264"), ".3g2": ("3g2", "libx264"), ".qt": ("mov", "libx264"),
    ".divx": ("avi", "mpeg4"), ".f4v": ("f4v", "libx264"), ".m2v": ("mpeg2video", "mpeg2video"), ".mjpeg": ("mjpeg", "mjpeg"),
}  # fmt: skip


def write_sound(place, container, codec):
    with av.open(str(place), "w", format=container) as out:
        stream = out.add_stream(codec, rate=48_000)
        stream.layout, stream.bit_rate = "mono", 64_000
        wave = tone(400, 1.0, 48_000)
        frame = av.AudioFrame.from_ndarray(wave[None], format="s16", layout="mono")
        frame.sample_rate = 48_000
        queue, resampler = av.AudioFifo(), av.AudioResampler(stream.format.name, "mono", 48_000)
        for part in resampler.resample(frame):
            queue.write(part)
        while (part := queue.read(stream.frame_size or 1024, partial=True)) is not None:
            out.mux(stream.encode(part))
        out.mux(stream.encode(None))


def write_film(place, container, codec):
    with av.open(str(place), "w", format=container) as out:
        stream = out.add_stream(codec, rate=25)
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuvj420p" if codec == "mjpeg" else "yuv420p"
        for picture in bars(12, 0, np.random.default_rng(0)):
            out.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        out.mux(stream.encode(None))


@pytest.mark.parametrize("ending", sorted(PICTURES))
def test_pictures(tmp_path, ending):
    if ending == ".avif" and not HAS_AVIF:
        pytest.skip("this Pillow has no AVIF")
    place = tmp_path / f"a{ending.upper()}"
    picture = Image.fromarray(np.full((64, 64, 3), (200, 40, 40), np.uint8)).convert("RGB")
    picture.convert("L" if ending == ".pfm" else "RGB").convert(MODES.get(ending, "RGB")).save(place, PICTURES[ending])
    items = open_items(tmp_path)
    assert items.paths == [place.name]
    assert decode_square(items.blobs["image"][0].read(), 16, 3).shape == (3, 16, 16)


@pytest.mark.parametrize("ending", sorted(SOUNDS))
def test_sounds(tmp_path, ending):
    write_sound(tmp_path / f"a{ending}", *SOUNDS[ending])
    items = open_items(tmp_path)
    wave, length = decode_sound(items.blobs["audio"][0].read(), 8000, 16_000)
    assert items.paths == [f"a{ending}"] and length == 8000 and np.abs(wave).max() > 1000


@pytest.mark.parametrize("ending", sorted(FILMS))
def test_films(tmp_path, ending):
    write_film(tmp_path / f"a{ending}", *FILMS[ending])
    items = open_items(tmp_path)
    clip, length = decode_clip(items.blobs["video"][0].read(), 4, 16)
    assert clip.shape == (4, 3, 16, 16) and length > 0


def test_heic_where_the_extra_is_installed(tmp_path):
    heif = pytest.importorskip("pillow_heif")
    heif.from_pillow(Image.new("RGB", (64, 64), (200, 40, 40))).save(tmp_path / "a.HEIC")
    items = open_items(tmp_path)
    assert items.paths == ["a.HEIC"]
    assert decode_square(items.blobs["image"][0].read(), 16, 3)[0].mean() > 150


def test_every_ending_has_a_type_for_the_page_that_no_browser_runs():
    assert set(ENDINGS) <= set(MEDIA_TYPES)
    assert all(
        kind.startswith(("image/", "video/", "audio/", "application/")) and "svg" not in kind for kind in MEDIA_TYPES.values()
    )
