"""`selflabel predict`: a finished run labels unseen items.

Of a run that is about objects, they are found in unseen photos by the finder that found the run's, and then labelled.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch

from selflabel.base.errors import UserError
from selflabel.base.settings import make_settings
from selflabel.base.tensor_files import read_tensors
from selflabel.contract import Finder
from selflabel.edits import apply_to_unseen, emptied_clusters
from selflabel.encoders import FROZEN
from selflabel.items import Items
from selflabel.items.embeddings import features_of
from selflabel.jobs.build import stored_options
from selflabel.jobs.callbacks import Callbacks
from selflabel.jobs.find import objects_of
from selflabel.jobs.finding import LEARNED, Found, find_objects
from selflabel.jobs.model import WRONG, Predicted, check_sizes, load_model, stored_modality
from selflabel.jobs.prepare.photos import Photos, decode_photos, photos_of
from selflabel.jobs.prepare.prepared import Modality
from selflabel.jobs.prepare.windows import Windows
from selflabel.jobs.run_source import open_source, run_at
from selflabel.methods import FINDERS, make_finder
from selflabel.runs.origin import read_origin
from selflabel.runs.reading import damaged, outliers_in
from selflabel.runs.run import MODEL, Run
from selflabel.training.distributed import pick_device


def predict(
    run: Run,
    source: Any,
    device: str = "auto",
    cache: str | None = None,
    callbacks: Callbacks | None = None,
    raw: bool = False,
    follow_links: bool = False,
    files: str | list[str] | None = None,
    images: str | None = None,
    windows: Windows | None = None,
) -> Predicted:
    """Label unseen items with a finished run, as its edits merged, split and named its clusters.

    Of a run about objects, these are found in unseen photos first.

    Args:
        run: finished.
        source: whatever `jobs.run_source.open_source` takes.
        device: "auto", "cpu", "cuda" or "mps".
        cache: folder for decoded items.
        callbacks: progress.
        raw: ignore edits.
        follow_links, files, images: as in `open_items`.
        windows: that sounds and films are cut into; None cuts whole files as the run's were.

    Raises:
        UserError: the model cannot be read, nothing in the source can be labelled, it is of another kind than the run's, or what
            found the run's objects is not there any more.
    """
    callbacks, finder_run = callbacks or Callbacks(), finder_of(run)
    items = open_source(source, follow_links, files, images)
    for note in items.notes:
        callbacks.say(note)
    items = replace(items, notes=[])
    if finder_run is None or (items.pieces is not None and finder_run is not run):
        return with_edits(run, load_model(run, device, cache).predict(items, callbacks, windows=windows), raw)
    found_in, found = find_in(finder_run, items, device, cache, callbacks)
    objects = objects_of(found_in, found)
    if not len(objects):
        raise UserError(f"{items.source}: nothing was found in any of its {len(found_in.items)} photos.")
    if finder_run is not run:
        if run.settings.get("encoder") == FROZEN:  # the run labelled the features that its finder gave
            objects = features_of(objects, found.regions.features, [])
        return with_edits(run, load_model(run, device, cache).predict(objects, callbacks), raw)
    assert objects.pieces is not None and objects.pieces.scores is not None
    log_scores = torch.from_numpy(objects.pieces.scores).clamp_min(1e-9).log()[:, None]
    features = torch.from_numpy(found.regions.features)
    return with_edits(run, Predicted(objects.paths, log_scores, features, objects.skipped, pieces=objects.pieces), raw)


def with_edits(run: Run, predicted: Predicted, raw: bool) -> Predicted:
    """Predicted labels as the edits of the run merged, split and named its clusters. raw: ignore edits."""
    edits = [] if raw else run.edits()
    if not edits:
        return predicted
    table = run.raw_labels
    raw_labels = table["label"].to_numpy()
    edited = apply_to_unseen(predicted.labels, predicted.features.numpy(), edits, np.unique(raw_labels))
    features = run.features if (run.folder / "features.npy").exists() else None
    for cluster, to in emptied_clusters(raw_labels, features, edits, outliers_in(table)).items():
        rows = edited.item_clusters == cluster
        edited.item_clusters[rows], edited.rejected[rows] = max(to, 0), to < 0
    return replace(predicted, edited=edited)


def finder_of(run: Run) -> Run | None:
    """The run that found the objects that a run is about: itself, or its source; None for a run about anything else.

    Raises:
        UserError: it is about objects that were found, and the run that found them is not there any more.
    """
    if is_finders(run):
        return run
    if run.pieces is None or run.pieces.scores is None:
        return None
    origin = read_origin(run.folder)  # a run may only read what it was signed for
    places = origin.places if origin else ()
    found_by = next((other for other in map(run_at, places) if other is not None and is_finders(other)), None)
    if found_by is None:
        place = places[0] if places else run.settings.get("source", "")
        raise UserError(
            f"{run.folder}: its objects were found by the run {place}, which is not there any more; put it back there."
        )
    return found_by


def is_finders(run: Run) -> bool:
    """Whether a run is one of `find`."""
    return str(run.settings.get("method")) in FINDERS


def find_in(run: Run, items: Items, device: str, cache: str | None, callbacks: Callbacks) -> tuple[Photos, Found]:
    """(the photos of these items, what the finder of a run finds in them).

    Raises:
        UserError: the run's model cannot be read, or there are no photos.
    """
    photos = photos_of(items)
    settings = make_settings(**(run.settings | {"device": device, "cache": cache}))
    try:
        finder, modality = read_finder(run, settings.method, settings.options, pick_device(device))
    except torch.OutOfMemoryError:
        raise
    except WRONG as error:  # another's run.toml and model can say anything
        reason = f"{type(error).__name__}: {error}".splitlines()[0][:200]
        raise damaged(run.file(MODEL), f"does not fit run.toml ({reason})") from error
    encoder = modality.backbone
    shown = decode_photos(photos, replace(modality, backbone=None), settings, callbacks)
    assert encoder is not None
    return shown, find_objects(shown, finder, encoder, pick_device(device), callbacks)


def read_finder(run: Run, name: str, options: dict[str, Any], device: torch.device) -> tuple[Finder, Modality]:
    """The finder of a run, and how photos are shown to its encoder, which is the modality's backbone."""
    tensors, _ = read_tensors(run.file(MODEL), "copy the run folder again, or find the objects again")
    check_sizes(run)
    make = FINDERS[name].make
    modality = stored_modality("image", run.modalities["image"], tensors, device)
    if modality.backbone is None:
        raise ValueError("it holds no encoder")
    finder = make_finder(name, stored_options(make, name, options))
    finder.load_state({k.removeprefix(LEARNED): v.numpy() for k, v in tensors.items() if k.startswith(LEARNED)})
    return finder, modality
