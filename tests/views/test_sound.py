"""Random views of sounds: spectrograms, the stretch that they show, and their geometry."""

import pytest
import torch

from selflabel.views import PRESETS, key_of, view_sounds
from selflabel.views.image import warp
from selflabel.views.sound import MAX_STEPS, MELS, log_mel, mask_bands, mean_normalise, mel_filters

RATE = 8000


def beeps(seconds=6.0, n=3):
    """A tone that rises in steps of a second, one sound for each item."""
    t = torch.arange(round(seconds * RATE)) / RATE
    return torch.stack([torch.sin(2 * torch.pi * (300 + 400 * t.floor() + 100 * i) * t) for i in range(n)])


def test_a_tone_is_loudest_in_its_band():
    tone = torch.sin(2 * torch.pi * 1000 * torch.arange(RATE) / RATE)[None]
    picture = log_mel(tone, RATE)[0, 0]
    assert picture.shape[0] == MELS and picture.min() >= 0 and picture.max() == 1
    band = MELS - 1 - int(picture[:, 20:80].mean(dim=1).argmax())  # high bands come first
    peak = int(mel_filters(RATE, 256, MELS)[band].argmax())
    assert abs(peak * RATE / 256 - 1000) < 60


def test_the_identity_shows_the_whole_sound():
    view = view_sounds(beeps(), PRESETS["centre"], 0, torch.arange(3), RATE)
    assert view.pixels.ndim == 4 and view.pixels.shape[1:3] == (1, MELS) and view.pixels.shape[3] <= 2 * MAX_STEPS
    assert torch.equal(view.span, torch.tensor([[0.0, 1.0]]).expand(3, 2))
    assert torch.equal(view.theta, torch.eye(2, 3).expand(3, 2, 3))


def test_a_random_view_shows_the_stretch_that_its_span_says():
    waves, rows = beeps(), torch.arange(3)
    view = view_sounds(waves, PRESETS["sound"], key_of(7), rows, RATE)
    lengths = (view.span[:, 1] - view.span[:, 0]) * waves.shape[1] / RATE
    assert torch.allclose(lengths, torch.full((3,), 3.0)) and len(set(view.span[:, 0].tolist())) == 3
    for i in range(3):
        first, last = (round(float(x) * waves.shape[1]) for x in view.span[i])
        stretch = torch.nn.functional.avg_pool2d(log_mel(waves[i : i + 1, first:last], RATE), (1, 2))
        expected = warp(stretch, view.theta[i : i + 1], (MELS, stretch.shape[-1]))[0]
        visible = view.pixels[i] > 0  # the rest may be masked
        assert view.pixels.shape[-1] == stretch.shape[-1]
        assert torch.allclose(view.pixels[i][visible], expected[visible], atol=1e-3)


def test_spoken_words_fill_the_width_and_every_band_is_about_one_half():
    waves = beeps(2.0)
    lengths = torch.tensor([RATE, 2 * RATE, RATE // 2])
    view = view_sounds(waves, PRESETS["centre"], 0, torch.arange(3), RATE, lengths, mean_normalised=True)
    assert view.span[:, 1].tolist() == [0.5, 1.0, 0.25]
    assert torch.allclose(mean_normalise(torch.rand(2, 1, 4, 50)).mean(dim=3), torch.full((2, 1, 4), 0.5), atol=0.1)


@pytest.mark.parametrize("bands", [MELS, 257])
def test_any_length_gives_a_picture_in_range(bands):
    for samples in (1, 100, RATE, 30 * RATE):
        view = view_sounds(torch.randn(2, samples).clamp(-1, 1), PRESETS["sound"], key_of(1), torch.arange(2), RATE, bands=bands)
        assert view.pixels.shape[:3] == (2, 1, bands) and view.pixels.min() >= 0 and view.pixels.max() <= 1
        assert torch.isfinite(view.pixels).all()


def test_masks_hide_a_little_of_time_and_pitch():
    x = mask_bands(torch.ones(50, 1, 40, 60), torch.rand(50, 7))
    share = (x == 0).float().mean(dim=(1, 2, 3))
    assert 0 < share.mean() < 0.35 and share.max() < 0.4
