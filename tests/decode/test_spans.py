"""Spans of a file that are decoded in one pass are what each is by itself."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
import pytest

from selflabel.decode.cache import decoded_items
from selflabel.decode.formats import DecodedFormat
from selflabel.decode.lengths import lengths_s
from selflabel.decode.limits import Failure
from selflabel.decode.sound import SoundSpans, decode_sound
from selflabel.decode.spans import span_tasks
from selflabel.decode.video import decode_clip
from selflabel.items import Blob, Piece
from tests.films import grey_film, write_film

CODECS = {".wav": "pcm_s16le", ".flac": "flac", ".mp3": "libmp3lame", ".m4a": "aac", ".mp4": "aac", ".opus": "libopus"}
RATE = 8000


def chirp(seconds: float, rate: int, rng: np.random.Generator) -> np.ndarray:
    t = np.arange(round(seconds * rate)) / rate
    return 0.4 * np.sin(2 * np.pi * (200 + 40 * t) * t) + 0.02 * rng.standard_normal(len(t))


def write_sound(file, channels: list[np.ndarray], rate: int, codec: str = "", gap_s: float = 0.0):
    """A file of one or two channels; gap_s: silence without frames after the first half."""
    with av.open(str(file), "w") as out:
        stream = out.add_stream(codec or CODECS[file.suffix], rate=rate)
        stream.layout = "mono" if len(channels) == 1 else "stereo"
        samples = (np.stack(channels) * 32767).clip(-32768, 32767).astype(np.int16)
        for at in range(0, samples.shape[1], 1024):
            block = samples[:, at : at + 1024].T.reshape(1, -1)
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(block), format="s16", layout=stream.layout.name)
            late = round(gap_s * rate) if at >= samples.shape[1] / 2 else 0
            frame.sample_rate, frame.pts, frame.time_base = rate, at + late, Fraction(1, rate)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return file


def spans_of(file, spans):
    return [Blob(str(file), piece=Piece(span_s=span)) for span in spans]


@pytest.mark.parametrize(
    ("ending", "rate", "n_channels"),
    [(".wav", 8000, 1), (".flac", 44100, 2), (".mp3", 44100, 1), (".mp3", 22050, 2), (".m4a", 48000, 2), (".opus", 48000, 1)],
)
def test_the_windows_of_a_sound_are_the_same_in_one_pass_as_each_by_itself(tmp_path, ending, rate, n_channels):
    rng = np.random.default_rng(0)
    file = write_sound(tmp_path / f"a{ending}", [chirp(20, rate, rng) for _ in range(n_channels)], rate)
    spans = [(i * 1.3, i * 1.3 + 2.0) for i in range(14)]
    shuffled = [spans[i] for i in rng.permutation(len(spans))]
    target = DecodedFormat("sound", (2 * RATE,), RATE)
    found = decoded_items(spans_of(file, shuffled), target, tmp_path / "cache", workers=2)
    assert not found.errors and (found.lengths >= 2 * RATE - 600).all()
    for wave, span in zip(found.items[::4], shuffled[::4]):
        alone, _ = decode_sound(str(file), 2 * RATE, RATE, span)
        assert np.abs(wave.astype(int) - alone).max() <= (20 if ending == ".m4a" else 0)  # AAC makes noise of its own


def test_a_film_and_its_sound_are_cut_alike_in_one_pass_and_each_by_itself(tmp_path):
    film = np.full((240, 48, 64, 3), 40, np.uint8)
    film[..., 0] = np.arange(240)[:, None, None]
    file = write_film(tmp_path / "a.mp4", film, (8000 * chirp(24, 16000, np.random.default_rng(0))).astype(np.int16), fps=10)
    pieces = [Piece((i * 1.5, i * 1.5 + 3.0)) for i in range(14)] + [Piece((2.0, 3.0), (0, 0, 32, 32), (64, 48))]
    target = DecodedFormat("clip", (6, 3, 16, 16))
    found = decoded_items([Blob(str(file), piece=p) for p in pieces], target, tmp_path / "cache", workers=1)
    for clip, n, piece in zip(found.items, found.lengths, pieces):
        alone, n_alone = decode_clip(str(file), 6, 16, piece=piece)
        assert n == n_alone and (clip == alone).all()
    sound = decoded_items(spans_of(file, [(4.0, 5.0), (20.0, 21.0)]), DecodedFormat("sound", (RATE,), RATE), tmp_path / "cache")
    assert np.abs(sound.items[0].astype(int) - decode_sound(str(file), RATE, RATE, (4.0, 5.0))[0]).max() <= 2


def test_a_film_of_few_frames_shows_in_every_window_what_is_seen_then(tmp_path):
    file = grey_film(tmp_path / "slides.mp4", [20, 120, 220], [0, 10, 20])
    pieces = [Piece((i * 3.0, i * 3.0 + 3.0)) for i in range(6)]
    target = DecodedFormat("clip", (4, 3, 16, 16))
    found = decoded_items([Blob(str(file), piece=p) for p in pieces], target, tmp_path / "cache", workers=1)
    for clip, piece in zip(found.items, pieces):
        assert (clip == decode_clip(str(file), 4, 16, piece=piece)[0]).all()


def test_every_window_is_levelled_by_itself(tmp_path):
    rng = np.random.default_rng(0)
    loud, t = chirp(3, RATE, rng), np.arange(3 * RATE) / RATE
    quiet = 3e-4 * np.sin(2 * np.pi * 300 * t)
    left = np.concatenate([loud, quiet, np.full(3 * RATE, 0.3), loud])
    right = np.concatenate([loud, quiet, np.full(3 * RATE, 0.3), -loud])
    file = write_sound(tmp_path / "a.wav", [left, right], RATE)
    spans = SoundSpans(str(file), 2 * RATE, RATE)
    waves = [spans.decode((3 * i + 0.5, 3 * i + 2.5)) for i in range(4)]
    peaks = [np.abs(wave.astype(float)).max() / 32768 for wave, *_ in waves]
    assert peaks[1] == pytest.approx(0.5, abs=0.05)  # made louder
    assert waves[2][1] == 0 and not waves[2][0].any()  # a constant is silence
    assert np.corrcoef(waves[3][0], waves[0][0])[0, 1] > 0.99  # channels that cancel one another
    assert peaks[0] == pytest.approx(peaks[3], rel=0.05)


def test_damage_in_a_file_costs_only_the_windows_it_lies_in(tmp_path):
    file = write_sound(tmp_path / "a.flac", [chirp(60, RATE, np.random.default_rng(0))], RATE)
    whole = file.read_bytes()
    spans = [(i * 2.0, i * 2.0 + 2.0) for i in range(30)]
    target = DecodedFormat("sound", (2 * RATE,), RATE)
    before = decoded_items(spans_of(file, spans), target, tmp_path / "cache", workers=1).items.copy()
    middle = len(whole) // 2
    file.write_bytes(whole[:middle] + b"\xff" * 40 + whole[middle + 40 :])
    after = decoded_items(spans_of(file, spans), target, tmp_path / "cache", workers=1)
    same = [i for i in range(30) if (after.items[i] == before[i]).all()]
    assert len(same) >= 27 and 29 in same and 0 in same


def test_a_gap_in_a_file_is_a_gap_in_time(tmp_path):
    t = np.arange(4 * RATE) / RATE
    wave = np.concatenate([np.sin(2 * np.pi * 300 * t), np.sin(2 * np.pi * 900 * t)])
    file = write_sound(tmp_path / "a.mkv", [0.4 * wave], RATE, "flac", gap_s=3.0)
    spans = SoundSpans(str(file), RATE, RATE)
    pitches = []
    for start in (1.0, 2.5, 7.5, 9.0):
        wave, n, _ = spans.decode((start, start + 1.0))
        assert n == RATE
        pitches.append(np.abs(np.fft.rfft(wave)).argmax() * RATE / len(wave))
    assert pitches == pytest.approx([300, 300, 900, 900], abs=5)


def test_a_task_is_one_file_in_order_and_a_long_file_has_several():
    blobs = {i: Blob(f"/{i % 2}.wav", piece=Piece(span_s=(100.0 - i, 101.0 - i))) for i in range(100)}
    tasks = list(span_tasks(blobs, workers=2))
    assert sorted(row for task in tasks for row, _ in task) == list(range(100))
    for task in tasks:
        starts = [item.blob.piece.span_s[0] for _, item in task]
        assert starts == sorted(starts) and len({item.blob.file for _, item in task}) == 1
    assert 4 <= len(tasks) <= 10


def test_lengths_are_those_of_the_packets_where_a_file_states_none_or_a_wrong_one(tmp_path):
    rng = np.random.default_rng(0)
    right = write_sound(tmp_path / "a.wav", [chirp(5, RATE, rng)], RATE)
    cut = write_sound(tmp_path / "b.flac", [chirp(20, RATE, rng)], RATE)
    cut.write_bytes(cut.read_bytes()[: cut.stat().st_size // 2])  # it states 20 s
    (tmp_path / "c.wav").write_bytes(b"no sound")
    film = write_film(tmp_path / "d.mp4", np.zeros((30, 32, 32, 3), np.uint8), fps=10)
    blobs = [("audio", Blob(str(file))) for file in (right, cut, tmp_path / "c.wav", film)] + [("video", Blob(str(film)))]
    found = lengths_s([*blobs, ("audio", Blob(str(right), piece=Piece(span_s=(1.0, 2.5)))), None])
    assert found[0] == pytest.approx(5, abs=0.1) and found[1] == pytest.approx(10, abs=0.6)
    assert isinstance(found[2], Failure) and found[3] == Failure("has no sound")
    assert found[4] == pytest.approx(3, abs=0.2) and found[5] == 1.5 and isinstance(found[6], Failure)
