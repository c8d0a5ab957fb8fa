"""`selflabel label --parts patches`: every patch of a folder of photos gets a class, and every photo a map of its classes.

A method learns labels on a sample of patches (see `jobs.patches`); then photos are shown once more, one after the other, and the
method's head gives every patch its probabilities. The rows of the run are the connected regions of one class in one photo: they
are what a person looks at, names and corrects, and side by side they are the class map.

Axes: B photos of a block, K labels, R regions, d features, h x w patches, H x W pixels.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

from selflabel.assignment.neighbours import nearest
from selflabel.base.errors import UserError
from selflabel.base.files import write_text
from selflabel.base.machine import peak_memory
from selflabel.base.rle import encode_inside
from selflabel.base.settings import Settings
from selflabel.contract import Features, Method, Shown
from selflabel.decode.letterbox import shown_size
from selflabel.items import Items, Piece, Pieces
from selflabel.jobs.build import make_method, make_task, with_clusters
from selflabel.jobs.callbacks import Callbacks
from selflabel.jobs.finding import NO_NUMBERS
from selflabel.jobs.labelling import Labelled, Timer, begin, record_files
from selflabel.jobs.patches import PatchSpace, sample_patches, shown_patches
from selflabel.jobs.prepare import Prepared
from selflabel.jobs.prepare.photos import Photos, decode_photos, photos_of, plan_photos
from selflabel.jobs.report import BEST_LABELS, RUN_NEIGHBOURS, describe, make_report
from selflabel.jobs.run_source import open_source
from selflabel.jobs.save import write_run
from selflabel.regions.class_map import ClassRegion, connected_regions, pixel_classes, without_specks
from selflabel.regions.guided import grey_of
from selflabel.runs.origin import RECORD
from selflabel.runs.pieces import PARTS, write_pieces
from selflabel.runs.run import Run
from selflabel.runs.writing import Labelling, skipped_csv
from selflabel.training.distributed import Ranks
from selflabel.training.loop import LoopCallbacks, train

WHAT = "patches are labelled"
LEAST_AREA = 0.003  # of a region, as a share of the photo
NO_ESTIMATE = "patches were labelled, and the estimate is for whole items"
WHOLE_ITEMS_ONLY = ("windows", "outliers", "preset", "labels", "views", "modality")  # settings that patches have no use for
ALLOWED = (("views", "auto"), ("modality", "image"))  # values of them that ask for nothing else


class DenseRegion(NamedTuple):
    """A region: the row of its photo, its piece of it, (K,) its probabilities, the highest that of its class, (d,) features."""

    row: int
    piece: Piece
    probabilities: np.ndarray
    features: np.ndarray


@dataclass(frozen=True)
class PatchLabeller:
    """What gives patches their labels.

    Attributes:
        encoder: on the device, in eval mode.
        space: of its places' features.
        method: trained, on the device, in eval mode.
        head: the reported one.
        device: where they are.
        in_use: labels that may be given; None allows all.
    """

    encoder: nn.Module
    space: PatchSpace
    method: Method
    head: int
    device: torch.device
    in_use: np.ndarray | None = None

    def features_and_soft(self, shown: Shown) -> tuple[np.ndarray, np.ndarray]:
        """((h, w, d) features of the patches of a photo, (K, h, w) their probabilities)."""
        h, w, _ = shown.places_hwD.shape
        features_Pd = self.space(torch.from_numpy(shown.places_hwD).flatten(0, 1))
        encoded = self.method.encoders["image"](features_Pd.to(self.device))
        soft_PK = self.method.predict(Features({"image": encoded})).log_probs[self.head].exp().float().cpu()
        if self.in_use is not None:
            allowed = torch.zeros(soft_PK.shape[1])
            allowed[torch.from_numpy(self.in_use)] = 1
            soft_PK = soft_PK * allowed
        return features_Pd.numpy().reshape(h, w, -1), soft_PK.T.reshape(-1, h, w).numpy()


# ------------------------------------------------------------------------------------------------------------- the job


def label_patches(
    run: Run | None,
    make: type[Method],
    settings: Settings,
    device: torch.device,
    ranks: Ranks,
    callbacks: Callbacks,
    data: Any = None,
) -> Labelled:
    """Label the patches of a source's photos; see `jobs.label.label`. The run folder is this process's own.

    Raises:
        UserError: as there; or a setting is for whole items only, there are no photos, or no pretrained encoder can be had.
    """
    timer = Timer()
    check_settings(settings)
    photos = open_photos(settings, device, callbacks, data)
    encoder = photos.modality.make_encoder().to(device).eval()
    sample = sample_patches(photos, encoder, settings.seed, device, callbacks)
    timer.stop("prepare")
    callbacks.on_progress("preparing the method", 0, 0)
    begun = run.recorded.get("task") if run is not None and (run.folder / "run.toml").exists() else None
    task = with_clusters(make_task(settings, sample.prepared, device), make, begun)
    method = make_method(make, settings.method, settings.options, task, sample.prepared, device)
    dataset = sample.prepared.dataset(device, ranks, settings.seed)
    dataset.encoders, dataset.groups_N = method.encoders, torch.from_numpy(sample.photos)
    shown = Prepared(photos.items, {"image": replace(photos.modality, backbone=encoder)})
    if run is not None and ranks.is_first:
        if (run.folder / PARTS).exists():  # it was killed as it wrote its regions: their record is no longer one of the photos
            for name in (RECORD, PARTS):
                (run.folder / name).unlink(missing_ok=True)
        begin(run, settings, task, shown, device, ranks, callbacks, data is None)
    loop_callbacks = callbacks.loop if ranks.is_first or ranks.world > 1 else LoopCallbacks()
    history = train(method, dataset, run.folder if run is not None else None, settings.seed, loop_callbacks).history
    timer.stop("train")
    method.eval()
    callbacks.on_progress("solving the final labels", 0, 0)
    with torch.no_grad():
        outcome = method.final(dataset, torch.Generator().manual_seed(settings.seed))
        _, signs = describe(method, dataset, sample.prepared.items, outcome, task)
        labeller = PatchLabeller(encoder, sample.space, method, outcome.head, device)
        items, regions = find_regions(photos, labeller, callbacks)
        labelling = as_labelling(items, regions)
    timer.stop("label")
    timer.seconds["train"] = max(timer.seconds["train"], sum(line["seconds"] for line in history))
    prepared = replace(shown, items=items)
    report = make_report(settings.method, method, settings.clusters, prepared, labelling, outcome, signs, history, timer.seconds)
    report |= {"piece": "region", "n_photos": len(photos.items), "n_patches": len(sample.photos)}
    report |= {"estimated_accuracy": None, "no_estimate": NO_ESTIMATE, "peak_bytes": peak_memory(device)}
    if run is not None and ranks.is_first:
        callbacks.on_progress("writing the run", 0, 0)
        assert labelling.pieces is not None
        write_pieces(run.folder, items.paths, labelling.pieces)  # before the record
        write_text(run.folder / "skipped.csv", skipped_csv(items.skipped))
        record_files(run, items, settings, callbacks)
        write_run(run, method, prepared, labelling, report, {}, sample.space.tensors())
    ranks.barrier()
    return Labelled(report, labelling, method, prepared)


def check_settings(settings: Settings) -> None:
    """Raise UserError where a setting would be without effect on patches."""
    for name in WHOLE_ITEMS_ONLY:
        value = getattr(settings, name)
        if value is not None and (name, value) not in ALLOWED:
            raise UserError(f"{name} = {value}: is for whole items, and --parts patches labels patches of photos; leave it out.")


def open_photos(settings: Settings, device: torch.device, callbacks: Callbacks, data: Any = None) -> Photos:
    """The decoded photos of a source. Raises UserError: see `label_patches`."""
    callbacks.on_progress("looking at the photos", 0, 0)
    opened = open_source(settings.source if data is None else data, settings.follow_links, settings.items, settings.images)
    for note in opened.notes:
        callbacks.say(note)
    pictures = photos_of(opened, WHAT)
    return decode_photos(pictures, plan_photos(pictures, settings, device, callbacks, WHAT), settings, callbacks)


# --------------------------------------------------------------------------------------------------------- the regions


def find_regions(photos: Photos, labeller: PatchLabeller, callbacks: Callbacks) -> tuple[Items, list[DenseRegion]]:
    """(the regions of all photos as items, what is known of each).

    Photos whose features are no finite numbers are skipped and listed.

    Raises:
        UserError: these are all photos.
    """
    regions, skipped = list[DenseRegion](), list[tuple[str, str]]()
    for done, (row, shown) in enumerate(shown_patches(photos, labeller.encoder, labeller.device), 1):
        if np.isfinite(shown.places_hwD).all():
            size = (int(photos.sizes[row][0]), int(photos.sizes[row][1]))
            features_hwd, soft_Khw = labeller.features_and_soft(shown)
            regions += regions_of(row, soft_Khw, features_hwd, shown.pixels_HWC, size, photos.modality.px)
        else:
            skipped.append((photos.items.paths[row], NO_NUMBERS))
        callbacks.on_progress("drawing class maps", done, len(photos.items))
    if not regions:
        raise UserError(f"{photos.items.source}: nothing can be labelled in any of its photos: {skipped[0][1]}.")
    pieces = Pieces.of([region.piece for region in regions])
    items = replace(photos.items, truth=None).take([region.row for region in regions]).with_pieces(pieces)
    return replace(items, skipped=[*photos.items.skipped, *skipped]), regions


def as_labelling(items: Items, regions: list[DenseRegion]) -> Labelling:
    """The labels of regions, the surest first, and what describes them."""
    probabilities_RK = torch.from_numpy(np.stack([region.probabilities for region in regions]))
    top = probabilities_RK.topk(min(BEST_LABELS, probabilities_RK.shape[1]), dim=1)
    features_Rd = np.stack([region.features for region in regions])
    neighbours = nearest(torch.from_numpy(features_Rd), RUN_NEIGHBOURS).rows.numpy()
    labels = top.indices[:, 0].numpy()
    best = (top.indices.numpy(), top.values.numpy())
    return Labelling(items.paths, labels, *best, features_Rd, neighbours, items.skipped, None, pieces=items.pieces)


def regions_of(
    row: int,
    soft_Khw: np.ndarray,
    features_hwd: np.ndarray,
    pixels_HWC: np.ndarray,
    size: tuple[int, int],
    px: int,
    labels_K: np.ndarray | None = None,
) -> Iterator[DenseRegion]:
    """The regions of one photo.

    Args:
        row: of the photo.
        soft_Khw: probabilities of its patches.
        features_hwd: features of them.
        pixels_HWC: it, without padding; its sides are multiples of those of the map.
        size: (width, height) of the upright original.
        px: side of the square in which it was shown.
        labels_K: of each class; no region is made of one below 0. None: the number of the class.
    """
    guide_HW = grey_of(pixels_HWC)
    soft_KHW = pixel_classes(soft_Khw, guide_HW)
    width, height = (min(side, have) for side, have in zip(shown_size(size, px), guide_HW.shape[::-1]))
    soft_KHW = np.clip(soft_KHW[:, :height, :width], 0, None)
    own_HW = soft_KHW.argmax(axis=0)
    if labels_K is not None:
        own_HW = labels_K[own_HW]
    for region in connected_regions(without_specks(own_HW, LEAST_AREA * own_HW.size)):
        core = region.inside & (own_HW[region.rows, region.columns] == region.label)  # without the specks that it took in
        probabilities = soft_KHW[:, region.rows, region.columns][:, core].mean(axis=1)
        piece = enlarged_piece(region, (width, height), size)
        if piece is not None:
            features = mean_features(region, features_hwd, guide_HW.shape)
            yield DenseRegion(row, piece, (probabilities / probabilities.sum()).astype(np.float32), features)


def enlarged_piece(region: ClassRegion, shown: tuple[int, int], size: tuple[int, int]) -> Piece | None:
    """A region's box and mask in pixels of the upright original: of each pixel counts the shown one that its middle lies in.

    Args:
        region: on the shown pixels.
        shown: (width, height) in shown pixels.
        size: (width, height) of the original.

    Returns:
        None where no pixel of a smaller original is left of it.
    """
    columns, rows = ((np.arange(n) * 2 + 1) * have // (2 * n) for n, have in zip(size, shown))
    x0, x1 = np.searchsorted(columns, [region.columns.start, region.columns.stop]).tolist()
    y0, y1 = np.searchsorted(rows, [region.rows.start, region.rows.stop]).tolist()
    inside = region.inside[rows[y0:y1, None] - region.rows.start, columns[None, x0:x1] - region.columns.start]
    if not inside.any():
        return None
    mask = encode_inside(inside, x0, y0, (size[1], size[0]))
    return Piece(box=tuple(map(float, mask.box)), size=size, mask=mask)  # type: ignore[arg-type]


def mean_features(region: ClassRegion, features_hwd: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """(d,) float32, the mean of the features of the patches under a region's pixels. shape: (H, W) that the patches cover."""
    h, w, d = features_hwd.shape
    y, x = np.nonzero(region.inside)
    places = (y + region.rows.start) * h // shape[0] * w + (x + region.columns.start) * w // shape[1]
    shares = np.bincount(places, minlength=h * w) / len(places)
    return (shares @ features_hwd.reshape(h * w, d)).astype(np.float32)
