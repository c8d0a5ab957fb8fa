import numpy as np
import pytest
import torch

from selflabel.views import PRESETS, Preset, key_of, show, uniforms
from selflabel.views.image import geometry, warp


def test_draws_belong_to_the_item_not_to_its_batch():
    rows = torch.arange(50)
    whole = uniforms(key_of(1, 2), rows, 9)
    assert torch.equal(uniforms(key_of(1, 2), rows[[7, 3]], 9), whole[[7, 3]])
    assert not torch.equal(uniforms(key_of(1, 3), rows, 9), whole)


def test_draws_are_uniform_and_independent():
    u = uniforms(key_of(0), torch.arange(20_000), 6).numpy()
    assert u.min() >= 0 and u.max() < 1
    assert np.abs(u.mean(0) - 0.5).max() < 0.01
    assert np.abs(u.var(0) - 1 / 12).max() < 0.005
    assert np.abs(np.corrcoef(u.T) - np.eye(6)).max() < 0.03
    assert np.abs(np.corrcoef(u[1:, 0], u[:-1, 0])[0, 1]) < 0.03


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("channels", [1, 3])
def test_every_preset_gives_pictures_and_the_same_ones_under_a_key(name, channels):
    images = torch.randint(0, 255, (6, channels, 20, 20), dtype=torch.uint8)
    a, px = show(images, PRESETS[name], key_of(3), torch.arange(6), 16), round(16 * PRESETS[name].side)
    assert a.shape == (6, channels, px, px) and a.min() >= 0 and a.max() <= 1
    assert torch.equal(a, show(images, PRESETS[name], key_of(3), torch.arange(6), 16))
    assert torch.allclose(a[4:5], show(images[4:5], PRESETS[name], key_of(3), torch.tensor([4]), 16), atol=1e-6)


def test_the_centre_view_changes_nothing():
    images = torch.randint(0, 255, (3, 3, 16, 16), dtype=torch.uint8)
    assert torch.equal(show(images, PRESETS["centre"], 0, torch.arange(3)), images.float() / 255)


def test_flip_alone_mirrors():
    images = torch.rand(64, 1, 8, 8)
    made = show(images, Preset(flip=1.0), 0, torch.arange(64))
    assert torch.allclose(made, images.flip(3), atol=1e-5)


def test_a_mask_moves_with_its_picture():
    image = torch.zeros(5, 1, 32, 32)
    image[:, :, 8:20, 10:22] = 1
    theta = geometry(PRESETS["photo"], uniforms(key_of(1), torch.arange(5), 16))
    moved, mask = warp(image, theta, (32, 32)), warp(image, theta, (32, 32), mode="nearest")
    assert ((moved > 0.5).float() == mask).float().mean() > 0.98


def test_grey_and_saturation_meet_the_plain_formula():
    images = torch.rand(4, 3, 8, 8)
    grey = show(images, Preset(grey=1.0), 5, torch.arange(4))
    plain = (images * torch.tensor([0.299, 0.587, 0.114])[:, None, None]).sum(1, keepdim=True)
    assert torch.allclose(grey, plain.expand(-1, 3, -1, -1), atol=1e-5)


def test_blur_smooths_and_keeps_the_mean():
    images = torch.rand(4, 3, 64, 64)
    made = show(images, Preset(blur=1.0), 5, torch.arange(4))
    assert made.var() < images.var()
    assert torch.allclose(made.mean(), images.mean(), atol=5e-3)
