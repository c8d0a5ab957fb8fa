import pytest
import torch
from torch import nn

from selflabel.encoders import make_clip_encoder, make_encoder
from selflabel.encoders.clip import Framewise, R2Plus1D, TemporalConv, batch_to_frames, frames_to_batch, shift_in_time


def test_the_network_of_films_on_a_cpu_takes_less_than_a_billion_products_a_clip():
    from torch.utils.flop_counter import FlopCounterMode

    encoder = make_clip_encoder("clip9", 64, 8).eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        assert encoder(torch.rand(1, 3, 8, 64, 64)).shape == (1, encoder.dim)
    assert counter.get_total_flops() / 2 < 1e9


def test_an_eighth_of_the_channels_comes_from_the_frame_before_and_an_eighth_from_the_one_after():
    x = torch.rand(2, 3, 16, 4, 4)  # films, frames, channels
    shifted = shift_in_time(x.flatten(0, 1), 3).view_as(x)
    zeros = torch.zeros(2, 1, 2, 4, 4)
    assert torch.equal(shifted[:, :, :2], torch.cat([zeros, x[:, :-1, :2]], dim=1))
    assert torch.equal(shifted[:, :, 2:4], torch.cat([x[:, 1:, 2:4], zeros], dim=1))
    assert torch.equal(shifted[:, :, 4:], x[:, :, 4:])


def test_clip9_sees_the_order_of_frames_and_an_image_encoder_does_not():
    x = torch.rand(1, 3, 6, 32, 32)
    with torch.no_grad():
        for name, sees_order in (("clip9", True), ("resnet9", False)):
            encoder = make_clip_encoder(name, 32, 6).eval()
            assert torch.allclose(encoder(x), encoder(x.flip(2)), atol=1e-5) != sees_order


def test_framewise_features_and_maps_are_those_of_each_frame():
    image = make_encoder("resnet9", 3, 32).eval()
    encoder, x = Framewise(image), torch.rand(2, 3, 4, 32, 32)
    with torch.no_grad():
        frames = [image(x[:, :, t]) for t in range(4)]
        assert torch.allclose(encoder(x), torch.stack(frames).mean(dim=0), atol=1e-5)
        assert torch.allclose(encoder.map(x), torch.stack([image.map(x[:, :, t]) for t in range(4)], dim=2), atol=1e-5)


def test_frames_go_into_the_batch_and_come_back():
    x = torch.rand(2, 3, 4, 5, 5)
    assert torch.equal(batch_to_frames(frames_to_batch(x), 4), x)
    assert torch.equal(frames_to_batch(x)[5], x[1, :, 1])


@pytest.mark.parametrize("stride, frames", [(1, 2), (1, 5), (2, 4)])
def test_a_convolution_over_time_gives_what_pytorchs_own_gives(stride, frames):
    own = nn.Conv3d(3, 4, (3, 1, 1), stride=(stride, 1, 1), padding=(1, 0, 0), bias=False)
    ours = TemporalConv(3, 4, (3, 1, 1), stride=(stride, 1, 1), padding=(1, 0, 0), bias=False)
    ours.load_state_dict(own.state_dict())
    x = torch.rand(2, 3, frames, 6, 6)
    assert torch.allclose(ours(x), own(x), atol=1e-5)


def test_every_convolution_over_time_of_r2plus1d_is_computed_in_two_dimensions():
    over_time = [m for m in R2Plus1D().modules() if isinstance(m, nn.Conv3d) and m.kernel_size == (3, 1, 1)]
    assert over_time and all(isinstance(m, TemporalConv) for m in over_time)
