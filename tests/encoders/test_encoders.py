import os
import subprocess
import sys
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import load_file, save_file

from selflabel.base.errors import UserError
from selflabel.encoders import (
    ENCODERS,
    GivenFeatures,
    laid_out,
    load_weights,
    make_clip_encoder,
    make_encoder,
    timm_px,
)

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", ENCODERS)
@pytest.mark.parametrize("px", [8, 28, 64, 96])
def test_every_encoder_gives_maps_and_features_of_its_stated_length(name, px):
    if name == "alexnet" and px < 63:
        with pytest.raises(UserError, match="at least 63 px"):
            make_encoder(name, 3, px)
        return
    encoder = make_encoder(name, 1 if px == 28 else 3, px).eval()
    x = torch.rand(2, 1 if px == 28 else 3, px, px)
    with torch.no_grad():
        assert encoder(x).shape == (2, encoder.dim)
        assert encoder.map(x).ndim == 4


def test_resnets_have_the_small_stem_where_it_fits():
    small, large = make_encoder("resnet18", 3, 32), make_encoder("resnet18", 3, 224)
    assert small.trunk.conv1.stride == (1, 1) and large.trunk.conv1.stride == (2, 2)


def test_timm_backbones_take_weights_from_a_file_and_give_timms_own_features(tmp_path):
    net = timm.create_model("resnet10t", pretrained=False).eval()
    save_file(net.state_dict(), tmp_path / "w.safetensors")
    encoder = make_encoder("timm:resnet10t", 3, 64, tmp_path / "w.safetensors").eval()
    x = torch.rand(2, 3, 64, 64)
    mean, std = (torch.tensor(net.pretrained_cfg[k]).view(3, 1, 1) for k in ("mean", "std"))
    with torch.no_grad():
        plain = net.forward_head(net.forward_features((x - mean) / std), pre_logits=True)
        assert torch.allclose(encoder(x), plain, atol=1e-4)
    assert timm_px("timm:resnet10t") == 176 and timm_px("conv4") == 0


def test_torchvision_weights_fit_the_resnet_of_the_registry(tmp_path):
    import torchvision

    net = torchvision.models.resnet18(weights=None).eval()
    save_file(net.state_dict(), tmp_path / "w.safetensors")
    encoder = make_encoder("resnet18", 3, 128, tmp_path / "w.safetensors")
    assert torch.equal(encoder.trunk.layer4[1].conv2.weight, net.layer4[1].conv2.weight)


def test_torchvision_weights_fit_the_network_of_films(tmp_path):
    from torchvision.models.video import r2plus1d_18

    net = r2plus1d_18(weights=None).eval()
    save_file(net.state_dict(), tmp_path / "w.safetensors")
    encoder = laid_out(make_clip_encoder("r2plus1d", 32, 4, tmp_path / "w.safetensors")).eval()
    net.fc, x = torch.nn.Identity(), torch.rand(2, 3, 4, 32, 32)
    with torch.no_grad():
        assert torch.allclose(encoder(x), net((x - 0.5) / 0.25), atol=1e-4)


def test_gradients_do_not_hang_on_what_lay_in_memory_before(tmp_path):
    """glibc fills what is taken and given back with a byte of our choice: whatever is read unwritten differs."""
    for byte in ("1", "128"):
        environment = {**os.environ, "MALLOC_PERTURB_": byte}
        subprocess.run([sys.executable, "-m", "tests.encoders.gradients", tmp_path / byte], env=environment, cwd=ROOT, check=True)
    one, other = (load_file(tmp_path / byte) for byte in ("1", "128"))
    assert [name for name, g in one.items() if not torch.equal(g, other[name])] == []


def test_the_network_of_films_on_a_cpu_takes_less_than_a_billion_products_a_clip():
    from torch.utils.flop_counter import FlopCounterMode

    encoder = make_clip_encoder("clip9", 64, 8).eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        assert encoder(torch.rand(1, 3, 8, 64, 64)).shape == (1, encoder.dim)
    assert counter.get_total_flops() / 2 < 1e9


def test_weights_that_do_not_fit_or_could_run_code_are_refused(tmp_path):
    encoder = make_encoder("conv4", 1, 28)
    save_file({"other": torch.zeros(1)}, tmp_path / "w.safetensors")
    (tmp_path / "w.pth").write_bytes(b"\x80\x04")
    (tmp_path / "junk.safetensors").write_bytes(b"junk")
    for name, message in [
        ("w.safetensors", "no weights of"),
        ("w.pth", "run code"),
        ("junk.safetensors", "safetensors"),
    ]:
        with pytest.raises(UserError, match=message):
            load_weights(encoder, tmp_path / name, "conv4")


@pytest.mark.parametrize("name", ["nothing", "timm:nothing"])
def test_an_unknown_encoder_is_named(name):
    with pytest.raises(UserError, match="of that name"):
        make_encoder(name, 3, 32)


def test_given_features_are_centred_and_of_mean_length_one():
    x = 3 * torch.randn(50, 6) + 5
    made = GivenFeatures(6).fit(x)(x)
    assert torch.allclose(made.mean(dim=0), torch.zeros(6), atol=1e-5)
    assert made.norm(dim=1).mean().item() == pytest.approx(1, abs=1e-5)
    assert torch.isfinite(GivenFeatures(6).fit(torch.ones(4, 6))(torch.ones(4, 6))).all()
