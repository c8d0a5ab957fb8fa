import copy
import socket

import pytest
import timm
import torch
from safetensors.torch import save_file

from selflabel.base.errors import UserError
from selflabel.encoders import make_encoder, timm_px
from selflabel.encoders.timm_encoder import last_attention, make_timm


def test_timm_backbones_take_weights_from_a_file_and_give_timms_own_features(tmp_path):
    net = timm.create_model("resnet10t", pretrained=False).eval()
    save_file(net.state_dict(), tmp_path / "w.safetensors")
    encoder = make_encoder("timm:resnet10t", 3, 64, tmp_path / "w.safetensors").eval()
    x = torch.rand(2, 3, 64, 64)
    mean, std = (torch.tensor(net.pretrained_cfg[k]).view(3, 1, 1) for k in ("mean", "std"))
    with torch.no_grad():
        plain = net.forward_head(net.forward_features((x - mean) / std), pre_logits=True)
        assert torch.allclose(encoder(x), plain, atol=1e-4)


def test_the_side_at_which_a_timm_backbone_was_trained_is_known_and_of_others_zero():
    assert timm_px("timm:resnet10t") == 176 and timm_px("conv4") == 0


def test_a_backbone_for_one_channel_is_normalised_by_the_mean_of_the_three():
    encoder = make_encoder("timm:resnet10t", 1, 64, fetch=False)
    config = encoder.trunk.net.pretrained_cfg
    assert encoder.mean.tolist() == [[[pytest.approx(sum(config["mean"]) / 3)]]]
    assert encoder.std.tolist() == [[[pytest.approx(sum(config["std"]) / 3)]]]


@pytest.mark.parametrize("name", ["vit_tiny_patch16_224", "swin_tiny_patch4_window7_224", "test_vit_relpos", "resnet10t"])
def test_a_map_is_that_of_timms_own_intermediate_features(name):
    encoder = make_encoder(f"timm:{name}", 3, timm_px(f"timm:{name}"), fetch=False).eval()
    x = torch.rand(1, 3, encoder.px, encoder.px)
    with torch.no_grad():
        own = encoder.trunk.net.forward_intermediates(
            encoder.normalise(x), indices=1, norm=True, output_fmt="NCHW", intermediates_only=True
        )[-1]
        assert torch.allclose(encoder.map(x), own, atol=1e-5)


def test_the_keys_are_those_that_the_last_attention_compares_its_queries_with(monkeypatch):
    encoder, x, calls = make_encoder("timm:vit_tiny_patch16_224", 3, 224, fetch=False).eval(), torch.rand(2, 3, 224, 224), []
    attend = torch.nn.functional.scaled_dot_product_attention

    def recorded(query, key, value, **options):
        calls.append(key)
        return attend(query, key, value, **options)

    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", recorded)
    with torch.no_grad():
        keys = encoder.map(x, layer="keys")
    patches = calls[-1].transpose(1, 2).flatten(2)[:, 1:]  # heads side by side, without the class token
    assert torch.allclose(keys.flatten(2).transpose(1, 2), patches, atol=1e-5)


def test_the_attention_beside_a_map_is_that_of_the_class_token_in_the_last_layer():
    encoder, x = make_encoder("timm:vit_tiny_patch16_224", 3, 224, fetch=False).eval(), torch.rand(2, 3, 224, 224)
    attention, weights = last_attention(encoder.trunk.net), []
    attention.fused_attn = False
    attention.attn_drop.register_forward_hook(lambda _, args, out: weights.append(out))
    with torch.no_grad():
        keys, attended = encoder.attended_map(x, "keys")
        assert torch.equal(keys, encoder.map(x, "keys"))
    own = weights[0][:, :, 0, 1:]  # (B, heads, patches)
    assert attended.shape == (2, 3, 14, 14) and torch.allclose(attended.flatten(2), own, atol=1e-6)


@pytest.mark.parametrize("name", ["resnet10t", "swin_tiny_patch4_window7_224", "test_vit_relpos"])
def test_where_no_plain_class_attention_is_known_there_is_a_map_alone(name):
    encoder = make_encoder(f"timm:{name}", 3, timm_px(f"timm:{name}"), fetch=False).eval()
    with torch.no_grad():
        features, attended = encoder.attended_map(torch.rand(1, 3, encoder.px, encoder.px))
    assert features.ndim == 4 and attended is None


@pytest.mark.parametrize("name", ["crossvit_tiny_240", "pit_ti_224"])
def test_a_transformer_that_gives_no_patch_tokens_says_so(name):
    encoder = make_encoder(f"timm:{name}", 3, timm_px(f"timm:{name}"), fetch=False).eval()
    with torch.no_grad(), pytest.raises(UserError, match="no grid of patch tokens"):
        encoder.map(torch.rand(1, 3, encoder.px, encoder.px))


def test_the_last_attention_is_that_of_the_last_block():
    net = timm.create_model("test_vit4", pretrained=False)
    assert last_attention(net) is net.blocks[-1].attn
    with pytest.raises(UserError, match="ResNet has no attention"):
        last_attention(timm.create_model("resnet10t", pretrained=False))


def test_an_unknown_model_is_named_and_weights_that_cannot_be_fetched_are_asked_for():
    with pytest.raises(UserError, match="no model of that name"):
        make_encoder("timm:nothing", 3, 32)
    with pytest.raises(UserError, match=r"cannot be fetched \(HF_HUB_OFFLINE is set\); give them with --weights"):
        make_encoder("timm:resnet10t", 3, 64)


def test_a_copy_of_an_encoder_pools_with_its_own_network():
    encoder = make_encoder("timm:vit_tiny_patch16_224", 3, 224, fetch=False)
    duplicate = copy.deepcopy(encoder)
    assert duplicate.neck.unregistered[0] is duplicate.trunk.net is not encoder.trunk.net
    assert not [k for k in encoder.state_dict() if not k.startswith("trunk.net.")]


def test_a_backbone_that_only_the_hub_describes_is_not_asked_for_where_nothing_may_be_fetched(monkeypatch):
    with socket.socket() as proxy:  # every request of the hub's library would come here
        proxy.bind(("127.0.0.1", 0))
        proxy.listen()
        proxy.settimeout(0.2)
        for name in ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.getsockname()[1]}")
        with pytest.raises(UserError, match="nothing is fetched"):
            make_timm("hf-hub:timm/resnet18.a1_in1k", 3, 32, None, fetch=False)
        with pytest.raises(TimeoutError):
            proxy.accept()


@pytest.mark.parametrize(
    ("name", "channels"), [("tf_efficientnet_lite0", 112), ("resnet10t", 256), ("vit_tiny_patch16_224", 192)]
)
def test_the_fine_map_has_a_place_for_every_16_pixels(name, channels):
    encoder = make_timm(name, 3, 96, None, fetch=False).eval()
    with torch.no_grad():
        assert encoder.map(torch.rand(1, 3, 96, 96), "stride16").shape == (1, channels, 6, 6)


@pytest.mark.parametrize(
    ("name", "dims"), [("tf_efficientnet_lite0", (112, 320)), ("resnet10t", (256, 512)), ("vit_tiny_patch16_224", (192,))]
)
def test_stages_are_the_fine_map_and_the_coarser_ones_and_side_by_side_each_keeps_its_mean(name, dims):
    encoder, x = make_timm(name, 3, 96, None, fetch=False).eval(), torch.rand(1, 3, 96, 96)
    with torch.no_grad():
        stages, joined = encoder.stages(x), encoder.map(x, "stages")
    assert tuple(stage.shape[1] for stage in stages) == dims and joined.shape == (1, sum(dims), 6, 6)
    for stage, part in zip(stages, joined.split(dims, dim=1)):
        torch.testing.assert_close(part.mean(dim=(2, 3)), stage.float().mean(dim=(2, 3)), atol=1e-4, rtol=1e-2)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "px"), [("vit_small_patch16_224.dino", 224), ("vit_small_patch8_224.dino", 72)])
def test_dino_is_loaded_from_a_file_of_its_weights_and_gives_keys_at_any_size(name, px, tmp_path):
    theirs = timm.create_model(name, pretrained=False, num_classes=0).eval()
    save_file({k: v.contiguous() for k, v in theirs.state_dict().items()}, tmp_path / "dino.safetensors")
    encoder, x = make_timm(name, 3, px, tmp_path / "dino.safetensors", fetch=False).eval(), torch.rand(1, 3, px, px)
    places, inputs = px // theirs.patch_embed.patch_size[0], []
    last = theirs.blocks[-1]
    with torch.no_grad():
        found = encoder.map(x, "keys")[0]
        assert found.shape == (384, places, places)
        if px == 224:  # their own size
            last.attn.register_forward_pre_hook(lambda _, args: inputs.append(args[0]))
            theirs.forward_features(encoder.normalise(x))
            keys = last.attn.qkv(inputs[0])[0, 1:, 384:768]  # without the class token; queries, keys, values
            torch.testing.assert_close(found.flatten(1).T, keys, rtol=1e-3, atol=1e-4)
