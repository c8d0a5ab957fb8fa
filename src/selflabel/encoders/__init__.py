"""TENSOR TO FEATURE: one registry of encoders.

An `Encoder` takes views with values in [0, 1], normalises them, makes a map (B, C, h, w) and a feature (B, D) from it.
Films are encoded by CLIP_ENCODERS, or frame by frame by an image encoder; sounds as pictures of one channel.
Names: those in ENCODERS, `timm:NAME` for any timm backbone, `frozen` for features as they are given, and `frozen:NAME`
for a fixed backbone whose features are computed once.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from selflabel.base.errors import UserError
from selflabel.encoders import alexnet, clip, small

FROZEN = "frozen"


class Encoder(nn.Module):
    """Normalise, trunk to a map, neck to a feature. `dim` is the feature's length, `px` the side it is shown."""

    mean: Tensor
    std: Tensor

    def __init__(self, trunk: nn.Module, neck: nn.Module, channels: int, px: int, mean=None, std=None):
        super().__init__()
        self.trunk, self.neck, self.px = trunk, neck, px
        self.register_buffer("mean", torch.tensor(mean or [0.5] * channels).view(-1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std or [0.25] * channels).view(-1, 1, 1), persistent=False)
        self.dim = dimension(self, channels, px)

    def map(self, x: Tensor) -> Tensor:
        """(B, C, px, px) in [0, 1] to (B, D', h, w)."""
        return self.trunk(((x - self.mean) / self.std).contiguous(memory_format=torch.channels_last))

    def forward(self, x: Tensor) -> Tensor:
        return self.neck(self.map(x))


class GivenFeatures(nn.Module):
    """The encoder of feature input: rows about their common mean, over their mean length, and nothing learned.

    Centred, because what all items share says nothing of their labels and dominates raw features of a ReLU network.
    Lengths are kept: rows brought to unit length lose a cluster that lies at the origin.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, dim: int):
        super().__init__()
        self.dim, self.px = dim, 0
        self.register_buffer("mean", torch.zeros(dim))
        self.register_buffer("scale", torch.ones(()))

    def fit(self, features_ND: Tensor) -> GivenFeatures:
        """Take the mean and the mean length, block by block."""
        blocks, n = features_ND.split(65_536), len(features_ND)
        self.mean.copy_(torch.stack([block.double().sum(dim=0) for block in blocks]).sum(dim=0) / n)
        length = sum(float((block.float() - self.mean).norm(dim=1).double().sum()) for block in blocks) / n
        self.scale.fill_(length if length > 0 else 1.0)
        return self

    def forward(self, x: Tensor) -> Tensor:
        return (x.float() - self.mean) / self.scale


def dimension(encoder: nn.Module, channels: int, px: int) -> int:
    """The feature's length, found by showing one blank picture."""
    was = encoder.training
    encoder.eval()
    with torch.no_grad():
        dim = encoder(torch.zeros(1, channels, px, px)).shape[1]
    encoder.train(was)
    return dim


def takes_side(encoder: nn.Module, channels: int, px: int) -> bool:
    """Whether an encoder makes features of its length of pictures of another side than its own."""
    try:
        return dimension(encoder, channels, px) == encoder.dim
    except (RuntimeError, AssertionError, ValueError):
        return False


def laid_out(net: nn.Module) -> nn.Module:
    """The network with its filters' channels last, in place, as convolutions of pictures and of films run fastest."""
    for p in net.parameters():
        if p.dim() in (4, 5):
            p.data = p.data.contiguous(memory_format=torch.channels_last if p.dim() == 4 else torch.channels_last_3d)
    return net


# --------------------------------------------------------------------------------------------------------- the makers


def pooled() -> nn.Module:
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())


def make_conv4(channels: int, px: int) -> Encoder:
    return Encoder(small.Conv4(channels, px), nn.Flatten(), channels, px)


def make_resnet9(channels: int, px: int) -> Encoder:
    return Encoder(small.ResNet9(channels, px), pooled(), channels, px)


def make_resnet(name: str) -> Callable[[int, int], Encoder]:
    def make(channels: int, px: int) -> Encoder:
        import torchvision

        if name == "resnet9-wide":
            net = torchvision.models.ResNet(torchvision.models.resnet.BasicBlock, [1, 1, 1, 1])
        else:
            net = getattr(torchvision.models, name)(weights=None)
        if px <= 64:  # the small-image stem of the CIFAR literature
            net.conv1 = nn.Conv2d(channels, 64, 3, padding=1, bias=False)
            net.maxpool = nn.Identity()
        elif channels != 3:
            net.conv1 = nn.Conv2d(channels, 64, 7, stride=2, padding=3, bias=False)
        trunk = nn.Sequential(OrderedDict(list(net.named_children())[:-2]))  # torchvision's names, so that its weights fit
        return Encoder(trunk, pooled(), channels, px)

    return make


def make_alexnet(channels: int, px: int) -> Encoder:
    if px < alexnet.LEAST_PX:
        raise UserError(f"alexnet needs pictures of at least {alexnet.LEAST_PX} px, these are shown at {px}; add --set px=224.")
    trunk = alexnet.convolutions(channels)
    with torch.no_grad():
        maps = trunk.eval()(torch.zeros(1, channels, px, px)).shape[1:]
    return Encoder(trunk.train(), alexnet.neck(maps), channels, px)


@dataclass(frozen=True)
class Entry:
    """What `selflabel encoders` prints, and how to make one."""

    make: Callable[[int, int], nn.Module]
    what: str
    suits: str


ENCODERS: dict[str, Entry] = {
    "conv4": Entry(make_conv4, "four convolutions (32, 32, 64, 128), flattened", "small grey pictures, 8 to 32 px"),
    "resnet9": Entry(make_resnet9, "four thin residual stages (32 to 256)", "photos on a CPU, 32 to 128 px"),
    "resnet9-wide": Entry(
        make_resnet("resnet9-wide"), "ResNet of one block a stage (64 to 512), as SeLaVi hears", "--preset paper"
    ),
    "resnet18": Entry(make_resnet("resnet18"), "ResNet-18; small-image stem up to 64 px", "photos on a GPU"),
    "resnet50": Entry(make_resnet("resnet50"), "ResNet-50; small-image stem up to 64 px", "photos on a GPU"),
    "alexnet": Entry(make_alexnet, "AlexNet with batch norm, as SeLa trains it", "--preset paper"),
}


CLIP_ENCODERS: dict[str, Entry] = {
    "clip9": Entry(
        lambda px, frames: clip.ClipEncoder(clip.Clip9(px), px, frames), "ResNet9 with channels shifted in time", "films on a CPU"
    ),
    "r2plus1d": Entry(
        lambda px, frames: clip.ClipEncoder(clip.R2Plus1D(), px, frames), "R(2+1)D-18, as SeLaVi", "films on a GPU"
    ),
}


def make_clip_encoder(name: str, px: int, frames: int, weights: Path | None = None, fetch: bool = True) -> nn.Module:
    """An encoder of films (B, 3, T, px, px): one of CLIP_ENCODERS, or any image encoder's name, frame by frame."""
    if name not in CLIP_ENCODERS:
        return clip.Framewise(make_encoder(name, 3, px, weights, fetch))
    encoder = CLIP_ENCODERS[name].make(px, frames)
    if weights:
        load_weights(encoder, weights, name)
    return encoder


def make_encoder(name: str, channels: int, px: int, weights: Path | None = None, fetch: bool = True) -> Encoder:
    """An encoder by its name, for pictures of this many channels shown at this side.

    Without `weights` a timm backbone fetches its pretrained ones, unless `fetch` is False.

    Raises:
        UserError: no such encoder, or its weights cannot be had.
    """
    if name.startswith("timm:"):
        return make_timm(name.removeprefix("timm:"), channels, px, weights, fetch)
    if name in CLIP_ENCODERS:
        raise UserError(f"--encoder {name}: takes films, not pictures or sounds; for films name it as video={name}.")
    if name not in ENCODERS:
        known = ", ".join([*ENCODERS, *CLIP_ENCODERS])
        raise UserError(f"--encoder {name}: there is none of that name; there are {known}, timm:NAME and frozen:NAME.")
    encoder = ENCODERS[name].make(channels, px)
    assert isinstance(encoder, Encoder)
    if weights:
        load_weights(encoder, weights, name)
    return encoder


# --------------------------------------------------------------------------------------------------- timm and weights


def timm_px(name: str) -> int:
    """The side that a timm backbone was trained at; 0 for any other name."""
    if not name.startswith("timm:"):
        return 0
    import timm

    config = timm.get_pretrained_cfg(name.removeprefix("timm:"), allow_unregistered=True)
    return int(config.input_size[-1]) if config else 224


def make_timm(name: str, channels: int, px: int, weights: Path | None, fetch: bool) -> Encoder:
    import timm

    try:
        net = timm.create_model(name, pretrained=fetch and weights is None, num_classes=0, in_chans=channels)
    except RuntimeError as error:
        if "Unknown model" in str(error):
            raise UserError(f"timm:{name}: timm has no model of that name; timm.list_models() lists them.") from error
        raise cannot_fetch(name, error) from error
    except Exception as error:  # the hub raises a family of its own, and anything below it
        raise cannot_fetch(name, error) from error
    if weights:
        load_weights(net, weights, f"timm:{name}")
    config: dict = net.pretrained_cfg  # type: ignore[assignment]
    mean, std = list(config.get("mean", [0.5] * 3)), list(config.get("std", [0.5] * 3))
    if channels == 1:
        mean, std = [sum(mean) / len(mean)], [sum(std) / len(std)]
    return Encoder(TimmTrunk(net), TimmNeck(net), channels, px, mean, std)


def cannot_fetch(name: str, error: Exception) -> UserError:
    reason = str(error).strip().splitlines()[0][:120] if str(error).strip() else type(error).__name__
    return UserError(
        f"timm:{name}: its pretrained weights cannot be fetched ({reason}); give them with --weights FILE.safetensors."
    )


class TimmTrunk(nn.Module):
    def __init__(self, net: nn.Module):
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        return self.net.forward_features(x)  # type: ignore[operator]


class TimmNeck(nn.Module):
    """The backbone's own pooling; it holds the net without registering it twice."""

    def __init__(self, net: nn.Module):
        super().__init__()
        self.held = [net]

    def forward(self, maps: Tensor) -> Tensor:
        return self.held[0].forward_head(maps, pre_logits=True)  # type: ignore[operator]


INSIDE_A_RUN = re.compile(r"(method\.encoders|backbone)\.\w+\.")  # where a run's model.safetensors keeps its encoders


def load_weights(net: nn.Module, file: Path, name: str) -> None:
    """Load a .safetensors state dict, or the encoder of a run's model.safetensors.

    A classifier that the net no longer has is ignored, anything else missing is an error.
    """
    from safetensors.torch import load_file

    if file.suffix != ".safetensors":
        raise UserError(f"--weights {file}: only .safetensors files are loaded, because other formats can run code.")
    try:
        state = load_file(file)
    except Exception as error:  # safetensors raises its own family and OSError
        raise UserError(f"--weights {file}: cannot be read as safetensors ({error}).") from error
    own = net.state_dict()
    for prefix in sorted({m[0] for k in state if (m := INSIDE_A_RUN.match(k))}):
        inner = {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
        if own.keys() <= inner.keys():
            state = inner
    if not any(k in own for k in state):  # a backbone's own names, e.g. torchvision's, inside our Encoder
        some = next(iter(state), "")
        inside = next((k.removesuffix(some) for k in own if k.endswith(f".{some}")), "")
        state = {f"{inside}{k}": v for k, v in state.items()}
    fitting = {k: v for k, v in state.items() if k in own and own[k].shape == v.shape}
    missing = [k for k in own if k not in fitting and not k.endswith("num_batches_tracked")]
    missing = [k for k in missing if not k.startswith(("fc.", "classifier.", "head."))]
    if missing:
        raise UserError(
            f"--weights {file}: these are no weights of {name}; {len(missing)} tensors do not fit, the first {missing[0]}."
        )
    net.load_state_dict(fitting, strict=False)
