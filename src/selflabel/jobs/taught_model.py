"""The encoder of a run that makes maps of photos, and the detector or segmenter of a run of `teach`, read from their folders.

Nothing is trained or fetched, and the model file runs no code.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import nn

from selflabel.base.settings import make_settings
from selflabel.base.tensor_files import read_tensors
from selflabel.contract import Detector, RegionLearner, Segmenter, Task
from selflabel.jobs.build import stored_options
from selflabel.jobs.callbacks import Callbacks
from selflabel.jobs.detecting import detect_objects
from selflabel.jobs.finding import Found
from selflabel.jobs.known_maps import NO_REGION
from selflabel.jobs.model import WRONG, check_sizes, stored_modality
from selflabel.jobs.prepare import Modality
from selflabel.jobs.prepare.photos import Photos
from selflabel.jobs.segmenting import segment_photos
from selflabel.methods import TEACHABLE
from selflabel.runs.reading import damaged
from selflabel.runs.run import MODEL, Run

OWN = "method.encoders.image."  # tensors of an encoder that a method trained


def encoder_in(run: Run, device: torch.device) -> tuple[Modality, nn.Module] | None:
    """(how the photos of a run were shown, its encoder of them), None where it has none.

    Raises:
        UserError: its model cannot be read.
    """
    record = run.modalities.get("image")
    if record is None:
        return None
    tensors, _ = read_tensors(run.file(MODEL), "copy the run folder again, or find the objects again")
    try:
        check_sizes(run)
        modality = stored_modality("image", record, tensors, device)
        if modality.backbone is not None:
            return replace(modality, backbone=None), modality.backbone
        own = {k.removeprefix(OWN): v for k, v in tensors.items() if k.startswith(OWN)}
        if not own or modality.px == 0:
            return None
        encoder = modality.make_encoder(fetch=False).eval()
        encoder.load_state_dict(own)
        return modality, encoder.to(device)
    except torch.OutOfMemoryError:
        raise
    except WRONG as error:  # another's run.toml and model can say anything
        reason = f"{type(error).__name__}: {error}".splitlines()[0][:200]
        raise damaged(run.file(MODEL), f"does not fit run.toml ({reason})") from error


def read_learner(run: Run, device: torch.device) -> tuple[RegionLearner, Modality, np.ndarray]:
    """(the detector or segmenter of a finished run with its encoder in eval mode, how photos are shown to it, its classes).

    What does not fit is any exception; see `jobs.predict.find_in`.
    """
    tensors, state = read_tensors(run.file(MODEL), "copy the run folder again, or teach again")
    check_sizes(run)
    settings = make_settings(**run.settings)
    make = TEACHABLE[settings.method].make
    classes = np.array(state["method"]["classes"], np.int64)
    modality = stored_modality("image", run.modalities["image"], tensors, device)
    least = NO_REGION if issubclass(make, Segmenter) else 0
    if modality.backbone is None or not (classes >= 0).any() or (classes < least).any() or (np.diff(classes) <= 0).any():
        raise ValueError(f"it holds no {make.noun}")
    task = Task(1, len(classes), modality.info.kind, modality.px, 3, pretrained=True, kinds={"image": modality.info.kind})
    learner = make(task, stored_options(make, settings.method, settings.options))
    learner.build(nn.ModuleDict({"image": modality.backbone}))
    learner.load_state_dict({k.removeprefix("method."): v for k, v in tensors.items() if k.startswith("method.")})
    return learner.to(device).eval(), replace(modality, backbone=None), classes


def regions_by(learner: RegionLearner, photos: Photos, classes: np.ndarray, device: torch.device, callbacks: Callbacks) -> Found:
    """The regions of photos by a detector or segmenter in eval mode. classes: the cluster of each of its classes."""
    if isinstance(learner, Segmenter):
        return segment_photos(photos, learner, classes, device, callbacks)
    assert isinstance(learner, Detector)
    return detect_objects(photos, learner, classes, device, callbacks)
