"""Masks and boxes go where the pixels go."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from selflabel.views import PRESETS, boxes_from_view, boxes_in_view, key_of, masks_from_view, masks_in_view, view_images
from selflabel.views.following import inverse, share_inside

PX, N = 64, 24
GEOMETRIC = [name for name, preset in PRESETS.items() if preset.has_geometry]
UPRIGHT = [name for name in GEOMETRIC if not (PRESETS[name].degrees or PRESETS[name].shear)]


def geometry(name):
    """A preset's geometry without its colours, so that what is painted stays as it is."""
    return replace(PRESETS[name], jitter=(0.0,) * 4, grey=0.0, blur=0.0, cutout=0.0)


def blocks(seed=0):
    """(N, 1, PX, PX) bool masks of a filled box each, which does not touch the border, and the boxes (N, 1, 4) as fractions."""
    rng = np.random.default_rng(seed)
    low, size = rng.integers(4, 24, (N, 2)), rng.integers(14, 30, (N, 2))
    boxes = np.concatenate([low, low + size], axis=1)
    masks = torch.zeros(N, 1, PX, PX, dtype=torch.bool)
    for i, (x0, y0, x1, y1) in enumerate(boxes):
        masks[i, 0, y0:y1, x0:x1] = True
    return masks, torch.from_numpy(boxes).float()[:, None] / PX


@pytest.mark.parametrize("name", GEOMETRIC)
def test_a_mask_that_is_painted_and_the_mask_that_follows_agree(name):
    masks, _ = blocks()
    view = view_images(masks.float().expand(-1, 3, -1, -1), geometry(name), key_of(1), torch.arange(N), PX)
    size = view.pixels.shape[2:]
    moved = masks_in_view(masks, view.theta, size)
    assert moved.dtype == torch.bool and moved.any()
    assert torch.equal(moved, view.pixels[:, :1] >= 0.5)
    soft = masks_in_view(masks.float(), view.theta, size)
    assert torch.allclose(soft, view.pixels[:, :1], atol=1e-5)


@pytest.mark.parametrize("name", UPRIGHT)
def test_the_box_of_the_moved_mask_is_the_moved_box(name):
    masks, boxes = blocks()
    view = view_images(masks.float(), geometry(name), key_of(2), torch.arange(N), PX)
    size = view.pixels.shape[-1]
    moved, share = boxes_in_view(boxes, view.theta)
    for mask, box, visible in zip(masks_in_view(masks, view.theta, (size, size))[:, 0], moved[:, 0], share[:, 0]):
        if visible == 0:
            assert not mask.any()
        if not mask.any():
            continue
        rows, columns = mask.any(dim=1).nonzero()[:, 0], mask.any(dim=0).nonzero()[:, 0]
        found = torch.stack([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]) / size
        assert (found - box).abs().max() <= 1 / size


@pytest.mark.parametrize("name", GEOMETRIC)
def test_the_visible_share_is_that_of_the_pixels(name):
    """Counted on a fine grid of points in each box."""
    _, boxes = blocks(3)
    theta = view_images(torch.zeros(N, 1, PX, PX), geometry(name), key_of(3), torch.arange(N)).theta
    _, share = boxes_in_view(boxes, theta)
    steps = (torch.arange(100) + 0.5) / 100
    x = boxes[:, 0, 0, None, None] + (boxes[:, 0, 2] - boxes[:, 0, 0])[:, None, None] * steps[None, None, :]
    y = boxes[:, 0, 1, None, None] + (boxes[:, 0, 3] - boxes[:, 0, 1])[:, None, None] * steps[None, :, None]
    points = torch.stack(torch.broadcast_tensors(x, y), dim=-1).flatten(1, 2) * 2 - 1
    back = inverse(theta)
    shown = points @ back[:, :, :2].transpose(1, 2) + back[:, None, :, 2]
    counted = (shown.abs() <= 1).all(dim=2).float().mean(dim=1)
    assert torch.allclose(share[:, 0], counted, atol=0.02)


@pytest.mark.parametrize("name", GEOMETRIC)
def test_from_the_view_back_to_the_part(name):
    masks, boxes = blocks(4)
    theta = view_images(torch.zeros(N, 1, PX, PX), geometry(name), key_of(4), torch.arange(N)).theta
    there = masks_in_view(masks.float(), theta, (4 * PX, 4 * PX))
    back = masks_from_view(there, theta, (PX, PX))
    seen = masks_from_view(torch.ones_like(there), theta, (PX, PX)) > 0.99  # where the view shows the part
    assert ((back >= 0.5) == masks)[seen].float().mean() > 0.97
    moved, share = boxes_in_view(boxes, theta)
    if name in UPRIGHT:
        whole = share > 0.999
        assert torch.allclose(boxes_from_view(moved, theta)[whole], boxes[whole], atol=1e-4)
    else:  # a box around a turned box is larger
        again = boxes_from_view(moved, theta)
        whole = (share > 0.999)[..., None]
        assert ((again[..., :2] <= boxes[..., :2] + 1e-4) | ~whole).all() and (
            (again[..., 2:] >= boxes[..., 2:] - 1e-4) | ~whole
        ).all()


def test_numbers_are_not_mixed_where_the_nearest_is_asked_for():
    numbers = torch.randint(0, 9, (N, 1, 12, 12), dtype=torch.uint8)
    theta = view_images(torch.zeros(N, 1, 12, 12), geometry("photo-strong"), key_of(5), torch.arange(N)).theta
    moved = masks_in_view(numbers, theta, (20, 20), "nearest")
    assert moved.dtype == torch.uint8 and set(moved.unique().tolist()) <= set(range(9))


def test_a_box_without_an_area_and_one_outside_have_no_visible_share():
    point = torch.tensor([[[0.5, 0.5, 0.5, 0.9], [2.0, 2.0, 3.0, 3.0], [-1.0, -1.0, 2.0, 2.0]]])
    boxes, share = boxes_in_view(point, torch.eye(2, 3)[None])
    assert share[0].tolist() == [0, 0, pytest.approx(1 / 9)] and boxes[0, 2].tolist() == [0, 0, 1, 1]
    diamond = torch.tensor([[[[0.5, -0.5], [1.5, 0.5], [0.5, 1.5], [-0.5, 0.5]]]])
    assert float(share_inside(diamond)) == pytest.approx(0.5)  # the square lies in it
