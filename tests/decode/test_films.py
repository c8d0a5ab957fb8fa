import signal
import struct
from fractions import Fraction

import av
import numpy as np
import pytest
import torch

from selflabel.base.settings import make_settings
from selflabel.decode import sound as sound_module
from selflabel.decode.cache import Form, decoded_items
from selflabel.decode.image import Undecodable
from selflabel.decode.look import look_at
from selflabel.decode.sound import decode_sound
from selflabel.decode.video import decode_clip, open_media, pictures, seconds_of, square
from selflabel.items import from_folder
from selflabel.jobs.prepare import Notices, prepare
from selflabel.training.distributed import Ranks
from selflabel.views import PRESETS, key_of, show_clip, show_sound
from selflabel.views.sound import MELS, log_mel, mel_filters
from tests.films import RATE, bars, tone, write_film, write_set

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
    heard, m = decode_sound(str(file), 16_000)
    assert heard.shape == (16_000,) and m == 16_000
    spectrum = np.abs(np.fft.rfft(heard.astype(float)))
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
                plain.append(square(frame, 16, av.video.reformatter.VideoReformatter()))
                due += 10.0 / frames
    clip, n = decode_clip(str(file), frames, 16)
    assert n == frames and np.array_equal(clip, np.stack(plain))
    with open_media(str(file)) as container:
        made = sum(1 for _ in pictures(container, container.streams.video[0], 0.0, 1.0, 10))
    assert (made < 150) == (codec == "libx264" and ending != "avi")  # the others have no frame that none is made from, or hide it


def test_frames_lie_evenly_over_the_film_and_short_ones_loop(tmp_path):
    frames = np.stack([np.full((32, 32, 3), 10 * i, np.uint8) for i in range(20)])
    file = write_film(tmp_path / "a.mp4", frames)
    levels = decode_clip(str(file), 5, 16)[0].mean(axis=(1, 2, 3))
    assert np.abs(levels - np.array([0, 40, 80, 120, 160])).max() < 12
    clip, n = decode_clip(str(write_film(tmp_path / "b.mp4", frames[:3])), 8, 16)
    assert n == 3 and np.array_equal(clip[0], clip[3]) and np.array_equal(clip[2], clip[5])


def grey_film(path, levels, times_s):
    """A film of plain frames, each shown at its own time."""
    with av.open(str(path), "w") as out:
        stream = out.add_stream("mpeg4", rate=25)
        stream.height, stream.width, stream.pix_fmt = 32, 32, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        for level, at in zip(levels, times_s):
            frame = av.VideoFrame.from_ndarray(np.full((32, 32, 3), level, np.uint8), format="rgb24")
            frame.pts, frame.time_base = round(1000 * at), Fraction(1, 1000)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


def test_frames_of_a_variable_rate_are_taken_by_their_times(tmp_path):
    times = [*np.arange(0, 1, 0.05), *np.arange(1, 4, 0.5)]  # twenty a second, then two
    levels = [round(10 + 50 * t) for t in times]
    file = str(grey_film(tmp_path / "a.mkv", levels, times))
    clip, n = decode_clip(file, 7, 16)
    with open_media(file) as container:
        due = np.arange(7) * seconds_of(container, container.streams.video[0]) / 7
    expected = np.array(levels)[np.searchsorted(times, due - 1e-6)]
    assert n == 7 and np.abs(clip.mean(axis=(1, 2, 3)) - expected).max() < 4


def test_frames_at_a_chosen_rate_lie_around_the_middle_and_a_view_takes_those_that_follow(tmp_path):
    times = np.arange(0, 4, 0.1)
    file = str(grey_film(tmp_path / "a.mkv", [round(10 + 50 * t) for t in times], times))
    clip, n = decode_clip(file, 10, 16, fps=5)  # two seconds of four
    levels = clip.mean(axis=(1, 2, 3))
    assert n == 10 and np.abs(levels - (10 + 50 * (1 + 0.2 * np.arange(10)))).max() < 8
    assert decode_clip(file, 100, 16, fps=5)[1] in (20, 21)  # then it loops; the last frame is never left out
    clips, rows, lengths = torch.from_numpy(clip)[None].expand(64, -1, -1, -1, -1), torch.arange(64), torch.full((64,), 10)
    still = show_clip(clips, PRESETS["centre"], 0, rows, shown=4, lengths=lengths)
    assert np.abs(255 * still[0].mean(dim=(0, 2, 3)).numpy() - levels[3:7]).max() < 1
    seen = 255 * show_clip(clips, PRESETS["selavi"], key_of(1), rows, shown=4, lengths=lengths).mean(dim=(1, 3, 4)).numpy()
    assert np.abs(np.diff(seen, axis=1) - 10).max() < 6 and len(np.unique(seen[:, 0].round(-1))) > 5  # from any start


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


def test_what_is_missing_is_told_from_what_is_broken(tmp_path):
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


def test_one_bad_film_is_skipped_and_one_without_sound_is_kept(tmp_path):
    write_set(tmp_path / "films", n=5)
    (tmp_path / "films" / "bad.mp4").write_bytes(b"junk")
    write_film(tmp_path / "films" / "mute.mp4", bars(8, 0, rng))
    items = from_folder(tmp_path / "films")
    assert items.modalities == ("video", "audio")
    clips = decoded_items(items.blobs["video"], Form("clip", (8, 3, 24, 24)), tmp_path / "cache")
    sounds = decoded_items(items.blobs["audio"], Form("sound", (8000,), 16_000), tmp_path / "cache")
    assert [items.paths[i] for i in clips.bad] == ["bad.mp4"]
    assert (clips.lengths > 0).tolist() == [True] * 5 + [False, True]
    assert (sounds.lengths > 0).tolist() == [True] * 5 + [False, False] and list(sounds.bad) == [5]
    again = decoded_items(items.blobs["video"], Form("clip", (8, 3, 24, 24)), tmp_path / "cache")
    assert again.decoded == 0 and np.array_equal(again.items, clips.items)


def hangs(blob):
    import time

    time.sleep(30)


class Hanging(Form):
    """A form whose decoder hangs on one file, in C as it were: no Python signal handler is heard."""

    def decode(self, blob):
        if blob.file.endswith("002.mp4"):
            signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
            hangs(blob)
        return super().decode(blob)


@pytest.mark.skipif(not hasattr(signal, "alarm"), reason="the system has no alarm")
@pytest.mark.parametrize("ending", ["mp4", "mkv", "wav", "flac", "mp3"])
def test_of_a_long_sound_only_the_middle_is_decoded(ending, tmp_path, monkeypatch):
    wave = np.concatenate([tone(hertz, 20) for hertz in (300, 700, 1500)])
    codec = {"wav": "pcm_s16le", "flac": "flac", "mp3": "libmp3lame"}.get(ending, "aac")
    file = write_film(tmp_path / f"x.{ending}", None, wave, sound=codec)
    read, real = [], sound_module.decoded
    monkeypatch.setattr(sound_module, "decoded", lambda *given: read.append(real(*given)) or read[-1])
    middle, length = decode_sound(str(file), 2 * RATE, RATE)
    assert length == 2 * RATE and len(read[0]) == 2 * RATE
    loudest = np.abs(np.fft.rfft(middle.astype(float))).argmax() / 2
    assert loudest == pytest.approx(700, abs=5)


def test_a_bad_film_leaves_the_others_where_they_are_in_the_store(tmp_path):
    """No copy of the whole set for the sake of one broken item."""
    write_set(tmp_path / "films", n=5, seconds=0.3)
    settings = {"device": "cpu", "cache": str(tmp_path / "cache")}
    clean = prepare(make_settings(source=str(tmp_path / "films"), **settings), torch.device("cpu"), Notices(), most=2)
    wanted = clean.data(torch.device("cpu"), Ranks(), 0)
    (tmp_path / "films" / "0000-bad.mp4").write_bytes(b"junk")
    made = prepare(make_settings(source=str(tmp_path / "films"), **settings), torch.device("cpu"), Notices(), most=2)
    data, rows = made.data(torch.device("cpu"), Ranks(), 0), torch.tensor([4, 0, 2])
    assert made.items.paths == clean.items.paths and data.n_items == 5
    for m in ("video", "audio"):
        assert isinstance(made.parts[m].tensor, np.memmap) and len(made.parts[m].tensor) == 6
        assert torch.equal(data.rows(m, rows), wanted.rows(m, rows)) and torch.equal(data.lengths[m], wanted.lengths[m])


def test_a_decoder_that_hangs_loses_one_item(tmp_path):
    write_set(tmp_path / "films", n=20, seconds=0.3)
    items = from_folder(tmp_path / "films")
    store = decoded_items(items.blobs["video"], Hanging("clip", (4, 3, 16, 16)), tmp_path / "cache", workers=1, most_s=3)
    assert list(store.bad) == [2] and "took over" in store.bad[2]
    assert (store.lengths > 0).tolist() == [i != 2 for i in range(20)]


def test_files_that_share_a_stem_are_one_item_and_strangers_are_skipped(tmp_path):
    from PIL import Image

    for i in range(3):
        Image.fromarray(np.full((8, 8), 40 * i, np.uint8)).save(tmp_path / f"{i}.png")
        write_film(tmp_path / f"{i}.wav", wave=tone(300, 0.2), sound="pcm_s16le")
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / "lonely.png")
    write_film(tmp_path / "film.mkv", bars(4, 0, rng))
    items = from_folder(tmp_path)
    assert items.modalities == ("image", "audio") and items.paths == ["0.png", "1.png", "2.png", "film.mkv", "lonely.png"]
    assert items.blobs["audio"][4] is None and items.blobs["image"][3] is None


def test_a_look_says_how_long_and_how_fine(tmp_path):
    write_set(tmp_path / "films", n=3, seconds=1.5)
    items = from_folder(tmp_path / "films")
    seen, heard = look_at(items, "video"), look_at(items, "audio")
    assert seen.kind == "video" and seen.short_px == 48 and seen.seconds == pytest.approx(1.5, abs=0.2)
    assert heard.kind == "spoken" and heard.rate == 16_000 and heard.seconds == pytest.approx(1.5, abs=0.2)


def test_a_view_of_a_film_moves_but_its_colours_and_frame_do_not():
    clips = torch.randint(0, 255, (1, 1, 3, 24, 24), dtype=torch.uint8).expand(2, 16, 3, 24, 24)
    seen = show_clip(clips, PRESETS["video"], key_of(3), torch.tensor([0, 1]), 16)
    assert seen.shape == (2, 3, 8, 16, 16)
    assert torch.allclose(seen[:, :, :1].expand_as(seen), seen, atol=1e-5)  # a still film stays still
    assert not torch.allclose(seen[0], seen[1])
    alone = show_clip(clips[1:], PRESETS["video"], key_of(3), torch.tensor([1]), 16)
    assert torch.allclose(alone[0], seen[1], atol=1e-5)


def test_a_spectrogram_shows_a_tone_where_it_is_whatever_its_loudness():
    low, high = (torch.from_numpy(tone(f, 1.0).copy())[None] for f in (300, 3000))
    a, b = log_mel(low.float() / 32768, 16_000)[0, 0], log_mel(high.float() / 32768, 16_000)[0, 0]
    assert a.shape[0] == MELS and a.mean(1).argmax() > b.mean(1).argmax()  # pitch goes up
    assert torch.allclose(log_mel(low.float() / 40_000, 16_000), log_mel(low.float() / 32768, 16_000), atol=1e-3)
    filters = mel_filters(16_000, 512, MELS)
    assert (filters.sum(dim=1) > 0).all()
    seen = show_sound(torch.cat([low, low]).to(torch.int16), PRESETS["sound"], key_of(1), torch.tensor([0, 1]), 16_000)
    assert seen.shape[:3] == (2, 1, MELS) and not torch.allclose(seen[0], seen[1]) and seen.min() >= 0 and seen.max() <= 1
