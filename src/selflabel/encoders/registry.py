"""Every encoder by its name.

Names: those in ENCODERS (images, and sounds as images of one channel) and CLIP_ENCODERS (videos), `timm:NAME` for any timm
backbone, `frozen` for features as they are given, `frozen:NAME` for a fixed backbone whose features are computed once, those in
WAVE_ENCODERS (waves of sounds), which are always fixed, and `frozen:hf:NAME` for a fixed model of transformers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from selflabel.base.errors import UserError, did_you_mean
from selflabel.encoders.alexnet import make_alexnet
from selflabel.encoders.base import Encoder, GivenFeatures
from selflabel.encoders.clip import Clip9, ClipEncoder, Framewise, R2Plus1D
from selflabel.encoders.hf import PREFIX as HF
from selflabel.encoders.hf_models import make_hf
from selflabel.encoders.joined import JoinedFeatures
from selflabel.encoders.resnet import WIDE, make_resnet
from selflabel.encoders.resnet2d3d import ResNet2D3D
from selflabel.encoders.s3d import S3DG
from selflabel.encoders.small import make_conv4, make_resnet7_fine, make_resnet9
from selflabel.encoders.sound_texture import SoundTexture
from selflabel.encoders.timm_encoder import PREFIX as TIMM
from selflabel.encoders.timm_encoder import make_timm
from selflabel.encoders.weights import load_weights

FROZEN = "frozen"


@dataclass(frozen=True)
class EncoderEntry:
    """How to make an encoder, and what `selflabel encoders` prints about it.

    Args:
        make: (channels, px) -> encoder; of videos (px, frames) -> encoder; of waves (samples a second) -> encoder.
        description: what network it is.
        suits: which data it suits.
    """

    make: Callable[..., nn.Module]
    description: str
    suits: str


ENCODERS: dict[str, EncoderEntry] = {
    "conv4": EncoderEntry(make_conv4, "four convolutions (32, 32, 64, 128), flattened", "small grey images, 8 to 32 px"),
    "resnet9": EncoderEntry(make_resnet9, "four thin residual stages (32 to 256)", "photos on a CPU, 32 to 128 px"),
    "resnet7-fine": EncoderEntry(make_resnet7_fine, "three such stages, a place of the map for 8 pixels", "`find` with sounds"),
    WIDE: EncoderEntry(make_resnet(WIDE), "ResNet of one block a stage (64 to 512), SeLaVi's for sounds", "--preset paper"),
    "resnet18": EncoderEntry(make_resnet("resnet18"), "ResNet-18; small-image stem up to 64 px", "photos on a GPU"),
    "resnet50": EncoderEntry(make_resnet("resnet50"), "ResNet-50; small-image stem up to 64 px", "photos on a GPU"),
    "alexnet": EncoderEntry(make_alexnet, "AlexNet with batch norm, as SeLa trains it", "--preset paper"),
}

CLIP_ENCODERS: dict[str, EncoderEntry] = {
    "clip9": EncoderEntry(
        lambda px, frames: ClipEncoder(Clip9(px), px, frames), "ResNet9 with channels shifted in time", "videos on a CPU"
    ),
    "r2plus1d": EncoderEntry(lambda px, frames: ClipEncoder(R2Plus1D(), px, frames), "R(2+1)D-18, as SeLaVi", "videos on a GPU"),
    "resnet18-2d3d": EncoderEntry(
        lambda px, frames: ClipEncoder(ResNet2D3D(18), px, frames), "2D3D-ResNet-18, as DPC", "`--set pretext=dpc` on a GPU"
    ),
    "resnet34-2d3d": EncoderEntry(
        lambda px, frames: ClipEncoder(ResNet2D3D(34), px, frames), "2D3D-ResNet-34, as DPC", "the same"
    ),
    "s3dg": EncoderEntry(
        lambda px, frames: ClipEncoder(S3DG(), px, frames, mean=0.0, std=1.0),
        "S3D-G with a space-to-depth stem, as MIL-NCE",
        "videos on a GPU, with `--weights`",
    ),
}

WAVE_ENCODERS: dict[str, EncoderEntry] = {
    "texture": EncoderEntry(
        SoundTexture, "502 statistics of how a sound is; nothing is learned", "noises, and teaching pictures"
    ),
}


def make_encoder(name: str, channels: int, px: int, weights: Path | None = None, fetch: bool = True) -> Encoder:
    """An encoder of images by its name.

    Args:
        name: in ENCODERS, or "timm:NAME".
        channels: of the images.
        px: side at which they are shown, in pixels.
        weights: a .safetensors file; None leaves the weights random, except that a timm backbone fetches its pretrained ones.
        fetch: False keeps a timm backbone from fetching.

    Raises:
        UserError: there is no such encoder, or its weights cannot be had.
    """
    if name.startswith(TIMM):
        return make_timm(name.removeprefix(TIMM), channels, px, weights, fetch)
    check_encoder(name)
    if name in CLIP_ENCODERS:
        raise UserError(f"--encoder {name}: takes videos, not images or sounds; for videos name it as video={name}.")
    encoder = ENCODERS[name].make(channels, px)
    assert isinstance(encoder, Encoder)
    if weights:
        load_weights(encoder, weights, name)
    return encoder


def check_encoder(name: str) -> None:
    """Raise UserError where there is no encoder of that name; what timm and the model hub have is not looked up."""
    names = [*ENCODERS, *CLIP_ENCODERS]
    backbone = name.removeprefix(f"{FROZEN}:")
    if backbone.startswith(HF) and backbone == name:
        raise UserError(f"--encoder {name}: models of transformers are used fixed; write it as frozen:{name}.")
    if name in WAVE_ENCODERS:
        raise UserError(f"--encoder {name}: has nothing that could be trained; write it as frozen:{name}.")
    if backbone not in (*names, *WAVE_ENCODERS) and not backbone.startswith((TIMM, HF)):
        fixed = ", ".join(f"{FROZEN}:{name}" for name in WAVE_ENCODERS)
        known = f"{', '.join(names)}, timm:NAME, frozen:NAME, {fixed}, frozen:hf:NAME, auto and scratch"
        raise UserError(f"--encoder {name}: there is none of that name; there are {known}{did_you_mean(name, names)}")


def make_clip_encoder(
    name: str, px: int, frames: int, weights: Path | None = None, fetch: bool = True
) -> ClipEncoder | Framewise:
    """An encoder of videos (B, 3, frames, px, px): one of CLIP_ENCODERS, or any image encoder frame by frame.

    The other arguments and what it raises are as in `make_encoder`.
    """
    if name not in CLIP_ENCODERS:
        return Framewise(make_encoder(name, 3, px, weights, fetch))
    encoder = CLIP_ENCODERS[name].make(px, frames)
    assert isinstance(encoder, ClipEncoder)
    if weights:
        load_weights(encoder, weights, name)
    return encoder


def feature_or_image_encoder(
    kind: str,
    name: str,
    channels: int,
    px: int,
    *,
    frames: int = 0,
    feature_dim: int = 0,
    space_dims: Sequence[int] = (),
    weights: Path | None = None,
    fetch: bool = True,
    network: str | None = None,
    rate: int = 0,
) -> nn.Module:
    """The encoder of one modality, whatever is stored of it: features, videos, or images and sounds.

    Args:
        kind: "features", "video", or any other kind for images (sounds are images of one channel).
        name: of the encoder; a leading "frozen:" is ignored, and for features the name is not used.
        channels, px, weights, fetch: as in `make_encoder`.
        frames: of a video.
        feature_dim: length of a feature vector, where kind is "features"; the encoder is not fitted yet.
        network: of a model of transformers, as a run recorded it; its weights are then left random.
        space_dims: of features, the length of a vector in each of several spaces; empty for a single one.
        rate: of sounds, samples a second.

    Raises:
        UserError: there is no such encoder, it does not suit the items, or its weights cannot be had.
    """
    if kind == "features":
        return JoinedFeatures(space_dims) if space_dims else GivenFeatures(feature_dim)
    name = name.removeprefix(f"{FROZEN}:")
    if name.startswith(HF):
        return make_hf(name, kind, px, frames, network, fetch)
    if name in WAVE_ENCODERS:
        if kind not in ("sound", "spoken"):
            raise UserError(f"--encoder {name}: takes sounds, and the items are {kind}s; name another encoder.")
        return WAVE_ENCODERS[name].make(rate)
    if kind == "video":
        return make_clip_encoder(name, px, frames, weights, fetch)
    return make_encoder(name, channels, px, weights, fetch)
