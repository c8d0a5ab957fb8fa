"""THE LOOP, one for every method: draw, show, learn, relabel; save, resume, stop.

Where the loop stands is (phase, epoch, step). All randomness is keyed by the seed and these, so a run cut anywhere and
resumed goes on as if uncut. Under torchrun every batch is split over the ranks, gradients are averaged with each rank's
share, and the labelling turn sees all items.
"""

from __future__ import annotations

import json
import math
import time
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from selflabel.base.errors import Interrupted, UserError
from selflabel.base.files import write_text
from selflabel.contract import Batch, Method, Phase, Recipe, Relabelling, evenly_split
from selflabel.evaluation.metrics import mean_pairwise_nmi
from selflabel.training import checkpoint
from selflabel.training.data import ResidentData
from selflabel.views import key_of

SAVE_EVERY_S = 60.0


@dataclass
class Place:
    """Where the loop stands and what it has seen; all of it survives JSON."""

    phase: int = 0
    epoch: int = 0  # within the phase
    step: int = 0  # within the epoch
    started: bool = False  # whether the phase's `start` has run
    epochs_done: int = 0
    history: list[dict[str, Any]] = field(default_factory=list)
    sums: dict[str, float] = field(default_factory=dict)  # of this epoch's losses
    seconds: float = 0.0  # of this epoch
    relabelled: dict[str, Any] = field(default_factory=dict)  # the last labelling turn


@dataclass(frozen=True)
class Watch:
    """What the loop tells to whoever watches: a step's news, an epoch's line, and whether to stop."""

    on_step: Callable[[Phase, Place, int, int], None] = lambda *_: None
    on_epoch: Callable[[dict[str, Any]], None] = lambda *_: None
    should_stop: Callable[[], bool] = lambda: False


def train(method: Method, data: ResidentData, run: Path | None, seed: int, watch: Watch | None = None) -> Place:
    """Train a built method to its end, from the checkpoint in `run` where there is one.

    Args:
        method: built, on its device.
        data: the set.
        run: the run folder, for checkpoints and metrics.jsonl; None writes nothing.
        seed: of all draws.
        watch: who is told.

    Raises:
        Interrupted: `watch.should_stop` said so; the checkpoint is written.
        UserError: the loss or its gradient is NaN or infinite.
    """
    watch = watch or Watch()
    place, saved = resume(method, run)
    phases = method.phases()
    while place.phase < len(phases):
        phase = phases[place.phase]
        if not place.started:
            method.start(phase, data, generator(seed, place.phase, 1))
            data.ranks.same_everywhere(method)
            place.started = True
        method.remember(phase, data)
        run_phase(method, data, phase, place, saved, run, seed, watch)
        saved = None
        data.ranks.same_everywhere(method)  # batch statistics differ by rank
        place.phase, place.epoch, place.step, place.started = place.phase + 1, 0, 0, False
    return place


def run_phase(method, data, phase: Phase, place: Place, saved, run: Path | None, seed: int, watch: Watch) -> None:
    learning = choose_parameters(method, phase)
    optimiser = make_optimiser(phase.recipe, learning)
    if saved is not None and any(k.startswith("optimiser.") for k in saved[0]):
        checkpoint.restore_optimiser(optimiser, saved[0], saved[1]["optimiser"])
    last_save, in_all = time.monotonic(), sum(p.epochs for p in method.phases())
    while place.epoch < phase.epochs:
        batches = drawn(method, phase, place, seed)
        if place.step == 0 and place.epoch * len(batches) in relabel_steps(phase, len(batches)):
            began = time.perf_counter()
            relabel(method, data, optimiser, learning, place, seed)
            batches = drawn(method, phase, place, seed)  # what is drawn may hang on the labels
            place.seconds += time.perf_counter() - began
        due, items = relabel_steps(phase, len(batches)), sum(map(len, batches))
        train_mode(method)
        while place.step < len(batches):
            began = time.perf_counter()
            absolute = place.epoch * len(batches) + place.step
            if absolute in due and place.step > 0:
                relabel(method, data, optimiser, learning, place, seed)
                train_mode(method)
            seed_global(key_of(seed, place.phase, absolute, 3) >> 1, data.device)
            progress = absolute / (phase.epochs * len(batches))
            learn(method, data, phase, optimiser, batches[place.step], progress, place, seed)
            place.step += 1
            place.seconds += time.perf_counter() - began
            watch.on_step(phase, place, len(batches), items)
            stop = watch.should_stop() if data.ranks.world == 1 else False
            if stop or time.monotonic() - last_save > SAVE_EVERY_S:
                save(method, optimiser, place, run, data)
                last_save = time.monotonic()
            if stop and place.step < len(batches):
                raise Interrupted
        finish_epoch(phase, place, len(batches), items, in_all, watch)
        save(method, optimiser, place, run, data)
        last_save = time.monotonic()
        if data.ranks.any(watch.should_stop()) and not is_last(place, phase, method):
            raise Interrupted


def is_last(place: Place, phase: Phase, method: Method) -> bool:
    return place.epoch == phase.epochs and place.phase == len(method.phases()) - 1


# -------------------------------------------------------------------------------------------------- steps of the loop


def drawn(method: Method, phase: Phase, place: Place, seed: int) -> list[Tensor]:
    """The epoch's batches."""
    return evenly_split(method.draw(phase, place.epoch, generator(seed, place.phase, 2, place.epoch)), phase.batch)


def train_mode(method: Method) -> None:
    """Training mode, but eval mode for what this phase does not train: a frozen encoder's batch statistics stay as they are."""
    method.train()
    for module in method.modules():
        own = list(module.parameters())
        if own and not any(p.requires_grad for p in own):
            module.eval()


def learn(method, data, phase: Phase, optimiser, rows_BG: Tensor, progress: float, place: Place, seed: int) -> None:
    """One step on one batch, of which this rank takes its stretch."""
    mine = rows_BG[data.ranks.shard(len(rows_BG))]
    share = len(mine) / len(rows_BG)
    if not len(mine):  # more ranks than rows: learn with weight nought, so that no rank waits for another
        mine = rows_BG[:1]
    batch = show_batch(data, phase, mine, progress, key_of(seed, place.phase, place.epoch, 4, place.step))
    batch.every = partial(data.ranks.every_row, n=len(rows_BG))
    with data.autocast():
        losses = method.loss(batch)
    loss = torch.stack([v.float() for v in losses.values()]).sum()
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    data.ranks.average_gradients(method, share)
    lr = phase.recipe.lr * phase.recipe.shape(progress)
    for group in optimiser.param_groups:
        group["lr"] = lr
    value, slope = torch.stack([loss.detach(), torch.nn.utils.get_total_norm(gradients(optimiser)).to(loss)]).tolist()
    if not math.isfinite(value) or not math.isfinite(slope):
        what = f"gradient became {slope}" if math.isfinite(value) else f"loss became {value}"
        raise UserError(
            f"the {what} in epoch {place.epochs_done + 1}, step {place.step + 1}, at a learning rate of {lr:.3g}; "
            "start again with a smaller one, e.g. --set lr_scale=0.3 --overwrite, and look for items without content."
        )
    optimiser.step()
    method.after_step()
    place.sums["loss"] = place.sums.get("loss", 0.0) + value * len(rows_BG)
    for name, part in losses.items() if len(losses) > 1 else ():
        place.sums[name] = place.sums.get(name, 0.0) + float(part.detach()) * len(rows_BG)


def gradients(optimiser: torch.optim.Optimizer) -> list[Tensor]:
    return [p.grad for group in optimiser.param_groups for p in group["params"] if p.grad is not None]


def show_batch(data, phase: Phase, rows_BG: Tensor, progress: float, key: int) -> Batch:
    flat = rows_BG.reshape(-1)
    views = {
        modality: [data.view(modality, flat, preset, key_of(key, m, i)) for i, preset in enumerate(presets)]
        for m, (modality, presets) in enumerate(sorted(phase.views.items()))
    }
    present = {m: has[flat.to(has.device)] for m, has in data.present.items() if m in data.lacking}
    return Batch(rows_BG.to(data.device), views, progress, present, phase.name)


def relabel(method, data, optimiser, learning: list, place: Place, seed: int) -> None:
    """The labelling turn, the same on every rank; optimiser state of what was made anew is dropped."""
    before = [x.clone() for x in method.current_labels()]
    method.eval()
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # an unconverged solve is in the metrics
        result: Relabelling | None = method.relabel(data, generator(seed, place.phase, 5, place.epoch, place.step))
    data.ranks.same_everywhere(method)
    if result is None:
        return
    renewed = {id(p) for n, p in method.named_parameters() if n.startswith(result.renewed)} if result.renewed else set()
    for p in learning:
        if id(p) in renewed:
            optimiser.state.pop(p, None)
    place.relabelled = summary(result, before)


def summary(result: Relabelling, before: list[Tensor]) -> dict[str, Any]:
    labels = [x.cpu() for x in result.labels]
    if not labels:  # the turn made classes that are no labels of all items, such as cliques
        return {}
    changed = [float((a.cpu() != b).float().mean()) for a, b in zip(before, labels)]
    return {
        "changed": round(sum(changed) / max(1, len(changed)), 5),
        "agreement": round(mean_pairwise_nmi([x.numpy() for x in labels]), 5),
        "mass_error": round(result.error, 6),
        "turns": result.turns,
        "converged": result.converged,
        "largest": round(max(largest_share(x) for x in labels), 4),
    }


def largest_share(labels: Tensor) -> float:
    """The share of the largest label."""
    return float(torch.bincount(labels).max()) / len(labels)


def finish_epoch(phase: Phase, place: Place, steps: int, items: int, in_all: int, watch: Watch) -> None:
    place.epoch, place.step, place.epochs_done = place.epoch + 1, 0, place.epochs_done + 1
    line = {
        "epoch": place.epochs_done,
        "of": in_all,
        "phase": phase.name,
        **{k: round(v / items, 6) for k, v in place.sums.items()},
        "lr": phase.recipe.lr * phase.recipe.shape(place.epoch / phase.epochs),
        "items_per_s": round(items / max(place.seconds, 1e-9), 1),
        "seconds": round(place.seconds, 3),
        **place.relabelled,
    }
    place.history.append(line)
    place.sums, place.seconds = {}, 0.0
    watch.on_epoch(line)


# ------------------------------------------------------------------------------------------ plain lists made beforehand


def relabel_steps(phase: Phase, steps: int) -> set[int]:
    """The steps, counted from the start of the phase, before which labels are solved anew."""
    return {min(round(t * steps), phase.epochs * steps - 1) for t in phase.relabel_at}


def choose_parameters(method: Method, phase: Phase) -> list[torch.nn.Parameter]:
    chosen = []
    for name, p in method.named_parameters():
        p.requires_grad_(name.startswith(phase.learns))
        if p.requires_grad:
            chosen.append(p)
    return chosen


def make_optimiser(recipe: Recipe, parameters: list) -> torch.optim.Optimizer:
    if recipe.kind == "adamw":
        return torch.optim.AdamW(parameters, lr=recipe.lr, weight_decay=recipe.weight_decay, fused=True)
    return torch.optim.SGD(parameters, lr=recipe.lr, momentum=recipe.momentum, weight_decay=recipe.weight_decay)


def seed_global(key: int, device: torch.device) -> None:
    """torch's own generator, which dropout draws from; the other devices' are left alone, since seeding them takes time."""
    torch.default_generator.manual_seed(key)
    if device.type == "cuda":
        torch.cuda.manual_seed(key)
    elif device.type == "mps":
        torch.mps.manual_seed(key)


def generator(seed: int, *place_and_use: int) -> torch.Generator:
    """A CPU generator keyed by the seed, where the loop stands and what it is for."""
    return torch.Generator().manual_seed(key_of(seed, *place_and_use) >> 1)


# ----------------------------------------------------------------------------------------------------- save and resume


def save(method: Method, optimiser, place: Place, run: Path | None, data: ResidentData) -> None:
    if run is None or not data.ranks.is_first:
        return
    checkpoint.save(run / "checkpoint", method, optimiser, asdict(place))
    write_text(run / "metrics.jsonl", "".join(json.dumps(line) + "\n" for line in place.history))


def resume(method: Method, run: Path | None) -> tuple[Place, tuple | None]:
    saved = checkpoint.load(run / "checkpoint") if run is not None else None
    if saved is None:
        return Place(), None
    tensors, state = saved
    checkpoint.restore_method(method, tensors, state["method"])
    place = Place(**state["loop"])
    phases = method.phases()
    if place.phase < len(phases) and place.epoch == phases[place.phase].epochs:
        return Place(place.phase + 1, epochs_done=place.epochs_done, history=place.history, relabelled=place.relabelled), None
    return place, saved
