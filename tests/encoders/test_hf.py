"""Models of transformers as fixed encoders: tiny ones that the test saves, of every kind."""

import json

import numpy as np
import pytest
import torch

from selflabel.base.errors import UserError
from selflabel.decode.look import MediaInfo
from selflabel.encoders import hf, make_encoder, pretrained, weights_of
from selflabel.encoders.hf import Network, read_network
from selflabel.encoders.hf_models import make_hf
from selflabel.jobs.prepare.choices import choose_px, with_frames, with_rate
from tests.hub import served

transformers = pytest.importorskip("transformers")
SMALL = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 40}


def saved(folder, config, processor=None):
    """A model with random weights and its processor, saved in a folder; the model."""
    torch.manual_seed(0)
    net = transformers.AutoModel.from_config(config).eval()
    net.save_pretrained(folder)
    if processor is not None:
        processor.save_pretrained(folder)
    return net


def vit(folder, **given):
    processor = transformers.ViTImageProcessor(
        size={"height": 32, "width": 32}, image_mean=[0.1, 0.2, 0.3], image_std=[0.5, 0.6, 0.7]
    )
    return saved(folder, transformers.ViTConfig(**SMALL, image_size=32, patch_size=8), processor)


def encoder_of(folder, kind, px=0, frames=0, network=None):
    return make_hf(f"hf:{folder}", kind, px, frames, network, fetch=False)


@torch.no_grad()
def test_a_model_of_pictures_sees_them_as_its_processor_says_and_gives_its_class_token(tmp_path):
    net, network = vit(tmp_path), read_network(tmp_path)
    assert (
        network.px
        == choose_px(None, MediaInfo("photo", 200, 3), f"frozen:hf:{tmp_path}", None, torch.device("cpu"), network)
        == 32
    )
    encoder, x = encoder_of(tmp_path, "photo", 32), torch.rand(2, 3, 32, 32)
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in ([0.1, 0.2, 0.3], [0.5, 0.6, 0.7]))
    own = net(pixel_values=(x - mean) / std).last_hidden_state[:, 0]  # its pooler is of a task, and random without one
    assert torch.allclose(encoder(x), own, atol=1e-5) and encoder.dim == 32
    grey = encoder(x[:, :1])
    assert torch.allclose(grey, encoder(x[:, :1].expand(-1, 3, -1, -1)), atol=1e-5)
    films = encoder_of(tmp_path, "video", 32, 3)
    assert torch.allclose(films(torch.stack([x[:1], x[1:], x[:1]], dim=2)), (2 * own[:1] + own[1:]) / 3, atol=1e-5)


@torch.no_grad()
def test_models_of_pictures_pool_as_their_kind_does(tmp_path):
    x = torch.rand(2, 3, 32, 32)
    resnet = transformers.ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic")
    dino = transformers.Dinov2Config(hidden_size=32, num_hidden_layers=1, num_attention_heads=2, image_size=28, patch_size=14)
    mae = transformers.ViTMAEConfig(**SMALL, image_size=32, patch_size=8)
    vision, text = (
        transformers.CLIPVisionConfig(**SMALL, image_size=32, patch_size=8),
        transformers.CLIPTextConfig(**SMALL, vocab_size=9),
    )
    clip = transformers.CLIPConfig(vision_config=vision.to_dict(), text_config=text.to_dict(), projection_dim=12)
    for name, config, px, dim in (
        ("resnet", resnet, 32, 16),
        ("dino", dino, 28, 32),
        ("mae", mae, 32, 32),
        ("clip", clip, 32, 12),
    ):
        net = saved(tmp_path / name, config)
        encoder, shown = encoder_of(tmp_path / name, "photo", px), x[:, :, :px, :px]
        features, normal = encoder(shown), encoder.normalise(shown)
        assert features.shape == (2, dim) and torch.allclose(features, encoder(shown), atol=1e-4), (
            name
        )  # nothing is hidden at random
        if name in ("resnet", "dino"):
            assert torch.allclose(features, net(pixel_values=normal).pooler_output.flatten(1), atol=1e-5)


@torch.no_grad()
def test_a_model_of_films_gets_its_own_number_of_frames(tmp_path):
    config = transformers.VideoMAEConfig(**SMALL, image_size=32, patch_size=8, num_frames=4, tubelet_size=2)
    net = saved(
        tmp_path,
        config,
        transformers.VideoMAEImageProcessor(**hf.IMAGENET, size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}),
    )
    network, x = read_network(tmp_path), torch.rand(2, 3, 4, 32, 32)
    assert with_frames(MediaInfo("video", 64, 3, 2.0), None, None, None, network).frames == 4
    encoder = encoder_of(tmp_path, "video", 32, 4)
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in hf.IMAGENET.values())
    own = net(pixel_values=(x.transpose(1, 2) - mean) / std).last_hidden_state.mean(dim=1)
    assert torch.allclose(encoder(x), own, atol=1e-5)
    with pytest.raises(UserError, match="takes films, and the items are pictures"):
        encoder_of(tmp_path, "photo", 32)


@torch.no_grad()
def test_models_of_sounds_hear_their_own_rate_through_their_own_extractor(tmp_path):
    waves, info = 0.1 * torch.randn(2, 4000), MediaInfo("sound", 0, 1, 1.0, 16_000)
    small = SMALL | {"conv_dim": (16, 16), "conv_stride": (5, 4), "conv_kernel": (10, 8), "num_feat_extract_layers": 2}
    config = transformers.Wav2Vec2Config(**small, num_conv_pos_embeddings=4, num_conv_pos_embedding_groups=2, vocab_size=9)
    net = saved(tmp_path / "w2v", config, transformers.Wav2Vec2FeatureExtractor(sampling_rate=8000))
    network = read_network(tmp_path / "w2v")
    assert with_rate(info, None, network).rate == 8000
    with pytest.raises(UserError, match="hears 8000 samples"):
        with_rate(info, 16_000, network)
    plain = transformers.Wav2Vec2FeatureExtractor(sampling_rate=8000)(
        list(waves.numpy()), sampling_rate=8000, return_tensors="pt"
    )
    own = net(plain.input_values).last_hidden_state.mean(dim=1)
    assert torch.allclose(encoder_of(tmp_path / "w2v", "sound")(waves), own, atol=1e-5)
    ast = transformers.ASTConfig(**SMALL, max_length=64, num_mel_bins=16, patch_size=8, frequency_stride=8, time_stride=8)
    saved(tmp_path / "ast", ast, transformers.ASTFeatureExtractor(num_mel_bins=16, max_length=64))
    assert encoder_of(tmp_path / "ast", "sound")(waves).shape == (2, 32)
    saved(tmp_path / "bare", ast)
    with pytest.raises(UserError, match=r"its files lack preprocessor_config\.json"):
        encoder_of(tmp_path / "bare", "sound")


@torch.no_grad()
def test_a_run_describes_the_network_so_that_predict_needs_no_files(tmp_path):
    vit(tmp_path)
    encoder, x = encoder_of(tmp_path, "photo", 32), torch.rand(1, 3, 32, 32)
    (tmp_path / "config.json").unlink()
    again = encoder_of(tmp_path / "gone", "photo", 32, network=encoder.network)
    again.load_state_dict(encoder.state_dict())
    assert torch.equal(again(x), encoder(x))
    text = json.loads(encoder.network)
    text["config"]["hidden_size"] = 10**9
    with pytest.raises(ValueError, match="no model has"):
        Network.from_text(json.dumps(text))


def test_what_cannot_be_used_is_one_sentence(tmp_path, monkeypatch):
    net = vit(tmp_path / "vit")
    with pytest.raises(UserError, match="takes pictures, and the items are sounds"):
        encoder_of(tmp_path / "vit", "sound")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="holds no model of transformers"):
        read_network(tmp_path / "empty")
    with pytest.raises(UserError, match="no folder here, and cannot be fetched"):
        weights_of("hf:some/model", None)
    with pytest.raises(UserError, match="write it as frozen:hf:some/model"):
        make_encoder("hf:some/model", 3, 32)
    with torch.no_grad():
        next(net.parameters())[...] = float("nan")
    net.save_pretrained(tmp_path / "nan")
    with pytest.raises(UserError, match="no finite numbers"):
        encoder_of(tmp_path / "nan", "photo", 32)
    monkeypatch.setattr(hf, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"pip install 'selflabel\[hf\]'"):
        encoder_of(tmp_path / "vit", "photo", 32)


def test_a_model_of_the_hub_is_fetched_whole_with_its_licence(tmp_path, monkeypatch):
    vit(tmp_path / "hub/some/vit")
    (tmp_path / "hub/some/vit/README.md").write_text("---\nlicense: mit\n---\n# A model\n")
    with served(monkeypatch, tmp_path / "hub", tmp_path / "cache"):
        found = weights_of("hf:some/vit", None)
    assert found.licence == "mit" and found.size == (tmp_path / "hub/some/vit/model.safetensors").stat().st_size
    assert weights_of("hf:some/vit", None, fetch=False) == found  # from the disk
    assert np.isfinite(make_hf("hf:some/vit", "photo", 32, 0, None, False)(torch.rand(1, 3, 32, 32)).detach().numpy()).all()
    assert pretrained.automatic_for("sound") is pretrained.SOUNDS
    monkeypatch.setattr(pretrained, "find_spec", lambda name: None)
    assert pretrained.automatic_for("sound") is None
