"""`selflabel score --degrade`: how robust a finished run's labels are. Images are compressed, blurred or dropped, sounds
low-passed, made noisy or dropped (the degradation experiment of SeLaVi). The run is not trained again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from selflabel.base.errors import UserError
from selflabel.base.files import write_atomically, write_text
from selflabel.evaluation.metrics import accuracy, nmi
from selflabel.jobs.again import prepare_again, rows_in_run
from selflabel.jobs.callbacks import Callbacks
from selflabel.jobs.model import Model, load_model
from selflabel.runs.run import Run
from selflabel.training.data import ResidentData
from selflabel.training.stored import Corruption
from selflabel.views.corruptions import DROP_SHARES, PICTURE_CORRUPTIONS, SOUND_CORRUPTIONS
from selflabel.views.random import uniforms

DROP_KEY = 0xD809  # of the random numbers that choose which items lose the modality


@dataclass(frozen=True)
class Row:
    """Scores at one level of one corruption of one modality. The names are those of degraded-MODALITY.json.

    Attributes:
        way: the corruption.
        level: its level, as people see it.
        nmi, accuracy: of labels predicted from all modalities.
        alone_nmi, alone_accuracy: of labels predicted from this modality only; None where it is dropped, or the only one.
    """

    way: str
    level: str
    nmi: float
    accuracy: float
    alone_nmi: float | None = None
    alone_accuracy: float | None = None


@torch.no_grad()
def degrade(
    run: Run,
    modality: str,
    classes: Mapping[int, str],
    device: str = "auto",
    callbacks: Callbacks | None = None,
    source: str | None = None,
) -> list[Row]:
    """Scores of the labels that the run predicts for its own items as one modality gets worse.

    Args:
        run: finished; its source must still be there.
        modality: "image", "video" or "audio".
        classes: row in the run to class.
        device: "auto", "cpu", "cuda" or "mps".
        callbacks: progress.
        source: where the items are now, where that is not what the run recorded.

    Returns:
        A row for each level; the first is "as it is".

    Raises:
        UserError: the run has no such modality, its source is gone, or no item of it has a known class.
    """
    model = load_model(run, device)
    of_patches = run.settings.get("parts") is not None
    if modality not in model.modalities or model.takes_features or of_patches:
        kinds = "patches of photos" if of_patches else " and ".join(model.modalities)
        available = "features only" if model.takes_features else kinds
        raise UserError(f"--degrade {modality}: {run.folder} has {available}.")
    prepared = prepare_again(run, model, callbacks or Callbacks(), source)
    own = rows_in_run(run, prepared.items.paths)
    rows = [i for i, row in enumerate(own) if row in classes]
    if not rows:
        raise UserError(f"{run.folder}: none of the truth's paths is in it; its first is {prepared.items.paths[0]}.")
    truth = np.array([classes[own[i]] for i in rows])
    callbacks = callbacks or Callbacks()
    callbacks.on_progress("scoring the items as they are", 0, 0)
    scorer = Scorer(model, prepared.dataset(model.device, model.ranks, model.task.seed), modality, rows, truth)
    corruptions = SOUND_CORRUPTIONS if modality == "audio" else PICTURE_CORRUPTIONS
    shares = DROP_SHARES if scorer.other_features else ()
    changes: list[tuple[str, str, dict[str, Any]]] = [("as it is", "", {})]
    for way, (change, levels) in corruptions.items():
        changes += [(way, name, {"corrupt": at_level(change, level)}) for name, level in levels.items()]
    changes += [("dropped", f"{share:.0%}", {"keep": scorer.kept_items(share)}) for share in shares]
    table = []
    for way, level, changed in changes:
        table.append(scorer.row(way, level, **changed))
        callbacks.on_progress("levels", len(table), len(changes))
    return table


class Scorer:
    """Scores a run's labels with one modality changed.

    Args:
        model: the run's networks.
        data: its items.
        modality: the one that is changed.
        rows: the items whose class is known.
        truth: their classes.
    """

    def __init__(self, model: Model, data: ResidentData, modality: str, rows: list[int], truth: np.ndarray):
        self.model, self.data, self.modality, self.rows, self.truth = model, data, modality, rows, truth
        self.other_features = {m: model.features(data, m) for m in data.stored if m != modality}

    def row(self, way: str, level: str, corrupt: Corruption | None = None, keep: Tensor | None = None) -> Row:
        """Scores under a corruption, or with the modality kept by some items (N,) only."""
        m = self.modality
        present = self.data.present[m] if keep is None else self.data.present[m] & keep
        data = self.data.with_stored(m, replace(self.data.stored[m], corrupt=corrupt))
        features = self.model.features(data, m)
        joint = self.model.log_probs({**self.other_features, m: features}, self.data.present | {m: present})
        if not self.other_features or keep is not None:
            return Row(way, level, *self.scores(joint))
        single = self.model.log_probs({m: features}, {m: present})
        return Row(way, level, *self.scores(joint), *self.scores(single))

    def scores(self, log_probs: Tensor) -> tuple[float, float]:
        """(NMI, accuracy) of the most probable labels."""
        labels = log_probs.argmax(dim=1).numpy()[self.rows]
        return round(nmi(self.truth, labels), 4), round(accuracy(self.truth, labels), 4)

    def kept_items(self, share: float) -> Tensor:
        """(N,) bool: the items that keep the modality when this share loses it; a higher share includes a lower one."""
        rows = torch.arange(self.data.n_items, device=self.data.device)
        return uniforms(DROP_KEY, rows, 1)[:, 0] >= share


def at_level(change: Any, level: float) -> Corruption:
    """A corruption at one level."""
    return partial(apply_change, change, level)


def apply_change(change: Any, level: float, items: Tensor, rows: Tensor) -> Tensor:
    return change(items, rows, level)


def write_degraded(rows: list[Row], modality: str, folder: Path) -> tuple[Path, Path]:
    """Write degraded-MODALITY.json and .png into the run folder; returns both paths."""
    import json

    table, picture = folder / f"degraded-{modality}.json", folder / f"degraded-{modality}.png"
    content = {"modality": modality, "rows": [asdict(r) for r in rows]}
    write_text(table, json.dumps(content, indent=1) + "\n")
    write_atomically(picture, lambda p: plot_degraded(rows, modality).savefig(p, format="png", dpi=110))
    return table, picture


def plot_degraded(rows: list[Row], modality: str) -> Any:
    """A figure with a panel for each corruption: NMI over levels, of all modalities and of this one only."""
    from matplotlib.figure import Figure

    first, ways = rows[0], list(dict.fromkeys(r.way for r in rows[1:]))
    figure = Figure(figsize=(3.2 * len(ways), 3.0), layout="constrained")
    axes = np.atleast_1d(figure.subplots(1, len(ways), sharey=True))
    for axis, way in zip(axes, ways):
        levels = [first, *(r for r in rows if r.way == way)]
        names = ["as it is", *(r.level for r in levels[1:])]
        if first.alone_nmi is None:
            axis.plot(names, [r.nmi for r in levels], "o-", color="#1f5fa8")
        else:
            axis.plot(names, [r.nmi for r in levels], "o-", color="#1f5fa8", label="all modalities")
            if way != "dropped":
                axis.plot(names, [r.alone_nmi for r in levels], "s--", color="#c0562b", label=f"{modality} only")
        axis.set_title(f"{modality} {way}", fontsize=10)
        axis.tick_params(axis="x", rotation=35, labelsize=8)
        axis.set_ylim(0, 1)
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("NMI")
    if first.alone_nmi is not None:
        axes[0].legend(fontsize=8)
    return figure
