"""Sound texture: equal to the plain formula, and its laws on waves whose bands and modulations are known."""

import math

import numpy as np
import pytest
import torch

from selflabel.base.errors import UserError
from selflabel.encoders import WAVE_ENCODERS, check_encoder, feature_or_image_encoder
from selflabel.encoders.sound_texture import (
    APART,
    BANDS,
    COMPRESSION,
    ENVELOPE_HZ,
    GROUPS,
    HIGHEST_HZ,
    LOWEST_HZ,
    MODULATIONS_HZ,
    SILENCE,
    SIZE,
    SoundTexture,
    band_edges,
    evened_groups,
    half_cosine,
    texture_statistics,
)
from tests.reference.sound_texture import statistics

RATE = 8000


def seconds(n=2.0):
    return torch.arange(int(n * RATE)) / RATE


def noise(n=2.0, seed=0):
    return 0.1 * torch.randn(int(n * RATE), generator=torch.Generator().manual_seed(seed))


def split(numbers):
    mean, deviation, energies, correlations, loudness = numbers.split(GROUPS, dim=-1)
    return mean, deviation, energies.unflatten(-1, (BANDS, -1)), correlations, loudness


@pytest.mark.parametrize("n", [1.0, 1.0 + 7 / RATE])
def test_the_statistics_are_those_of_the_plain_formula(n):
    """But for what a coarser grid of the envelope makes of its corners, which is a thousandth of a number."""
    wave = noise(n) * (1 + 0.8 * torch.sin(2 * math.pi * 5 * seconds(n)))
    high = min(HIGHEST_HZ, RATE / 2)
    plain = statistics(
        wave.double().numpy(), RATE, BANDS, LOWEST_HZ, high, COMPRESSION, ENVELOPE_HZ, SILENCE, MODULATIONS_HZ, APART
    )
    found = texture_statistics(wave[None], RATE)[0].numpy()
    assert found.shape == plain.shape == (SIZE,) == (502,)
    np.testing.assert_allclose(found, plain, atol=0.02)
    assert np.abs(found - plain).mean() < 0.002


def test_a_tone_is_loud_in_its_own_band_only():
    mean = split(texture_statistics(torch.sin(2 * math.pi * 1000 * seconds().double())[None], RATE))[0][0]
    edges = band_edges(RATE)
    own = [f for f in range(BANDS) if edges[f] < 1000 < edges[f + 2]]
    assert int(mean.argmax()) in own and len(own) == 2
    assert float(mean[own].min()) > 0.6 > 0.1 > float(mean[[f for f in range(BANDS) if f not in own]].max())


@pytest.mark.parametrize("hz", [2.0, 8.0, 64.0])
def test_noise_whose_loudness_changes_so_often_has_its_energy_in_that_filter(hz):
    wave = noise(4) * (1 + 0.9 * torch.sin(2 * math.pi * hz * seconds(4)))
    energies = split(texture_statistics(wave[None], RATE))[2][0, 20:]
    assert int(energies.mean(dim=0).argmax()) == MODULATIONS_HZ.index(hz)


def test_filters_share_out_all_energy():
    x = torch.linspace(0, 1, 9)
    assert torch.allclose(half_cosine(x).square() + half_cosine(x - 1).square(), torch.ones(9))
    energies = split(texture_statistics(noise(4)[None], RATE))[2][0]
    assert (energies.sum(dim=1) <= 1 + 1e-5).all() and (energies.sum(dim=1) > 0.8).all()


def test_a_louder_copy_differs_in_the_loudness_only():
    quiet, loud = texture_statistics(torch.stack([noise(), 4 * noise()]), RATE)
    assert torch.allclose(quiet[:-1], loud[:-1], atol=1e-5)
    assert float(loud[-1] / quiet[-1]) == pytest.approx(4**COMPRESSION, rel=1e-5)


def test_bands_that_rise_and_fall_together_are_correlated():
    steady, together = noise(4), noise(4) * (1 + 0.9 * torch.sin(2 * math.pi * 3 * seconds(4)))
    a, b = split(texture_statistics(torch.stack([steady, together]), RATE))[3]
    far = slice(-(BANDS - APART[-1]), None)  # bands that share no frequency
    assert float(a[far].mean()) < 0.2 < 0.5 < float(b[far].mean())


@pytest.mark.parametrize("samples", [1, 2, 50, 4001])
def test_silence_and_sounds_of_any_length_have_finite_statistics(samples):
    waves = torch.stack([torch.zeros(samples), torch.ones(samples), torch.randn(samples)])
    found = SoundTexture(RATE)(waves)
    assert found.shape == (3, SIZE) and torch.isfinite(found).all() and not found[0].any()


def test_groups_count_alike_whatever_their_units_and_what_never_changes_counts_nothing():
    x = torch.randn(200, SIZE, generator=torch.Generator().manual_seed(0)) * torch.logspace(-3, 3, SIZE) + 5
    x[:, 3] = 2.0
    mean, factors = evened_groups(x)
    variances = torch.stack([v.sum() for v in ((x - mean) * factors).var(dim=0, correction=0).split(GROUPS)])
    assert factors[3] == 0 and torch.allclose(variances, torch.tensor([31 / 32, 1, 1, 1, 1]), atol=1e-3)


def test_it_is_a_fixed_encoder_of_sounds():
    assert feature_or_image_encoder("sound", "frozen:texture", 1, 64, rate=RATE).dim == SIZE and set(WAVE_ENCODERS) == {"texture"}
    with pytest.raises(UserError, match="takes sounds, and the items are photos"):
        feature_or_image_encoder("photo", "frozen:texture", 3, 32)
    with pytest.raises(UserError, match="write it as frozen:texture"):
        check_encoder("texture")
