"""Which network items are shown to, at which resolution, and how they are stored: decided from what the items are."""

from __future__ import annotations

from dataclasses import replace

import torch

from selflabel.base.errors import UserError
from selflabel.decode.formats import DecodedFormat
from selflabel.decode.look import MediaInfo
from selflabel.decode.video import SPAN_S
from selflabel.encoders import FROZEN, HF, WAVE_ENCODERS, Network, check_encoder, timm_px
from selflabel.views.clip import FRAMES
from selflabel.views.sound import MELS, PAPER_BANDS

SCRATCH = "scratch"  # an encoder's name: a network that is trained on the items alone, by what they are
GLYPH_PX, CPU_PHOTO_PX, GPU_PHOTO_PX, PAPER_PX = 32, 128, 160, 224
CPU_CLIP_PX, GPU_CLIP_PX = 64, 112
PAPER_FRAMES, PAPER_FPS = 30, 30  # SeLaVi's clips
SOUND_KINDS = ("sound", "spoken")
MAX_SAMPLES = 1 << 20  # of a sound
MAX_STORED_FRAMES, STORED_FPS = 32, 4  # of a video, where no rate is asked for


def is_frozen(encoder: str) -> bool:
    """Whether an encoder's name asks for a fixed backbone."""
    return encoder.startswith(f"{FROZEN}:")


def backbone_name(encoder: str) -> str:
    """The name of the network, without "frozen:"."""
    return encoder.removeprefix(f"{FROZEN}:")


def is_of_transformers(encoder: str) -> bool:
    """Whether an encoder is a model of transformers, which makes its own input of pixels and waves."""
    return backbone_name(encoder).startswith(HF)


def takes_waves(encoder: str) -> bool:
    """Whether an encoder hears the waves of sounds, and no spectrograms."""
    return is_of_transformers(encoder) or backbone_name(encoder) in WAVE_ENCODERS


def with_frames(
    info: MediaInfo, preset: str | None, frames: int | None, fps: float | None, network: Network | None = None
) -> MediaInfo:
    """The description of videos, with the frames of a view, and the frame rate where one was asked for.

    Args:
        info: of the items.
        preset: "paper" for the published number and rate.
        frames, fps: as asked for.
        network: a model of transformers that has its own number.
    """
    if info.kind != "video":
        return info
    default_frames, default_fps = (PAPER_FRAMES, PAPER_FPS) if preset == "paper" else (FRAMES, 0)
    default_frames = network.frames or default_frames if network is not None else default_frames
    return replace(info, frames=frames or default_frames, rate=fps or default_fps)


def with_rate(info: MediaInfo, rate: int | None, network: Network | None = None) -> MediaInfo:
    """The description of sounds at the rate that was asked for, cut so that one has MAX_SAMPLES at most.

    Args:
        info: of the items.
        rate: as asked for, in Hz.
        network: a model of transformers that hears one rate only.

    Raises:
        UserError: the model hears another rate.
    """
    if info.kind in SOUND_KINDS and network is not None:
        if rate not in (None, network.rate):
            raise UserError(f"--set rate={rate}: this encoder hears {network.rate} samples a second; leave rate out.")
        rate = network.rate
    if rate is None or info.kind not in SOUND_KINDS:
        return info
    seconds = min(info.seconds, MAX_SAMPLES / rate)
    cut = f"at {rate:,} Hz, of sounds that are longer than {seconds:.1f} s their middle is used."
    return replace(info, rate=rate, seconds=seconds, notes=(cut,) if seconds < info.seconds else ())


def with_seconds(info: MediaInfo, most_s: float | None) -> MediaInfo:
    """The description of sounds of which so many seconds are kept at most; None changes nothing."""
    if most_s is None or info.kind not in SOUND_KINDS:
        return info
    return replace(info, seconds=min(info.seconds, most_s))


def choose_encoder(requested: str, info: MediaInfo, preset: str | None, device: torch.device) -> str:
    """The encoder's name.

    Args:
        requested: a name as in `--encoder`; "auto" and "scratch" are the network by the items that is trained from scratch (a
            pretrained one was looked for before, see `backbones`).
        info: what the items are.
        preset: "paper" for the published network.
        device: a GPU gets larger networks.

    Raises:
        UserError: the encoder does not suit the items.
    """
    if info.kind == "features":
        if requested not in ("auto", SCRATCH, FROZEN):
            raise UserError(
                f"--encoder {requested}: the source holds features, which need no encoder; leave it out or use frozen."
            )
        return FROZEN
    if requested == FROZEN:
        raise UserError("--encoder frozen: is for feature input; for images name a backbone, e.g. frozen:timm:resnet50.")
    if requested not in ("auto", SCRATCH):
        check_encoder(requested)
        return requested
    if preset == "paper" and info.kind == "video":
        return "r2plus1d"
    if preset == "paper":
        return "resnet9-wide" if info.kind in SOUND_KINDS else "alexnet"
    if info.kind == "glyph":
        return "conv4"
    if info.kind == "video":
        return "r2plus1d" if device.type == "cuda" else "clip9"
    return "resnet18" if device.type == "cuda" and info.kind not in SOUND_KINDS else "resnet9"


def choose_px(
    requested: int | None,
    info: MediaInfo,
    encoder: str,
    preset: str | None,
    device: torch.device,
    network: Network | None = None,
) -> int:
    """The side of a view in pixels; for a spectrogram its height.

    Args:
        requested: as in `--set px=`; None is by the items and the encoder.
        info: what the items are.
        encoder: its name; timm backbones have a side of their own.
        preset: "paper" for the published side.
        device: a GPU gets larger views.
        network: a model of transformers, with a side of its own.
    """
    if info.kind in SOUND_KINDS:
        return PAPER_BANDS if preset == "paper" else MELS
    if requested:
        return requested
    trained_px = network.px if network is not None else timm_px(backbone_name(encoder))
    if trained_px:
        return trained_px
    on_gpu = device.type == "cuda"
    if preset == "paper":
        return GPU_CLIP_PX if info.kind == "video" else PAPER_PX
    if info.kind == "video":
        most = GPU_CLIP_PX if on_gpu else CPU_CLIP_PX
    else:
        most = GLYPH_PX if info.kind == "glyph" else GPU_PHOTO_PX if on_gpu else CPU_PHOTO_PX
    return min(most, max(info.short_px, 8))


def stored_px(px: int, info: MediaInfo, frozen: bool) -> int:
    """The side at which items are stored: a fixed backbone may get small items enlarged."""
    return min(px, max(info.short_px, 1)) if frozen else px


def seconds_used(info: MediaInfo) -> float:
    """Seconds of a sound or film that are stored at most."""
    return SPAN_S if info.kind == "video" else info.seconds


def storage_format(info: MediaInfo, px: int, are_windows: bool = False, whole: bool = False) -> DecodedFormat:
    """How items are decoded and stored.

    Args:
        info: what the items are.
        px: side of images and videos.
        are_windows: whether they were cut at fixed times: words, which are compared from their start to their end, do not begin
            and end with them.
        whole: keep pictures and films whole, with padding beside them.
    """
    if info.kind in SOUND_KINDS:
        is_event = are_windows and info.kind == "spoken"
        return DecodedFormat("sound", (max(1, round(info.seconds * info.rate)),), info.rate, is_event=is_event)
    if info.kind == "video":
        seconds = min(info.seconds, SPAN_S)
        frames = round(seconds * info.rate) if info.rate else min(MAX_STORED_FRAMES, round(seconds * STORED_FPS))
        return DecodedFormat("clip", (max(info.frames, frames), 3, px, px), info.rate, whole=whole)
    return DecodedFormat("image", (info.channels, px, px), scale=info.scale, whole=whole)
