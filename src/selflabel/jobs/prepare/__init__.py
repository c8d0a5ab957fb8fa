"""FROM A SOURCE TO TENSORS: open it, inspect it, choose network and resolution, decode, and run a fixed backbone once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from selflabel.base.errors import UserError
from selflabel.base.settings import value_for_modality
from selflabel.decode.fitting import fit_pieces
from selflabel.decode.formats import DecodedFormat
from selflabel.decode.limits import DEFAULT_LIMITS, Limits
from selflabel.decode.look import Look, inspect_items
from selflabel.encoders import FROZEN, JoinedBackbones, weights_file
from selflabel.items import Items
from selflabel.items.grouping import remedy_for_others
from selflabel.items.table import count_present
from selflabel.jobs.callbacks import Callbacks
from selflabel.jobs.prepare.backbones import Backbones
from selflabel.jobs.prepare.choices import (
    backbone_name,
    choose_encoder,
    is_frozen,
    seconds_used,
    storage_format,
    stored_px,
    with_seconds,
)
from selflabel.jobs.prepare.decoding import Decoded, decode_items
from selflabel.jobs.prepare.frozen import frozen_features
from selflabel.jobs.prepare.prepared import Modality, Prepared
from selflabel.jobs.prepare.spaces import Wish, plan_modality
from selflabel.jobs.prepare.texts import read_texts
from selflabel.jobs.prepare.windows import Windows, cut_into_windows, partly_used
from selflabel.jobs.run_source import open_source
from selflabel.training.distributed import Ranks

__all__ = ["Modality", "Prepared", "prepare"]


def prepare(
    source: Any,
    device: torch.device,
    *,
    files: str | list[str] | None = None,
    images: str | None = None,
    method: str = "",
    max_modalities: int = 1,
    modality: str | None = None,
    encoder: str = "auto",
    weights: str | None = None,
    preset: str | None = None,
    px: int | None = None,
    frames: int | None = None,
    fps: float | None = None,
    rate: int | None = None,
    windows: Windows | None = None,
    seed: int = 0,
    cache: str | None = None,
    workers: int = 0,
    follow_links: bool = False,
    limits: Limits = DEFAULT_LIMITS,
    callbacks: Callbacks | None = None,
    trains: bool = False,
    whole: bool = False,
    sound_s: float | None = None,
    recorded: dict[str, dict[str, Any]] | None = None,
    ranks: Ranks = Ranks(),
    by_default: Mapping[str, str] | None = None,
    text: str | None = None,
) -> Prepared:
    """Make a source ready to train on.

    Args:
        source: whatever `jobs.run_source.open_source` takes.
        device: where a fixed backbone runs; a GPU gets larger networks and views.
        files, images: of the rows of features, and of a COCO file, as in `open_items`.
        method: its name, for messages.
        max_modalities: how many modalities the method uses.
        modality, encoder, weights, preset, px, frames, fps, rate, seed, cache, workers, follow_links: see
            `base.settings.Settings`.
        windows: that sounds and films are cut into; None takes them whole.
        limits: of time and memory, for decoding one item.
        callbacks: progress and sentences for the user.
        trains, recorded, ranks: see `backbones.Backbones`.
        whole: keep pictures whole (see `Modality`).
        sound_s: seconds of a sound that are kept at most; None is `decode.look.LONGEST_SOUND_S`.
        by_default: modality to the encoder that stands for "auto".
        text: encoder of what is said in the items (see `texts.read_texts`); None leaves it out.

    Raises:
        UserError: nothing can be opened or decoded, or a setting does not suit the items.
    """
    callbacks = callbacks or Callbacks()
    opened = open_source(source, follow_links, files, images, features=encoder == FROZEN)
    opened = fit_pieces(opened, limits, partial(callbacks.on_progress, "looking at the files"), callbacks.say)
    if opened.are_features and opened.blobs and encoder not in ("auto", FROZEN):
        opened = opened.without_features
    for note in opened.notes:
        callbacks.say(note)
    items = select_modalities(opened, modality, max_modalities, method, callbacks)
    cut = ""
    if windows is not None:
        items, cut = cut_into_windows(items, windows, workers, callbacks, limits)
    first = items.modalities[0]
    requested = {m: value_for_modality(encoder, m, first) or "auto" for m in items.modalities}
    requested |= {m: name for m, name in (by_default or {}).items() if requested.get(m) == "auto"}
    look = Look(limits, callbacks.on_progress, callbacks.say)
    looked = {m: with_seconds(inspect_items(items, m, look), sound_s) for m in items.modalities}
    if items.are_features:
        choose_encoder(requested[first], looked["image"], preset, device)
        features = Modality(looked["image"], 0, 0, FROZEN, files=tuple(items.blobs), tensor=items.array)
        return Prepared(items, {"image": replace(features, space_dims=items.space_dims)})
    backbones, plans = Backbones(trains, recorded or {}, ranks, callbacks), {}
    for m, info in looked.items():
        named = value_for_modality(weights or "", m, first) or ""
        file = "+".join(map(weights_file, named.split("+"))) or None
        wish = Wish(requested[m], file, preset, px, frames, fps, rate)
        plans[m] = replace(plan_modality(m, info, wish, backbones, device), whole=whole and m != "audio")
        partly = partly_used(plans[m].info, seconds_used(plans[m].info), windows is not None, sound_s is None)
        for note in filter(None, [*plans[m].info.notes, partly]):
            callbacks.say(note)
    formats = {m: format_of(plan, windows is not None) for m, plan in plans.items()}
    decodable, decoded = decode_items(items, formats, cache, workers, callbacks, limits, ranks)
    modalities = {}
    for m, d in decoded.items():
        modalities[m] = stored_as(plans[m], d)
        if is_frozen(plans[m].encoder):
            modalities[m] = encode(modalities[m], m, seed, device, d.folder, callbacks, ranks)
    texts = None
    if text is not None:
        main = next(iter(modalities))
        decodable, texts = read_texts(text, decodable, modalities[main], decoded[main].folder, device, callbacks, ranks)
    return Prepared(decodable, modalities, cut, texts)


def format_of(plan: Modality, are_windows: bool = False) -> DecodedFormat:
    """How the items of a modality are decoded and stored. are_windows: whether they were cut at fixed times."""
    side = stored_px(plan.px, plan.info, is_frozen(plan.encoder))
    return storage_format(plan.info, side, are_windows, plan.whole)


def stored_as(modality: Modality, decoded: Decoded) -> Modality:
    """A modality with what was decoded of it."""
    d = decoded
    return replace(modality, tensor=d.tensor, lengths=d.lengths, index=d.index, spans_s=d.spans_s, sizes=d.sizes)


def select_modalities(items: Items, modality: str | None, max_modalities: int, method: str, callbacks: Callbacks) -> Items:
    """The items with the modality that was asked for, or with as many as the method uses: those that most items have."""
    counts = modality_counts(items)
    available = tuple(counts)
    if modality is not None and modality not in available:
        remedy = remedy_for_others(items) or "leave it out"
        raise UserError(f"modality = {modality!r}: the items of {items.source} have {' and '.join(available)}; {remedy}.")
    commonest = sorted(available, key=lambda m: -counts[m])[:max_modalities]
    selected = (modality,) if modality else tuple(m for m in available if m in commonest)
    if len(selected) < len(available) and modality is None:
        limit = "one modality" if max_modalities == 1 else f"at most {max_modalities} modalities"
        unused = " and ".join(m for m in available if m not in selected)
        callbacks.say(f"method {method} uses {limit}: {' and '.join(selected)}; {unused} is not used.")
    return items if selected == items.modalities else items.only(selected)


def modality_counts(items: Items) -> dict[str, int]:
    """How many items have each modality; one that none has any more, since its rows were left out, is not among them."""
    if len(items.modalities) == 1:
        return {items.modalities[0]: len(items)}
    counts = {m: count_present(items.blobs[m]) for m in items.modalities}
    return {m: n for m, n in counts.items() if n}


def encode(
    modality: Modality, name: str, seed: int, device: torch.device, folder: Path, callbacks: Callbacks, ranks: Ranks = Ranks()
) -> Modality:
    """The modality as features of its fixed backbone."""
    torch.manual_seed(seed)
    backbone = modality.make_encoder().to(device).eval()
    data = Prepared(Items("", []), {name: modality}).dataset(device, Ranks(), 0)
    key = f"{backbone_name(modality.encoder)}|{modality.px}" + (f"|{modality.info.frames}" if modality.info.frames else "")
    network = getattr(backbone, "network", None)
    key += (f"|{network}" if network else "") + (f"|{modality.sides}" if modality.sides else "")
    features = frozen_features(backbone, data, name, folder, key, callbacks, ranks)
    dims = tuple(backbone.dims) if isinstance(backbone, JoinedBackbones) else ()
    return replace(modality, tensor=features, backbone=backbone, index=None, network=network, space_dims=dims)
