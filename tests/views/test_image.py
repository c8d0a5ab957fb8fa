"""Random views of pictures, and the geometry that a mask or a box needs to follow them."""

import pytest
import torch

from selflabel.views import PRESETS, Preset, key_of, uniforms, view_images
from selflabel.views.image import random_geometry, warp


def shown(*args):
    return view_images(*args).pixels


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("channels", [1, 3])
def test_every_preset_gives_pictures_and_the_same_ones_under_a_key(name, channels):
    images = torch.randint(0, 255, (6, channels, 20, 20), dtype=torch.uint8)
    a, px = shown(images, PRESETS[name], key_of(3), torch.arange(6), 16), round(16 * PRESETS[name].side)
    assert a.shape == (6, channels, px, px) and a.min() >= 0 and a.max() <= 1
    assert torch.equal(a, shown(images, PRESETS[name], key_of(3), torch.arange(6), 16))
    assert torch.allclose(a[4:5], shown(images[4:5], PRESETS[name], key_of(3), torch.tensor([4]), 16), atol=1e-6)


def test_the_centre_view_changes_nothing():
    images = torch.randint(0, 255, (3, 3, 16, 16), dtype=torch.uint8)
    assert torch.equal(shown(images, PRESETS["centre"], 0, torch.arange(3)), images.float() / 255)


def test_a_flip_only_mirrors():
    images = torch.rand(64, 1, 8, 8)
    made = shown(images, Preset(flip=1.0), 0, torch.arange(64))
    assert torch.allclose(made, images.flip(3), atol=1e-5)


def test_a_mask_moves_with_its_picture():
    image = torch.zeros(5, 1, 32, 32)
    image[:, :, 8:20, 10:22] = 1
    theta = random_geometry(PRESETS["photo"], uniforms(key_of(1), torch.arange(5), 16))
    moved, mask = warp(image, theta, (32, 32)), warp(image, theta, (32, 32), mode="nearest")
    assert ((moved > 0.5).float() == mask).float().mean() > 0.98


def test_grey_and_saturation_meet_the_plain_formula():
    images = torch.rand(4, 3, 8, 8)
    grey = shown(images, Preset(grey=1.0), 5, torch.arange(4))
    plain = (images * torch.tensor([0.299, 0.587, 0.114])[:, None, None]).sum(1, keepdim=True)
    assert torch.allclose(grey, plain.expand(-1, 3, -1, -1), atol=1e-5)


def test_blur_smooths_and_keeps_the_mean():
    images = torch.rand(4, 3, 64, 64)
    made = shown(images, Preset(blur=1.0), 5, torch.arange(4))
    assert made.var() < images.var()
    assert torch.allclose(made.mean(), images.mean(), atol=5e-3)


GEOMETRY_ONLY = Preset(area=(0.2, 0.8), aspect=4 / 3, flip=0.5, degrees=20, shear=0.2)


@pytest.mark.parametrize("preset", [GEOMETRY_ONLY, PRESETS["photo-weak"], PRESETS["glyph"], PRESETS["centre"]])
def test_a_views_geometry_is_the_one_that_made_its_pixels(preset):
    images, rows = torch.rand(7, 3, 24, 24), torch.arange(7)
    view = view_images(images, preset, key_of(2), rows, 24)
    assert view.theta.shape == (7, 2, 3) and view.span is None
    assert torch.allclose(warp(images, view.theta, (24, 24)), view.pixels, atol=1e-5)


def test_the_corners_of_a_crop_are_found_in_the_stored_picture():
    """A picture whose two channels are its own coordinates, in [0, 1], shows where each pixel of a view comes from."""
    at = (torch.arange(64) + 0.5) / 64
    picture = torch.stack([at.expand(64, 64), at[:, None].expand(64, 64), torch.zeros(64, 64)]).expand(9, 3, 64, 64)
    view = view_images(picture, Preset(area=(0.2, 0.6), flip=0.5), key_of(5), torch.arange(9), 32)
    corner = torch.tensor([-1 + 1 / 32, -1 + 1 / 32, 1.0])  # the centre of the view's first pixel
    expected = (view.theta @ corner + 1) / 2
    assert torch.allclose(view.pixels[:, :2, 0, 0], expected, atol=0.01)


def test_cutout_takes_one_square_of_the_mean_colour():
    images = torch.rand(5, 3, 32, 32)
    pixels = view_images(images, Preset(cutout=0.5), 1, torch.arange(5)).pixels
    changed = (pixels != images).any(dim=1)
    share = changed.float().mean(dim=(1, 2))
    assert (share > 0.05).all() and (share <= 0.27).all()
    assert torch.allclose(
        pixels.where(changed[:, None], images.mean(dim=(2, 3), keepdim=True)).std(dim=(2, 3)), torch.zeros(5, 3), atol=1e-5
    )
