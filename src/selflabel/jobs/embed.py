"""`selflabel embed`: the features of a fixed encoder, in shards, so that many processes can share the work.

A shard is SHARD_ROWS items of the source, in its order. Its files depend on nothing else, are written whole, and its .done comes
last: they are the same whichever process makes them, and after whatever kill. Part i of n takes the shards i - 1, i - 1 + n, ...
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

import selflabel
from selflabel.base.errors import UserError
from selflabel.base.files import remove_leftovers, write_atomically, write_text
from selflabel.base.settings import Settings, as_toml, value_for_modality
from selflabel.decode.limits import Limits
from selflabel.decode.look import Look, inspect_items
from selflabel.decode.room import building_folder, remove_abandoned, usable_cache
from selflabel.encoders import JoinedBackbones
from selflabel.items import Blob, Items
from selflabel.items.feature_folder import PLACE, RECORD, read_record, shard_file, table_schema
from selflabel.jobs.callbacks import Callbacks
from selflabel.jobs.prepare import Modality, Prepared, format_of, select_modalities, stored_as
from selflabel.jobs.prepare.backbones import Backbones
from selflabel.jobs.prepare.choices import is_frozen
from selflabel.jobs.prepare.decoding import NoneDecoded, decode_items
from selflabel.jobs.prepare.frozen import encode_centre_views
from selflabel.jobs.prepare.spaces import Wish, plan_modality
from selflabel.jobs.run_source import open_source
from selflabel.runs.tables import write_array
from selflabel.runs.writing import skipped_csv
from selflabel.training.distributed import Ranks, pick_device

SHARD_ROWS = 4096
CHECKED = ("encoder", "weights_sha256", "sides", "n_items", "shard_rows", "paths")  # that all parts of one folder share


@dataclass(frozen=True)
class Embedding:
    """What all shards of a source share.

    Attributes:
        items: of the source, with all their files.
        used: the same, with the modality that is embedded.
        modality: its name.
        plan: how it is shown to the encoder.
        backbone: the encoder, on the device.
        device: where it runs.
        settings: as given.
        callbacks: progress and sentences.
    """

    items: Items
    used: Items
    modality: str
    plan: Modality
    backbone: nn.Module
    device: torch.device
    settings: Settings
    callbacks: Callbacks


def embed(settings: Settings, out: Path, part: tuple[int, int] = (1, 1), callbacks: Callbacks | None = None) -> dict[str, Any]:
    """Compute the features of a source, or of one part of it, into a folder that `label` takes as a SOURCE.

    Args:
        settings: what to embed, with which fixed encoder.
        out: the folder; what is done there is kept.
        part: (i, n): the i-th of n parts of the shards, from 1.
        callbacks: functions to call on the way.

    Returns:
        n_items and n_skipped of the shards of this part, n_shards of the part, n_new that were made now, and n_waiting, those of
        all parts that are not done yet.

    Raises:
        UserError: a setting or the source is wrong, or the folder was begun with another one.
        Interrupted: stopped from outside; the same call goes on.
    """
    callbacks, device = callbacks or Callbacks(), pick_device(settings.device)
    work = plan_embedding(settings, device, callbacks)
    record = begin_folder(out, record_of(work))
    remove_abandoned(usable_cache(settings.cache, callbacks.say))  # what a killed part decoded
    mine = range(part[0] - 1, record["n_shards"], part[1])
    new = [number for number in mine if not shard_file(out, number, ".done").is_file()]
    for i, number in enumerate(new, 1):
        callbacks.say(f"shard {i} of {len(new)}") if len(new) > 1 else None
        write_shard(out, number, work)
    done = [json.loads(shard_file(out, number, ".done").read_text()) for number in mine]
    waiting = [n for n in range(record["n_shards"]) if not shard_file(out, n, ".done").is_file()]
    return {
        "n_items": sum(shard["rows"] for shard in done),
        "n_skipped": sum(shard["skipped"] for shard in done),
        "n_shards": len(mine),
        "n_new": len(new),
        "n_waiting": len(waiting),
    }


def plan_embedding(settings: Settings, device: torch.device, callbacks: Callbacks) -> Embedding:
    """Open the source, and decide by a sample of all of it how its items are shown to the encoder."""
    limits = Limits(settings.item_seconds, settings.item_gb)
    callbacks.on_progress("looking at the items", 0, 0)
    items = open_source(settings.source, settings.follow_links, images=settings.images)
    if items.are_features:
        raise UserError(f"{items.source}: holds features, which need no encoder; label it as it is.")
    if items.pieces is not None:
        raise UserError(f"{items.source}: its items are pieces of files, and embed describes whole files; label it as it is.")
    for note in items.notes:
        callbacks.say(note)
    used = select_modalities(items, settings.modality, 1, "embed", callbacks)
    (modality,) = used.modalities
    info = inspect_items(used, modality, Look(limits, callbacks.on_progress, callbacks.say))
    encoder, weights = (value_for_modality(value or "", modality, modality) for value in (settings.encoder, settings.weights))
    wish = Wish(encoder or "auto", weights or None, settings.preset, settings.px, settings.frames, settings.fps, settings.rate)
    plan = plan_modality(modality, info, wish, Backbones(callbacks=callbacks), device)
    for note in plan.info.notes:
        callbacks.say(note)
    if not is_frozen(plan.encoder):
        raise UserError(
            f"--encoder {settings.encoder}: embed needs a fixed encoder with weights, and has none for these items; name one, as "
            "frozen:timm:resnet50 or frozen:conv4 with --weights FILE.safetensors."
        )
    torch.manual_seed(settings.seed)
    backbone = plan.make_encoder().to(device).eval()
    return Embedding(items, used, modality, plan, backbone, device, settings, callbacks)


def record_of(work: Embedding) -> dict[str, Any]:
    """The section [embed] of embed.toml."""
    n, dims = len(work.items), tuple(work.backbone.dims) if isinstance(work.backbone, JoinedBackbones) else ()
    digest = hashlib.blake2b(digest_size=16)
    for path in work.items.paths:
        digest.update(path.encode() + b"\0")
    return {
        "source": work.settings.source,
        "modality": work.modality,
        "encoder": work.plan.encoder,
        "weights_sha256": work.plan.sha256,
        "sides": list(work.plan.sides or (work.plan.px,)),
        "space_dims": list(dims),
        "n_items": n,
        "shard_rows": SHARD_ROWS,
        "n_shards": -(-n // SHARD_ROWS),
        "paths": digest.hexdigest(),
        "selflabel": selflabel.__version__,
    }


def begin_folder(out: Path, record: dict[str, Any]) -> dict[str, Any]:
    """Write embed.toml where there is none.

    Raises:
        UserError: the folder was begun with another source or encoder, or holds something else.
    """
    if not (out / RECORD).exists():
        others = [name for name in (os.listdir(out) if out.is_dir() else []) if not name.startswith(".")]  # noqa: PTH208
        if others and not (out / RECORD).exists():  # another part may have begun just now
            raise UserError(f"{out}: holds other files ({others[0]}); name a new folder with --out.")
        write_atomically(out / RECORD, lambda p: p.write_text(as_toml({"embed": record}), encoding="utf-8"))
    remove_leftovers(out)
    before = read_record(out)
    other = next((name for name in CHECKED if before.get(name) != record[name]), None)
    if other == "paths" or other == "n_items":
        raise UserError(f"{out}: was begun with other items than {record['source']} has now; restore them, or name a new folder.")
    if other is not None:
        raise UserError(
            f"{out}: was begun with {other} = {before.get(other)}, now {record[other]}; use the same again, or name a new folder."
        )
    return before


def write_shard(out: Path, number: int, work: Embedding) -> None:
    """Make the files of a shard, its .done last."""
    rows = range(number * SHARD_ROWS, min((number + 1) * SHARD_ROWS, len(work.items)))
    own = replace(work.used, skipped=[], notes=[]).take(list(rows))
    places, features, skipped = embed_rows(own, work)
    is_finite = np.isfinite(features).all(axis=1)
    skipped += [own.skip(place, "its features are not finite in float16") for place in places[~is_finite].tolist()]
    places, features = places[is_finite], features[is_finite]
    listed = [*(work.items.skipped if number == 0 else []), *skipped]
    write_array(shard_file(out, number, ".npy"), features)
    write_items(shard_file(out, number, ".parquet"), work.items, (places + rows.start).tolist())
    if listed:
        write_text(shard_file(out, number, ".skipped.csv"), skipped_csv(listed))
    counts = {"rows": len(features), "skipped": len(listed)}
    write_text(shard_file(out, number, ".done"), json.dumps(counts) + "\n")


def embed_rows(own: Items, work: Embedding) -> tuple[np.ndarray, np.ndarray, list[tuple[str, str]]]:
    """((n,) which of the items could be decoded, (n, D) their features in float16, (path, reason) of the others)."""
    settings, callbacks, modality = work.settings, work.callbacks, work.modality
    limits = Limits(settings.item_seconds, settings.item_gb)
    with building_folder(usable_cache(settings.cache, callbacks.say)) as folder:  # what is decoded is needed only once
        try:
            formats = {modality: format_of(work.plan)}
            kept, decoded = decode_items(own, formats, str(folder), settings.workers, callbacks, limits)
        except NoneDecoded as error:
            dim = int(work.backbone.dim)  # type: ignore[arg-type]
            return np.zeros(0, np.int64), np.zeros((0, dim), np.float16), error.skipped
        places = decoded[modality].index
        data = Prepared(Items("", []), {modality: stored_as(work.plan, decoded[modality])}).dataset(work.device, Ranks(), 0)
        encoded = encode_centre_views(work.backbone, data, modality, callbacks)
    with np.errstate(over="ignore"):  # what is too large becomes infinite, and is skipped
        features = encoded.astype(np.float16)
    return np.arange(len(own)) if places is None else places, features, list(kept.skipped)


def write_items(file: Path, items: Items, rows: Sequence[int]) -> None:
    """Write the table of a shard: the items at these rows, and where the bytes of each are."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns: dict[str, Any] = {"id": rows, "path": [items.paths[row] for row in rows]}
    columns["truth"] = [None if items.truth is None else items.truth[row] for row in rows]
    for m, blobs in items.blobs.items():
        found = [blobs[row] for row in rows]
        cells = [cells_of(blob) for blob in found]
        columns |= {f"{m}_{name}": [cell[i] for cell in cells] for i, name in enumerate(PLACE)}
    schema = table_schema(list(items.blobs))
    table = pa.table([pa.array(columns[field.name], field.type) for field in schema], schema=schema)
    write_atomically(file, partial(pq.write_table, table, compression="zstd"))


def cells_of(blob: Blob | None) -> tuple[Any, ...]:
    """What a table says of where the bytes of an item are."""
    return (None,) * len(PLACE) if blob is None else (str(Path(blob.file).absolute()), blob.offset, blob.length, blob.inside)
