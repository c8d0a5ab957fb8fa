"""TENSOR TO FEATURE: networks from views to pooled features (B, dim) and to maps of features (B, D, h, w).

`registry` has every encoder by its name; `base` says what an encoder is.
"""

from selflabel.encoders.base import Encoder, GivenFeatures, accepts_px, feature_dim, map_dim, to_channels_last
from selflabel.encoders.hf import PREFIX as HF
from selflabel.encoders.hf import Network, folder_of, read_network
from selflabel.encoders.joined import JoinedBackbones, JoinedFeatures, names_of_parts
from selflabel.encoders.pretrained import (
    OBJECTS,
    Automatic,
    Weights,
    automatic_for,
    fetch_automatic,
    is_of,
    is_pretrained,
    weights_of,
)
from selflabel.encoders.registry import (
    CLIP_ENCODERS,
    ENCODERS,
    FROZEN,
    WAVE_ENCODERS,
    EncoderEntry,
    check_encoder,
    feature_or_image_encoder,
    make_clip_encoder,
    make_encoder,
)
from selflabel.encoders.timm_encoder import timm_px
from selflabel.encoders.weights import load_weights, weights_file

__all__ = [
    "CLIP_ENCODERS",
    "ENCODERS",
    "FROZEN",
    "HF",
    "OBJECTS",
    "WAVE_ENCODERS",
    "Automatic",
    "Encoder",
    "EncoderEntry",
    "GivenFeatures",
    "JoinedBackbones",
    "JoinedFeatures",
    "Network",
    "Weights",
    "accepts_px",
    "automatic_for",
    "check_encoder",
    "feature_dim",
    "feature_or_image_encoder",
    "fetch_automatic",
    "folder_of",
    "is_of",
    "is_pretrained",
    "load_weights",
    "make_clip_encoder",
    "make_encoder",
    "map_dim",
    "names_of_parts",
    "read_network",
    "timm_px",
    "to_channels_last",
    "weights_file",
    "weights_of",
]
