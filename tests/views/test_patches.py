"""Patch features describe the patterns of a picture, whatever its brightness, and are fitted to the set itself."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from selflabel.assignment.neighbours import nearest
from selflabel.views.first import fit_first_features, small_pixels
from selflabel.views.patches import CONTRAST, KEPT, NOISE, SIDE, equal_contrast, fit_patches, shrink, whitening

g = torch.Generator().manual_seed(0)


def weave(kind: int, n: int, px: int = 32):
    """Pictures of one of two patterns at any place, under any light."""
    wave = torch.arange(px)[:, None] * 1.2 + (torch.arange(px)[None] * 1.2 if kind else 0)
    phase, light = 6.28 * torch.rand(n, 1, 1, generator=g), 0.2 + 0.6 * torch.rand(n, 1, 1, generator=g)
    picture = light + 0.08 * torch.sin(wave + phase) + 0.03 * torch.randn(n, px, px, generator=g)
    return picture[:, None].expand(n, 3, px, px).clamp(0, 1)


def test_patterns_differ_where_pixels_show_only_the_brightness():
    of = torch.arange(120) % 2
    x = torch.empty(120, 3, 32, 32)
    x[of == 0], x[of == 1] = weave(0, 60), weave(1, 60)

    def share(found):
        return float((of[nearest(found, 10).rows.long()] == of[:, None]).float().mean())

    assert share(fit_patches(x)(x)) > 0.99 > 0.9 > share(small_pixels(x))


def test_the_sums_are_those_of_the_plain_formula():
    x = torch.rand(3, 3, 10, 12, generator=g)
    made = fit_patches(torch.rand(30, 3, 10, 12, generator=g))
    patches = equal_contrast(F.unfold(x, SIDE).transpose(1, 2).flatten(0, 1))  # every patch at equal contrast
    like = (patches @ made.filters.flatten(1).T - made.bias).view(3, 5, 7, -1).permute(0, 3, 1, 2)
    either = (torch.cat([like, -like], dim=1) - made.threshold).clamp(min=0)
    plain = (F.adaptive_avg_pool2d(either, 2).flatten(1).sqrt() - made.centre) @ made.basis
    assert torch.allclose(made(x), plain, atol=1e-3)


def test_whitened_patches_have_no_correlation_left_but_that_of_noise():
    patches = equal_contrast(torch.randn(5000, 4, generator=g) @ torch.randn(4, 4, generator=g))
    mean, whiten = whitening(patches)
    before, after = (np.cov(x.numpy().T) for x in (patches, (patches - mean) @ whiten))
    assert np.allclose(after, before @ np.linalg.inv(before + NOISE * np.eye(4)), atol=1e-3)
    assert (
        torch.allclose(equal_contrast(torch.full((2, 9), 0.3)), torch.zeros(2, 9), atol=1e-5) and CONTRAST > 0
    )  # plain ones stay plain


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(1, 3, 32, 32), (2, 1, 16, 40), (9, 3, 5, 64, 48), (3, 1, 4, 4)])
def test_any_picture_or_film_gives_finite_features_and_the_same_ones_each_time(shape):
    x = torch.rand(*shape, generator=g)
    found = fit_patches(x)(x)
    assert found.shape[0] == shape[0] and found.shape[1] <= KEPT and torch.isfinite(found).all()
    assert torch.equal(found, fit_patches(x)(x))
    assert torch.isfinite(fit_patches(torch.zeros(shape))(torch.zeros(shape))).all()


def test_a_film_is_the_mean_of_its_frames_and_small_pictures_are_their_pixels():
    film = torch.rand(6, 3, 4, 32, 32, generator=g)
    made = fit_patches(film)
    assert torch.allclose(made(film), torch.stack([made(film[:, :, t]) for t in range(4)]).mean(dim=0), atol=1e-3)
    assert shrink(film).shape == (24, 3, 32, 32)
    tiny = torch.rand(5, 1, 8, 8, generator=g)
    assert torch.equal(fit_first_features(tiny, "")(tiny), tiny.flatten(1))
