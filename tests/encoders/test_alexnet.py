import pytest
import torch

from selflabel.base.errors import UserError
from selflabel.encoders.alexnet import MIN_PX, make_alexnet


def test_alexnet_has_selas_layers_and_feature():
    encoder = make_alexnet(3, 224)
    convolutions = [layer for layer in encoder.trunk if isinstance(layer, torch.nn.Conv2d)]
    assert [c.out_channels for c in convolutions] == [96, 256, 384, 384, 256] and encoder.dim == 4096
    assert encoder.eval().map(torch.rand(1, 3, 224, 224)).shape == (1, 256, 6, 6)


def test_the_least_side_gives_a_map_and_one_pixel_less_is_refused():
    assert make_alexnet(3, MIN_PX).eval().map(torch.rand(1, 3, MIN_PX, MIN_PX)).shape[2:] == (1, 1)
    with pytest.raises(UserError, match="at least 63 px"):
        make_alexnet(3, MIN_PX - 1)
    with pytest.raises(RuntimeError):
        make_alexnet(3, MIN_PX).eval().map(torch.rand(1, 3, MIN_PX - 1, MIN_PX - 1))
