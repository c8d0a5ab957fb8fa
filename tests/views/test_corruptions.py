"""Corruptions of items: milder levels change less."""

from itertools import pairwise

import pytest
import torch

from selflabel.views.corruptions import PICTURE_CORRUPTIONS, SOUND_CORRUPTIONS, add_noise, compress, low_pass

g = torch.Generator().manual_seed(0)
ROWS = torch.arange(3)


def pictures(shape):
    """Smooth pictures with a little grain."""
    coarse = torch.rand((3, shape[-3] if len(shape) == 4 else shape[1] * shape[2], 6, 6), generator=g)
    x = torch.nn.functional.interpolate(coarse, size=shape[-2:], mode="bicubic").clamp(0, 1).reshape(shape)
    return (255 * (0.9 * x + 0.1 * torch.rand(shape, generator=g))).to(torch.uint8)


def waves(n=4000):
    t = torch.arange(n) / 8000
    tones = torch.stack([torch.sin(2 * torch.pi * f * t) + 0.5 * torch.sin(2 * torch.pi * 3100 * t) for f in (200, 440, 900)])
    return (12000 * tones).to(torch.int16)


def differences(items, change, levels):
    return [float((change(items, ROWS, level).float() - items.float()).square().mean()) for level in levels.values()]


@pytest.mark.parametrize("way", PICTURE_CORRUPTIONS)
@pytest.mark.parametrize("shape", [(3, 3, 32, 32), (3, 1, 28, 28), (3, 5, 3, 32, 32)])
def test_pictures_and_films_get_worse_by_the_level(way, shape):
    x = pictures(shape)
    change, levels = PICTURE_CORRUPTIONS[way]
    found = differences(x, change, levels)
    assert found[0] > 0 and all(b >= a * 0.98 for a, b in pairwise(found)) and found[-1] > found[0]
    made = change(x, ROWS, next(iter(levels.values())))
    assert made.shape == x.shape and made.dtype == torch.uint8


@pytest.mark.parametrize("way", SOUND_CORRUPTIONS)
def test_sounds_get_worse_by_the_level(way):
    x = waves()
    change, levels = SOUND_CORRUPTIONS[way]
    found = differences(x, change, levels)
    assert all(b > a for a, b in pairwise(found)) or (way == "muffled" and found[0] <= found[1] <= found[-1])
    assert change(x, ROWS, next(iter(levels.values()))).dtype == torch.int16


def test_a_low_pass_removes_the_high_tone_and_keeps_the_low_one():
    low = low_pass(waves(), ROWS, 0.5)
    power = torch.fft.rfft(low.float(), dim=1).abs()
    assert power[:, 1550].max() < 1e-2 * power.max()  # 3,100 Hz of 4,000 is above one half
    assert torch.allclose(power[0, 100], torch.fft.rfft(waves().float(), dim=1).abs()[0, 100], rtol=1e-2)


def test_noise_has_the_power_asked_and_belongs_to_the_item():
    x = waves()
    noise = (add_noise(x, ROWS, 10.0).float() - x.float()).square().mean(dim=1)
    assert torch.allclose(x.float().square().mean(dim=1) / noise, torch.full((3,), 10.0), rtol=0.1)
    assert torch.equal(add_noise(x, ROWS, 10.0)[1:2], add_noise(x[1:2], ROWS[1:2], 10.0))


def test_good_jpeg_is_near_the_original():
    x = pictures((3, 3, 32, 32))
    assert (compress(x, ROWS, 95).float() - x.float()).abs().mean() < 8
