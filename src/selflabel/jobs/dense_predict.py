"""Class maps of unseen photos by a finished run of patches."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from selflabel.base.settings import make_settings
from selflabel.base.tensor_files import read_tensors
from selflabel.items import Items
from selflabel.jobs.callbacks import Callbacks
from selflabel.jobs.dense import WHAT, PatchLabeller, find_regions
from selflabel.jobs.model import WRONG, Model, Predicted, load_model
from selflabel.jobs.patches import BASIS, MEAN, PatchSpace
from selflabel.jobs.prepare.photos import decode_photos, photos_of
from selflabel.runs.reading import damaged
from selflabel.runs.run import MODEL, Run

LEAST = 1e-9  # probability of which a logarithm is taken


def is_of_patches(run: Run) -> bool:
    """Whether a run labelled the patches of photos."""
    return run.settings.get("parts") == "patches"


@torch.no_grad()
def predict_regions(run: Run, items: Items, device: str, cache: str | None, callbacks: Callbacks) -> Predicted:
    """The regions of unseen photos, without edits.

    Args:
        run: finished, of patches.
        items: with the photos.
        device, cache, callbacks: as in `jobs.predict.predict`.

    Raises:
        UserError: the run's model cannot be read, or there are no photos.
    """
    photos = photos_of(items, WHAT)
    model = load_model(run, device, cache)
    settings = make_settings(**(run.settings | {"device": device, "cache": cache}))
    try:
        labeller = labeller_of(run, model)
    except WRONG as error:  # another's model can hold anything
        reason = f"{type(error).__name__}: {error}".splitlines()[0][:200]
        raise damaged(run.file(MODEL), f"does not fit run.toml ({reason})") from error
    shown = decode_photos(photos, replace(model.modalities["image"], backbone=None), settings, callbacks)
    found, regions = find_regions(shown, labeller, callbacks)
    log_probs = torch.from_numpy(np.stack([region.probabilities for region in regions])).clamp_min(LEAST).log()
    features = torch.from_numpy(np.stack([region.features for region in regions]))
    return Predicted(found.paths, log_probs, features, found.skipped, pieces=found.pieces)


def labeller_of(run: Run, model: Model) -> PatchLabeller:
    """What gave the run's patches their labels. Raises one of WRONG where the model file does not hold it."""
    tensors, _ = read_tensors(run.file(MODEL), "copy the run folder again, or label the source again")
    space, encoder = PatchSpace(tensors[MEAN].float(), tensors[BASIS].float()), model.modalities["image"].backbone
    fits = space.basis.ndim == 2 and space.mean.shape == space.basis.shape[:1]
    if encoder is None or not fits or space.basis.shape[1] != model.method.dim("image"):
        raise ValueError("it holds no space of patches")
    return PatchLabeller(encoder, space, model.method, model.head, model.device, model.in_use)
