"""THE MAIN JOB, step by step: open, look, decode, encode, train, label, describe, write."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable
from contextlib import nullcontext, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn

import selflabel
from selflabel.assignment.neighbours import nearest
from selflabel.base.errors import UserError
from selflabel.base.files import write_whole
from selflabel.base.machine import peak_memory
from selflabel.base.settings import Settings, of_modality, without_none
from selflabel.contract import Final, Method, Task
from selflabel.decode.image import Undecodable, decode_square
from selflabel.encoders import GivenFeatures, laid_out
from selflabel.evaluation.diagnostics import Signs, estimated_accuracy, histogram, signs_of
from selflabel.evaluation.sheet import contact_sheet
from selflabel.items import Blob, Items, read_rows
from selflabel.jobs.prepare import Notices, Part, Prepared, encoder_of, prepare
from selflabel.methods import find_method
from selflabel.runs.pictures import middle_frame, spectrogram
from selflabel.runs.run import Labelling, Run
from selflabel.training.data import ResidentData
from selflabel.training.distributed import Ranks, join, pick_device
from selflabel.training.loop import Watch, train
from selflabel.views import PRESETS

TOP = 5
TILE = 96  # side of an item on the contact sheet, before it is shrunk
RUN_NEIGHBOURS = 10


def label(
    settings: Settings,
    out: Path | None,
    resume: bool = False,
    overwrite: bool = False,
    notices: Notices | None = None,
    data: Any = None,
) -> dict[str, Any]:
    """Label a source and write the run folder.

    Args:
        settings: what was asked.
        out: the run folder; None writes nothing.
        resume, overwrite: what to do with a run that is there.
        notices: who is told.
        data: an array instead of `settings.source`.

    Returns:
        The report, as in report.json; with `labelling`, `method` and `prepared` where `out` is None.

    Raises:
        UserError: see its text. Interrupted: stopped from outside, saved, resumable.
    """
    make, device = find_method(settings.method).make, pick_device(settings.device)
    ranks, run = join(device), Run(out) if out is not None else None
    with run.claimed(settings, resume, overwrite) if run is not None and ranks.is_first else nullcontext():
        ranks.barrier()
        if run is None or not run.is_finished:
            return label_into(run, make, settings, device, ranks, notices or Notices(), data)
        (notices or Notices()).say(f"{run.folder} is finished; nothing to do.")
        return run.report


def label_into(
    run: Run | None, make: type[Method], settings: Settings, device: torch.device, ranks: Ranks, notices: Notices, data: Any
) -> dict[str, Any]:
    """See `label`; the run folder is this process's own."""
    started = time.perf_counter()
    prepared = prepare(settings, device, notices, data, make.most_modalities)
    seconds = {"prepare": time.perf_counter() - started}
    task = make_task(settings, prepared, device)
    method = make_method(make, settings, task, prepared, device)
    dataset = prepared.data(device, ranks, settings.seed)
    dataset.encoders = method.encoders
    if run is not None and ranks.is_first:
        run.write_start(record(settings, task, prepared, device, ranks), prepared.items.skipped)
    watch = notices.watch if ranks.is_first or ranks.world > 1 else Watch()
    place = train(method, dataset, run.folder if run is not None else None, settings.seed, watch)
    seconds["train"] = time.perf_counter() - started - sum(seconds.values())
    method.eval()
    with torch.no_grad():
        final = method.final(dataset, torch.Generator().manual_seed(settings.seed))
        found, signs = describe(method, dataset, prepared.items, final, task)
    seconds["label"] = time.perf_counter() - started - sum(seconds.values())
    seconds["train"] = max(seconds["train"], sum(line["seconds"] for line in place.history))  # before it was resumed, too
    report = make_report(settings, prepared, found, final, signs, place.history, seconds)
    report["peak_bytes"] = peak_memory(device)
    if run is not None and ranks.is_first:
        write_run(run, method, prepared, found, report)
    ranks.barrier()
    return report if run is not None else report | {"labelling": found, "method": method, "prepared": prepared}


# ----------------------------------------------------------------------------------------------------------- building


def make_task(settings: Settings, prepared: Prepared, device: torch.device) -> Task:
    n = len(prepared.items)
    if settings.clusters is not None and settings.clusters > n:
        raise UserError(f"--clusters {settings.clusters}: there are only {n} items; ask for at most as many clusters.")
    first = prepared.first
    for m in prepared.parts:
        check_views(settings.views, m, next(iter(prepared.parts)))
    given, clusters = None, settings.clusters
    if settings.labels is not None:
        given = given_labels(Path(settings.labels), prepared.items)
        clusters = int(given.max()) + 1
    return Task(
        n_items=n,
        clusters=clusters,
        kind=first.kind,
        px=0 if first.kind == "features" else first.px,
        channels=first.channels,
        mass=settings.mass,
        preset=settings.preset,
        epochs=settings.epochs,
        gpu=device.type == "cuda",
        seed=settings.seed,
        views=settings.views,
        given_labels=given,
        pretrained=bool(first.weights) or first.encoder.startswith("timm:"),
        kinds={m: p.kind for m, p in prepared.parts.items()},
    )


def check_views(asked: str, modality: str, first: str) -> None:
    name = of_modality(asked, modality, first) or "auto"
    if name != "auto" and name not in PRESETS:
        raise UserError(f"--views {name}: there is no preset of that name; there are {', '.join(PRESETS)}.")
    if name != "auto" and modality == "audio" and PRESETS[name].flip:
        raise UserError(f"--views {name}: mirrors what it shows, and a mirrored sound is another one; take sound or spoken.")


def given_labels(file: Path, items: Items) -> torch.Tensor:
    """(N,) labels to train on, from a run's labels.csv or any table with path and label."""
    if not file.exists():
        raise UserError(f"--labels {file}: there is no such file.")
    rows = read_rows(file)
    if not rows or "path" not in rows[0] or "label" not in rows[0]:
        raise UserError(f"--labels {file}: needs the columns 'path' and 'label', as in a run's labels.csv.")
    known = {str(row["path"]): str(row["label"]) for row in rows}
    missing = [p for p in items.paths if p not in known]
    if missing:
        raise UserError(f"--labels {file}: has no label for {len(missing)} items, the first {missing[0]}.")
    values = [known[p] for p in items.paths]
    whole = all(v.isdigit() for v in values)
    names = sorted(set(values), key=int if whole else str)  # type: ignore[arg-type]
    code = {name: int(name) if whole and int(names[-1]) < 10 * len(names) else i for i, name in enumerate(names)}
    return torch.tensor([code[v] for v in values])


def make_method(make: type[Method], settings: Settings, task: Task, prepared: Prepared, device: torch.device) -> Method:
    """The method, built around its encoder, on the device."""
    torch.manual_seed(settings.seed)
    method = make(task, make_options(make, settings))
    if task.given_labels is not None and settings.method != "sela":
        raise UserError(f"--labels: method {settings.method} solves its own labels; training on fixed ones is --method sela.")
    method.build(nn.ModuleDict({m: input_encoder(part) for m, part in prepared.parts.items()}))
    laid_out(method.to(device))
    return method


def input_encoder(part: Part) -> nn.Module:
    if part.kind != "features":
        return encoder_of(part)
    return GivenFeatures(part.tensor.shape[1]).fit(torch.from_numpy(np.array(part.tensor, np.float32)))


def make_options(make: type[Method], settings: Settings) -> Any:
    from pydantic import ValidationError

    try:
        return make.options_type(**settings.options)
    except (ValidationError, TypeError) as error:
        known = ", ".join(make.options_type.__dataclass_fields__)  # type: ignore[attr-defined]
        if isinstance(error, ValidationError):
            first = error.errors()[0]
            text = f"{first['loc'][0]} = {first['input']!r}: {first['msg'].lower()}"
        else:
            text = str(error)
        raise UserError(f"--set {text}; options of {settings.method} are {known}.") from error


# --------------------------------------------------------------------------------------------------------- describing


def describe(method: Method, data: ResidentData, items: Items, final: Final, task: Task) -> tuple[Labelling, Signs]:
    """Read the finished labelling off: best labels, features, neighbours and the label-free signs."""
    probs = final.probabilities.float().cpu()
    top = probs.topk(min(TOP, probs.shape[1]), dim=1)
    of = {m: data.features(m) for m in task.modalities}
    features = torch.cat(list(of.values()), dim=1)
    neighbours = nearest(features, RUN_NEIGHBOURS).rows.numpy()
    labels = final.labels[final.head].cpu().numpy()
    turned = method.predict({m: turned_features(data, task, m) for m in task.modalities}).log_probs[final.head]
    heads = [x.cpu().numpy() for x in final.labels]
    signs = signs_of(heads, final.head, turned.argmax(dim=1).cpu().numpy(), neighbours, top.values[:, 0].numpy())
    found = Labelling(
        items.paths,
        labels,
        top.indices.numpy(),
        top.values.numpy(),
        features.cpu().numpy(),
        neighbours,
        items.skipped,
        items.truth,
        {m: alone(method, m, x, data.present[m], final.head) for m, x in of.items()} if len(of) > 1 else {},
    )
    return found, signs


def alone(method: Method, modality: str, features: torch.Tensor, present: torch.Tensor, head: int) -> np.ndarray:
    """(N,) labels that one modality gives by itself; -1 where an item lacks it."""
    best = method.predict({modality: features}, {modality: present}).log_probs[head].argmax(dim=1)
    return best.masked_fill(~present, -1).cpu().numpy()


def turned_features(data: ResidentData, task: Task, modality: str) -> torch.Tensor:
    """Features of random views."""
    kind = task.kind_of(modality)
    return data.features(modality, view={"features": "dropout"}.get(kind, kind), draw=1)


def make_report(
    settings, prepared: Prepared, found: Labelling, final: Final, signs: Signs, history: list, seconds: dict
) -> dict[str, Any]:
    K = int(final.probabilities.shape[1])
    sizes = np.bincount(found.labels, minlength=K)
    shown = any(part.kind != "features" for part in prepared.parts.values())
    return {
        "n_items": len(found.paths),
        "n_skipped": len(found.skipped),
        "n_clusters": K,
        "clusters_chosen_by": "the user" if settings.clusters else "the method, without truth",
        "sizes": sizes.tolist(),
        "method": settings.method,
        "encoder": ", ".join(p.encoder for p in prepared.parts.values()),
        "head": final.head,
        **final.notes,
        "signs": {k: round(v, 4) for k, v in asdict(signs).items()},
        "median_confidence": round(float(np.median(found.top_probs[:, 0])), 4),
        "confidence_histogram": histogram(found.top_probs[:, 0]),
        "estimated_accuracy": estimated_accuracy(signs, shown) if len(final.labels) > 1 else None,  # one head has no support
        "collapsed": bool(sizes.max() > max(0.5 * sizes.sum(), 5 * sizes.sum() / K)) if K > 1 else False,
        "epochs": len(history),
        "items_per_s": float(np.median([line["items_per_s"] for line in history])) if history else None,
        "seconds": {k: round(v, 2) for k, v in seconds.items()},
    }


# ------------------------------------------------------------------------------------------------------------ writing


def record(settings: Settings, task: Task, prepared: Prepared, device: torch.device, ranks: Ranks) -> dict[str, Any]:
    """run.toml: every setting, what was worked out from them, and the versions."""
    known = {k: v for k, v in asdict(task).items() if k != "given_labels"}
    return {
        "settings": without_none(asdict(settings)),
        "task": without_none(known),
        "worked_out": {m: worked_out(part) for m, part in prepared.parts.items()},
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


def worked_out(part: Part) -> dict[str, Any]:
    """What `predict` must know to show unseen items to the same encoder."""
    made = {"encoder": part.encoder, "px": part.px, "channels": part.channels, "kind": part.look.kind}
    return made | {"seconds": part.look.seconds, "rate": part.look.rate, "frames": part.look.frames}


def write_run(run: Run, method: Method, prepared: Prepared, found: Labelling, report: dict[str, Any]) -> None:
    save_model(run, method, {m: p.backbone for m, p in prepared.parts.items() if p.backbone is not None}, report["head"])
    run.write_labelling(found)
    picture = pictures(prepared)
    if picture is not None:
        sheet = contact_sheet(found.labels, found.top_probs[:, 0], picture)
        write_whole(run.folder / "clusters.png", lambda p: sheet.save(p))
    run.write_report(report)


def pictures(prepared: Prepared) -> Callable[[int], np.ndarray] | None:
    """How to get an item's picture for the sheet; None for feature input."""
    items = prepared.items
    if items.are_features:
        return None
    if items.array is not None:
        array = items.array
        return lambda row: np.asarray(array[row]).squeeze()
    if "image" in items.blobs:
        return lambda row: image_tile(items.blobs["image"][row])
    return lambda row: film_tile(items, row)


def image_tile(blob: Blob | None) -> np.ndarray:
    if blob is None:
        return np.full((TILE, TILE, 3), 255, np.uint8)
    return decode_square(blob.read(), TILE, 3).transpose(1, 2, 0)


def film_tile(items: Items, row: int) -> np.ndarray:
    """The middle frame with a strip of the sound below it, or the spectrogram alone; white where an item lacks what is shown."""
    film, sound = (items.blobs[m][row] if m in items.blobs else None for m in ("video", "audio"))
    strips: list[Image.Image] = []
    with suppress(Undecodable):
        if film is not None:
            strips.append(middle_frame(film))
    with suppress(Undecodable):
        if sound is not None:
            heard = spectrogram(sound)
            strips.append(heard.resize((heard.width, heard.height // 3)) if strips else heard)
    return np.concatenate([np.asarray(strip) for strip in strips]) if strips else np.full((TILE, TILE, 3), 255, np.uint8)


def save_model(run: Run, method: Method, backbones: dict[str, nn.Module], head: int) -> None:
    """model.safetensors: what `predict` needs, and no row an item."""
    import json

    from safetensors.torch import save_file

    tensors = {f"method.{k}": v for k, v in method.state_dict().items() if k not in method.per_item}
    for m, backbone in backbones.items():
        tensors |= {f"backbone.{m}.{k}": v for k, v in backbone.state_dict().items()}
    tensors = {k: v.detach().cpu().contiguous().clone() for k, v in tensors.items()}
    text = json.dumps({"head": head, "method": method.extra_state()})
    write_whole(run.folder / "model.safetensors", lambda p: save_file(tensors, p, metadata={"state": text}))
