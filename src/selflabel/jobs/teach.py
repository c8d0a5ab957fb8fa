"""`selflabel teach`: a detector or segmenter learns the regions of a run, and a run folder holds it and what it finds."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from selflabel.base.errors import UserError
from selflabel.base.machine import peak_memory
from selflabel.base.settings import Settings
from selflabel.contract import Phase, RegionLearner, Segmenter, Task
from selflabel.encoders import to_channels_last
from selflabel.items import Items
from selflabel.jobs.build import make_options
from selflabel.jobs.callbacks import Callbacks
from selflabel.jobs.find import objects_of
from selflabel.jobs.finding import Found
from selflabel.jobs.known_regions import RunRegions, regions_of_run
from selflabel.jobs.labelling import Timer
from selflabel.jobs.lesson import LEARNED, check_begun, lesson_for
from selflabel.jobs.predict import finder_of
from selflabel.jobs.prepare import Modality
from selflabel.jobs.prepare.photos import decode_photos, plan_photos
from selflabel.jobs.save import run_record
from selflabel.jobs.taught_model import encoder_in, regions_by
from selflabel.jobs.taught_run import taught_report, write_taught
from selflabel.methods import find_learner
from selflabel.runs.claiming import claimed
from selflabel.runs.run import Run
from selflabel.runs.writing import write_start
from selflabel.training.data import ResidentData
from selflabel.training.distributed import Ranks, pick_device
from selflabel.training.loop import LoopCallbacks, LoopState, train

ESTIMATE_AFTER = 12  # steps by which the rest of the training is estimated; the first ones are slower
SLOW_STEPS = 4


@dataclass(frozen=True)
class Taught:
    """What `teach` returns.

    Attributes:
        report: as in report.json.
        items: the regions that the detector or segmenter finds; None where a finished run was found.
        found: the regions, and the photos without one; None where a finished run was found.
        learner: the detector or segmenter, trained; None where a finished run was found.
    """

    report: dict[str, Any]
    items: Items | None = None
    found: Found | None = None
    learner: RegionLearner | None = None


def teach(
    settings: Settings,
    out: Path | None,
    resume: bool = False,
    overwrite: bool = False,
    callbacks: Callbacks | None = None,
) -> Taught:
    """Train a detector or a segmenter on the regions of a run, edits applied, and find the regions of its photos with it.

    Args:
        settings: the run as `source`, a detector or segmenter as `method`, its options; encoder "auto" is the one of the run.
        out: the run folder; None writes nothing.
        resume: continue the run in the folder; start a new one where there is none.
        overwrite: replace the run in the folder.
        callbacks: functions to call on the way.

    Raises:
        UserError: a setting, the run that is learned from or the run folder is wrong, or nothing is found in the end.
        Interrupted: stopped from outside; the training is saved and can be resumed.
    """
    callbacks, device = callbacks or Callbacks(), pick_device(settings.device)
    make_options(find_learner(settings.method).make, settings.method, settings.options)
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
    regions = regions_of_run(source, settings.follow_links)
    modality, encoder = encoder_for(source, regions, settings, device, callbacks)
    make = find_learner(settings.method).make
    photos, lesson = lesson_for(make, regions, decode_photos(regions.photos, modality, settings, callbacks))
    timer.stop("prepare")
    info = photos.modality.info
    kinds = {"image": info.kind}
    task = Task(len(photos.items), len(lesson.classes), info.kind, modality.px, 3, epochs=settings.epochs, seed=settings.seed,
                gpu=device.type == "cuda", pretrained=True, kinds=kinds)  # fmt: skip
    torch.manual_seed(settings.seed)
    learner = make(task, make_options(make, settings.method, settings.options), lesson.known)
    learner.build(nn.ModuleDict({"image": encoder}))
    learner.progress = callbacks.on_progress
    to_channels_last(learner.to(device))
    record = run_record(settings, task, photos.prepared, device, Ranks()) | {LEARNED: lesson.record}
    if run is not None:
        check_begun(run, source, lesson)
        write_start(run.folder, record, photos.items.skipped)
    data = ResidentData({"image": photos.modality.stored()}, device, Ranks(), settings.seed)
    loop = with_estimate(callbacks.loop, callbacks.say)
    history = train(learner, data, run.folder if run is not None else None, settings.seed, loop).history
    timer.stop("train")
    timer.seconds["train"] = max(timer.seconds["train"], sum(line["seconds"] for line in history))
    found = regions_by(learner.eval(), photos, lesson.classes, device, callbacks)
    timer.stop("segment" if isinstance(learner, Segmenter) else "detect")
    if not len(found.regions.rows):
        raise UserError(
            f"{source.folder}: the {learner.noun} finds nothing in its own photos; look at the regions that it learned from."
        )
    items = objects_of(photos, found)
    report = taught_report(settings, photos, items, found, lesson, learner, timer.seconds)
    report |= {"epochs": len(history), "peak_bytes": peak_memory(device)}
    if run is not None:
        callbacks.on_progress("writing the run", 0, 0)
        record["task"]["n_items"] = len(items)
        write_taught(run, settings, record, photos, items, found, learner, encoder, lesson, report, callbacks)
    return Taught(report, items, found, learner)


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
    source: Run, regions: RunRegions, settings: Settings, device: torch.device, callbacks: Callbacks
) -> tuple[Modality, nn.Module]:
    """How photos are shown, and the fixed encoder that makes maps of them: that of the run, unless another was asked for.

    The run that found the objects comes first: its encoder saw whole photos.

    Raises:
        UserError: there is none.
    """
    if settings.encoder != "auto" or settings.weights is not None:
        modality = plan_photos(regions.photos, settings, device, callbacks)
        return modality, modality.make_encoder().to(device).eval()
    for run in (finder_of(source), source):
        if run is not None and (found := encoder_in(run, device)) is not None:
            return found
    raise UserError(f"{source.folder}: holds no encoder that makes maps of photos; name a pretrained one with --encoder.")
