"""`selflabel label`: open, inspect, decode, encode, train, label, describe, write."""

from __future__ import annotations

import warnings
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from selflabel.base.errors import UserError
from selflabel.base.machine import peak_memory
from selflabel.base.settings import Settings
from selflabel.contract import Method
from selflabel.decode.limits import Limits
from selflabel.jobs.build import make_method, make_options, make_task, with_clusters
from selflabel.jobs.callbacks import Callbacks
from selflabel.jobs.dense import label_patches
from selflabel.jobs.events import Events
from selflabel.jobs.labelling import Labelled, Timer, begin
from selflabel.jobs.large import label_all_rows, rows_of_sample, sample_text
from selflabel.jobs.outliers import find_outliers, for_all_items, only_rows, typicality_before
from selflabel.jobs.prepare import Prepared, prepare
from selflabel.jobs.prepare.choices import SCRATCH
from selflabel.jobs.prepare.spaces import weigh_spaces
from selflabel.jobs.prepare.windows import Windows
from selflabel.jobs.report import describe, make_report
from selflabel.jobs.save import write_run
from selflabel.jobs.seen import fit_seen
from selflabel.methods import find_method
from selflabel.pretexts import JOINT_PRETEXTS, PRETEXTS
from selflabel.runs.claiming import claimed
from selflabel.runs.run import Run
from selflabel.training.distributed import Ranks, join, losing_no_rank, pick_device, restarts
from selflabel.training.loop import LoopCallbacks, train


def label(
    settings: Settings,
    out: Path | None,
    resume: bool = False,
    overwrite: bool = False,
    callbacks: Callbacks | None = None,
    data: Any = None,
) -> Labelled:
    """Label a source and write the run folder.

    Args:
        settings: what to label, and how.
        out: the run folder; None writes nothing.
        resume: continue the run in the folder; start a new one where there is none. Processes that torchrun starts again after
            one of them died do so, whatever was asked for.
        overwrite: replace the run in the folder.
        callbacks: functions to call on the way.
        data: an array instead of `settings.source`.

    Raises:
        UserError: a setting, the source or the run folder is wrong; the text says what to do.
        Interrupted: stopped from outside; the run is saved and can be resumed.
    """
    callbacks, device = callbacks or Callbacks(), pick_device(settings.device)
    make = find_method(settings.method).make
    make_options(make, settings.method, settings.options)  # a wrong one is refused before anything is decoded
    ranks, run = join(device), Run(Path(out)) if out is not None else None
    if restarts():
        resume, overwrite = True, False
    lock = claimed(run, settings, resume, overwrite) if run is not None and ranks.is_first else nullcontext()
    with lock, losing_no_rank(ranks), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "sinkhorn stopped", RuntimeWarning)  # of the reported head the summary says so
        ranks.barrier()
        if run is not None and run.is_finished:
            callbacks.say(f"{run.folder} is finished; nothing to do.")
            return Labelled(run.report)
        if settings.parts is not None:
            return label_patches(run, make, settings, device, ranks, callbacks, data)
        return label_into(run, make, settings, device, ranks, callbacks, data)


def label_into(
    run: Run | None,
    make: type[Method],
    settings: Settings,
    device: torch.device,
    ranks: Ranks,
    callbacks: Callbacks,
    data: Any,
) -> Labelled:
    """See `label`; the run folder is this process's own."""
    timer = Timer()
    recorded = run.modalities if run is not None and run.file("run.toml").exists() else {}
    prepared = prepare_for(make, settings, device, callbacks, data, recorded, ranks)
    prepared = weigh_spaces(prepared, settings.clusters, settings.seed, callbacks)
    typicality = typicality_before(prepared, settings.outliers)
    kept = None if typicality is None else typicality.typical_rows
    events = Events.of(prepared, callbacks.say) if typicality is None else None
    begun = run.recorded.get("task") if run is not None and (run.folder / "run.toml").exists() else None
    sampled = rows_of_sample(prepared, settings, begun) if run is not None else None
    trained_on = only_rows(prepared, events.rows if events is not None else kept if sampled is None else sampled)
    if sampled is not None and ranks.is_first:
        callbacks.say(sample_text(len(prepared.items), len(sampled)))
    timer.stop("prepare")
    callbacks.on_progress("preparing the method", 0, 0)
    task = with_clusters(make_task(settings, trained_on, device), make, begun)
    method = make_method(make, settings.method, settings.options, task, trained_on, device)
    dataset = trained_on.dataset(device, ranks, settings.seed)
    dataset.encoders = method.encoders
    if run is not None and ranks.is_first:
        begin(run, settings, task, prepared, device, ranks, callbacks, data is None)
    loop_callbacks = callbacks.loop if ranks.is_first or ranks.world > 1 else LoopCallbacks()
    history = train(method, dataset, run.folder if run is not None else None, settings.seed, loop_callbacks).history
    timer.stop("train")
    method.eval()
    callbacks.on_progress("solving the final labels", 0, 0)
    with torch.no_grad():
        outcome = method.final(dataset, torch.Generator().manual_seed(settings.seed))
        callbacks.on_progress("describing the labels", 0, 0)
        if trained_on is not prepared and sampled is None:
            dataset = prepared.dataset(device, ranks, settings.seed)
            dataset.encoders = method.encoders
            outcome = for_all_items(outcome, method, dataset, kept) if events is None else events.label_windows(outcome)
        labelling, signs = describe(method, dataset, (prepared if sampled is None else trained_on).items, outcome, task)
        outliers = find_outliers(outcome, typicality, torch.from_numpy(labelling.features), settings.outliers)
        labelling = replace(labelling, outliers=outliers)
        fits = np.ones(len(labelling.labels), bool) if outliers is None else ~outliers
        seen = fit_seen(method, dataset, labelling.features, fits)
    timer.stop("label")
    timer.seconds["train"] = max(timer.seconds["train"], sum(line["seconds"] for line in history))  # epochs before a resume count
    report = make_report(settings.method, method, settings.clusters, prepared, labelling, outcome, signs, history, timer.seconds)
    if run is not None and sampled is not None and ranks.is_first:
        with torch.no_grad():
            labelling, counted = label_all_rows(run, method, prepared, outcome, timer, callbacks)
        report |= counted | {"seconds": {step: round(s, 2) for step, s in timer.seconds.items()}}
    report["peak_bytes"] = peak_memory(device)
    if run is not None and ranks.is_first:
        callbacks.on_progress("writing the run", 0, 0)
        write_run(run, method, prepared, labelling, report, seen, has_tables=sampled is not None)
    ranks.barrier()
    return Labelled(report, labelling, method, prepared, seen)


def prepare_for(
    make: type[Method],
    settings: Settings,
    device: torch.device,
    callbacks: Callbacks,
    data: Any,
    recorded: dict[str, Any] | None = None,
    ranks: Ranks = Ranks(),
    whole: bool = False,
    sound_s: float | None = None,
) -> Prepared:
    """Make the source, or the array instead of it, ready for a method.

    Args:
        make, settings, device, callbacks, data, ranks: as in `label_into`.
        recorded: how an unfinished run prepared each modality.
        whole, sound_s: as in `prepare`.
    """
    callbacks.on_progress("looking at the items", 0, 0)
    settings = as_published(settings)
    return prepare(
        settings.source if data is None else data,
        device,
        files=settings.items,
        images=settings.images,
        method=settings.method,
        max_modalities=make.most_modalities(make_options(make, settings.method, settings.options)),
        modality=settings.modality,
        encoder=settings.encoder,
        weights=settings.weights,
        preset=settings.preset,
        px=settings.px,
        frames=settings.frames,
        fps=settings.fps,
        rate=settings.rate,
        windows=Windows.of(settings.windows, settings.hop),
        seed=settings.seed,
        cache=settings.cache,
        workers=settings.workers,
        follow_links=settings.follow_links,
        limits=Limits(settings.item_seconds, settings.item_gb),
        callbacks=callbacks,
        trains=trains_a_network(settings),
        whole=whole,
        sound_s=sound_s,
        recorded=recorded,
        ranks=ranks,
        by_default=make.encoders_by_default,
        text=text_encoder(settings),
    )


def text_encoder(settings: Settings) -> str | None:
    """The encoder of captions that was asked for. Raises UserError where nothing would learn from them."""
    text, pretext = settings.options.get("text"), settings.options.get("pretext")
    if text is not None and pretext not in JOINT_PRETEXTS:
        raise UserError(f"--set text={text}: captions are for pretext=milnce; add --set pretext=milnce, or leave it out.")
    return text


def as_published(settings: Settings) -> Settings:
    """With `--preset paper`, films are shown as the pretext's paper shows them, where nothing else is asked for."""
    pretext = (PRETEXTS | JOINT_PRETEXTS).get(settings.options.get("pretext") or "")
    films = pretext.paper_films if pretext is not None and settings.preset == "paper" else None
    if films is None:
        return settings
    encoder = f"video={films.encoder}" if settings.encoder in ("auto", SCRATCH) else settings.encoder
    px, frames, fps = settings.px or films.px, settings.frames or films.frames, settings.fps or films.fps
    return replace(settings, encoder=encoder, px=px, frames=frames, fps=fps)


def trains_a_network(settings: Settings) -> bool:
    """Whether what was asked for needs a network that is trained on the items.

    The published training, labels to learn, a pretext or views of pictures would be without effect on a fixed encoder's features.
    """
    has_views = settings.views not in ("auto", "dropout")
    return bool(settings.preset or settings.labels or settings.options.get("pretext")) or has_views
