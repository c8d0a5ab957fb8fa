from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from selflabel.base.errors import UserError
from selflabel.encoders import load_weights, make_clip_encoder, make_encoder, to_channels_last, weights_file


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
    encoder = to_channels_last(make_clip_encoder("r2plus1d", 32, 4, tmp_path / "w.safetensors")).eval()
    net.fc, x = torch.nn.Identity(), torch.rand(2, 3, 4, 32, 32)
    with torch.no_grad():
        assert torch.allclose(encoder(x), net((x - 0.5) / 0.25), atol=1e-4)


@pytest.mark.parametrize("prefix", ["method.encoders.image.", "backbone.video."])
def test_a_runs_model_gives_its_encoder_whatever_else_it_holds(tmp_path, prefix):
    trained, fresh = make_encoder("conv4", 1, 16), make_encoder("conv4", 1, 16)
    inside = {f"{prefix}{k}": v for k, v in trained.state_dict().items()}
    save_file(inside | {"method.heads.weight": torch.zeros(2)}, tmp_path / "model.safetensors")
    load_weights(fresh, tmp_path / "model.safetensors", "conv4")
    assert all(torch.equal(v, trained.state_dict()[k]) for k, v in fresh.state_dict().items())


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


def test_a_run_folder_gives_the_encoder_whose_shapes_fit(tmp_path):
    """One network may serve pictures and sounds, which differ in their channels."""
    picture, sound = make_encoder("conv4", 3, 16), make_encoder("conv4", 1, 16)
    both = {"image": picture.state_dict(), "audio": sound.state_dict()}
    save_file({f"method.encoders.{m}.{k}": v for m, s in both.items() for k, v in s.items()}, tmp_path / "model.safetensors")
    for channels, m in ((3, "image"), (1, "audio")):
        again = make_encoder("conv4", channels, 16, Path(weights_file(str(tmp_path))))
        assert all(torch.equal(v, both[m][k]) for k, v in again.state_dict().items())
