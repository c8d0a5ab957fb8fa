"""`selflabel predict`: a finished run labels unseen items.

Of a run that is about objects, they are found in unseen photos by the finder that found the run's, and then labelled. Of a run of
patches, unseen photos get class maps, whose regions are the items.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
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
from selflabel.jobs.dense_predict import is_of_patches, predict_regions
from selflabel.jobs.find import objects_of
from selflabel.jobs.finding import LEARNED, Found, find_objects
from selflabel.jobs.localise import localise_unseen
from selflabel.jobs.model import WRONG, Predicted, check_sizes, load_model, stored_modality
from selflabel.jobs.prepare.photos import Photos, decode_photos, photos_of
from selflabel.jobs.prepare.prepared import Modality
from selflabel.jobs.prepare.windows import Windows
from selflabel.jobs.run_source import open_source, run_at
from selflabel.jobs.taught_model import read_learner, regions_by
from selflabel.methods import FINDERS, LOCALISERS, METHODS, SEGMENTERS, TEACHABLE, make_finder
from selflabel.runs.class_maps import has_class_maps
from selflabel.runs.origin import read_origin
from selflabel.runs.reading import damaged, outliers_in
from selflabel.runs.run import MODEL, Run
from selflabel.training.distributed import pick_device

LEAST_SCORE = 1e-9  # a logarithm of it can be had


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
    maps: Path | None = None,
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
        maps: folder into which the heatmaps of a run that learned from sounds are written; None writes none.

    Raises:
        UserError: the model cannot be read, nothing in the source can be labelled, it is of another kind than the run's, or what
            found the run's objects is not there any more.
    """
    callbacks = callbacks or Callbacks()
    items = open_source(source, follow_links, files, images)
    for note in items.notes:
        callbacks.say(note)
    items = replace(items, notes=[])
    if is_of_patches(run):
        return with_edits(run, predict_regions(run, items, device, cache, callbacks), raw)
    finder_run = finder_of(run)
    if finder_run is None or (items.pieces is not None and finder_run is not run):
        check_no_maps(maps)
        return with_edits(run, load_model(run, device, cache).predict(items, callbacks, windows=windows), raw)
    found_in, found = find_in(finder_run, items, device, cache, callbacks, maps)
    objects = objects_of(found_in, found)
    if not len(objects):
        raise UserError(f"{items.source}: nothing was found in any of its {len(found_in.items)} photos.")
    if finder_run is not run:
        if run.settings.get("encoder") == FROZEN:  # the run labelled the features that its finder gave
            objects = features_of(objects, found.regions.features, [])
        return with_edits(run, load_model(run, device, cache).predict(objects, callbacks), raw)
    assert objects.pieces is not None and objects.pieces.scores is not None
    log_scores = scores_of_classes(objects.pieces.scores, found.regions.labels)
    features = torch.from_numpy(found.regions.features)
    return with_edits(run, Predicted(objects.paths, log_scores, features, objects.skipped, pieces=objects.pieces), raw)


def scores_of_classes(scores: np.ndarray, labels: np.ndarray | None) -> torch.Tensor:
    """(R, K) logarithms of the scores of found objects (R,), each at its label (None: all have label 0); very low elsewhere."""
    at = np.zeros(len(scores), np.int64) if labels is None else labels
    table = np.full((len(scores), int(at.max()) + 1), LEAST_SCORE, np.float32)
    table[np.arange(len(scores)), at] = scores.clip(2 * LEAST_SCORE)
    return torch.from_numpy(table).log()


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
    """Whether a run is one of `find`, or of `teach`: it finds objects."""
    method = str(run.settings.get("method"))
    return method in FINDERS | LOCALISERS | TEACHABLE and (method not in METHODS or is_of_find(run))


def is_of_find(run: Run) -> bool:
    """Whether a run of a method with which both `label` and `find` work is one of `find`."""
    return "n_photos" in run.report


def find_in(
    run: Run, items: Items, device: str, cache: str | None, callbacks: Callbacks, maps: Path | None = None
) -> tuple[Photos, Found]:
    """(the photos or films of these items, what the finder, detector or segmenter of a run finds in them).

    Raises:
        UserError: the run's model cannot be read, or there are no photos, or no sounds where the run learned from them.
    """
    if run.settings.get("method") in LOCALISERS:
        return localise_unseen(load_model(run, device, cache), items, callbacks, maps)
    if not gives_class_maps(run):
        check_no_maps(maps)
    photos, where = photos_of(items), pick_device(device)
    settings = make_settings(**(run.settings | {"device": device, "cache": cache}))
    try:
        if settings.method in TEACHABLE:
            learner, modality, classes = read_learner(run, where)
        else:
            finder, modality = read_finder(run, settings.method, settings.options, where)
    except torch.OutOfMemoryError:
        raise
    except WRONG as error:  # another's run.toml and model can say anything
        reason = f"{type(error).__name__}: {error}".splitlines()[0][:200]
        raise damaged(run.file(MODEL), f"does not fit run.toml ({reason})") from error
    shown = decode_photos(photos, replace(modality, backbone=None), settings, callbacks)
    if settings.method in TEACHABLE:
        return shown, regions_by(learner, shown, classes, where, callbacks)
    assert modality.backbone is not None
    return shown, find_objects(shown, finder, modality.backbone, where, callbacks)


def gives_class_maps(run: Run) -> bool:
    """Whether what a run finds in unseen photos can be written as class maps: regions with masks and classes."""
    return has_class_maps(run) or run.settings.get("method") in SEGMENTERS


def check_no_maps(maps: Path | None) -> None:
    """Raise UserError where heatmaps were asked for and the run has none."""
    if maps is not None:
        raise UserError(
            f"--maps {maps}: only runs of patches, of segmenters, and of methods that learn from sounds, as avol, give maps; "
            "leave it out."
        )


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
