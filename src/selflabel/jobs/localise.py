"""`selflabel find` by a method that learns from pairs of picture and sound: decode, train, heatmaps, regions, a run folder.

The run is one of `find`: its rows are the regions. Beside them are the heatmaps, one for each picture or film.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from selflabel.base.errors import UserError
from selflabel.base.machine import peak_memory
from selflabel.base.settings import Settings, value_for_modality
from selflabel.contract import Localiser
from selflabel.decode.limits import Limits
from selflabel.items import Items
from selflabel.jobs.build import make_method, make_options, make_task
from selflabel.jobs.callbacks import Callbacks
from selflabel.jobs.find import FoundRun, objects_of, report_of, write_objects
from selflabel.jobs.finding import Found
from selflabel.jobs.label import prepare_for
from selflabel.jobs.labelling import Timer, begin, places_of
from selflabel.jobs.model import Model
from selflabel.jobs.outliers import only_rows
from selflabel.jobs.prepare import Prepared
from selflabel.jobs.prepare.choices import SCRATCH
from selflabel.jobs.prepare.photos import Photos
from selflabel.jobs.run_source import open_source
from selflabel.jobs.save import run_record, save_model
from selflabel.jobs.solos import joined_sets
from selflabel.jobs.sounding import find_regions, sizes_of
from selflabel.methods import LOCALISERS
from selflabel.runs.claiming import claimed
from selflabel.runs.opening import record_source
from selflabel.runs.origin import RECORD
from selflabel.runs.picture_table import write_pictures
from selflabel.runs.pieces import PARTS, read_pieces
from selflabel.runs.report_text import ONE_HEAD
from selflabel.runs.run import Run
from selflabel.runs.writing import write_start
from selflabel.training.data import ResidentData
from selflabel.training.distributed import Ranks, join, pick_device
from selflabel.training.loop import LoopCallbacks, train

TOWER, TOWER_PX = "resnet7-fine", 96  # network of pictures and of sounds from scratch, and the side of the pictures
PICTURE_SOUND_S = 4.0  # of the sound of a picture that are kept at most: its middle; a random view of it has half of that
PICTURES = ("video", "image")
NO_SOUND, NO_PICTURE = "has no sound, or a silent one", "has no picture"


def localise(
    settings: Settings, out: Path | None, resume: bool = False, overwrite: bool = False, callbacks: Callbacks | None = None
) -> FoundRun:
    """Learn where what sounds is, from a source's pairs of picture and sound, and write the run folder.

    Args:
        settings: the source, the method, its encoders and options.
        out: the run folder; None writes nothing.
        resume: continue the run in the folder; start a new one where there is none.
        overwrite: replace the run in the folder.
        callbacks: functions to call on the way.

    Raises:
        UserError: a setting, the source or the run folder is wrong, or nothing is found.
        Interrupted: stopped from outside; the run is saved and can be resumed.
    """
    callbacks, device = callbacks or Callbacks(), pick_device(settings.device)
    make_options(LOCALISERS[settings.method].make, settings.method, settings.options)
    ranks, run = join(device), Run(Path(out)) if out is not None else None
    with claimed(run, settings, resume, overwrite) if run is not None and ranks.is_first else nullcontext():
        ranks.barrier()
        if run is not None and run.is_finished:
            callbacks.say(f"{run.folder} is finished; nothing to do.")
            return FoundRun(run.report, Items(str(settings.source), []), None)
        return localise_into(run, settings, device, ranks, callbacks)


def localise_into(run: Run | None, settings: Settings, device: torch.device, ranks: Ranks, callbacks: Callbacks) -> FoundRun:
    """See `localise`; the run folder is this process's own."""
    timer = Timer()
    prepared, is_solo = prepare_sets(run, settings, device, ranks, callbacks)
    timer.stop("prepare")
    task = make_task(settings, prepared, device)
    make = LOCALISERS[settings.method].make
    method = make_method(make, settings.method, settings.options, task, prepared, device)
    assert isinstance(method, Localiser)
    method.solos = None if is_solo is None else torch.from_numpy(is_solo)
    data = prepared.dataset(device, ranks, settings.seed)
    data.encoders = method.encoders
    if run is not None and ranks.is_first:
        forget_regions(run)
        begin(run, settings, task, prepared, device, ranks, callbacks, has_files=True)
    loop_callbacks = callbacks.loop if ranks.is_first or ranks.world > 1 else LoopCallbacks()
    history = train(method, data, run.folder if run is not None else None, settings.seed, loop_callbacks).history
    timer.stop("train")
    method.eval()
    if is_solo is not None:
        prepared = only_rows(prepared, np.flatnonzero(~is_solo))
        data = prepared.dataset(device, ranks, settings.seed)
        data.encoders = method.encoders
    sizes = sizes_of(prepared, Limits(settings.item_seconds, settings.item_gb), callbacks)
    folder = run.folder if run is not None and ranks.is_first else None
    found = find_regions(folder, method, data, prepared, sizes, callbacks)
    timer.stop("find")
    timer.seconds["train"] = sum(line["seconds"] for line in history) or timer.seconds["train"]  # before a resume, too
    if not len(found.regions.rows):
        raise UserError(f"{prepared.items.source}: nothing was found in any of its {len(prepared.items)} items.")
    photos = Photos(prepared.items, prepared.first, sizes)
    items = objects_of(photos, found)
    report = (
        report_of(settings, photos, items, timer.seconds) | trained_report(prepared, history) | classes_report(settings, found)
    )
    report["peak_bytes"] = peak_memory(device)
    if run is not None and ranks.is_first:
        callbacks.on_progress("writing the run", 0, 0)
        save_model(run, method, {}, 0, {})
        record = run_record(settings, replace(task, n_items=len(items)), prepared, device, ranks)
        write_start(run.folder, record, items.skipped, items.missing, items.paths, items.pieces)
        record_source(run.folder, items, places_of(settings))
        write_pictures(run.folder, prepared.items.paths, sizes)
        write_objects(run, prepared, items, found, report)
    ranks.barrier()
    return FoundRun(report, items, found)


def trained_report(prepared: Prepared, history: list[dict[str, Any]]) -> dict[str, Any]:
    """What report.json says beside what it says of any run of `find`."""
    return {
        "modalities": {m: modality.info.kind for m, modality in prepared.modalities.items()},
        "encoder": ", ".join(modality.encoder for modality in prepared.modalities.values()),
        "epochs": len(history),
        "items_per_s": float(np.median([line["items_per_s"] for line in history])) if history else None,
    }


@dataclass(frozen=True)
class Pairs:
    """Pairs of picture and sound, ready for a finished run's method.

    Attributes:
        method: trained, in eval mode.
        data: the pairs.
        prepared: the same with their items; what has no sound is listed as skipped.
        sizes: (N, 2) width and height of the upright originals.
    """

    method: Localiser
    data: ResidentData
    prepared: Prepared
    sizes: np.ndarray


def open_pairs(model: Model, items: Items, callbacks: Callbacks) -> Pairs:
    """The pairs of a source as a finished run's method is shown them.

    Args:
        model: of the run.
        items: of the source.
        callbacks: progress.

    Raises:
        UserError: there are no pairs, or, where the method needs no sound, no pictures.
    """
    method = model.method
    assert isinstance(method, Localiser)
    check_pairs(items, "this run's method", method.hears)
    if not method.hears:
        items = items.only((method.pictures,))
    prepared = model.prepare(items, callbacks)
    prepared = with_both(prepared) if method.hears else prepared
    data = prepared.dataset(model.device, Ranks(), model.task.seed)
    data.encoders = method.encoders
    return Pairs(method, data, prepared, sizes_of(prepared, model.limits, callbacks))


def classes_report(settings: Settings, found: Found) -> dict[str, Any]:
    """What report.json says of the classes of a method that gives them; {} of any other."""
    if found.regions.labels is None:
        return {}
    sizes = np.bincount(found.regions.labels)
    n = int((sizes > 0).sum())
    return {
        "n_clusters": n,
        "clusters_found": n,
        "clusters_requested": settings.clusters,
        "clusters_chosen_by": "the user" if settings.clusters else "the method's default",
        "sizes": sizes[sizes > 0].tolist(),
        "no_estimate": ONE_HEAD,
    }


def localise_unseen(model: Model, items: Items, callbacks: Callbacks, maps: Path | None = None) -> tuple[Photos, Found]:
    """What a finished run's method finds in unseen pairs of picture and sound.

    Args:
        model, items, callbacks: as in `open_pairs`.
        maps: folder into which the heatmaps are written; None writes none.

    Raises:
        UserError: there are no such pairs.
    """
    pairs = open_pairs(model, items, callbacks)
    found = find_regions(maps, pairs.method, pairs.data, pairs.prepared, pairs.sizes, callbacks)
    return Photos(pairs.prepared.items, pairs.prepared.first, pairs.sizes), found


def forget_regions(run: Run) -> None:
    """Remove the regions of a run that was killed while it wrote them: until they are written again, its rows are whole items."""
    pieces = read_pieces(run.folder)
    if pieces is not None and pieces.scores is not None:
        for name in (PARTS, RECORD):
            (run.folder / name).unlink(missing_ok=True)


# ----------------------------------------------------------------------------------------------------------- the pairs


def prepare_sets(
    run: Run | None, settings: Settings, device: torch.device, ranks: Ranks, callbacks: Callbacks
) -> tuple[Prepared, np.ndarray | None]:
    """(the items of the source and of --solos, decoded; which of them are solos, None where the user gave none).

    Raises:
        UserError: as of `prepare_pairs`; or the method takes no solos, or they are of another kind.
    """
    if settings.solos is None:
        return prepare_pairs(run, settings, device, ranks, callbacks), None
    if not LOCALISERS[settings.method].make.takes_solos:  # type: ignore[attr-defined]
        raise UserError(f"--solos {settings.solos}: method {settings.method} learns from one set; leave it out, or take dsol.")
    scenes, solos = (open_source(place, settings.follow_links) for place in (settings.source, settings.solos))
    for items in (scenes, solos):
        check_pairs(items, f"--method {settings.method}")
    return joined_sets(scenes, solos, lambda items: prepare_items(items, run, settings, device, ranks, callbacks))


def prepare_pairs(run: Run | None, settings: Settings, device: torch.device, ranks: Ranks, callbacks: Callbacks) -> Prepared:
    """The items of the source that have both a picture and a sound, decoded.

    Raises:
        UserError: there is none, or the items are pieces of pictures.
    """
    items = open_source(settings.source, settings.follow_links)
    check_pairs(items, f"--method {settings.method}")
    return prepare_items(items, run, settings, device, ranks, callbacks)


def prepare_items(
    items: Items, run: Run | None, settings: Settings, device: torch.device, ranks: Ranks, callbacks: Callbacks
) -> Prepared:
    """See `prepare_pairs`, of items that are opened and checked."""
    recorded = run.modalities if run is not None and run.file("run.toml").exists() else {}
    make = LOCALISERS[settings.method].make
    wanted = replace(
        settings,
        encoder=towers(settings.encoder, make.encoders_by_default),
        px=settings.px or (None if is_named(settings.encoder) else TOWER_PX),
        frames=settings.frames or 1,
    )
    sound_s = None if "video" in items.modalities else PICTURE_SOUND_S
    return with_both(prepare_for(make, wanted, device, callbacks, items, recorded, ranks, whole=True, sound_s=sound_s))


def check_pairs(items: Items, method: str, hears: bool = True) -> None:
    """Raise UserError where a source has no pairs of picture and sound.

    Args:
        items: of the source.
        method: its name, for people.
        hears: whether sounds are needed.
    """
    if items.array is not None:
        raise UserError(f"{items.source}: is an array, and {method} learns from files of pictures and sounds; give these.")
    if items.pieces is not None and items.pieces.has_boxes:
        raise UserError(f"{items.source}: its items are pieces of pictures, and things are found in whole ones; give these.")
    if (hears and "audio" not in items.modalities) or not set(PICTURES) & set(items.modalities):
        raise UserError(
            f"{items.source}: holds no pairs of picture and sound, from which {method} learns; give films with sound, "
            "or pictures with a sound of the same name beside each (7.jpg, 7.wav)."
        )


def is_named(encoder: str) -> bool:
    """Whether a network is named for the pictures."""
    return any(value_for_modality(encoder, m, m) not in (None, "auto", SCRATCH) for m in PICTURES)


def towers(encoder: str, by_default: Mapping[str, str] | None = None) -> str:
    """`--encoder` with the network of each modality by its name; those that nobody named are trained from scratch.

    Args:
        encoder: as it was typed.
        by_default: modality to what stands there instead where nobody named one.

    Example:
        >>> towers("auto")
        'video=resnet7-fine,image=resnet7-fine,audio=resnet7-fine'
        >>> towers("timm:resnet18")
        'video=timm:resnet18,image=timm:resnet18,audio=resnet7-fine'
    """
    asked = {m: value_for_modality(encoder, m, m if m in PICTURES else "") for m in (*PICTURES, "audio")}
    standing = dict.fromkeys(asked, TOWER) | dict(by_default or {})
    return ",".join(f"{m}={standing[m] if name in (None, 'auto', SCRATCH) else name}" for m, name in asked.items())


def with_both(prepared: Prepared) -> Prepared:
    """The items that have a picture and a sound; the others are listed as skipped.

    Raises:
        UserError: none has.
    """
    items, n = prepared.items, len(prepared.items)
    has = {m: np.ones(n, bool) if x.lengths is None else x.lengths > 0 for m, x in prepared.modalities.items()}
    has_sound, has_picture = has.get("audio", np.zeros(n, bool)), has.get(next(iter(has)), np.zeros(n, bool))
    if next(iter(has)) == "audio":
        has_picture = np.zeros(n, bool)
    both = has_sound & has_picture
    if not both.any():
        raise UserError(
            f"{items.source}: no item has both a picture and a sound that can be decoded; see that sounds are not silent."
        )
    skipped = [items.skip(i, NO_PICTURE if not has_picture[i] else NO_SOUND) for i in np.flatnonzero(~both).tolist()]
    kept = only_rows(prepared, np.flatnonzero(both))
    return replace(kept, items=replace(kept.items, skipped=[*items.skipped, *skipped]))
