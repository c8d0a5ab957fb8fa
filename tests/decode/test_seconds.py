"""A decoded film and a decoded sound know which seconds of their file they show, so that the two can be compared."""

import math

import numpy as np
import pytest

from selflabel.decode.cache import decoded_items
from selflabel.decode.formats import DecodedFormat
from selflabel.items import Blob, Piece
from tests.films import RATE, grey_film, write_film

CLOSE_S = 0.25  # to a change: a frame may be shown a little early or late, and codecs smear sounds


def pulses(seconds, seed=0, step=0.5):
    """(steps,) bool, on and off at random for one or two seconds each, a step being half a second."""
    rng = np.random.default_rng(seed)
    runs = [np.full(int(rng.integers(2, 5)), i % 2 == 0) for i in range(seconds)]
    return np.concatenate(runs)[: round(seconds / step)]


def flashing_film(file, on, fps=10, late_s=0.0, step=0.5, size=(32, 32), **options):
    """A film that is white, and sounds, while `on`; its sound may be written later than its picture begins."""
    frames = np.repeat(np.where(on, 235, 20).astype(np.uint8), round(fps * step))
    film = np.broadcast_to(frames[:, None, None, None], (len(frames), *size, 3)).copy()
    film[:, ::4, ::4] = 128  # never blank
    t = np.arange(round(len(on) * step * RATE)) / RATE
    wave = (np.repeat(on, round(step * RATE)) * np.sin(2 * np.pi * 440 * t) * 9000).astype(np.int16)
    first = round(late_s * RATE)
    return write_film(file, film, wave[first:], fps=fps, sound_starts_s=late_s, **options)


def is_on(on, at_s, step=0.5):
    """Whether the film is on at times (n,), and whether these are far enough from a change to tell."""
    index = np.clip((at_s / step).astype(int), 0, len(on) - 1)
    changes = np.flatnonzero(np.diff(on.astype(int))) * step + step
    return on[index], np.abs(at_s[:, None] - changes[None]).min(axis=1) > CLOSE_S


def times(span, n):
    return span[0] + (np.arange(n) + 0.5) / n * (span[1] - span[0])


def check(on, file, frames=24, fps=0.0, samples=4 * RATE, piece=None):
    """That the decoded frames and samples are on when the film is. Returns their spans."""
    blob = Blob(str(file), piece=piece)
    clip, n, video = DecodedFormat("clip", (frames, 3, 16, 16), fps).decode(blob)
    wave, length, audio = DecodedFormat("sound", (samples,), RATE).decode(blob)
    expected, sure = is_on(on, times(video, n))
    assert sure.sum() > n / 4 and (clip[:n].mean(axis=(1, 2, 3)) > 128)[sure].tolist() == expected[sure].tolist()
    loud = np.sqrt(np.square(wave[:length].astype(float)[: length // 160 * 160].reshape(-1, 160)).mean(axis=1)) > 2000
    expected, sure = is_on(on, times(audio, len(loud)))
    assert sure.sum() > len(loud) / 4 and (loud == expected)[sure].mean() > 0.98
    return video, audio


@pytest.mark.parametrize("ending", ["mp4", "mkv", "mov", "avi"])
def test_picture_and_sound_of_a_film_are_at_their_seconds(ending, tmp_path):
    on = pulses(20)
    video, audio = check(on, flashing_film(tmp_path / f"a.{ending}", on))
    assert video == pytest.approx((5, 15), abs=0.6) and audio == pytest.approx((8, 12), abs=0.6)


def test_a_rate_that_was_asked_for_and_a_short_film(tmp_path):
    on = pulses(12)
    video, _ = check(on, flashing_film(tmp_path / "a.mp4", on), frames=30, fps=10)
    assert video == pytest.approx((4.5, 7.5), abs=0.15)
    video, audio = check(pulses(3), flashing_film(tmp_path / "b.mp4", pulses(3)))
    assert video == pytest.approx((0, 3), abs=0.3) and audio == pytest.approx((0, 3), abs=0.15)  # then they repeat


def test_of_a_long_film_with_few_key_frames_the_sound_starts_where_it_says(tmp_path):
    """The jump to the middle ends at a key frame of the picture, seconds before."""
    on = pulses(60)
    _, audio = check(on, flashing_film(tmp_path / "a.mp4", on, gop_size=150), samples=3 * RATE)
    assert audio == pytest.approx((28.5, 31.5), abs=0.6)


def test_a_sound_that_starts_late_is_late(tmp_path):
    for late_s in (0.7, 3.0):
        on = pulses(9)
        _, audio = check(on, flashing_film(tmp_path / "a.mp4", on, late_s=late_s), samples=9 * RATE)
        assert audio[0] == pytest.approx(late_s, abs=0.1)


def test_the_span_of_a_piece_is_what_is_shown(tmp_path):
    on = pulses(20)
    video, audio = check(on, flashing_film(tmp_path / "a.mp4", on), samples=3 * RATE, piece=Piece(span_s=(12.5, 15.5)))
    assert video == pytest.approx((12.5, 15.5), abs=0.3) and audio == pytest.approx((12.5, 15.5), abs=0.05)


def test_frames_that_are_not_evenly_apart_and_pictures_have_no_seconds_or_those_of_their_frames(tmp_path):
    slow = grey_film(tmp_path / "slow.mkv", [40, 90, 140, 190, 240], [0, 2, 4, 6, 8])
    _, n, span = DecodedFormat("clip", (16, 3, 8, 8)).decode(Blob(str(slow)))
    assert n == 5 and span == pytest.approx((0, 10), abs=0.2)
    assert all(math.isnan(x) for x in DecodedFormat("sound", (99,), RATE).decode(Blob(str(slow)))[2])


def test_the_seconds_are_kept_in_the_cache_and_copied_from_an_older_store(tmp_path):
    on = pulses(6)
    blobs = [Blob(str(flashing_film(tmp_path / f"{i}.mp4", on))) for i in range(2)] + [None]
    target = DecodedFormat("clip", (8, 3, 16, 16))
    first = decoded_items(blobs, target, tmp_path / "cache", workers=1)
    assert first.n_decoded == 2 and np.isnan(first.spans_s[2]).all()
    assert first.spans_s[0] == pytest.approx([0, 6], abs=0.8)
    some = decoded_items(blobs[1:], target, tmp_path / "cache", workers=1)
    assert some.n_decoded == 0 and np.array_equal(some.spans_s, first.spans_s[1:], equal_nan=True)


def test_a_store_of_an_older_version_is_used_as_it_is_and_not_mixed_with_new_ones(tmp_path):
    on = pulses(3)
    blobs = [Blob(str(flashing_film(tmp_path / f"{i}.mp4", on))) for i in range(3)]
    target = DecodedFormat("clip", (8, 3, 16, 16))
    old = decoded_items(blobs[:2], target, tmp_path / "cache", workers=1)
    (old.folder / "spans.npy").unlink()
    again = decoded_items(blobs[:2], target, tmp_path / "cache", workers=1)
    assert again.n_decoded == 0 and again.spans_s is None
    more = decoded_items(blobs, target, tmp_path / "cache", workers=1)
    assert more.n_decoded == 3 and np.isfinite(more.spans_s).all()
