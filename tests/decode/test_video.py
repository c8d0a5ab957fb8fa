import struct

import av
import numpy as np
import pytest

from selflabel.decode.image import Undecodable
from selflabel.decode.sound import decode_sound
from selflabel.decode.video import (
    Schedule,
    decode_clip,
    decode_frames,
    frames_on_schedule,
    media_input,
    middle_square,
    open_media,
    schedule_of,
    seconds_of,
    size_and_seconds,
)
from selflabel.items import Blob
from tests.films import bars, grey_film, tone, write_film

rng = np.random.default_rng(0)


CONTAINERS = [
    ("mp4", "mpeg4", "aac"),
    ("mov", "mpeg4", "aac"),
    ("mkv", "mpeg4", "flac"),
    ("avi", "mpeg4", "mp3"),
    ("flv", "flv1", "mp3"),
    ("webm", "libvpx", "libopus"),
]


@pytest.mark.parametrize(("ending", "codec", "sound"), CONTAINERS)
def test_every_container_gives_frames_and_sound(ending, codec, sound, tmp_path):
    rate = 48_000 if sound == "libopus" else 44_100 if ending == "flv" else 16_000
    frames, wave = bars(20, 0, rng), tone(440, 2.0, rate)
    file = write_film(tmp_path / f"a.{ending}", frames, wave, codec=codec, sound=sound, rate=rate)
    clip, n = decode_clip(str(file), 8, 32)
    assert clip.shape == (8, 3, 32, 32) and n == 8
    bar = [int(picture[0].mean(axis=0).argmax()) for picture in clip]
    assert len(set(bar)) > 4  # it moves
    samples, m = decode_sound(str(file), 16_000)
    assert samples.shape == (16_000,) and m == 16_000
    spectrum = np.abs(np.fft.rfft(samples.astype(float)))
    assert abs(int(spectrum[20:].argmax()) + 20 - 440) < 8


@pytest.mark.parametrize(("ending", "codec"), [("mp4", "libx264"), ("mkv", "libx264"), ("avi", "libx264"), ("mp4", "mpeg4")])
@pytest.mark.parametrize("frames", [7, 30])
def test_frames_that_are_passed_over_change_none_that_is_kept(ending, codec, frames, tmp_path):
    film = rng.integers(0, 255, (8, 6, 8, 3), np.uint8).repeat(30, 0).repeat(8, 1).repeat(8, 2)
    film[np.arange(240), np.arange(240) % 48] = 255
    file = write_film(tmp_path / f"a.{ending}", film, fps=20, codec=codec)  # 12 s, of which 10 are shown
    plain, due = [], 1.0
    with open_media(str(file)) as container:
        container.seek(1_000_000, backward=True)
        for frame in container.decode(video=0):
            if frame.time + 1e-6 >= due and len(plain) < frames:
                plain.append(middle_square(frame, 16, av.video.reformatter.VideoReformatter()))
                due += 10.0 / frames
    clip, n = decode_clip(str(file), frames, 16)
    assert n == frames and np.array_equal(clip, np.stack(plain))
    with open_media(str(file)) as container:
        made = sum(1 for _ in decode_frames(container, container.streams.video[0], Schedule(0.0, 1.0, 10)))
    assert (made < 150) == (codec == "libx264" and ending != "avi")  # the others have no frame that none is made from, or hide it


def test_frames_lie_evenly_over_the_film_and_short_ones_loop(tmp_path):
    frames = np.stack([np.full((32, 32, 3), 10 * i, np.uint8) for i in range(20)])
    file = write_film(tmp_path / "a.mp4", frames)
    levels = decode_clip(str(file), 5, 16)[0].mean(axis=(1, 2, 3))
    assert np.abs(levels - np.array([0, 40, 80, 120, 160])).max() < 12
    clip, n = decode_clip(str(write_film(tmp_path / "b.mp4", frames[:3])), 8, 16)
    assert n == 3 and np.array_equal(clip[0], clip[3]) and np.array_equal(clip[2], clip[5])


def test_frames_of_a_variable_rate_are_taken_by_their_times(tmp_path):
    times = [*np.arange(0, 1, 0.05), *np.arange(1, 4, 0.5)]  # twenty a second, then two
    levels = [round(10 + 50 * t) for t in times]
    file = str(grey_film(tmp_path / "a.mkv", levels, times))
    clip, n = decode_clip(file, 7, 16)
    with open_media(file) as container:
        due = np.arange(7) * seconds_of(container, container.streams.video[0]) / 7
    expected = np.array(levels)[np.searchsorted(times, due - 1e-6)]
    assert n == 7 and np.abs(clip.mean(axis=(1, 2, 3)) - expected).max() < 4


def test_a_tall_film_keeps_its_middle_square(tmp_path):
    tall = np.full((10, 96, 48, 3), 20, np.uint8)
    tall[:, 24:72] = 200
    clip, _ = decode_clip(str(write_film(tmp_path / "a.mp4", tall)), 4, 24)
    assert clip.mean() > 180


TURNS = {0: (1, 0, 0, 1), 90: (0, 1, -1, 0), 180: (-1, 0, 0, -1), 270: (0, -1, 1, 0)}  # clockwise, as a telephone writes it


@pytest.mark.parametrize("degrees", TURNS)
def test_a_film_that_was_filmed_on_its_side_stands_upright(degrees, tmp_path):
    film = np.full((10, 48, 64, 3), 20, np.uint8)
    film[:, :24, :32] = 220  # the top left quarter
    plain = write_film(tmp_path / "a.mp4", film).read_bytes()
    matrix = plain.index(struct.pack(">9i", 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30), plain.index(b"tkhd"))
    a, b, c, d = (x << 16 for x in TURNS[degrees])
    turned = plain[:matrix] + struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30) + plain[matrix + 36 :]
    clip, _ = decode_clip(turned, 4, 16)
    quarters = clip[0].mean(axis=0).reshape(2, 8, 2, 8).mean(axis=(1, 3))
    assert quarters.argmax() == {0: 0, 90: 1, 180: 3, 270: 2}[degrees] and quarters.max() > 150


def test_a_missing_track_is_no_error_and_a_broken_file_is(tmp_path):
    mute = write_film(tmp_path / "mute.mp4", bars(8, 0, rng))
    assert decode_sound(str(mute), 100)[1] == 0
    silent = write_film(tmp_path / "silent.mp4", bars(8, 0, rng), np.zeros(16_000, np.int16))
    assert decode_sound(str(silent), 100)[1] == 0
    with pytest.raises(Undecodable, match="no picture"):
        decode_clip(str(write_film(tmp_path / "a.wav", wave=tone(300, 1), sound="pcm_s16le")), 4, 16)
    for junk in (b"", b"this is no film" * 50):
        with pytest.raises(Undecodable):
            decode_clip(junk, 4, 16)
        with pytest.raises(Undecodable):
            decode_sound(junk, 100)


def test_a_truncated_tail_costs_only_the_tail(tmp_path):
    whole = write_film(tmp_path / "a.mkv", bars(60, 0, rng), tone(440, 6.0)).read_bytes()
    clip, n = decode_clip(whole[: len(whole) * 2 // 3], 8, 16)
    assert n >= 4 and clip.shape == (8, 3, 16, 16)
    assert decode_sound(whole[: len(whole) * 2 // 3], 16_000)[1] == 16_000


def test_a_schedule_lies_around_the_middle_of_a_film():
    assert schedule_of(4.0, 8, 0) == Schedule(0.0, 0.5, 8)
    assert schedule_of(30.0, 10, 0) == Schedule(10.0, 1.0, 10)
    assert schedule_of(4.0, 10, 5) == Schedule(1.0, 0.2, 10)
    assert schedule_of(0.0, 8, 0) == Schedule(0.0, 0.0, 8)


def test_frames_are_the_first_at_or_after_their_time_and_the_last_is_kept():
    film = [(i / 10, i) for i in range(10)]
    assert list(frames_on_schedule(film, Schedule(0.0, 0.25, 4))) == [0, 3, 5, 8]
    assert list(frames_on_schedule(film, Schedule(0.3, 0.0, 3))) == [3, 4, 5]
    assert list(frames_on_schedule(film, Schedule(0.0, 0.8, 3))) == [0, 8, 9]
    assert list(frames_on_schedule([(None, "a"), (None, "b")], Schedule(5.0, 1.0, 9))) == ["a", "b"]
    assert list(frames_on_schedule([], Schedule(0.0, 1.0, 3))) == []


def test_a_file_is_opened_by_its_name_and_a_span_of_a_tar_by_its_bytes(tmp_path):
    film = write_film(tmp_path / "a.mkv", bars(8, 0, rng))
    (tmp_path / "a.tar").write_bytes(b"header" + film.read_bytes() + b"end")
    (tmp_path / "empty.mkv").touch()
    span = Blob(str(tmp_path / "a.tar"), 6, film.stat().st_size)
    assert media_input(Blob(str(film))) == str(film) and media_input(span) == film.read_bytes()
    assert media_input(Blob(str(tmp_path / "empty.mkv"))) == b""
    assert (decode_clip(media_input(span), 4, 16)[0] == decode_clip(str(film), 4, 16)[0]).all()


def test_size_and_length_are_those_that_the_file_states(tmp_path):
    size, seconds = size_and_seconds(Blob(str(write_film(tmp_path / "a.mp4", bars(20, 0, rng)))))
    assert size == 48 and seconds == pytest.approx(2.0, abs=0.1)
    assert size_and_seconds(Blob(str(write_film(tmp_path / "a.wav", wave=tone(300, 1), sound="pcm_s16le")))) is None
    assert size_and_seconds(Blob(str(tmp_path / "gone.mp4"))) is None
