"""What `label` writes into the run folder beside the labels: run.toml, the model, and the contact sheet."""

from __future__ import annotations

import os
import platform
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor, nn

import selflabel
from selflabel.base.files import write_atomically
from selflabel.base.settings import Settings, without_none
from selflabel.base.tensor_files import write_tensors
from selflabel.contract import Method, Task
from selflabel.evaluation.seen import Seen
from selflabel.evaluation.sheet import contact_sheet
from selflabel.jobs.prepare import Modality, Prepared
from selflabel.jobs.prepare.prepared import SPACES
from selflabel.jobs.seen import as_tensors
from selflabel.runs.pictures import tile_reader
from selflabel.runs.run import MODEL, Run
from selflabel.runs.writing import Labelling, write_labelling, write_report
from selflabel.training.distributed import Ranks


def run_record(settings: Settings, task: Task, prepared: Prepared, device: torch.device, ranks: Ranks) -> dict[str, Any]:
    """The sections of run.toml: every setting, what followed from them, the machine and the versions."""
    return {
        "settings": without_none(asdict(settings)),
        "task": without_none({k: v for k, v in asdict(task).items() if k != "given_labels"}),
        "worked_out": {m: modality_record(modality) for m, modality in prepared.modalities.items()},
        "machine": {
            "device": str(device),
            "ranks": ranks.world,
            "threads": torch.get_num_threads(),
            "python": platform.python_version(),
        },
        "versions": {
            "selflabel": selflabel.__version__,
            "torch": torch.__version__,
            "commit": os.environ.get("SELFLABEL_COMMIT", ""),
        },
    }


def modality_record(modality: Modality) -> dict[str, Any]:
    """What `predict` needs to show unseen items to the same encoder."""
    info = modality.info
    shown = {"encoder": modality.encoder, "px": modality.px, "channels": modality.channels, "kind": info.kind}
    scale = info.scale.as_record() if info.scale else {}
    several = {name: list(getattr(modality, name)) for name in ("files", *SPACES) if getattr(modality, name)}
    special = {"weights_sha256": modality.sha256, "network": modality.network, "whole": modality.whole}
    special = {name: value for name, value in special.items() if value}
    return shown | {"seconds": info.seconds, "rate": info.rate, "frames": info.frames} | scale | special | several


def write_run(
    run: Run,
    method: Method,
    prepared: Prepared,
    labelling: Labelling,
    report: dict[str, Any],
    seen: dict[str, Seen],
    others: dict[str, Tensor] | None = None,
    has_tables: bool = False,
) -> None:
    """Write the finished run: the model, the labelling, the contact sheet and, last, the report.

    Args:
        run, method, prepared, labelling, report, seen: what is written.
        others: tensors of the model.
        has_tables: the labelling was written before.
    """
    backbones = {m: modality.backbone for m, modality in prepared.modalities.items() if modality.backbone is not None}
    save_model(run, method, backbones, report["head"], seen, others)
    if not has_tables:
        write_labelling(run.folder, labelling)
    tile = tile_reader(prepared.items, {m: modality.info for m, modality in prepared.modalities.items()})
    if tile is not None:
        sheet = contact_sheet(labelling.fitting_labels, labelling.top_probs[:, 0], tile)
        write_atomically(run.folder / "clusters.png", lambda p: sheet.save(p))
    write_report(run.folder, report)


def save_model(
    run: Run,
    method: Method,
    backbones: dict[str, nn.Module],
    head: int,
    seen: dict[str, Seen],
    others: dict[str, Tensor] | None = None,
) -> None:
    """Write model.safetensors: what `predict` needs, without the buffers that have a row for each item."""
    tensors = {f"method.{k}": v for k, v in method.state_dict().items() if k not in method.per_item}
    for m, backbone in backbones.items():
        tensors |= {f"backbone.{m}.{k}": v for k, v in backbone.state_dict().items()}
    write_tensors(run.folder / MODEL, tensors | as_tensors(seen) | (others or {}), {"head": head, "method": method.extra_state()})
