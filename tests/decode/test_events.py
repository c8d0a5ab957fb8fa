"""Where in a window a word is."""

from __future__ import annotations

import numpy as np
import pytest

from selflabel.decode.events import event_of
from selflabel.decode.formats import DecodedFormat
from selflabel.items import Blob, Piece
from tests.films import tone, write_film

RATE = 8000


def noise(seconds: float, loud: float = 30.0) -> np.ndarray:
    return np.random.default_rng(0).normal(0, loud, round(seconds * RATE))


@pytest.mark.parametrize("start", [0.0, 0.3, 0.6])
def test_a_word_is_found_wherever_it_lies_and_with_its_short_pauses(start):
    wave = noise(1.0)
    for at in (start, start + 0.25):  # two syllables
        wave[round(at * RATE) : round((at + 0.15) * RATE)] += 5000 * np.sin(np.arange(round(0.15 * RATE)))
    first, end = event_of(wave, RATE, (0, len(wave)))
    assert first / RATE == pytest.approx(start, abs=0.05) and end / RATE == pytest.approx(start + 0.4, abs=0.05)


def test_of_two_words_it_is_the_louder_one_and_noise_has_none():
    wave = noise(1.0)
    wave[: RATE // 5] += 5000 * np.sin(np.arange(RATE // 5))
    wave[-RATE // 5 :] += 9000 * np.sin(np.arange(RATE // 5))
    assert event_of(wave, RATE, (0, len(wave)))[0] > 0.7 * RATE
    for nothing in (noise(1.0), np.zeros(RATE), noise(0.01)):
        assert event_of(nothing, RATE, (0, len(nothing))) == (0, len(nothing))


def test_noise_that_is_louder_than_the_ends_of_a_word_does_not_belong_to_it():
    wave = noise(2.0, 60.0)
    wave[round(0.55 * RATE) : round(1.25 * RATE)] /= 20
    wave[round(0.7 * RATE) : round(1.1 * RATE)] += 5000 * np.sin(np.arange(round(0.4 * RATE)))
    first, end = event_of(wave, RATE, (RATE // 2, 3 * RATE // 2))
    assert first / RATE == pytest.approx(0.7, abs=0.06) and end / RATE == pytest.approx(1.1, abs=0.06)


def test_an_event_is_stored_from_its_start_and_repeats(tmp_path):
    silence = np.zeros(8000, np.int16)
    file = write_film(
        tmp_path / "a.wav", wave=np.concatenate([silence, tone(500, 0.4, RATE), silence]), sound="pcm_s16le", rate=RATE
    )
    blob = Blob(str(file), piece=Piece(span_s=(0.6, 1.6)))
    event, n, span = DecodedFormat("sound", (RATE,), RATE, is_event=True).decode(blob)
    assert n / RATE == pytest.approx(0.44, abs=0.05) and (event[n : 2 * n] == event[:n]).all()
    assert span == pytest.approx((1.0, 1.4), abs=0.05)
    late, n_late, _ = DecodedFormat("sound", (RATE,), RATE, is_event=True).decode(Blob(str(file), piece=Piece(span_s=(1.2, 2.0))))
    assert n_late == n and (late == event).all()  # followed to where it began
