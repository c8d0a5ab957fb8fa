"""Random views of films: which frames are shown, under one geometry."""

import pytest
import torch

from selflabel.views import PRESETS, Preset, key_of, view_clips
from selflabel.views.clip import consecutive_frames, spread_frames
from selflabel.views.image import warp


def numbered(n=4, frames=20, px=16):
    """Films whose every frame is its own number."""
    return torch.arange(frames, dtype=torch.uint8)[None, :, None, None, None].expand(n, frames, 3, px, px)


def frame_numbers(view):
    return (255 * view.pixels.mean(dim=(1, 3, 4))).round().long()


def test_the_identity_shows_frames_evenly_over_the_whole_film():
    view = view_clips(numbered(), PRESETS["centre"], 0, torch.arange(4), frames=5)
    assert view.pixels.shape == (4, 3, 5, 16, 16) and frame_numbers(view)[0].tolist() == [2, 6, 10, 14, 18]
    assert torch.equal(view.span, torch.tensor([[0.0, 1.0]]).expand(4, 2))


def test_a_random_view_shows_at_least_half_of_the_film_and_its_span():
    rows = torch.arange(40)
    view = view_clips(numbered(40), Preset(flip=0.5), key_of(1), rows, frames=5)
    numbers, length = frame_numbers(view), view.span[:, 1] - view.span[:, 0]
    assert (length >= 0.5).all() and (view.span >= 0).all() and (view.span <= 1 + 1e-6).all()
    assert (numbers[:, 0] >= 20 * view.span[:, 0] - 1e-4).all() and (numbers[:, -1] <= 20 * view.span[:, 1]).all()
    assert (numbers.diff(dim=1) > 0).all() and len(set(numbers[:, 0].tolist())) > 3


def test_with_lengths_frames_follow_one_another():
    lengths = torch.tensor([20, 12, 3])
    still = view_clips(numbered(3), PRESETS["centre"], 0, torch.arange(3), frames=4, lengths=lengths)
    assert frame_numbers(still).tolist() == [[8, 9, 10, 11], [4, 5, 6, 7], [0, 1, 2, 3]]
    assert torch.allclose(still.span[0], torch.tensor([0.4, 0.6]))
    index, span = consecutive_frames(lengths, 4, 20, torch.rand(3, 2))
    assert (index.diff(dim=1) == 1).all() and torch.allclose(20 * span[:, 0], index[:, 0].float())


def test_more_frames_than_there_are_shows_each_once():
    assert spread_frames(3, 3, None)[0].tolist() == [[0, 1, 2]]
    assert view_clips(numbered(frames=3), PRESETS["centre"], 0, torch.arange(4), frames=8).pixels.shape[2] == 3


@pytest.mark.parametrize("frames", [1, 4])
def test_all_frames_of_a_film_have_the_geometry_of_its_view(frames):
    clips = torch.randint(0, 255, (5, 6, 3, 16, 16), dtype=torch.uint8)
    view = view_clips(
        clips, Preset(area=(0.3, 0.9), flip=0.5), key_of(3), torch.arange(5), frames=frames, lengths=torch.full((5,), 6)
    )
    first = (view.span[:, 0] * 6).round().long()
    for i in range(5):
        for f in range(frames):
            stored = clips[i, first[i] + f][None].float() / 255
            assert torch.allclose(warp(stored, view.theta[i : i + 1], (16, 16))[0], view.pixels[i, :, f], atol=1e-5)
