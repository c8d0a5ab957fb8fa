"""FROM A SOURCE TO A TENSOR: open, look, decide network and resolution, decode, and run a frozen backbone once."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from selflabel.decode.cache import decoded_items, default_cache, make_room
from selflabel.decode.look import Look, look_at
from selflabel.encoders import FROZEN, Encoder, make_encoder, timm_px
from selflabel.errors import UserError
from selflabel.files import write_whole
from selflabel.items import Items, open_items
from selflabel.settings import Settings
from selflabel.training.data import ResidentData
from selflabel.training.distributed import Ranks
from selflabel.training.loop import Watch

GLYPH_PX, CPU_PHOTO_PX, GPU_PHOTO_PX, PAPER_PX = 32, 128, 160, 224
ENCODE_BATCH = 64


@dataclass(frozen=True)
class Notices:
    """Who is told what: a sentence, progress (what, done, total), and the loop's watch."""

    say: Callable[[str], None] = lambda text: None
    progress: Callable[[str, int, int], None] = lambda what, done, total: None
    watch: Watch = field(default_factory=Watch)


@dataclass(frozen=True)
class Prepared:
    """The set, ready to train on: the items that could be decoded, their tensor, and a frozen backbone where one made it."""

    items: Items
    tensor: Any
    look: Look
    px: int
    channels: int
    encoder: str
    backbone: Encoder | None = None


def prepare(settings: Settings, device: torch.device, notices: Notices, data: Any = None) -> Prepared:
    """Open the source, look at it, decode it, and run a frozen backbone over it where one was asked for."""
    items = open_items(settings.source if data is None else data)
    look = look_at(items)
    name = choose_encoder(settings, look, device)
    if look.kind == "features":
        return Prepared(items, np.asarray(items.array), look, 0, 0, FROZEN)
    px, channels = choose_px(settings, look, name, device), look.channels
    backbone_name = name.removeprefix(f"{FROZEN}:")
    fixed = name != backbone_name
    stored_px = min(px, max(look.short_px, 1)) if fixed else px
    kept, images, place = pixels(items, stored_px, channels, settings, notices)
    if not fixed:
        return Prepared(kept, images, look, px, channels, name)
    weights = Path(settings.weights) if settings.weights else None
    torch.manual_seed(settings.seed)
    backbone = make_encoder(backbone_name, channels, px, weights).to(device).eval()
    features = frozen_features(backbone, images, px, device, place, backbone_name, notices)
    return Prepared(kept, features, Look("features"), px, channels, name, backbone)


def choose_encoder(settings: Settings, look: Look, device: torch.device) -> str:
    asked = settings.encoder
    if look.kind == "features":
        if asked not in ("auto", FROZEN):
            raise UserError(f"--encoder {asked}: the source holds features, which need no encoder; leave it out or use frozen.")
        return FROZEN
    if asked == FROZEN:
        raise UserError("--encoder frozen: is for feature input; for pictures name a backbone, e.g. frozen:timm:resnet50.")
    if asked != "auto":
        return asked
    if settings.preset == "paper":
        return "alexnet"
    return "conv4" if look.kind == "glyph" else "resnet18" if device.type == "cuda" else "resnet9"


def choose_px(settings: Settings, look: Look, encoder: str, device: torch.device) -> int:
    """The side of the pictures as the encoder sees them."""
    if settings.px:
        return settings.px
    own = timm_px(encoder.removeprefix(f"{FROZEN}:"))
    if own:
        return own
    if settings.preset == "paper":
        return PAPER_PX
    most = GLYPH_PX if look.kind == "glyph" else GPU_PHOTO_PX if device.type == "cuda" else CPU_PHOTO_PX
    return min(most, max(look.short_px, 8))


def pixels(items: Items, px: int, channels: int, settings: Settings, notices: Notices) -> tuple[Items, np.ndarray, Path]:
    """The items that decode, their (N, C, px, px) uint8 pictures, and the cache folder that belongs to them."""
    cache = Path(settings.cache) if settings.cache else default_cache()
    if items.array is not None:
        return items, squares(items.array, px, channels), cache / f"{digest_of(items.array)}-array"

    def told(done: int, total: int) -> None:
        notices.progress("decoding", done, total)

    store = decoded_items(items, px, channels, cache, settings.workers, told)
    good = [i for i in range(len(items)) if i not in store.bad]
    skipped = [(items.paths[i], store.bad[i]) for i in sorted(store.bad)]
    if not good:
        path, reason = skipped[0]
        raise UserError(f"{items.source}: none of its {len(items)} images can be decoded; the first, {path}: {reason}.")
    if skipped:
        notices.say(f"skipped {len(skipped)} of {len(items)} items; the first, {skipped[0][0]}: {skipped[0][1]}")
    kept = items.take(good, skipped)
    return kept, store.images if len(good) == len(items) else store.images[good], store.folder


def squares(array: np.ndarray, px: int, channels: int) -> np.ndarray:
    """Arrays of pictures (N, H, W[, C]) as (N, channels, px, px) uint8: middle square, resized."""
    x = array[..., None] if array.ndim == 3 else array[..., :3]
    side = min(x.shape[1:3])
    top, left = (x.shape[1] - side) // 2, (x.shape[2] - side) // 2
    x = x[:, top : top + side, left : left + side]
    if channels == 1 and x.shape[3] == 3:
        x = x[..., :1]
    elif channels == 3 and x.shape[3] == 1:
        x = np.repeat(x, 3, axis=3)
    x = np.moveaxis(x, 3, 1)
    if side == px:
        return np.ascontiguousarray(x)
    made = np.empty((len(x), channels, px, px), np.uint8)
    for start in range(0, len(x), 1024):
        block = torch.from_numpy(np.ascontiguousarray(x[start : start + 1024])).float()
        small = F.interpolate(block, size=(px, px), mode="bilinear", antialias=True, align_corners=False)
        made[start : start + 1024] = small.add(0.5).clamp(0, 255).to(torch.uint8).numpy()
    return made


@torch.no_grad()
def frozen_features(
    backbone: Encoder, images: np.ndarray, px: int, device: torch.device, place: Path, name: str, notices: Notices
) -> np.ndarray:
    """Features of a fixed backbone, computed once and kept beside the decoded items: (N, D) float32."""
    key = hashlib.blake2b(f"{name}|{px}|{state_digest(backbone)}|{len(images)}".encode(), digest_size=10).hexdigest()
    file = place / f"features-{key}.npy"
    if file.exists():
        return np.load(file, mmap_mode="r", allow_pickle=False)
    shown = ResidentData({"image": images}, px, device, Ranks(), 0)
    made = np.empty((len(images), backbone.dim), np.float32)
    backbone = backbone.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    for rows in torch.arange(len(images)).split(ENCODE_BATCH):
        with shown.autocast():
            block = backbone(shown.view("image", rows, "centre", 0))
        made[rows[0] : rows[-1] + 1] = block.float().cpu().numpy()
        notices.progress("encoding", int(rows[-1]) + 1, len(images))
    make_room(place.parent, made.nbytes)
    write_whole(file, lambda p: np.save(p, made, allow_pickle=False))
    return made


def digest_of(array: np.ndarray) -> str:
    text = hashlib.blake2b(str(array.shape).encode(), digest_size=10)
    for start in range(0, len(array), 4096):
        text.update(np.ascontiguousarray(array[start : start + 4096]).tobytes())
    return text.hexdigest()


def state_digest(module: nn.Module) -> str:
    text = hashlib.blake2b(digest_size=10)
    for name, tensor in sorted(module.state_dict().items()):
        text.update(name.encode())
        text.update(tensor.detach().cpu().float().numpy().tobytes())
    return text.hexdigest()
