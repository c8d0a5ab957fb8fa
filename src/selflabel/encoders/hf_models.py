"""Models of transformers as encoders (see `hf`): of pictures, of films and of sounds.

A feature is what the model's kind pools: the projection of a model of pictures or sounds and text, its own pooling, the class
token, or the mean over places or time.

Axes: B items, C channels, F frames, S samples, T tokens, D features.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from selflabel.base.errors import UserError
from selflabel.encoders.clip import batch_to_frames, frames_to_batch
from selflabel.encoders.hf import IMAGENET, PREFIX, Network, check_installed, folder_of, read_network
from selflabel.encoders.weights import check_finite

POOLINGS = ("projection", "pooler", "class", "mean")
UNUSED = ("pooler", "mask")  # in names of tensors that files may lack: they are not used, or only in training
MOST_WEIGHTS = 2_000_000_000  # of a network that a run describes
IMAGE, VIDEO, AUDIO = "pictures", "films", "sounds"


def make_hf(name: str, kind: str, px: int, frames: int, network: str | None, fetch: bool) -> nn.Module:
    """A fixed encoder from a model of transformers.

    Args:
        name: "hf:" and a repository of the hub, or a folder.
        kind: of the items.
        px: side of pictures and frames, in pixels.
        frames: of a film.
        network: as a run recorded it (`Network.as_text`); its weights are then left random. None reads the files.
        fetch: False takes only what is on the disk.

    Raises:
        UserError: transformers is not installed, the files cannot be had, or the model does not suit the items.
    """
    check_installed(name)
    if network is not None:
        known = Network.from_text(network)
        net = bare(known)
    else:
        folder = folder_of(name, None, fetch)
        known = read_network(folder)
        net, missing = loaded(name, folder)
        known = replace(known, pooled=pooling_of(net, missing))
    takes = what_it_takes(net, known)
    wanted = {"video": VIDEO, "sound": AUDIO, "spoken": AUDIO}.get(kind, IMAGE)
    if takes != wanted and (takes, wanted) != (IMAGE, VIDEO):
        raise UserError(f"{name}: takes {takes}, and the items are {wanted}; name another encoder.")
    make = {IMAGE: HfImages, VIDEO: HfFilms, AUDIO: HfSounds}[takes]
    try:
        encoder = make(net, known, px, frames)
    except (RuntimeError, ValueError, TypeError, AttributeError, IndexError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:160]
        raise UserError(f"{name}: cannot be used as an encoder of {wanted} ({reason}); name another one.") from error
    return FramesAlone(encoder) if (takes, wanted) == (IMAGE, VIDEO) else encoder


def bare(network: Network) -> nn.Module:
    """The model with random weights."""
    from transformers import AutoConfig, AutoModel

    config = AutoConfig.for_model(**network.config)
    with torch.device("meta"):  # a stranger's description is measured before memory is taken
        size = sum(p.numel() for p in AutoModel.from_config(config, trust_remote_code=False).parameters())
    if size > MOST_WEIGHTS:
        raise ValueError(f"the network has {size:,} weights")
    return prepared(AutoModel.from_config(config, trust_remote_code=False))


def loaded(name: str, folder: Path) -> tuple[nn.Module, list[str]]:
    """(the model with its weights, the names of tensors that its files lack and that no feature needs).

    Raises:
        UserError: transformers cannot read it, its files lack tensors, or hold values that are no numbers.
    """
    from transformers import AutoModel

    try:
        with quiet():
            net, info = AutoModel.from_pretrained(
                folder, local_files_only=True, trust_remote_code=False, output_loading_info=True, ignore_mismatched_sizes=False
            )
    except Exception as error:  # of many libraries
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:160]
        raise UserError(f"{name}: transformers cannot read it ({reason}).") from error
    missing = sorted(map(str, info["missing_keys"]))
    needed = [key for key in missing if not any(word in key for word in UNUSED)]
    if needed:
        raise UserError(f"{name}: its files lack {len(needed)} tensors of the model, the first {needed[0]}; get them again.")
    check_finite(net, name)
    return prepared(net), missing


@contextmanager
def quiet() -> Iterator[None]:
    """Keep the library's bars and reports off the screen; what is wrong with the weights is said in a sentence."""
    from transformers.utils import logging

    level, had_bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity(logging.CRITICAL)
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if had_bars:
            logging.enable_progress_bar()


def prepared(net: Any) -> nn.Module:
    """A model in 32 bits that hides nothing of its input, without a text tower's or a decoder's part."""
    if hasattr(net.config, "mask_ratio"):  # masked autoencoders hide most of a picture at random
        net.config.mask_ratio = 0.0
    if getattr(net.config, "is_encoder_decoder", False):
        net = net.get_encoder()
    return net.float().eval()


def pooling_of(net: nn.Module, missing: list[str]) -> str:
    """How the feature is pooled: names of POOLINGS, the first of which the output has is taken."""
    if hasattr(net, "get_image_features") or hasattr(net, "get_audio_features"):
        return "projection"
    poolers = [module for key, module in net.named_modules() if key.rpartition(".")[2] == "pooler"]
    is_task_layer = any(hasattr(pooler, "dense") for pooler in poolers)  # BERT's: of a task, and random where there was none
    has_class = any(key.rpartition(".")[2] in ("cls_token", "class_embedding") for key, _ in net.named_parameters())
    rest = "class" if has_class else "mean"
    return rest if is_task_layer or any("pooler" in key for key in missing) else f"pooler {rest}"


def what_it_takes(net: nn.Module, network: Network) -> str:
    """Pictures, films or sounds."""
    main = str(getattr(net, "main_input_name", ""))
    if hasattr(net, "get_audio_features") or main in ("input_values", "input_features"):
        return AUDIO
    if main == "pixel_values_videos" or (network.frames and main == "pixel_values"):
        return VIDEO
    if hasattr(net, "get_image_features") or main == "pixel_values":
        return IMAGE
    raise UserError(
        f"{PREFIX}{network.config.get('model_type')}: takes neither pictures nor films nor sounds; name another encoder."
    )


def pooled(output: Any, ways: str) -> Tensor:
    """The feature (B, D) of a model's output; `ways` are of `pooling_of`."""
    if ways == "projection":
        return output if isinstance(output, Tensor) else output.pooler_output
    own = getattr(output, "pooler_output", None)
    if ways.startswith("pooler") and own is not None:
        return own.flatten(1)
    tokens = output.last_hidden_state
    if tokens.ndim > 3:  # maps (B, D, h, w)
        return tokens.flatten(2).mean(dim=2)
    return tokens[:, 0] if ways.endswith("class") else tokens.mean(dim=1)


# -------------------------------------------------------------------------------------------------------------- encoders


class HfImages(nn.Module):
    """A model of pictures: (B, C, px, px) with values in [0, 1] to (B, D); grey ones are shown in three equal channels."""

    mean: Tensor
    std: Tensor

    def __init__(self, net: nn.Module, network: Network, px: int, frames: int = 0):
        super().__init__()
        self.net, self.px, self.pooled, self.network = net, px, network.pooled, network.as_text()
        self.scale, self.shift, mean, std = numbers_of(network.processor)
        self.register_buffer("mean", torch.tensor(mean).view(-1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(-1, 1, 1), persistent=False)
        self.dim = measured(self, torch.zeros(1, 3, px, px))

    def normalise(self, x: Tensor) -> Tensor:
        return (x.expand(-1, 3, -1, -1) * self.scale - self.shift - self.mean) / self.std

    def forward(self, x: Tensor) -> Tensor:
        """The feature (B, dim)."""
        x = self.normalise(x)
        if self.pooled == "projection":
            return pooled(self.net.get_image_features(pixel_values=x), self.pooled)  # type: ignore[operator]
        return pooled(self.net(pixel_values=x), self.pooled)


class HfFilms(HfImages):
    """A model of films: (B, 3, F, px, px) with values in [0, 1] to (B, D)."""

    def __init__(self, net: nn.Module, network: Network, px: int, frames: int = 0):
        self.main = "pixel_values_videos" if net.main_input_name == "pixel_values_videos" else "pixel_values"
        self.frames = frames or network.frames
        super().__init__(net, network, px)

    def forward(self, x: Tensor) -> Tensor:
        """The feature (B, dim)."""
        if x.ndim == 4:  # a blank picture, by which the length of the feature is measured
            x = x[:, :, None].expand(-1, -1, self.frames, -1, -1)
        frames = self.normalise(frames_to_batch(x)).unflatten(0, (len(x), x.shape[2]))
        return pooled(self.net(**{self.main: frames}), self.pooled)


class FramesAlone(nn.Module):
    """A model of pictures on every frame of a film; features are averaged over time."""

    def __init__(self, encoder: nn.Module):
        super().__init__()
        self.encoder, self.dim, self.px = encoder, encoder.dim, encoder.px
        self.network = encoder.network

    def forward(self, x: Tensor) -> Tensor:
        """The feature (B, dim) of (B, 3, F, px, px)."""
        return batch_to_frames(self.encoder(frames_to_batch(x))[:, :, None, None], x.shape[2]).mean(dim=(2, 3, 4))


class HfSounds(nn.Module):
    """A model of sounds: waves (B, S) in [-1, 1] at the model's rate to (B, D); its own extractor makes its input of them."""

    def __init__(self, net: nn.Module, network: Network, px: int = 0, frames: int = 0):
        super().__init__()
        self.net, self.px, self.pooled, self.network = net, px, network.pooled, network.as_text()
        self.rate, self.extract = network.rate, extractor_of(network)
        self.dim = measured(self, torch.zeros(1, self.rate))

    def forward(self, x: Tensor) -> Tensor:
        """The feature (B, dim)."""
        most = int(getattr(self.extract, "nb_max_samples", 0) or x.shape[1])  # of longer ones CLAP's takes a random stretch
        first = max(0, x.shape[1] - most) // 2
        waves = [wave.numpy() for wave in x[:, first : first + most].detach().float().cpu()]
        with torch.autocast(x.device.type, enabled=False):  # the extractor computes in 32 bits
            extracted = self.extract(waves, sampling_rate=self.rate, return_tensors="pt")
        inputs = {k: v.to(x.device) for k, v in extracted.items()}
        if self.pooled == "projection":
            return pooled(self.net.get_audio_features(**inputs), self.pooled)  # type: ignore[operator]
        inputs = {k: v for k, v in inputs.items() if k != "attention_mask"}  # the waves are of one length
        output = self.net(**inputs)
        whole = int(getattr(self.extract, "n_samples", 0) or 0)  # to which the extractor pads, with silence
        if self.pooled.endswith("mean") and whole > x.shape[1]:
            tokens = output.last_hidden_state
            return tokens[:, : max(1, round(tokens.shape[1] * x.shape[1] / whole))].mean(dim=1)
        return pooled(output, self.pooled)


def measured(encoder: nn.Module, x: Tensor) -> int:
    """Length of the feature of a blank input."""
    with torch.no_grad():
        return int(encoder.eval()(x).shape[1])


def numbers_of(processor: dict[str, Any]) -> tuple[float, float, list[float], list[float]]:
    """(factor, offset, mean, deviation) that a processor applies to values in [0, 1], as `HfImages.normalise` does."""
    rescales = processor.get("do_rescale", True)
    factor = 255 * float(processor.get("rescale_factor") or 1 / 255) if rescales else 255.0
    offset = 1.0 if processor.get("offset") or processor.get("rescale_offset") else 0.0
    if processor.get("do_normalize", True) is False:
        return factor, offset, [0.0] * 3, [1.0] * 3
    values = {**IMAGENET, **{k: v for k, v in processor.items() if k in IMAGENET and v}}
    return factor, offset, [float(v) for v in values["image_mean"]], [float(v) for v in values["image_std"]]


def extractor_of(network: Network) -> Any:
    """What makes a model's input of waves: its own extractor, or the plain one for models that take waves as they are.

    Raises:
        ValueError: the model needs one, and none came with it.
    """
    from transformers import AutoFeatureExtractor, Wav2Vec2FeatureExtractor

    if not network.processor.get("feature_extractor_type"):
        if "conv_dim" not in network.config:
            raise ValueError("its files lack preprocessor_config.json")
        return Wav2Vec2FeatureExtractor(sampling_rate=network.rate)
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "preprocessor_config.json").write_text(json.dumps(network.processor), encoding="utf-8")
        Path(folder, "config.json").write_text(json.dumps({"model_type": network.config["model_type"]}), encoding="utf-8")
        return AutoFeatureExtractor.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
