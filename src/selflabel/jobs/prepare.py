"""FROM A SOURCE TO A TENSOR: open, look, decide network and resolution, decode, and run a frozen backbone once."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from selflabel.base.errors import UserError
from selflabel.base.files import write_whole
from selflabel.base.settings import Settings, of_modality
from selflabel.decode.cache import Form, Store, decoded_items, default_cache, make_room
from selflabel.decode.look import Look, look_at
from selflabel.decode.video import SPAN_S
from selflabel.encoders import FROZEN, laid_out, make_clip_encoder, make_encoder, timm_px
from selflabel.items import Items, open_items
from selflabel.training.data import ResidentData
from selflabel.training.distributed import Ranks
from selflabel.training.loop import Watch
from selflabel.views.clip import SHOWN
from selflabel.views.sound import MELS, PAPER_BANDS

GLYPH_PX, CPU_PHOTO_PX, GPU_PHOTO_PX, PAPER_PX = 32, 128, 160, 224
CPU_CLIP_PX, GPU_CLIP_PX = 64, 112
PAPER_FRAMES, PAPER_FPS = 30, 30  # SeLaVi's clips
SOUNDS = ("sound", "spoken")
MOST_FRAMES, FRAMES_A_SECOND = 32, 4  # that are stored of a film
ENCODE_BATCH = 64


@dataclass(frozen=True)
class Notices:
    """Who is told what: a sentence, progress (what, done, total), and the loop's watch."""

    say: Callable[[str], None] = lambda text: None
    progress: Callable[[str, int, int], None] = lambda what, done, total: None
    watch: Watch = field(default_factory=Watch)


@dataclass(frozen=True)
class Part:
    """One modality of the set: its tensor, each item's length in it (0: the item lacks it), how it is shown and to which
    encoder, from which weights, and a frozen backbone where one made the tensor. rows: where each item is in the tensor, None: in
    order.
    """

    tensor: Any
    look: Look
    px: int
    channels: int
    encoder: str
    weights: str | None = None
    backbone: nn.Module | None = None
    lengths: Any = None
    rows: np.ndarray | None = None

    @property
    def kind(self) -> str:
        """Of what the method sees: a fixed backbone leaves features."""
        return "features" if self.backbone is not None else self.look.kind


@dataclass(frozen=True)
class Prepared:
    """The set, ready to train on: the items that could be decoded, and a part a modality."""

    items: Items
    parts: dict[str, Part]

    @property
    def first(self) -> Part:
        return next(iter(self.parts.values()))

    def data(self, device: torch.device, ranks: Ranks, seed: int) -> ResidentData:
        """The set as methods see it."""
        px = next((p.px for m, p in self.parts.items() if m != "audio"), 0)
        rate = int(self.parts["audio"].look.rate) if "audio" in self.parts else 0
        frames, fps = next(((p.look.frames, p.look.rate) for p in self.parts.values() if p.look.kind == "video"), (0, 0))
        levelled = any(p.look.kind == "spoken" for p in self.parts.values())
        lengths = {m: torch.from_numpy(p.lengths).long() for m, p in self.parts.items() if p.lengths is not None}
        tensors = {m: p.tensor for m, p in self.parts.items()}
        bands = self.parts["audio"].px if "audio" in self.parts else 0
        rows = {m: torch.from_numpy(p.rows) for m, p in self.parts.items() if p.rows is not None}
        return ResidentData(tensors, px, device, ranks, seed, rate, levelled, lengths, bands, rows, frames, in_step=fps > 0)


def prepare(settings: Settings, device: torch.device, notices: Notices, data: Any = None, most: int = 1) -> Prepared:
    """Open the source, look at it, decode it, and run a frozen backbone over it where one was asked for.

    most: modalities that the method takes.
    """
    items = asked_modalities(open_items(settings.source if data is None else data), settings, most, notices)
    looks = {m: asked_frames(look_at(items, m), settings) for m in items.modalities}
    first = items.modalities[0]
    asked = {m: of_modality(settings.encoder, m, first) or "auto" for m in items.modalities}
    weights = {m: of_modality(settings.weights or "", m, first) for m in items.modalities}
    if items.are_features:
        choose_encoder(asked[first], settings, looks["image"], device)
        return Prepared(items, {"image": Part(np.asarray(items.array), looks["image"], 0, 0, FROZEN)})
    names = {m: choose_encoder(asked[m], settings, look, device) for m, look in looks.items()}
    shapes = {m: (choose_px(settings, look, names[m], device), look.channels) for m, look in looks.items()}
    stored = {m: min(px, max(looks[m].short_px, 1)) if is_fixed(names[m]) else px for m, (px, _) in shapes.items()}
    kept, decoded = tensors(items, {m: form_of(looks[m], stored[m]) for m in looks}, settings, notices)
    parts = {}
    for m, (tensor, lengths, place, rows) in decoded.items():
        part = Part(tensor, looks[m], *shapes[m], names[m], weights[m] or None, None, lengths, rows)
        parts[m] = encoded(part, m, settings, device, place, notices) if is_fixed(names[m]) else part
    return Prepared(kept, parts)


def asked_modalities(items: Items, settings: Settings, most: int, notices: Notices) -> Items:
    """The items with the modalities that were asked for, and no more than the method takes."""
    found = items.modalities
    if settings.modality is not None and settings.modality not in found:
        raise UserError(f"modality = {settings.modality!r}: the items of {items.source} have {' and '.join(found)}.")
    wanted = (settings.modality,) if settings.modality else found[:most]
    if len(wanted) < len(found) and settings.modality is None:
        notices.say(f"method {settings.method} takes one modality: {wanted[0]} is used, {', '.join(found[most:])} is not.")
    return items if wanted == found else items.only(wanted)


def is_fixed(encoder: str) -> bool:
    return encoder.startswith(f"{FROZEN}:")


def asked_frames(look: Look, settings: Settings) -> Look:
    """A look at films, with how many frames a view of them has, and at which rate where one was asked for."""
    if look.kind != "video":
        return look
    frames, fps = (PAPER_FRAMES, PAPER_FPS) if settings.preset == "paper" else (SHOWN, 0)
    return replace(look, frames=settings.frames or frames, rate=settings.fps or fps)


def form_of(look: Look, px: int) -> Form:
    """How items of this look are stored."""
    if look.kind in SOUNDS:
        return Form("sound", (max(1, round(look.seconds * look.rate)),), look.rate)
    if look.kind == "video":
        seconds = min(look.seconds, SPAN_S)
        frames = round(seconds * look.rate) if look.rate else min(MOST_FRAMES, round(seconds * FRAMES_A_SECOND))
        return Form("clip", (max(look.frames, frames), 3, px, px), look.rate)
    return Form("image", (look.channels, px, px))


def encoded(part: Part, modality: str, settings: Settings, device: torch.device, place: Path, notices: Notices) -> Part:
    """The part as features of its fixed backbone."""
    torch.manual_seed(settings.seed)
    backbone = encoder_of(part).to(device).eval()
    shown = Prepared(Items("", []), {modality: part}).data(device, Ranks(), 0)
    how = f"{part.encoder.removeprefix(f'{FROZEN}:')}|{part.px}" + (f"|{part.look.frames}" if part.look.frames else "")
    features = frozen_features(backbone, shown, modality, place, how, notices)
    return replace(part, tensor=features, backbone=backbone, rows=None)


def encoder_of(part: Part, fetch: bool = True) -> nn.Module:
    """The encoder of what is shown: films, or pictures (sounds are pictures of one channel)."""
    name, file = part.encoder.removeprefix(f"{FROZEN}:"), Path(part.weights) if part.weights else None
    if part.look.kind == "video":
        return make_clip_encoder(name, part.px, part.look.frames, file, fetch)
    return make_encoder(name, part.channels, part.px, file, fetch)


def choose_encoder(asked: str, settings: Settings, look: Look, device: torch.device) -> str:
    if look.kind == "features":
        if asked not in ("auto", FROZEN):
            raise UserError(f"--encoder {asked}: the source holds features, which need no encoder; leave it out or use frozen.")
        return FROZEN
    if asked == FROZEN:
        raise UserError("--encoder frozen: is for feature input; for pictures name a backbone, e.g. frozen:timm:resnet50.")
    if asked != "auto":
        return asked
    if settings.preset == "paper" and look.kind == "video":
        return "r2plus1d"
    if settings.preset == "paper":
        return "resnet9-wide" if look.kind in SOUNDS else "alexnet"
    if look.kind == "glyph":
        return "conv4"
    if look.kind == "video":
        return "r2plus1d" if device.type == "cuda" else "clip9"
    return "resnet18" if device.type == "cuda" and look.kind not in SOUNDS else "resnet9"


def choose_px(settings: Settings, look: Look, encoder: str, device: torch.device) -> int:
    """The side of the pictures as the encoder sees them; of a spectrogram, its height."""
    if look.kind in SOUNDS:
        return PAPER_BANDS if settings.preset == "paper" else MELS
    if settings.px:
        return settings.px
    own = timm_px(encoder.removeprefix(f"{FROZEN}:"))
    if own:
        return own
    if settings.preset == "paper":
        return GPU_CLIP_PX if look.kind == "video" else PAPER_PX
    if look.kind == "video":
        most = GPU_CLIP_PX if device.type == "cuda" else CPU_CLIP_PX
    else:
        most = GLYPH_PX if look.kind == "glyph" else GPU_PHOTO_PX if device.type == "cuda" else CPU_PHOTO_PX
    return min(most, max(look.short_px, 8))


# modality to tensor, lengths of the items, the cache folder that belongs to it, and where the items are in the tensor
Decoded = dict[str, tuple[np.ndarray, Any, Path, np.ndarray | None]]


def tensors(items: Items, forms: dict[str, Form], settings: Settings, notices: Notices) -> tuple[Items, Decoded]:
    """The items that decode in some modality, and what each decoded to."""
    cache = Path(settings.cache) if settings.cache else default_cache()
    if items.array is not None:
        channels, px, _ = forms["image"].shape
        return items, {"image": (squares(items.array, px, channels), None, cache / f"{digest_of(items.array)}-array", None)}
    stores: dict[str, Store] = {}
    for m, form in forms.items():

        def told(done: int, total: int, m: str = m) -> None:
            notices.progress("decoding" if len(forms) == 1 else f"decoding {m}", done, total)

        stores[m] = decoded_items(items.blobs[m], form, cache, settings.workers, told)
    has = {m: store.lengths > 0 for m, store in stores.items()}
    good = np.flatnonzero(np.any(list(has.values()), axis=0)).tolist()
    skipped = [(items.paths[i], reason_of(stores, i)) for i in sorted(set(range(len(items))) - set(good))]
    if not good:
        path, reason = skipped[0]
        raise UserError(f"{items.source}: none of its {len(items)} items can be decoded; the first, {path}: {reason}.")
    if skipped:
        notices.say(f"skipped {len(skipped)} of {len(items)} items; the first, {skipped[0][0]}: {skipped[0][1]}")
    kept, made = items.take(good, skipped), {}
    for m, store in stores.items():
        lacking = int((~has[m][good]).sum())
        made[m] = (store.items, store.lengths[good], store.folder, None if len(good) == len(items) else np.array(good))
        if lacking:
            notices.say(f"{lacking} of {len(good)} items have no {m}; what they have is used.")
    return kept, {m: found for m, found in made.items() if has[m].any()}


def reason_of(stores: dict[str, Store], row: int) -> str:
    return next((store.bad[row] for store in stores.values() if row in store.bad), f"has no {' or '.join(stores)}")


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
    backbone: nn.Module, shown: ResidentData, modality: str, place: Path, name: str, notices: Notices
) -> np.ndarray:
    """Features of a fixed backbone, computed once and kept beside the decoded items: (N, D) float32."""
    n = shown.n_items
    key = hashlib.blake2b(f"{name}|{state_digest(backbone)}|{n}".encode(), digest_size=10).hexdigest()
    file = place / f"features-{key}.npy"
    if file.exists():
        return np.load(file, mmap_mode="r", allow_pickle=False)
    made = np.empty((n, int(backbone.dim)), np.float32)  # type: ignore[arg-type]
    laid_out(backbone)
    for rows in torch.arange(n).split(ENCODE_BATCH):
        with shown.autocast():
            block = backbone(shown.view(modality, rows, "centre", 0))
        made[rows[0] : rows[-1] + 1] = block.float().cpu().numpy()
        notices.progress("encoding", int(rows[-1]) + 1, n)
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
