"""THE TRAINING LOOP, one for every method: draw rows, show views, take steps, solve labels; save, resume, stop.

The loop's state is (phase, epoch, step). All random numbers are keyed by the seed and these, so a run that is cut anywhere and
resumed continues as if it had not been cut. Under torchrun every batch is split over the ranks, gradients are summed by each
rank's share, and the label turn uses all items.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from selflabel.base.errors import Interrupted, UserError
from selflabel.base.files import write_text
from selflabel.contract import Batch, Method, Phase, Relabelling, shuffled_rows, split_batches
from selflabel.evaluation.metrics import mean_pairwise_nmi
from selflabel.training import checkpoint
from selflabel.training.batches import make_batch
from selflabel.training.data import ResidentData
from selflabel.training.distributed import Share
from selflabel.training.optimisers import make_optimiser
from selflabel.views import key_of

SAVE_EVERY_S = 60.0

Saved = tuple[dict[str, Tensor], dict[str, Any]]  # tensors and records of a checkpoint


@dataclass
class LoopState:
    """Where the loop is, and its records; all of it is stored in checkpoints, as JSON.

    Attributes:
        phase, epoch, step: the phase, the epoch within it, and the step within the epoch, from 0.
        started: whether the phase's `start` was called.
        epochs_done: of all phases.
        history: a line of metrics for each epoch.
        sums: losses of this epoch by name, times items.
        seconds: of this epoch.
        relabelled: metrics of the last label turn.
    """

    phase: int = 0
    epoch: int = 0
    step: int = 0
    started: bool = False
    epochs_done: int = 0
    history: list[dict[str, Any]] = field(default_factory=list)
    sums: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    relabelled: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class LoopCallbacks:
    """Functions that the loop calls.

    Attributes:
        on_step: after a step, with (phase, state, steps of the epoch, items of the epoch).
        on_epoch: after an epoch, with its line of metrics.
        should_stop: asked after every step, by several ranks at the end of an epoch only; True saves and ends the run.
    """

    on_step: Callable[[Phase, LoopState, int, int], None] = lambda *_: None
    on_epoch: Callable[[dict[str, Any]], None] = lambda *_: None
    should_stop: Callable[[], bool] = lambda: False


def train(method: Method, data: ResidentData, run: Path | None, seed: int, callbacks: LoopCallbacks | None = None) -> LoopState:
    """Train a built method to its end, from the checkpoint in `run` where there is one.

    Args:
        method: built, on its device.
        data: the set.
        run: the run folder, for checkpoints and metrics.jsonl; None writes nothing.
        seed: of all random numbers.
        callbacks: functions to call on the way.

    Raises:
        Interrupted: `should_stop` was true; the checkpoint is written.
        UserError: the loss or its gradient is NaN or infinite.
    """
    state, saved = resume(method, run)
    loop = Loop(method, data, run, seed, callbacks or LoopCallbacks(), state)
    phases = method.phases()
    while state.phase < len(phases):
        phase = phases[state.phase]
        if not state.started:
            phase.start(data, generator(seed, state.phase, 1))
            data.ranks.broadcast_state(method)
            state.started = True
        phase.precompute(data)
        loop.run_phase(phase, saved, is_last=phase is phases[-1])
        saved = None
        data.ranks.broadcast_state(method)  # batch statistics differ by rank
        state.phase, state.epoch, state.step, state.started = state.phase + 1, 0, 0, False
    return state


class Loop:
    """One run of the loop; `train` is its only user.

    Args:
        method, data, run, seed, callbacks: as in `train`.
        state: where to start; it is changed in place.
    """

    optimiser: torch.optim.Optimizer
    parameters: list[nn.Parameter]  # that the current phase trains
    losses: nn.Module  # of the current phase, by a batch

    def __init__(
        self, method: Method, data: ResidentData, run: Path | None, seed: int, callbacks: LoopCallbacks, state: LoopState
    ):
        self.method, self.data, self.run, self.seed, self.callbacks, self.state = method, data, run, seed, callbacks, state
        self.total_epochs = sum(phase.epochs for phase in method.phases())
        self.last_save = time.monotonic()
        self.share = Share()

    def run_phase(self, phase: Phase, saved: Saved | None, is_last: bool) -> None:
        """Run the rest of a phase. saved: the checkpoint that it resumes from."""
        self.parameters = trainable_parameters(self.method, phase)
        self.optimiser = make_optimiser(phase.recipe, self.parameters)
        self.losses = self.data.ranks.parallel(PhaseLoss(self.method, phase), self.share)
        if saved is not None and any(k.startswith("optimiser.") for k in saved[0]):
            checkpoint.restore_optimiser(self.optimiser, saved[0], saved[1]["optimiser"])
        self.last_save = time.monotonic()
        while self.state.epoch < phase.epochs:
            self.run_epoch(phase)
            self.save()
            if self.data.ranks.any(self.callbacks.should_stop()) and not (is_last and self.state.epoch == phase.epochs):
                raise Interrupted

    def run_epoch(self, phase: Phase) -> None:
        """Run the rest of an epoch, label turns included."""
        state = self.state
        batches = self.epoch_batches(phase)
        if state.step == 0 and state.epoch * len(batches) in label_steps(phase, len(batches)):
            with self.timed():
                self.relabel()
                batches = self.epoch_batches(phase)  # the draw may depend on the labels
        due, items = label_steps(phase, len(batches)), sum(map(len, batches))
        train_mode(self.method)
        while state.step < len(batches):
            with self.timed():
                step = state.epoch * len(batches) + state.step  # of the phase
                if step in due and state.step > 0:
                    self.relabel()
                    train_mode(self.method)
                seed_global(key_of(self.seed, state.phase, step, 3) >> 1, self.data.device)
                self.train_step(phase, batches[state.step], progress=step / (phase.epochs * len(batches)))
                state.step += 1
            self.callbacks.on_step(phase, state, len(batches), items)
            self.save_or_stop(len(batches))
        self.finish_epoch(phase, items)

    @contextmanager
    def timed(self) -> Iterator[None]:
        """Add what passes inside the `with` to the epoch's seconds."""
        began = time.perf_counter()
        yield
        self.state.seconds += time.perf_counter() - began

    def epoch_batches(self, phase: Phase) -> list[Tensor]:
        """The batches of an epoch, each (B, G) row numbers."""
        draws = generator(self.seed, self.state.phase, 2, self.state.epoch)
        if phase.draw is None:
            return split_batches(shuffled_rows(self.method.task.n_items, draws), phase.batch_size)
        return split_batches(phase.draw(self.state.epoch, draws), phase.batch_size)

    def train_step(self, phase: Phase, rows_BG: Tensor, progress: float) -> None:
        """One step on one batch, of which this rank takes its share."""
        state, ranks = self.state, self.data.ranks
        local = rows_BG[ranks.shard(len(rows_BG))]
        self.share.value = len(local) / len(rows_BG)
        if not len(local):  # more ranks than rows: a step of weight zero, so that no rank waits for another
            local = rows_BG[:1]
        batch = make_batch(self.data, phase, local, progress, key_of(self.seed, state.phase, state.epoch, 4, state.step))
        batch.gather = partial(ranks.gather_batch, n=len(rows_BG))
        with self.data.autocast():
            losses = self.losses(batch)
        loss = torch.stack([v.float() for v in losses.values()]).sum()
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        lr = phase.recipe.lr * phase.recipe.schedule(progress)
        for group in self.optimiser.param_groups:
            group["lr"] = lr
        value = self.finite_loss(loss, lr)
        self.optimiser.step()
        phase.after_step()
        state.sums["loss"] = state.sums.get("loss", 0.0) + value * len(rows_BG)
        for name, term in losses.items() if len(losses) > 1 else ():
            state.sums[name] = state.sums.get(name, 0.0) + float(term.detach()) * len(rows_BG)

    def finite_loss(self, loss: Tensor, lr: float) -> float:
        """The loss as a number. Raises UserError where it or the gradient is NaN or infinite."""
        gradients = [p.grad for p in self.parameters if p.grad is not None]
        norm = torch.nn.utils.get_total_norm(gradients).to(loss)
        value, slope = torch.stack([loss.detach(), norm]).tolist()
        if math.isfinite(value) and math.isfinite(slope):
            return value
        problem = f"gradient became {slope}" if math.isfinite(value) else f"loss became {value}"
        raise UserError(
            f"the {problem} in epoch {self.state.epochs_done + 1}, step {self.state.step + 1}, at a learning rate of {lr:.3g}; "
            "start again with a smaller one, e.g. --set lr_scale=0.3 --overwrite, and look for items without content."
        )

    def relabel(self) -> None:
        """The label turn, the same on every rank. The optimiser's state of parameters that were initialised again is dropped."""
        state, before = self.state, [x.clone() for x in self.method.current_labels()]
        self.method.eval()
        with torch.no_grad():
            result = self.method.relabel(self.data, generator(self.seed, state.phase, 5, state.epoch, state.step))
        self.data.ranks.broadcast_state(self.method)
        if result is None:
            return
        if result.reset:
            reset = {id(p) for name, p in self.method.named_parameters() if name.startswith(result.reset)}
            for p in self.parameters:
                if id(p) in reset:
                    self.optimiser.state.pop(p, None)
        state.relabelled = label_metrics(result, before)

    def finish_epoch(self, phase: Phase, items: int) -> None:
        """Move to the next epoch and record this one's metrics."""
        state = self.state
        state.epoch, state.step, state.epochs_done = state.epoch + 1, 0, state.epochs_done + 1
        line = {
            "epoch": state.epochs_done,
            "of": self.total_epochs,
            "phase": phase.name,
            **{k: round(v / items, 6) for k, v in state.sums.items()},
            "lr": phase.recipe.lr * phase.recipe.schedule(state.epoch / phase.epochs),
            "items_per_s": round(items / max(state.seconds, 1e-9), 1),
            "seconds": round(state.seconds, 3),
            **state.relabelled,
        }
        state.history.append(line)
        state.sums, state.seconds = {}, 0.0
        self.callbacks.on_epoch(line)

    def save_or_stop(self, steps: int) -> None:
        """Save where it is time. Raises Interrupted where the run was asked to stop and the epoch is not at its end."""
        stop = self.callbacks.should_stop() if self.data.ranks.world == 1 else False
        if stop or time.monotonic() - self.last_save > SAVE_EVERY_S:
            self.save()
        if stop and self.state.step < steps:
            raise Interrupted

    def save(self) -> None:
        """Write the checkpoint and metrics.jsonl."""
        if self.run is not None and self.data.ranks.is_first:
            checkpoint.save(self.run / "checkpoint", self.method, self.optimiser, asdict(self.state))
            write_text(self.run / "metrics.jsonl", "".join(json.dumps(line) + "\n" for line in self.state.history))
        self.last_save = time.monotonic()


def resume(method: Method, run: Path | None) -> tuple[LoopState, Saved | None]:
    """Load the checkpoint of a run into the method: (the loop's state, the checkpoint where a phase is to be continued)."""
    saved = checkpoint.load(run / "checkpoint") if run is not None else None
    if saved is None:
        return LoopState(), None
    tensors, record = saved
    checkpoint.restore_method(method, tensors, record["method"])
    state = LoopState(**record["loop"])
    phases = method.phases()
    if state.phase < len(phases) and state.epoch == phases[state.phase].epochs:  # saved at the end of a phase
        records = replace(state, phase=state.phase + 1, epoch=0, step=0, started=False, sums={}, seconds=0.0)
        return records, None
    return state, saved


# --------------------------------------------------------------------------------------------------------- small parts


class PhaseLoss(nn.Module):
    """The loss of a phase as a module, which holds the parameters that it uses."""

    def __init__(self, method: Method, phase: Phase):
        super().__init__()
        self.method, self.loss = method, phase.loss

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        return self.loss(batch)


def train_mode(method: Method) -> None:
    """Training mode, but eval mode for modules that this phase does not train: their batch statistics must not change."""
    method.train()
    for module in method.modules():
        parameters = list(module.parameters())
        if parameters and not any(p.requires_grad for p in parameters):
            module.eval()


def label_metrics(result: Relabelling, before: list[Tensor]) -> dict[str, Any]:
    """What metrics.jsonl records of a label turn. before: (N,) labels of each head before it."""
    labels = [x.cpu() for x in result.labels]  # -1 where an item has none
    if not labels:
        return {}
    changed = [float((a.cpu() != b).float().mean()) for a, b in zip(before, labels)]
    return {
        **({"changed": round(sum(changed) / len(changed), 5)} if changed else {}),  # needs `Method.current_labels`
        "agreement": round(mean_pairwise_nmi([x.long().numpy() + 1 for x in labels]), 5),
        "mass_error": round(result.error, 6),
        "turns": result.n_iter,
        "converged": result.converged,
        "largest": round(max(largest_share(x) for x in labels), 4),
    }


def largest_share(labels: Tensor) -> float:
    """The share of the items with a label that the largest label has."""
    labels = labels[labels >= 0]
    return float(torch.bincount(labels).max()) / len(labels) if len(labels) else 0.0


def label_steps(phase: Phase, steps: int) -> set[int]:
    """The steps of the phase, from 0, before which labels are solved. steps: of an epoch."""
    return {min(round(t * steps), phase.epochs * steps - 1) for t in phase.relabel_at}


def trainable_parameters(method: Method, phase: Phase) -> list[nn.Parameter]:
    """The parameters that the phase trains; all others are frozen."""
    trainable = []
    for name, p in method.named_parameters():
        p.requires_grad_(name.startswith(phase.learns))
        if p.requires_grad:
            trainable.append(p)
    return trainable


def seed_global(key: int, device: torch.device) -> None:
    """Seed the generators that dropout uses: the CPU's and this device's. Seeding all devices would take time."""
    torch.default_generator.manual_seed(key)
    if device.type == "cuda":
        torch.cuda.manual_seed(key)
    elif device.type == "mps":
        torch.mps.manual_seed(key)


def generator(seed: int, *key: int) -> torch.Generator:
    """A CPU generator keyed by the seed and by whole numbers that say where the loop is and what the numbers are for."""
    return torch.Generator().manual_seed(key_of(seed, *key) >> 1)
