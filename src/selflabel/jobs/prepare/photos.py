"""Photos as `find` needs them: whole frames in squares, and a pretrained encoder that makes maps of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from selflabel.base.errors import UserError
from selflabel.base.settings import Settings
from selflabel.decode.limits import Limits
from selflabel.decode.look import Look, inspect_items
from selflabel.encoders import FROZEN, HF, OBJECTS, fetch_automatic, is_of, names_of_parts
from selflabel.items import Items
from selflabel.jobs.callbacks import Callbacks
from selflabel.jobs.prepare.backbones import Backbones
from selflabel.jobs.prepare.choices import SCRATCH, storage_format
from selflabel.jobs.prepare.decoding import decode_items
from selflabel.jobs.prepare.prepared import Modality, Prepared
from selflabel.jobs.prepare.spaces import Wish, plan_part

FIND_PX = 448  # side of the square: 28 x 28 patches of 16 px, 32 x 32 of 14 px
EXAMPLE = f"{FROZEN}:{OBJECTS.encoder}"
FOUND = "objects are found"  # what is done with the photos, for messages


@dataclass(frozen=True)
class Photos:
    """Photos that could be decoded.

    Attributes:
        items: they, with what was skipped.
        modality: how they are shown, with their tensor (M, C, px, px).
        sizes: (N, 2) width and height of the upright originals.
    """

    items: Items
    modality: Modality
    sizes: np.ndarray

    @property
    def prepared(self) -> Prepared:
        """As what `label` prepares."""
        return Prepared(self.items, {"image": self.modality})


def photos_of(items: Items, what: str = FOUND) -> Items:
    """The pictures of a source.

    Args:
        items: of the source.
        what: is done with them, for messages.

    Raises:
        UserError: it has none as files, or its items are pieces of pictures already.
    """
    if items.array is not None:
        raise UserError(f"{items.source}: is an array, and {what} in files of photos; give a folder of photos.")
    if items.pieces is not None:
        raise UserError(f"{items.source}: its items are pieces of files, and {what} in whole photos; give these.")
    if "image" not in items.modalities:
        raise UserError(f"{items.source}: holds no photos, and {what} in photos only.")
    return items.only(["image"])


def plan_photos(items: Items, settings: Settings, device: torch.device, callbacks: Callbacks, what: str = FOUND) -> Modality:
    """How photos are shown to which encoder. what: is done with them, for messages.

    Raises:
        UserError: no pretrained encoder can be had, or it is of a kind that gives no maps.
    """
    look = Look(Limits(settings.item_seconds, settings.item_gb), callbacks.on_progress, callbacks.say)
    info = inspect_items(items, "image", look)
    for note in info.notes:
        callbacks.say(note)
    name = finders_encoder(settings, callbacks, what)
    wish = Wish(name, settings.weights, None, settings.px or FIND_PX)
    return plan_part("image", replace(info, channels=3), wish, Backbones(callbacks=callbacks), device, name, 0)


def finders_encoder(settings: Settings, callbacks: Callbacks, what: str = FOUND) -> str:
    """The encoder's name, with "frozen:" before it. what: is done with the photos, for messages.

    Raises:
        UserError: see `plan_photos`.
    """
    name = settings.encoder
    if name in (SCRATCH, FROZEN):
        raise UserError(f"--encoder {name}: {what} by a pretrained encoder; leave it out, or name one, e.g. {EXAMPLE}.")
    if HF in name or len(names_of_parts(name)) > 1:
        raise UserError(f"--encoder {name}: gives no map of a photo; name one backbone of timm, e.g. {EXAMPLE}.")
    if name != "auto":
        return name if name.startswith(f"{FROZEN}:") else f"{FROZEN}:{name}"
    if settings.weights is not None:
        if Path(settings.weights).is_file() and not is_of(OBJECTS, Path(settings.weights)):
            raise UserError(
                f"--weights {settings.weights}: these are not those of {OBJECTS.title}; name their network with --encoder."
            )
        return EXAMPLE
    problem = fetch_automatic(OBJECTS, callbacks.on_progress)
    if problem:
        raise UserError(
            f"{what} by a pretrained encoder, and none can be had ({problem}); run `selflabel encoders --save "
            f"{OBJECTS.encoder} FILE.safetensors` on a connected machine and add --weights FILE.safetensors here."
        )
    return EXAMPLE


def decode_photos(items: Items, modality: Modality, settings: Settings, callbacks: Callbacks) -> Photos:
    """The photos decoded, whole frames in squares; those that cannot be are skipped and listed.

    Raises:
        UserError: none can be decoded.
    """
    target = storage_format(modality.info, modality.px, whole=True)
    limits = Limits(settings.item_seconds, settings.item_gb)
    kept, decoded = decode_items(items, {"image": target}, settings.cache, settings.workers, callbacks, limits)
    found = decoded["image"]
    assert found.sizes is not None
    shown = replace(modality, tensor=found.tensor, lengths=found.lengths, index=found.index)
    return Photos(kept, shown, found.sizes)


def map_layer(encoder: nn.Module, layers: tuple[str, ...], px: int, channels: int) -> str:
    """The first of some maps that an encoder has.

    Raises:
        UserError: it has none of them.
    """
    blank, reason = torch.zeros(1, channels, px, px, device=next(encoder.parameters()).device), ""
    for layer in layers:
        try:
            with torch.no_grad():
                encoder.map(blank, layer)  # type: ignore[operator]
            return layer
        except UserError as error:  # kept as its text: with its traceback it would keep the blocks of the caller alive
            reason = str(error)
    raise UserError(reason or "this encoder gives no map of a photo; name another one.")
