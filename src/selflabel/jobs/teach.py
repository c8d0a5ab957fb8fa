"""`selflabel teach`: a detector learns the boxes and classes of a run, and a run folder holds it and what it finds."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from selflabel.base.errors import UserError
from selflabel.base.files import write_atomically
from selflabel.base.machine import peak_memory
from selflabel.base.settings import Settings
from selflabel.base.tensor_files import write_tensors
from selflabel.contract import Detector, Phase, Task
from selflabel.edits import BY_THE_RUN, Name, append
from selflabel.encoders import to_channels_last
from selflabel.evaluation.sheet import contact_sheet
from selflabel.items import Items
from selflabel.jobs.build import make_options
from selflabel.jobs.callbacks import Callbacks
from selflabel.jobs.detecting import detect_objects
from selflabel.jobs.detector_model import encoder_in
from selflabel.jobs.find import labelling_of, objects_of, report_of
from selflabel.jobs.finding import Found
from selflabel.jobs.known_boxes import RunBoxes, boxes_of_run, known_boxes_of
from selflabel.jobs.labelling import Timer, places_of
from selflabel.jobs.predict import finder_of
from selflabel.jobs.prepare import Modality
from selflabel.jobs.prepare.photos import Photos, decode_photos, plan_photos
from selflabel.jobs.run_source import places_behind
from selflabel.jobs.save import run_record
from selflabel.methods import DETECTORS
from selflabel.runs.claiming import claimed
from selflabel.runs.opening import record_source
from selflabel.runs.origin import config_folder
from selflabel.runs.pictures import tile_reader
from selflabel.runs.run import MODEL, Run
from selflabel.runs.writing import write_labelling, write_report, write_start
from selflabel.training.data import ResidentData
from selflabel.training.distributed import Ranks, pick_device
from selflabel.training.loop import LoopCallbacks, LoopState, train

LEARNED = "learned_from"  # the section of run.toml with what the detector learned from
ESTIMATE_AFTER = 12  # steps by which the rest of the training is estimated; the first ones are slower
SLOW_STEPS = 4


@dataclass(frozen=True)
class Taught:
    """What `teach` returns.

    Attributes:
        report: as in report.json.
        items: the objects that the detector finds; None where a finished run was found.
        found: the objects, and the photos without one; None where a finished run was found.
        detector: trained; None where a finished run was found.
    """

    report: dict[str, Any]
    items: Items | None = None
    found: Found | None = None
    detector: Detector | None = None


def teach(
    settings: Settings,
    out: Path | None,
    resume: bool = False,
    overwrite: bool = False,
    callbacks: Callbacks | None = None,
) -> Taught:
    """Train a detector on the regions of a run, edits applied, and find the objects of its photos with it.

    Args:
        settings: the run as `source`, the detector as `method`, its options; encoder "auto" is the one of the run.
        out: the run folder; None writes nothing.
        resume: continue the run in the folder; start a new one where there is none.
        overwrite: replace the run in the folder.
        callbacks: functions to call on the way.

    Raises:
        UserError: a setting, the run that is learned from or the run folder is wrong, or nothing is found in the end.
        Interrupted: stopped from outside; the training is saved and can be resumed.
    """
    callbacks, device = callbacks or Callbacks(), pick_device(settings.device)
    make = DETECTORS[settings.method].make
    make_options(make, settings.method, settings.options)
    source = Run.open(str(settings.source))
    if out is None:
        return teach_into(None, source, settings, device, callbacks)
    run = Run(Path(out))
    with claimed(run, settings, resume, overwrite):
        if run.is_finished:
            callbacks.say(f"{run.folder} is finished; nothing to do.")
            return Taught(run.report)
        return teach_into(run, source, settings, device, callbacks)


def teach_into(run: Run | None, source: Run, settings: Settings, device: torch.device, callbacks: Callbacks) -> Taught:
    """See `teach`; the run folder is this process's own."""
    timer = Timer()
    callbacks.on_progress("looking at the photos", 0, 0)
    run_boxes = boxes_of_run(source, settings.follow_links)
    modality, encoder = encoder_for(source, run_boxes, settings, device, callbacks)
    photos = decode_photos(run_boxes.photos, modality, settings, callbacks)
    timer.stop("prepare")
    known_boxes, classes = known_boxes_of(run_boxes, photos), run_boxes.classes
    info = photos.modality.info
    kinds = {"image": info.kind}
    task = Task(len(photos.items), len(classes), info.kind, modality.px, 3, epochs=settings.epochs, seed=settings.seed,
                gpu=device.type == "cuda", pretrained=True, kinds=kinds)  # fmt: skip
    torch.manual_seed(settings.seed)
    make = DETECTORS[settings.method].make
    detector = make(task, make_options(make, settings.method, settings.options), known_boxes)
    detector.build(nn.ModuleDict({"image": encoder}))
    detector.progress = callbacks.on_progress
    to_channels_last(detector.to(device))
    record = run_record(settings, task, photos.prepared, device, Ranks()) | {LEARNED: learned_record(run_boxes)}
    if run is not None:
        check_begun(run, source, run_boxes)
        write_start(run.folder, record, photos.items.skipped)
    data = ResidentData({"image": photos.modality.stored()}, device, Ranks(), settings.seed)
    loop = with_estimate(callbacks.loop, callbacks.say)
    history = train(detector, data, run.folder if run is not None else None, settings.seed, loop).history
    timer.stop("train")
    timer.seconds["train"] = max(timer.seconds["train"], sum(line["seconds"] for line in history))
    found = detect_objects(photos, detector.eval(), classes, device, callbacks)
    timer.stop("detect")
    if not len(found.regions.rows):
        raise UserError(f"{source.folder}: the detector finds nothing in its own photos; look at the boxes that it learned from.")
    items = objects_of(photos, found)
    report = taught_report(settings, photos, items, found, run_boxes, timer.seconds)
    report |= {"epochs": len(history), "peak_bytes": peak_memory(device)}
    if run is not None:
        callbacks.on_progress("writing the run", 0, 0)
        record["task"]["n_items"] = len(items)
        write(run, settings, record, photos, items, found, detector, encoder, run_boxes, report, callbacks)
    return Taught(report, items, found, detector)


def learned_record(run_boxes: RunBoxes) -> dict[str, Any]:
    """The section of run.toml with what the detector learned from; classes are clusters of that run."""
    classes = run_boxes.classes.tolist()
    return {"classes": classes, "regions": len(run_boxes.rows), "digest": run_boxes.digest}


def check_begun(run: Run, source: Run, run_boxes: RunBoxes) -> None:
    """Raise UserError where an unfinished run was begun with other regions or classes than the run has now."""
    if (run.folder / "run.toml").exists() and run.recorded.get(LEARNED, {}).get("digest") != run_boxes.digest:
        raise UserError(
            f"{run.folder}: was begun with other boxes or classes than {source.folder} has now; add --overwrite to start again."
        )


def with_estimate(loop: LoopCallbacks, say: Callable[[str], None]) -> LoopCallbacks:
    """The same callbacks, and once a sentence on how long the training will take, from its first steps."""
    times: list[float] = []

    def on_step(phase: Phase, state: LoopState, steps: int, items: int) -> None:
        loop.on_step(phase, state, steps, items)
        if len(times) > ESTIMATE_AFTER:
            return
        times.append(time.monotonic())
        left = (phase.epochs - state.epoch) * steps - state.step
        if len(times) == ESTIMATE_AFTER and left > ESTIMATE_AFTER:
            seconds = left * (times[-1] - times[SLOW_STEPS]) / (ESTIMATE_AFTER - 1 - SLOW_STEPS)
            say(f"the training will take about {duration(seconds)}.")

    return replace(loop, on_step=on_step)


def duration(seconds: float) -> str:
    """Seconds for people.

    Example:
        >>> duration(42.3), duration(150)
        ('42 s', '2.5 min')
    """
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.1f} min"


# --------------------------------------------------------------------------------------------------------- the encoder


def encoder_for(
    source: Run, run_boxes: RunBoxes, settings: Settings, device: torch.device, callbacks: Callbacks
) -> tuple[Modality, nn.Module]:
    """How photos are shown, and the fixed encoder that makes maps of them: that of the run, unless another was asked for.

    The run that found the objects comes first: its encoder saw whole photos.

    Raises:
        UserError: there is none.
    """
    if settings.encoder != "auto" or settings.weights is not None:
        modality = plan_photos(run_boxes.photos, settings, device, callbacks)
        return modality, modality.make_encoder().to(device).eval()
    for run in (finder_of(source), source):
        if run is not None and (found := encoder_in(run, device)) is not None:
            return found
    raise UserError(f"{source.folder}: holds no encoder that makes maps of photos; name a pretrained one with --encoder.")


# ------------------------------------------------------------------------------------------------------ the run folder


def taught_report(
    settings: Settings, photos: Photos, items: Items, found: Found, run_boxes: RunBoxes, seconds: dict[str, float]
) -> dict[str, Any]:
    """report.json: as of `find`, with classes."""
    assert found.regions.labels is not None
    sizes = np.bincount(found.regions.labels, minlength=int(run_boxes.classes[-1]) + 1)
    classes = int((sizes > 0).sum())
    return report_of(settings, photos, items, seconds) | {
        "n_clusters": classes,
        "clusters_found": classes,
        "clusters_chosen_by": f"the run that it learned from, {settings.source}",
        "sizes": sizes.tolist(),
        "n_regions_learned": len(run_boxes.rows),
        "no_estimate": "a detector learned its classes from another run",
    }


def write(
    run: Run,
    settings: Settings,
    record: dict[str, Any],
    photos: Photos,
    items: Items,
    found: Found,
    detector: Detector,
    encoder: nn.Module,
    run_boxes: RunBoxes,
    report: dict[str, Any],
    callbacks: Callbacks,
) -> None:
    """Write the run folder; the report, which marks the end, last."""
    write_start(run.folder, record, items.skipped, items.missing, items.paths, items.pieces)
    if not record_source(run.folder, items, [*places_of(settings), *places_behind(settings.source)]):
        callbacks.say(f"{config_folder()} cannot be written, so commands that show this run's items will need --source.")
    tensors = {f"backbone.image.{k}": v for k, v in encoder.state_dict().items()}
    tensors |= {f"method.{k}": v for k, v in detector.state_dict().items()}
    write_tensors(run.folder / MODEL, tensors, {"head": 0, "method": {"classes": run_boxes.classes.tolist()}})
    labelling = labelling_of(items, found)
    write_labelling(run.folder, labelling)
    tile = tile_reader(items, {"image": photos.modality.info})
    if tile is not None:
        sheet = contact_sheet(labelling.labels, labelling.top_probs[:, 0], tile, names=run_boxes.names)
        write_atomically(run.folder / "clusters.png", lambda p: sheet.save(p))
    in_use = set(labelling.labels.tolist())
    for label, name in sorted(run_boxes.names.items()):
        if label in in_use:
            append(run.folder, Name(id=BY_THE_RUN, cluster=label, name=name))
    write_report(run.folder, report)
