"""Films that are not as their headers say, and frames that show nothing."""

import io
from fractions import Fraction

import av
import numpy as np
import pytest
from av.stream import Disposition
from PIL import Image

from selflabel.decode.image import Undecodable
from selflabel.decode.sound import decode_sound
from selflabel.decode.video import decode_clip, measured_seconds, size_and_seconds
from selflabel.items import Blob
from selflabel.runs.pictures import middle_frame
from tests.films import bars, tone, write_film

rng = np.random.default_rng(0)


def film(path, pictures, fps=10, codec="libx264", start_s=0.0, pixels="yuv420p", **options):
    with av.open(str(path), "w", **options) as out:
        stream = out.add_stream(codec, rate=fps)
        stream.height, stream.width, stream.pix_fmt = pictures.shape[1], pictures.shape[2], pixels
        for i, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = i + round(start_s * fps), Fraction(1, fps)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return str(path)


def with_cover(path, pictures=None, wave=None, cover_first=True, marked=False):
    """An .mkv or .mp4 with a yellow cover picture as a stream of one packet, before or behind the others."""
    jpeg = io.BytesIO()
    Image.new("RGB", (64, 64), "yellow").save(jpeg, "JPEG")
    with av.open(str(path), "w") as out:

        def add_cover():
            stream = out.add_stream("mjpeg", rate=1)
            stream.width, stream.height, stream.pix_fmt = 64, 64, "yuvj420p"
            if marked:
                stream.disposition = Disposition.attached_pic
            return stream

        cover = add_cover() if cover_first else None
        video = out.add_stream("libx264", rate=10) if pictures is not None else None
        if video is not None:
            video.height, video.width, video.pix_fmt = *pictures.shape[1:3], "yuv420p"
        audio = out.add_stream("aac", rate=16_000, layout="mono") if wave is not None else None
        cover = cover or add_cover()
        out.start_encoding()
        packet = av.Packet(jpeg.getvalue())
        packet.stream, packet.pts, packet.dts, packet.time_base = cover, 0, 0, Fraction(1, 1000)
        out.mux(packet)
        for picture in pictures if video is not None else ():
            out.mux(video.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        if video is not None:
            out.mux(video.encode(None))
        for at in range(0, len(wave) if audio is not None else 0, 1024):
            frame = av.AudioFrame.from_ndarray(wave[None, at : at + 1024], format="s16", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = 16_000, at, Fraction(1, 16_000)
            out.mux(audio.encode(frame))
        if audio is not None:
            out.mux(audio.encode(None))
    return str(path)


def moves(clip):
    return len({picture.tobytes() for picture in clip}) > len(clip) // 2


@pytest.mark.parametrize("cover_first", [True, False])
@pytest.mark.parametrize("ending", ["mkv", "mp4"])
def test_the_cover_picture_is_not_the_film(cover_first, ending, tmp_path):
    file = with_cover(tmp_path / f"a.{ending}", bars(20, 1, rng), cover_first=cover_first, marked=ending == "mp4")
    clip, n = decode_clip(file, 8, 32)
    assert n == 8 and moves(clip) and clip[:, 2].mean() > 20  # yellow has no blue
    assert size_and_seconds(Blob(file))[0] == 48


@pytest.mark.parametrize("ending", ["mkv", "mp4"])
def test_a_sound_with_a_cover_picture_is_a_sound(ending, tmp_path):
    file = with_cover(tmp_path / f"a.{ending}", wave=tone(440, 2.0), marked=ending == "mp4")
    with pytest.raises(Undecodable, match=r"no picture|no film"):
        decode_clip(file, 8, 32)
    assert decode_sound(file, 16_000)[1] == 16_000


@pytest.mark.parametrize("ending", ["mp4", "mkv", "ts"])
@pytest.mark.parametrize("seconds", [3, 30])
def test_times_may_start_at_hour_ten(ending, seconds, tmp_path):
    pictures = np.stack([np.full((32, 32, 3), 20 + 200 * i // (5 * seconds), np.uint8) for i in range(5 * seconds)])
    pictures[:, :8] = 255
    early = decode_clip(film(tmp_path / f"a.{ending}", pictures, fps=5), 8, 16)[0]
    late = film(tmp_path / f"b.{ending}", pictures, fps=5, start_s=36_000)
    clip, n = decode_clip(late, 8, 16)
    off = np.abs(clip.mean(axis=(1, 2, 3)) - early.mean(axis=(1, 2, 3))).max()
    assert n == 8 and off < (25 if ending == "ts" else 6)  # a transport stream has no index of its key frames
    assert size_and_seconds(Blob(late))[1] == pytest.approx(seconds, abs=0.5)


def test_sounds_may_start_at_hour_ten(tmp_path):
    wave = np.concatenate([tone(hertz, 20) for hertz in (300, 700, 1500)])
    with av.open(str(tmp_path / "a.mkv"), "w") as out:
        stream = out.add_stream("flac", rate=16_000, layout="mono")
        for at in range(0, len(wave), 1024):
            frame = av.AudioFrame.from_ndarray(wave[None, at : at + 1024], format="s16", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = 16_000, at + 36_000 * 16_000, Fraction(1, 16_000)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    middle, length = decode_sound(str(tmp_path / "a.mkv"), 32_000)
    assert length == 32_000 and np.abs(np.fft.rfft(middle.astype(float))).argmax() / 2 == pytest.approx(700, abs=5)


UNSTATED = {
    "h264": ("libx264", {"format": "h264"}),
    "webm": ("libvpx", {"format": "webm", "options": {"live": "1"}}),
    "mp4": ("libx264", {"options": {"movflags": "frag_keyframe+empty_moov"}}),
}


@pytest.mark.parametrize("ending", UNSTATED)
def test_a_film_without_a_stated_length_is_measured(ending, tmp_path):
    codec, options = UNSTATED[ending]
    pictures = np.stack([np.full((32, 32, 3), 20 + 2 * i, np.uint8) for i in range(100)])
    pictures[:, :8] = 255
    clip, n = decode_clip(film(tmp_path / f"a.{ending}", pictures, codec=codec, **options), 8, 16)
    levels = clip[:, :, 8:].mean(axis=(1, 2, 3))
    assert n == 8 and (np.diff(levels) > 8).all() and levels[-1] > 150  # evenly to the end, not only the beginning


def test_a_wrong_length_is_measured(tmp_path):
    pictures = bars(40, 1, rng)
    plain = film(tmp_path / "a.mkv", pictures)
    data = (tmp_path / "a.mkv").read_bytes()
    expected = decode_clip(plain, 8, 16)[0]
    tag = b"\x44\x89\x88"  # Matroska's Duration, in milliseconds
    at = data.index(tag) + 3
    for milliseconds in (36_000_000.0, 100.0):
        wrong = data[:at] + np.array(milliseconds, ">f8").tobytes() + data[at + 8 :]
        clip, n = decode_clip(wrong, 8, 16)
        assert n == 8 and np.array_equal(clip, expected)
    wave = tone(440, 6.0)
    write_film(tmp_path / "b.mkv", wave=wave, sound="flac")
    data = (tmp_path / "b.mkv").read_bytes()
    at = data.index(tag) + 3
    for milliseconds in (36_000_000.0, 100.0):
        wrong = data[:at] + np.array(milliseconds, ">f8").tobytes() + data[at + 8 :]
        assert decode_sound(wrong, 16_000)[1] == 16_000


def test_sounds_without_a_length_give_their_middle(tmp_path):
    wave = np.concatenate([tone(hertz, 10) for hertz in (300, 700, 1500)])
    file = str(write_film(tmp_path / "a.aac", wave=wave, sound="aac"))
    middle, length = decode_sound(file, 16_000)
    assert length == 16_000 and np.abs(np.fft.rfft(middle.astype(float))).argmax() == pytest.approx(700, abs=8)
    assert measured_seconds(file, "audio") == pytest.approx(30, abs=1)


def test_a_film_that_is_blank_but_for_a_moment_shows_the_moment(tmp_path):
    for seconds, shown in ((4, slice(12, 18)), (30, slice(0, 40))):  # the frames that are due miss it
        pictures = np.zeros((10 * seconds, 48, 64, 3), np.uint8)
        pictures[shown] = bars(shown.stop - shown.start, 0, rng)
        file = film(tmp_path / f"{seconds}.mp4", pictures)
        clip, n = decode_clip(file, 3, 32)
        assert n >= 1 and clip.std(axis=(1, 2, 3)).max() > 10
        assert np.asarray(middle_frame(Blob(file))).std() > 10
    black = film(tmp_path / "black.mp4", np.zeros((20, 48, 64, 3), np.uint8))
    assert decode_clip(black, 4, 16)[1] == 4


@pytest.mark.parametrize(
    ("ending", "codec", "pixels", "size"),
    [
        ("mp4", "libx264", "yuv420p10le", (48, 64)),
        ("mp4", "libx264", "yuv444p", (47, 63)),
        ("mkv", "libvpx-vp9", "yuva420p", (48, 64)),
        ("mkv", "ffv1", "gray16le", (48, 64)),
        ("mkv", "ffv1", "bgra", (31, 33)),
        ("avi", "mjpeg", "yuvj420p", (48, 64)),
    ],
)
def test_films_of_any_depth_and_size_decode(ending, codec, pixels, size, tmp_path):
    file = film(tmp_path / f"a.{ending}", bars(20, 1, rng, size), codec=codec, pixels=pixels)
    clip, n = decode_clip(file, 8, 24)
    assert n == 8 and moves(clip) and clip.max() > 120


def test_an_unknown_codec_is_a_sentence(tmp_path):
    film(tmp_path / "a.mp4", bars(8, 0, rng))
    data = (tmp_path / "a.mp4").read_bytes().replace(b"avc1", b"qqqq").replace(b"avcC", b"qqqC")
    with pytest.raises(Undecodable, match="codec that is not known"):
        decode_clip(data, 4, 16)
