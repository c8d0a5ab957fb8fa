"""Any backbone of timm as an encoder: pooled features as timm makes them, and a map of the last layer.

A transformer's map is its patch tokens; class and register tokens are left out. Its keys are those of the last attention layer,
all heads side by side, as LOST (Simeoni et al., 2021), TokenCut (Wang et al., 2022) and FOUND (Simeoni et al., 2023) use them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from selflabel.base.errors import UserError
from selflabel.encoders.base import Encoder, Layer, no_such_layer, side_by_side
from selflabel.encoders.hub import NoHub, NotOnHub, Progress, hub_file
from selflabel.encoders.tokens import class_attention, count_prefix_tokens, is_attention, keys_of, patch_grid, tokens_to_map
from selflabel.encoders.weights import check_finite, check_shapes, state_for

PREFIX = "timm:"
DEFAULT_PX = 224
FINE_STRIDE = 16  # pixels between the places of a map
HUB_PREFIXES = ("hf-hub:", "hf_hub:")  # of names that only the hub describes
FILES = ("model.safetensors", "pytorch_model.bin")


class TimmEncoder(Encoder):
    """An encoder whose trunk is a timm network."""

    trunk: TimmTrunk

    def map(self, x: Tensor, layer: Layer = "map") -> Tensor:
        """See `Encoder.map`; of a transformer its patch tokens, or their keys in the last attention layer."""
        if layer == "keys":
            return self.keys(x)
        if layer == "stride16":
            return self.stages(x, 1)[0]
        if layer == "stages":
            return side_by_side(self.stages(x))
        if layer != "map":
            raise no_such_layer(layer, "")
        output = self.trunk(self.normalise(x))
        if isinstance(output, Tensor) and output.ndim == 4:
            return output.permute(0, 3, 1, 2) if getattr(self.trunk.net, "output_fmt", "NCHW") == "NHWC" else output
        grid = self.grid_of(output, x, layer)
        return tokens_to_map(output[:, -math.prod(grid) :], grid)

    def keys(self, x: Tensor) -> Tensor:
        attention = last_attention(self.trunk.net)
        with recorded_inputs(attention) as inputs:
            output = self.trunk(self.normalise(x))
        grid = self.grid_of(output, x, "keys")
        keys = keys_of(attention, inputs[-1])[:, -math.prod(grid) :]  # some attend to class tokens too, which come first
        return tokens_to_map(keys, grid)

    def attended_map(self, x: Tensor, layer: Layer = "map") -> tuple[Tensor, Tensor | None]:
        """See `Encoder.attended_map`: of transformers with a class token whose positions are not rotated."""
        net = self.trunk.net
        if getattr(net, "cls_token", None) is None or getattr(net, "rope", None) is not None:
            return self.map(x, layer), None
        try:
            attention = last_attention(net)
        except UserError:
            return self.map(x, layer), None
        with recorded_inputs(attention) as inputs:
            features = self.map(x, layer)
        weights = class_attention(attention, inputs[-1]) if inputs else None
        h, w = features.shape[2:]
        return features, None if weights is None else weights[..., -h * w :].unflatten(2, (h, w))

    def stages(self, x: Tensor, most: int | None = None) -> list[Tensor]:
        """See `Encoder.stages`; the last map alone where no stage is known, or that is fine enough. most: maps, at most."""
        net = self.trunk.net
        stages = getattr(net, "feature_info", None)
        strides = [stage["reduction"] for stage in stages] if isinstance(stages, list) else []
        fine = [i for i, stride in enumerate(strides) if stride <= FINE_STRIDE]
        if not fine or strides[-1] <= FINE_STRIDE or not hasattr(net, "forward_intermediates"):
            return [self.map(x)]
        wanted = list(range(fine[-1], len(strides)))[:most]
        return net.forward_intermediates(self.normalise(x), indices=wanted, intermediates_only=True)  # type: ignore[operator]

    def grid_of(self, output: Tensor, x: Tensor, layer: Layer) -> tuple[int, int]:
        """Rows and columns of the patch tokens among the trunk's output tokens (B, T, D) for images x.

        Raises:
            UserError: the output holds no full grid of patch tokens.
        """
        net, (height, width) = self.trunk.net, x.shape[-2:]
        grid = None
        if isinstance(output, Tensor) and output.ndim == 3:
            n_patches = output.shape[1] - count_prefix_tokens(net, output.shape[1], height, width)
            grid = patch_grid(n_patches, height, width)
        if grid is None:
            raise no_such_layer(layer, f"{type(net).__name__} gives no grid of patch tokens")
        return grid


class TimmTrunk(nn.Module):
    """A timm network up to its last features: a map, or tokens (B, T, D)."""

    def __init__(self, net: nn.Module):
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        return self.net.forward_features(x)  # type: ignore[operator]


class TimmNeck(nn.Module):
    """The network's own pooling; it holds the network without registering it twice."""

    def __init__(self, net: nn.Module):
        super().__init__()
        self.unregistered = [net]

    def forward(self, features: Tensor) -> Tensor:
        return self.unregistered[0].forward_head(features, pre_logits=True)  # type: ignore[operator]


# ----------------------------------------------------------------------------------------------------------- construction


def make_timm(name: str, channels: int, px: int, weights: Path | None, fetch: bool) -> TimmEncoder:
    """An encoder from a timm backbone.

    Args:
        name: timm's name, such as "resnet50".
        channels: of the images; of one channel the pretrained filters are summed, as timm does.
        px: side of the images in pixels; a transformer's positions are resized to it, as timm does.
        weights: a .safetensors file; None takes timm's own from the disk or fetches them, if `fetch`.
        fetch: False leaves the weights random where no file is given, and keeps off the network in any case.

    Raises:
        UserError: timm has no such model, its weights cannot be fetched or do not fit, or it takes no images of this side.
    """
    if fetch and not weights and timm_place(name) is None:
        net = create_net(name, channels, px, {})  # timm has an address or a folder of its own for it
    else:
        with offline():
            if weights:
                net = net_of_file(name, channels, px, weights)
            else:
                net = create_net(name, channels, px, {"file": str(timm_file(name))} if fetch else None)
    if fetch and not weights:
        check_finite(net, f"{PREFIX}{name}")
    config: dict = net.pretrained_cfg  # type: ignore[assignment]
    mean, std = list(config.get("mean", [0.5] * 3)), list(config.get("std", [0.5] * 3))
    if channels == 1:
        mean, std = [sum(mean) / len(mean)], [sum(std) / len(std)]
    try:
        return TimmEncoder(TimmTrunk(net), TimmNeck(net), channels, px, mean, std)
    except (RuntimeError, AssertionError, ValueError) as error:
        raise UserError(f"{PREFIX}{name}: takes no pictures of {px} px; leave px out, or try another size.") from error


def net_of_file(name: str, channels: int, px: int, file: Path) -> nn.Module:
    """A backbone with the weights of a user's file. timm itself fits positions and filters that have another shape."""
    net = create_net(name, channels, px)
    state = state_for(net, file, f"{PREFIX}{name}")
    own = net.state_dict()
    if any(own[k].shape != v.shape for k, v in state.items()):
        try:
            fitted = create_net(name, channels, px, {"state_dict": dict(state)})
        except UserError:
            check_shapes(net, state, file, f"{PREFIX}{name}")
            raise
        state, _ = fitted.state_dict(), fitted.pretrained_cfg.pop("state_dict", None)  # type: ignore[operator, union-attr]
    net.load_state_dict(state, strict=False)
    check_finite(net, f"--weights {file}")
    return net


@contextmanager
def offline() -> Iterator[None]:
    """Keep the model hub's library from the network: `hf-hub:` names are asked for there even where no weights are wanted."""
    from huggingface_hub import constants

    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


def create_net(name: str, channels: int, px: int, weights: dict[str, Any] | None = None) -> nn.Module:
    """A network of timm without its classifier.

    Args:
        name, channels, px: as in `make_timm`.
        weights: where they are, as fields of timm's configuration; None leaves them random.
    """
    import timm

    config = config_of(name)
    options: dict[str, Any] = {"num_classes": 0, "in_chans": channels}
    if config is not None and config.fixed_input_size and px != config.input_size[-1]:
        options["img_size"] = px
    if weights:
        foreign = config is not None and config.custom_load == "hf"
        options["pretrained_cfg_overlay"] = {"source": "", "custom_load": foreign, **weights}
    try:
        return timm.create_model(name, pretrained=weights is not None, **options)
    except RuntimeError as error:
        if "Unknown model" in str(error):
            raise UserError(f"timm:{name}: timm has no model of that name; timm.list_models() lists them.") from error
        raise cannot_fetch(name, weights is not None, error) from error
    except Exception as error:  # the hub raises a family of its own, and anything below it
        raise cannot_fetch(name, weights is not None, error) from error


def timm_place(name: str) -> tuple[str, tuple[str, ...]] | None:
    """(repository, files that may hold the weights, the best one first) on the hub; None where a backbone is not there."""
    if name.startswith(HUB_PREFIXES):
        return name.partition(":")[2], FILES
    config = config_of(name)
    if not config or not config.hf_hub_id:
        return None
    own = config.hf_hub_filename
    if not own:
        return config.hf_hub_id, FILES
    safe = own.replace("pytorch_model.bin", "model.safetensors")
    return config.hf_hub_id, tuple(dict.fromkeys((safe, own)))


def timm_file(name: str, progress: Progress | None = None, fetch: bool = True) -> Path:
    """timm's own weights of a backbone that has a place on the hub: from the disk, or fetched. See `hub.hub_file`.

    Raises:
        UserError: they are not on the disk, and cannot be fetched.
    """
    place = timm_place(name)
    assert place is not None
    try:
        if name.startswith(HUB_PREFIXES):
            hub_file(place[0], ("config.json",), None, fetch)
        return hub_file(*place, progress, fetch)
    except (NoHub, NotOnHub) as error:
        raise cannot_fetch(name, True, error) from error


def cannot_fetch(name: str, fetch: bool, error: Exception) -> UserError:
    if not fetch:
        return UserError(f"timm:{name}: only the model hub describes this network, and nothing is fetched here; label anew.")
    reason = str(error).strip().splitlines()[0][:120] if str(error).strip() else type(error).__name__
    return UserError(
        f"timm:{name}: its pretrained weights cannot be fetched ({reason}); give them with --weights FILE.safetensors."
    )


def timm_px(name: str) -> int:
    """The side in pixels at which `timm:NAME` is shown pictures: at which it was trained, and DINOv2 at 224; 0 for other names.

    DINOv2 learned nearly all it knows at 224 px; its 518 px cost seven times as much.
    """
    if not name.startswith(PREFIX):
        return 0
    config = config_of(name.removeprefix(PREFIX))
    px = int(config.input_size[-1]) if config else DEFAULT_PX
    return DEFAULT_PX if "dinov2" in name and px > DEFAULT_PX else px


def timm_licence(name: str) -> str:
    """The licence of a backbone's weights as timm states it; "" where it does not."""
    config = config_of(name)
    return (config.license or "") if config else ""


def config_of(name: str) -> Any:
    """What timm knows of a backbone's weights and pictures; None of one that it does not know, or that only the hub describes."""
    import timm

    return None if ":" in name else timm.get_pretrained_cfg(name, allow_unregistered=True)


# -------------------------------------------------------------------------------------------------------------- attention


def last_attention(net: nn.Module) -> nn.Module:
    """The attention layer of the last transformer block.

    Raises:
        UserError: the network is no plain transformer: it has no list of blocks that each attend to all patches.
    """
    blocks = getattr(net, "blocks", None)
    if isinstance(blocks, (nn.Sequential, nn.ModuleList)) and len(blocks):
        attention = getattr(blocks[-1], "attn", None)
        if isinstance(attention, nn.Module) and is_attention(attention):
            return attention
    raise no_such_layer("keys", f"{type(net).__name__} has no attention over all patches")


@contextmanager
def recorded_inputs(module: nn.Module) -> Iterator[list[Tensor]]:
    """The inputs that a module is called with while the block runs, in order."""
    inputs: list[Tensor] = []
    handle = module.register_forward_pre_hook(lambda _, args: inputs.append(args[0]))
    try:
        yield inputs
    finally:
        handle.remove()
