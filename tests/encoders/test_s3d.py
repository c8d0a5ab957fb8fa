import pytest
import torch
from safetensors.torch import save_file

from selflabel.encoders import make_clip_encoder
from selflabel.encoders.s3d import BLOCKS, S3DG, Gate, max_pool, space_to_depth


@pytest.fixture(scope="module")
def net():
    torch.manual_seed(0)
    return S3DG().eval()


def test_neighbouring_pixels_become_channels():
    x = torch.arange(2 * 3 * 4 * 6 * 8.0).view(2, 3, 4, 6, 8)
    y = space_to_depth(x)
    assert y.shape == (2, 24, 2, 3, 4)
    for t, row, column, c in ((0, 0, 0, 1), (1, 0, 1, 2), (0, 1, 1, 0)):
        assert torch.equal(y[:, ((2 * t + row) * 2 + column) * 3 + c], x[:, c, t::2, row::2, column::2])
    odd = space_to_depth(x[:, :, :3, :, :7])
    assert odd.shape == (2, 24, 2, 3, 4) and torch.equal(odd[:, 12:, 1], odd[:, :12, 1])  # the last frame stands for the next


def test_a_gate_multiplies_channels_by_the_sigmoid_of_a_linear_function_of_their_means():
    torch.manual_seed(0)
    gate, x = Gate(3), torch.randn(2, 3, 2, 4, 5)
    W, b = gate.fc.weight, gate.fc.bias
    for i in range(2):
        m = [float(x[i, c].mean()) for c in range(3)]
        for c in range(3):
            share = 1 / (1 + torch.exp(-sum(W[c, d] * m[d] for d in range(3)) - b[c]))
            assert torch.allclose(gate(x)[i, c], share * x[i, c], atol=1e-5)


@pytest.mark.parametrize("size", [1, 2, 5, 6])
def test_pooling_halves_a_side_and_rounds_up(size):
    assert max_pool(torch.rand(1, 2, size, size, size), (3, 3), (2, 2)).shape[2:] == (-(-size // 2),) * 3
    assert max_pool(torch.rand(1, 2, size, size, size), (1, 3), (1, 2)).shape[2] == size


@torch.no_grad()
def test_maps_are_an_eighth_of_the_frames_and_a_thirty_second_of_the_side(net):
    assert net(torch.rand(1, 3, 16, 64, 64)).shape == (1, 1024, 2, 2, 2)
    assert net(torch.rand(1, 3, 1, 33, 33)).shape == (1, 1024, 1, 2, 2)
    assert S3DG(with_space_to_depth=False).eval()(torch.rand(1, 3, 16, 64, 64)).shape == (1, 1024, 2, 2, 2)


def test_weights_of_the_authors_names_load_with_pixels_as_they_are(net, tmp_path):
    """Their file holds the layer to the common space and the text's network beside it."""
    state = net.state_dict()
    assert {"conv1.conv1.weight", "conv_2c.conv2.weight", "gating.fc.bias", "mixed_5c.gating_b3.fc.weight"} <= set(state)
    assert {name.partition(".")[0] for name in state} == {"conv1", "conv_2b", "conv_2c", "gating", *BLOCKS}
    others = {"fc.weight": torch.rand(512, 1024), "fc.bias": torch.rand(512), "text_module.fc1.weight": torch.rand(8, 300)}
    save_file(state | others, tmp_path / "s3dg.safetensors")
    encoder, x = make_clip_encoder("s3dg", 32, 4, tmp_path / "s3dg.safetensors").eval(), torch.rand(1, 3, 4, 32, 32)
    with torch.no_grad():
        assert encoder.dim == 1024 and torch.allclose(encoder(x), net(x).mean(dim=(2, 3, 4)), atol=1e-6)
