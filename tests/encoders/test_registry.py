import pytest
import torch

from selflabel.base.errors import UserError
from selflabel.encoders import (
    CLIP_ENCODERS,
    ENCODERS,
    GivenFeatures,
    feature_or_image_encoder,
    make_clip_encoder,
    make_encoder,
    registry,
)


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


@pytest.mark.parametrize("name", ["nothing", "timm:nothing"])
def test_an_unknown_encoder_is_named(name):
    with pytest.raises(UserError, match="of that name"):
        make_encoder(name, 3, 32)


def test_an_encoder_of_films_is_refused_for_pictures_with_what_to_type():
    with pytest.raises(UserError, match="video=clip9"):
        make_encoder("clip9", 3, 32)


def test_weights_are_loaded_into_what_is_made(tmp_path, monkeypatch):
    calls = []
    monkeypatch.setattr(registry, "load_weights", lambda encoder, file, name: calls.append((file, name)))
    make_encoder("conv4", 1, 8, tmp_path)
    make_clip_encoder("clip9", 16, 2, tmp_path)
    make_clip_encoder("conv4", 16, 2, tmp_path)
    assert calls == [(tmp_path, "conv4"), (tmp_path, "clip9"), (tmp_path, "conv4")]


def test_a_modality_gets_the_encoder_of_what_is_stored_of_it():
    assert isinstance(feature_or_image_encoder("features", "frozen", 0, 0, feature_dim=7), GivenFeatures)
    films = feature_or_image_encoder("video", "clip9", 3, 16, frames=2)
    assert films(torch.rand(1, 3, 2, 16, 16)).shape == (1, films.dim)
    sounds = feature_or_image_encoder("spoken", "frozen:resnet9", 1, 64)
    assert sounds(torch.rand(1, 1, 64, 40)).shape == (1, sounds.dim)
    with pytest.raises(UserError, match="of that name"):
        feature_or_image_encoder("photo", "frozen:nothing", 3, 32)


def test_every_entry_says_what_it_is_and_what_it_suits():
    for entry in (ENCODERS | CLIP_ENCODERS).values():
        assert entry.description and entry.suits
