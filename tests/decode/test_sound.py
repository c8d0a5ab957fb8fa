import numpy as np
import pytest

from selflabel.decode import sound as sound_module
from selflabel.decode.image import Undecodable
from selflabel.decode.sound import decode_sound, rate_and_seconds
from selflabel.items import Blob
from tests.films import RATE, bars, tone, write_film

rng = np.random.default_rng(0)


@pytest.mark.parametrize("ending", ["mp4", "mkv", "wav", "flac", "mp3"])
def test_of_a_long_sound_only_the_middle_is_decoded(ending, tmp_path, monkeypatch):
    wave = np.concatenate([tone(hertz, 20) for hertz in (300, 700, 1500)])
    codec = {"wav": "pcm_s16le", "flac": "flac", "mp3": "libmp3lame"}.get(ending, "aac")
    file = write_film(tmp_path / f"x.{ending}", None, wave, sound=codec)
    read, real = [], sound_module.read_wave
    monkeypatch.setattr(sound_module, "read_wave", lambda *given: read.append(real(*given)) or read[-1])
    middle, length = decode_sound(str(file), 2 * RATE, RATE)
    assert length == 2 * RATE and len(read[0][0]) == 2 * RATE
    loudest = np.abs(np.fft.rfft(middle.astype(float))).argmax() / 2
    assert loudest == pytest.approx(700, abs=5)


def test_a_short_sound_repeats_and_a_long_one_gives_its_middle(tmp_path):
    wave = tone(440, 0.25)
    file = str(write_film(tmp_path / "a.wav", wave=wave, sound="pcm_s16le"))
    whole, length = decode_sound(file, 10_000)
    assert whole.dtype == np.int16 and length == 4000 and (whole[:4000] == wave).all() and (whole[4000:8000] == wave).all()
    middle, length = decode_sound(file, 2000)
    assert length == 2000 and (middle == wave[1000:3000]).all()


def test_two_channels_become_one_at_the_rate_that_is_asked_for(tmp_path):
    file = str(write_film(tmp_path / "a.wav", wave=tone(440, 1.0, 44_100), sound="pcm_s16le", rate=44_100))
    wave, length = decode_sound(file, 8000, 8000)
    assert length == 8000 and abs(int(np.abs(np.fft.rfft(wave.astype(float))).argmax()) - 440) < 3


def test_no_sound_is_an_absence_and_junk_is_an_error(tmp_path):
    for wave in (None, np.zeros(RATE, np.int16), np.full(RATE, 3000, np.int16)):
        samples, length = decode_sound(str(write_film(tmp_path / "a.mkv", bars(8, 0, rng), wave, sound="flac")), 100)
        assert length == 0 and not samples.any()
    with pytest.raises(Undecodable):
        decode_sound(b"junk" * 50, 100)


def test_rate_and_length_are_those_that_the_file_states(tmp_path):
    file = write_film(tmp_path / "a.wav", wave=tone(440, 0.5, 22_050), sound="pcm_s16le", rate=22_050)
    rate, seconds = rate_and_seconds(Blob(str(file)))
    assert rate == 22_050 and seconds == pytest.approx(0.5, abs=0.01)
    assert rate_and_seconds(Blob(str(write_film(tmp_path / "a.mp4", bars(8, 0, rng))))) is None
    assert rate_and_seconds(Blob(str(tmp_path / "gone.wav"))) is None
