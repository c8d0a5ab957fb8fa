"""How a finished run's labels bear worse and worse items: pictures compressed, blurred or dropped, sounds muffled, noisy or
dropped (the degradation experiment of SeLaVi). The run is not trained again; only what it is shown gets worse.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from selflabel.base.errors import UserError
from selflabel.base.files import write_text, write_whole
from selflabel.evaluation.metrics import accuracy, nmi
from selflabel.jobs.predict import load_model
from selflabel.jobs.prepare import Notices
from selflabel.runs.run import Run
from selflabel.training.data import ResidentData
from selflabel.views.corruptions import DROPPED, PICTURES, SOUNDS
from selflabel.views.random import uniforms

DROPS = 0xD809  # the key of who loses a modality


@dataclass(frozen=True)
class Row:
    """Scores at one level of one way of spoiling one modality: from all that an item has, and from that modality alone.

    alone_*: None where the level takes the modality away, or where the run has no other.
    """

    way: str
    level: str
    nmi: float
    accuracy: float
    alone_nmi: float | None = None
    alone_accuracy: float | None = None


@torch.no_grad()
def degraded(run: Run, modality: str, known: dict[str, str], device: str = "auto", notices: Notices | None = None) -> list[Row]:
    """Scores of the run's labels of its own items as one modality gets worse.

    Args:
        run: finished; its source must still be where it was.
        modality: "image", "video" or "audio".
        known: path -> class.

    Returns:
        A row a level; the first is "as it is".

    Raises:
        UserError: the run has no such modality, its source is gone, or no item of it has a known class.
    """
    model = load_model(run, device, run.recorded["settings"].get("cache"))
    if modality not in model.looks or next(iter(model.looks.values())).px == 0:
        has = " and ".join(model.looks) if next(iter(model.looks.values())).px else "features only"
        raise UserError(f"--degrade {modality}: {run.folder} has {has}.")
    shown = model.opened(run.recorded["settings"]["source"], notices or Notices())
    data = shown.data(model.device, model.ranks, model.settings.seed)
    rows = [i for i, path in enumerate(shown.items.paths) if path in known]
    if not rows:
        raise UserError(f"{run.folder}: none of the truth's paths is in it; its first is {shown.items.paths[0]}.")
    truth = np.array([known[shown.items.paths[i]] for i in rows])
    others = {m: model.features(data, m) for m in data.items if m != modality}

    def row(way: str, level: str, present: torch.Tensor) -> Row:
        here = model.features(data, modality)
        joint = model.log_probs({**others, modality: here}, data.present | {modality: present})
        scores = scored(truth, joint.argmax(dim=1).numpy()[rows])
        if not others or way == "dropped":
            return Row(way, level, *scores)
        alone = model.log_probs({modality: here}, {modality: present})
        return Row(way, level, *scores, *scored(truth, alone.argmax(dim=1).numpy()[rows]))

    as_it_is = data.present[modality]
    found = [row("as it is", "", as_it_is)]
    for way, (change, levels) in (SOUNDS if modality == "audio" else PICTURES).items():
        for name, level in levels.items():
            data.changes[modality] = at(change, level)
            found.append(row(way, name, as_it_is))
    data.changes.clear()
    for share in DROPPED if others else ():
        found.append(row("dropped", f"{share:.0%}", as_it_is & kept(data, share)))
    return found


def at(change: Callable[..., torch.Tensor], level: float) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
    """The change at one level."""
    return lambda items, rows: change(items, rows, level)


def kept(data: ResidentData, share: float) -> torch.Tensor:
    """(N,) which items keep the modality when this share loses it; who loses it first loses it at every higher share."""
    return uniforms(DROPS, torch.arange(data.n_items, device=data.device), 1)[:, 0] >= share


def scored(truth: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    return round(nmi(truth, labels), 4), round(accuracy(truth, labels), 4)


def write_degraded(rows: list[Row], modality: str, folder: Path) -> tuple[Path, Path]:
    """degraded-MODALITY.json and .png in the run folder."""
    import json

    table, picture = folder / f"degraded-{modality}.json", folder / f"degraded-{modality}.png"
    content = {"modality": modality, "rows": [asdict(r) for r in rows]}
    write_text(table, json.dumps(content, indent=1) + "\n")
    write_whole(picture, lambda p: drawn(rows, modality).savefig(p, format="png", dpi=110))
    return table, picture


def drawn(rows: list[Row], modality: str) -> Any:
    """A figure: a panel a way, NMI over levels, all modalities together beside this one alone."""
    from matplotlib.figure import Figure

    first, ways = rows[0], list(dict.fromkeys(r.way for r in rows[1:]))
    figure = Figure(figsize=(3.2 * len(ways), 3.0), layout="constrained")
    axes = np.atleast_1d(figure.subplots(1, len(ways), sharey=True))
    for axis, way in zip(axes, ways):
        shown = [first, *(r for r in rows if r.way == way)]
        names = ["as it is", *(r.level for r in shown[1:])]
        if first.alone_nmi is None:
            axis.plot(names, [r.nmi for r in shown], "o-", color="#1f5fa8")
        else:
            axis.plot(names, [r.nmi for r in shown], "o-", color="#1f5fa8", label="all modalities")
            if way != "dropped":
                axis.plot(names, [r.alone_nmi for r in shown], "s--", color="#c0562b", label=f"{modality} alone")
        axis.set_title(f"{modality} {way}", fontsize=10)
        axis.tick_params(axis="x", rotation=35, labelsize=8)
        axis.set_ylim(0, 1)
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("NMI")
    if first.alone_nmi is not None:
        axes[0].legend(fontsize=8)
    return figure
