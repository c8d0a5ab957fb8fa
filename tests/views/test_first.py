"""First features describe what kind of thing an item is, whatever else changes."""

import torch
import torch.nn.functional as F

from selflabel.views.first import CELLS, ORIENTATIONS, cepstra, colours, first_features, outlines, texture

g = torch.Generator().manual_seed(0)


def stripes(across: bool, n=4, px=32, frames=4):
    """Films of stripes that move: vertical ones where `across`, else horizontal."""
    wave = 0.5 + 0.5 * torch.sin(torch.arange(px) / 2.0 + torch.rand(n, frames, 1, generator=g) * 6)
    film = wave[:, :, None, :].expand(n, frames, px, px) if across else wave[:, :, :, None].expand(n, frames, px, px)
    return film[:, None].repeat(1, 3, 1, 1, 1)


def test_outlines_describe_the_direction_of_edges_wherever_they_move():
    level, upright = outlines(stripes(False)), outlines(stripes(True))
    within, between = F.cosine_similarity(level[:1], level[1:]), F.cosine_similarity(level[:1], upright)
    assert level.shape == (4, ORIENTATIONS * CELLS**2)
    assert within.min() > 0.9 and between.max() < 0.1


def test_colours_are_shares_that_sum_to_one_a_colour_and_place():
    found = colours(torch.rand(2, 3, 4, 24, 24, generator=g)).view(2, 3, 8, 9)
    assert torch.allclose(found.sum(dim=2), torch.ones(2, 3, 9), atol=1e-5)


def test_texture_does_not_care_when_a_sound_begins():
    x = torch.rand(1, 1, 64, 200, generator=g)
    assert F.cosine_similarity(texture(x), texture(x.roll(70, dims=3))) > 0.999


def test_cepstra_keep_the_coarse_shape_and_leave_out_the_pitch():
    bands = torch.linspace(0, 1, 64)[:, None].expand(64, 80)
    coarse = 0.5 + 0.3 * torch.cos(3 * bands)
    pitch = 0.1 * torch.cos(25 * 2 * torch.pi * bands)
    alike = F.cosine_similarity(cepstra(coarse[None, None]), cepstra((coarse + pitch)[None, None]))
    other = F.cosine_similarity(cepstra(coarse[None, None]), cepstra((0.5 + 0.3 * torch.cos(6 * bands))[None, None]))
    assert alike > 0.99 and other < 0.7


def test_pictures_and_features_stay_what_they_are():
    small, x = torch.rand(2, 1, 16, 16, generator=g), torch.rand(3, 7, generator=g)
    assert torch.equal(first_features(small), small.flatten(1)) and torch.equal(first_features(x), x)
