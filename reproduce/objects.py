"""Objects that `find` finds, beside the centre of the photo: ECSSD (masks) and Penn-Fudan (boxes), by EfficientNet-Lite0.

The method is meant for the keys of DINO's transformers, which no package carries; what the features of a network that learned
ImageNet's labels give shows mechanics, not the published quality. Settings were chosen on the photos of even number, which was
decided beforehand; the numbers that count are of the others.

python -m reproduce.objects
"""

from __future__ import annotations

import csv
import math
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from reproduce.common import unpack_files, write_results
from reproduce.lite0 import ENCODER, lite0_weights
from selflabel.base.settings import make_settings
from selflabel.contract import Finder, Region, Shown
from selflabel.evaluation.localisation import average_precision, corloc, mask_scores
from selflabel.items import Piece, open_items
from selflabel.jobs.callbacks import Callbacks
from selflabel.jobs.finding import piece_of, shown_photos, without_padding
from selflabel.jobs.prepare.photos import Photos, decode_photos, map_layer, photos_of, plan_photos
from selflabel.methods.find.cut import Cut, Options
from selflabel.regions.cut import alike, apartness, cut_once

TAUS = (None, 0.2, 0.3, 0.4)  # None: by the share of pairs
QUARTER = math.sqrt(1 / (4 * math.pi))  # half axes, as shares of the sides, of an ellipse with a quarter of the area
SIDES = np.arange(0.05, 1.01, 0.05)  # of centre boxes, as shares of the photo's

Objects = list[tuple[Piece, float]]  # of one photo, by falling score


class Zeroing(Cut):
    """Further objects as MaskCut finds them: features of patches that were found are set to zero, and stay in the graph."""

    def find(self, shown: Shown) -> list[Region]:
        features, everywhere = shown.places_hwD.copy(), np.ones(shown.places_hwD.shape[:2], bool)
        whole = alike(features.reshape(-1, features.shape[2]), self.options.tau)
        found: list[Region] = []
        before = ~everywhere
        for _ in range(self.options.most):
            mask = cut_once(alike(features.reshape(-1, features.shape[2]), self.options.tau), everywhere)
            features[mask] = 0
            own = mask & ~before
            if own.mean() >= self.options.min_area and (mask & before).sum() <= self.options.overlap * (mask | before).sum():
                score = apartness(whole, own) / (len(found) + 1)
                found.append(Region(self.to_pixels(own, shown.pixels_HWC), score))
            before = before | mask
        return found


def finders() -> dict[str, Finder]:
    """What is compared, by name."""
    cuts: dict[str, Finder] = {f"tau {tau or 'auto'}": Cut(Options(tau=tau)) for tau in TAUS}
    return cuts | {"tau 0.3, masks of patches": Cut(Options(tau=0.3, refine=0)), "tau 0.3, zeroing": Zeroing(Options(tau=0.3))}


def found_in(folder: Path) -> tuple[Photos, dict[str, list[Objects]], dict[str, float]]:
    """(the photos, the objects of every photo by each finder, its seconds a photo)."""
    settings = make_settings(source=str(folder), method="cut", encoder=f"frozen:{ENCODER}", weights=str(lite0_weights()))
    callbacks, device = Callbacks(print), torch.device("cpu")
    items = photos_of(open_items(str(folder)))
    photos = decode_photos(items, plan_photos(items, settings, device, callbacks), settings, callbacks)
    encoder = photos.modality.make_encoder().eval()
    layer = map_layer(encoder, Cut.layers, photos.modality.px, 3)
    objects: dict[str, list[Objects]] = defaultdict(list)
    seconds: dict[str, float] = defaultdict(float)
    with torch.no_grad():
        for row, places, square in shown_photos(photos, encoder, layer, device):
            size = (int(photos.sizes[row][0]), int(photos.sizes[row][1]))
            shown = without_padding(places, square, size, layer)
            for name, finder in finders().items():
                began = time.perf_counter()
                pieces = [(piece_of(r, shown, size, photos.modality.px), r.score) for r in finder.find(shown)]
                seconds[name] += time.perf_counter() - began
                objects[name].append([(p, s) for p, s in pieces if p is not None])
    return photos, dict(objects), {name: round(s / len(photos.items), 3) for name, s in seconds.items()}


def halves(photos: Photos) -> Iterator[tuple[str, list[int]]]:
    """("chosen on" or "reported on", rows), by the number that is a photo's name."""
    numbers = [int(Path(path).stem) for path in photos.items.paths]
    for name, odd in (("chosen on", 0), ("reported on", 1)):
        yield name, [row for row, number in enumerate(numbers) if number % 2 == odd]


def ellipse(width: int, height: int) -> np.ndarray:
    """(height, width) bool, a central ellipse with a quarter of the area."""
    y, x = np.mgrid[:height, :width]
    return ((x + 0.5) / width - 0.5) ** 2 + ((y + 0.5) / height - 0.5) ** 2 <= QUARTER**2


def masks_of(objects: list[Objects], truths: list[np.ndarray]) -> list[np.ndarray]:
    """The mask of each photo's best object; an empty one where nothing was found."""
    return [o[0][0].mask.decode() if o else np.zeros(t.shape, bool) for o, t in zip(objects, truths)]  # type: ignore[union-attr]


def ecssd() -> dict:
    """IoU, pixel accuracy and maxF of the best object, in halves."""
    folder = unpack_files("ecssd")
    photos, objects, seconds = found_in(folder / "items")
    truth = [np.asarray(Image.open(folder / "masks" / f"{Path(p).stem}.png").convert("L")) > 127 for p in photos.items.paths]
    rows = {}
    for half, at in halves(photos):
        own = [truth[i] for i in at]
        rows[half] = {"central ellipse of a quarter": mask_scores([ellipse(t.shape[1], t.shape[0]) for t in own], own)}
        rows[half] |= {name: mask_scores(masks_of([x[i] for i in at], own), own) for name, x in objects.items()}
    return {"photos": len(truth), "seconds a photo": seconds, **rows}


def pennfudan() -> dict:
    """CorLoc of the best box and AP50 of all boxes, in halves."""
    folder = unpack_files("pennfudan")
    photos, objects, seconds = found_in(folder / "items")
    true_boxes = defaultdict(list)
    for row in csv.DictReader((folder / "boxes.csv").open()):
        true_boxes[row["path"]].append([float(row[c]) for c in ("x0", "y0", "x1", "y1")])
    truth = [np.array(true_boxes[path]).reshape(-1, 4) for path in photos.items.paths]
    at_half, rows = dict(halves(photos)), {}
    best = max(
        ((w, h) for w in SIDES for h in SIDES),
        key=lambda s: box_scores(centre(photos, *s), truth, at_half["chosen on"])["corloc"],
    )
    for half, at in at_half.items():
        rows[half] = {"best centre box": box_scores(centre(photos, *best), truth, at)}
        rows[half] |= {name: box_scores(boxes_of(x), truth, at) for name, x in objects.items()}
    return {"photos": len(truth), "best centre box, shares of the sides": best, "seconds a photo": seconds, **rows}


Boxes = list[tuple[np.ndarray, np.ndarray]]  # of each photo: boxes (P, 4) and their scores (P,)


def boxes_of(objects: list[Objects]) -> Boxes:
    """The boxes of every photo."""
    return [(np.array([p.box for p, _ in o]).reshape(-1, 4), np.array([s for _, s in o])) for o in objects]


def centre(photos: Photos, width: float, height: float) -> Boxes:
    """A box in the middle of every photo, of these shares of its sides."""
    share = np.array([0.5 - width / 2, 0.5 - height / 2, 0.5 + width / 2, 0.5 + height / 2])
    return [((share * np.tile(size, 2))[None], np.ones(1)) for size in photos.sizes]


def box_scores(boxes: Boxes, truth: list[np.ndarray], at: list[int]) -> dict[str, float]:
    """CorLoc and AP50 of some photos."""
    own = [boxes[i] for i in at]
    firsts = [b[s.argmax()] if len(s) else None for b, s in own]
    truths = [truth[i] for i in at]
    found, scores = [b for b, _ in own], [s for _, s in own]
    recalled = average_precision(found, scores, truths)
    return {"corloc": corloc(firsts, truths), "ap50": recalled, "boxes": float(sum(map(len, found)))}


def main() -> None:
    about = f"{ENCODER} (ImageNet, supervised), map of stride 16, 448 px; CPU"
    write_results("objects", {"features": about, "ecssd": ecssd(), "pennfudan": pennfudan()})


if __name__ == "__main__":
    main()
