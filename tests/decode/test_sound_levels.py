"""Sounds of any level, offset, number type, rate and number of channels."""

import struct
from dataclasses import replace

import av
import numpy as np
import pytest
import torch

from selflabel.decode.image import Undecodable
from selflabel.decode.look import MediaInfo, inspect_items
from selflabel.decode.sound import decode_sound, rate_and_seconds, share_above
from selflabel.items import Blob, from_folder
from selflabel.jobs.prepare.choices import MAX_SAMPLES, storage_format, with_rate
from selflabel.runs.pictures import spectrogram
from selflabel.views import sound
from selflabel.views.sound import log_mel

RATE = 16_000
rng = np.random.default_rng(0)


def sine(hertz=440.0, seconds=2.0, rate=RATE, loud=0.3):
    return loud * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)


FORMATS = {"s16": (1, "<i2", 2**15), "s32": (1, "<i4", 2**31), "u8": (1, "u1", 2**7), "f32": (3, "<f4", 1), "f64": (3, "<f8", 1)}


def wav(path, wave, rate=RATE, kind="s16", channels=None):
    """A .wav of (S,) or (S, C) floats."""
    code, dtype, top = FORMATS[kind]
    values = np.asarray(wave, np.float64) * top
    values = values + 128 if kind == "u8" else values
    if code == 1:
        values = np.clip(np.round(values), np.iinfo(dtype).min, np.iinfo(dtype).max)
    data, n = values.astype(dtype).tobytes(), channels or (1 if np.ndim(wave) == 1 else np.shape(wave)[1])
    size = np.dtype(dtype).itemsize
    head = struct.pack("<4sIHHIIHH", b"fmt ", 16, code, n, rate, rate * n * size, n * size, 8 * size)
    body = b"WAVE" + head + struct.pack("<4sI", b"data", len(data)) + data
    path.write_bytes(b"RIFF" + struct.pack("<I", len(body)) + body)
    return str(path)


def pitch(wave, rate=RATE):
    """The strongest frequency in Hz."""
    spectrum = np.abs(np.fft.rfft(wave.astype(float) - wave.mean()))
    return spectrum.argmax() * rate / len(wave)


@pytest.mark.parametrize(
    ("kind", "loud"), [("s16", 5e-4), ("s16", 2e-4), ("s32", 1e-5), ("f32", 1e-5), ("f64", 5e-6), ("f32", 40.0)]
)
def test_a_sound_of_any_level_is_a_sound(kind, loud, tmp_path):
    wave, length = decode_sound(wav(tmp_path / "a.wav", sine(loud=loud), kind=kind), RATE)
    assert length == RATE and pitch(wave) == pytest.approx(440, abs=3) and 8_000 < np.abs(wave).max() < 32_000
    spectrum = np.abs(np.fft.rfft(wave.astype(float)))
    assert spectrum[430:450].max() > 8 * np.delete(spectrum, np.arange(430, 450)).max()  # not clipped to a square wave


@pytest.mark.parametrize("kind", FORMATS)
def test_where_nothing_moves_there_is_no_sound(kind, tmp_path):
    flicker = rng.integers(-1, 2, 2 * RATE) / 2**15 if kind == "s16" else np.zeros(2 * RATE)
    for wave in (np.zeros(2 * RATE), np.full(2 * RATE, 0.25), flicker):
        assert decode_sound(wav(tmp_path / "a.wav", wave, kind=kind), RATE)[1] == 0


def test_a_sound_above_an_offset_is_heard_without_it(tmp_path):
    wave, length = decode_sound(wav(tmp_path / "a.wav", 0.4 + sine(loud=5e-4)), RATE)
    assert length == RATE and abs(wave.mean()) < 100 and pitch(wave) == pytest.approx(440, abs=3)


@pytest.mark.parametrize("kind", ["s16", "f32", "u8"])
def test_channels_that_cancel_one_another_are_heard_one_by_one(kind, tmp_path):
    left = sine()
    opposite, length = decode_sound(wav(tmp_path / "a.wav", np.stack([left, -left], axis=1), kind=kind), RATE)
    assert length == RATE and pitch(opposite) == pytest.approx(440, abs=3) and np.abs(opposite).max() > 6_000


def test_ordinary_sounds_keep_every_bit(tmp_path):
    noise = rng.normal(0, 0.1, (2 * RATE, 2))
    for name, wave in {
        "mono": sine(),
        "stereo": noise,
        "one side": noise * [1, 0],
        "loud": np.clip(sine(loud=1.5), -1, 1),
    }.items():
        file = wav(tmp_path / f"{name}.wav", wave)
        with av.open(file) as container:
            resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE)
            parts = [p for f in container.decode(audio=0) for p in resampler.resample(f)] + resampler.resample(None)
        plain = np.concatenate([p.to_ndarray()[0] for p in parts])
        assert np.array_equal(decode_sound(file, len(plain))[0], plain), name


@pytest.mark.parametrize("rate", [8_000, 44_100, 96_000, 192_000, 384_000])
@pytest.mark.parametrize("kind", ["u8", "s32", "f32"])
def test_every_rate_and_number_type_decodes(rate, kind, tmp_path):
    wave, length = decode_sound(wav(tmp_path / "a.wav", sine(rate=rate), rate, kind), RATE)
    assert length == RATE and pitch(wave) == pytest.approx(440, abs=3)


def test_odd_sounds_are_sounds_or_say_why(tmp_path):
    for name, wave, rate, channels in (("one", [0.3], RATE, 1), ("slow", np.ones(5), 1, 1), ("60", np.ones(6000), RATE, 60)):
        file = wav(tmp_path / f"{name}.wav", wave, rate, channels=channels)
        try:
            assert decode_sound(file, 1000)[0].shape == (1000,)
        except Undecodable as error:
            assert "cannot be converted" in str(error) or "has no sound that can be decoded" in str(error)
    with pytest.raises(Undecodable, match="60 channels"):
        decode_sound(wav(tmp_path / "a.wav", rng.normal(0, 0.1, 6000), channels=60), 1000)


# -------------------------------------------------------------------------------------------------- above the kept band


def test_bats_are_named_and_heard_at_their_own_rate(tmp_path):
    for name, hertz in (("bats", 45_000), ("birds", 3_000)):
        (tmp_path / name).mkdir()
        for i in range(3):
            wav(tmp_path / name / f"{i}.wav", sine(hertz, 1.0, 384_000) + rng.normal(0, 0.001, 384_000), 384_000)
    bats, birds = (inspect_items(from_folder(tmp_path / name), "audio") for name in ("bats", "birds"))
    assert birds.notes == () and bats.rate == 16_000
    assert bats.notes == ("most of the sounds' energy lies above 8,000 Hz, which is left out; --set rate=384000 keeps it.",)
    kept = with_rate(bats, 384_000)
    assert kept.rate == 384_000 and kept.notes == () and with_rate(bats, None) is bats
    wave, _, _ = storage_format(kept, 64).decode(Blob(str(tmp_path / "bats" / "0.wav")))
    assert len(wave) == 384_000 and pitch(wave, 384_000) == pytest.approx(45_000, abs=10)
    light = np.asarray(spectrogram(Blob(str(tmp_path / "bats" / "0.wav")), 384_000).convert("L"), int).mean(axis=1)
    assert light.argmax() < 64 and light.max() > 100  # high up, and there


def test_a_long_sound_at_a_high_rate_is_cut_and_it_is_said():
    info = with_rate(MediaInfo("sound", 0, 1, 10.0, RATE), 384_000)
    assert storage_format(info, 64).shape[0] <= MAX_SAMPLES and "their middle is used" in info.notes[0]
    assert with_rate(replace(info, kind="video"), 500).rate == 384_000


def test_energy_above_a_frequency_is_a_share(tmp_path):
    both = sine(2_000, 3.0, 48_000, 0.1) + sine(12_000, 3.0, 48_000, 0.2)
    assert share_above(Blob(wav(tmp_path / "a.wav", both, 48_000)), 8_000) == pytest.approx(0.8, abs=0.01)
    assert share_above(Blob(wav(tmp_path / "b.wav", sine())), 8_000) == 0
    assert share_above(Blob(wav(tmp_path / "c.wav", np.zeros(48_000), 48_000)), 8_000) is None
    assert share_above(Blob(str(tmp_path / "gone.wav")), 8_000) is None


def test_a_length_that_cannot_be_right_is_measured(tmp_path):
    data = bytearray((tmp_path / "a.wav").read_bytes() if wav(tmp_path / "a.wav", sine(seconds=4)) else b"")
    data[40:44] = struct.pack("<I", 0xFFFFFFFF)  # as programs that write to a pipe leave it
    (tmp_path / "b.wav").write_bytes(data)
    rate, seconds = rate_and_seconds(Blob(str(tmp_path / "b.wav")))
    assert rate == RATE and seconds == pytest.approx(4, abs=0.1)
    assert decode_sound(str(tmp_path / "b.wav"), RATE)[1] == RATE


def test_a_slow_rate_in_the_header_does_not_make_spectra_impossible(tmp_path):
    for i in range(2):
        wav(tmp_path / f"{i}.wav", np.ones(5), 1)
    assert inspect_items(from_folder(tmp_path), "audio").rate == 1000


def test_spectra_of_many_samples_are_made_in_parts(monkeypatch):
    waves = torch.randn(7, 4000)
    whole = log_mel(waves, RATE)
    monkeypatch.setattr(sound, "MOST_SAMPLES", {"cpu": 8000})
    assert torch.equal(log_mel(waves, RATE), whole)
