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
from collections.abc import Iterable, Sequence
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
from selflabel.jobs.finding import learn, piece_of, shown_photos, size_of
from selflabel.jobs.prepare.photos import Photos, decode_photos, photos_of, plan_photos
from selflabel.methods.find.cut import Cut, Options
from selflabel.methods.find.found import FOUND
from selflabel.methods.find.found import Options as FoundOptions
from selflabel.regions.cut import alike, apartness, cut_once

PX = 384  # .556 IoU on 60 photos of ECSSD of even number; 320 px .536, 448 px, which suits transformers, .499
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


FINDERS: dict[str, Finder] = {
    "cut": Cut(Options()),
    "cut, tau .3": Cut(Options(tau=0.3)),
    "cut, tau .3, features set to zero": Zeroing(Options(tau=0.3)),
    "found": FOUND(FoundOptions()),
}


def found_in(folder: Path) -> tuple[Photos, dict[str, list[Objects]], dict[str, float]]:
    """(the photos of odd number, the objects of each by each finder, seconds a photo of each)."""
    encoder_of = {"encoder": f"frozen:{ENCODER}", "weights": str(lite0_weights()), "px": PX}
    settings = make_settings(source=str(folder), method="cut", **encoder_of)
    callbacks, device = Callbacks(print), torch.device("cpu")
    items = photos_of(open_items(str(folder)))
    items = items.take([row for row, path in enumerate(items.paths) if is_odd(path)])
    photos = decode_photos(items, plan_photos(items, settings, device, callbacks), settings, callbacks)
    encoder = photos.modality.make_encoder().eval()
    objects: dict[str, list[Objects]] = defaultdict(list)
    seconds: dict[str, float] = defaultdict(float)
    for finder in FINDERS.values():
        learn(photos, finder, encoder, device, 0, Callbacks())
    for row, shown in shown_photos(photos, FINDERS["cut"].layers, encoder, device):
        size = size_of(photos, row)
        for name, finder in FINDERS.items():
            began = time.process_time()
            pieces = [(piece_of(r, shown, size, photos.modality.px), r.score) for r in finder.find(shown)]
            seconds[name] += time.process_time() - began
            objects[name].append([(p, s) for p, s in pieces if p is not None])
        print(f"{row + 1} of {len(items)}", end="\r", flush=True)
    return photos, dict(objects), {name: round(s / len(photos.items), 3) for name, s in seconds.items()}


def is_odd(path: str) -> bool:
    """Whether a photo is of the half that is reported on: its name is a number."""
    return int(Path(path).stem) % 2 == 1


def ellipse(width: int, height: int) -> np.ndarray:
    """(height, width) bool, a central ellipse with a quarter of the area."""
    y, x = np.mgrid[:height, :width]
    return ((x + 0.5) / width - 0.5) ** 2 + ((y + 0.5) / height - 0.5) ** 2 <= QUARTER**2


def masks_of(objects: list[Objects], truths: list[np.ndarray]) -> list[np.ndarray]:
    """The mask of each photo's best object; an empty one where nothing was found."""
    return [o[0][0].mask.decode() if o else np.zeros(t.shape, bool) for o, t in zip(objects, truths)]  # type: ignore[union-attr]


def ecssd() -> dict:
    """IoU, pixel accuracy and maxF of the best object of each photo."""
    folder = unpack_files("ecssd")
    photos, objects, seconds = found_in(folder / "items")
    truth = [np.asarray(Image.open(folder / "masks" / f"{Path(p).stem}.png").convert("L")) > 127 for p in photos.items.paths]
    rows = {"central ellipse of a quarter": mask_scores([ellipse(t.shape[1], t.shape[0]) for t in truth], truth)}
    rows |= {name: mask_scores(masks_of(found, truth), truth) for name, found in objects.items()}
    return {"photos": len(truth), "seconds a photo": seconds, "scores": rows}


def pennfudan() -> dict:
    """CorLoc of the best box of each photo and AP50 of all boxes."""
    folder = unpack_files("pennfudan")
    photos, objects, seconds = found_in(folder / "items")
    true_boxes = defaultdict(list)
    for row in csv.DictReader((folder / "boxes.csv").open()):
        true_boxes[row["path"]].append([float(row[c]) for c in ("x0", "y0", "x1", "y1")])
    truth = [np.array(true_boxes[path]).reshape(-1, 4) for path in photos.items.paths]
    others = {path: Image.open(folder / "items" / path).size for path in true_boxes if not is_odd(path)}
    other_truth = [np.array(true_boxes[path]) for path in others]
    shapes = [(w, h) for w in SIDES for h in SIDES]
    best = max(shapes, key=lambda shape: box_scores(centre([*others.values()], *shape), other_truth)["corloc"])
    rows = {"best centre box": box_scores(centre(photos.sizes, *best), truth)}
    rows |= {name: box_scores(boxes_of(found), truth) for name, found in objects.items()}
    return {"photos": len(truth), "centre box, shares of the sides": best, "seconds a photo": seconds, "scores": rows}


Boxes = list[tuple[np.ndarray, np.ndarray]]  # of each photo: boxes (P, 4) and their scores (P,)


def boxes_of(objects: list[Objects]) -> Boxes:
    """The boxes of every photo."""
    return [(np.array([p.box for p, _ in o]).reshape(-1, 4), np.array([s for _, s in o])) for o in objects]


def centre(sizes: Iterable[Sequence[int]], width: float, height: float) -> Boxes:
    """A box in the middle of every photo, of these shares of its sides. sizes: width and height of each."""
    share = np.array([0.5 - width / 2, 0.5 - height / 2, 0.5 + width / 2, 0.5 + height / 2])
    return [((share * np.tile(np.asarray(size), 2))[None], np.ones(1)) for size in sizes]


def box_scores(boxes: Boxes, truths: list[np.ndarray]) -> dict[str, float]:
    """CorLoc and AP50, and how many boxes there are."""
    firsts = [b[s.argmax()] if len(s) else None for b, s in boxes]
    found, scores = [b for b, _ in boxes], [s for _, s in boxes]
    return {"corloc": corloc(firsts, truths), "ap50": average_precision(found, scores, truths), "boxes": sum(map(len, found))}


def main() -> None:
    about = f"{ENCODER} (ImageNet, supervised), map of stride 16, {PX} px; CPU; photos of odd number"
    write_results("objects", {"features": about, "ecssd": ecssd(), "pennfudan": pennfudan()})


if __name__ == "__main__":
    main()
