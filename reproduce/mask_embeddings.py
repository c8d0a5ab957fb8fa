"""NMI of k-means on embeddings of masks (maskcontrast) and on the mean frozen features inside the same masks: `animal_scenes`.

Two animals stand on a photo; masks are those of `found`, of which those count that overlap an animal with an IoU of .3. Settings
were chosen on scenes made with seed 1, and these are made with seed 2: the same animals in new compositions. Features are those
of EfficientNet-Lite0, map of stride 16, at 384 px.

    python -m reproduce.mask_embeddings
"""

from __future__ import annotations

import csv
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from sklearn.cluster import KMeans

from reproduce.common import data_folder, write_results
from reproduce.lite0 import ENCODER, lite0_weights
from reproduce.objects import PX
from selflabel.base.settings import make_settings
from selflabel.contract import Region, Shown
from selflabel.evaluation.metrics import score
from selflabel.items import open_items
from selflabel.jobs.callbacks import Callbacks
from selflabel.jobs.finding import described, shown_photos
from selflabel.jobs.prepare.photos import decode_photos, photos_of, plan_photos
from selflabel.methods import make_finder
from selflabel.methods.find.maskcontrast import Options
from selflabel.regions.boxes import mask_iou

SCENES, SEEDS, LEAST_IOU = 300, range(5), 0.3


def scenes() -> Path:
    """The scenes of seed 2."""
    out = Path(tempfile.gettempdir()) / "selflabel-data" / f"animal_scenes-2-{SCENES}"
    if not (out / "truth.csv").exists():
        command = [
            sys.executable,
            str(data_folder() / "unpack.py"),
            "animal_scenes",
            str(out),
            "--limit",
            str(SCENES),
            "--seed",
            "2",
        ]
        subprocess.run(command, check=True)
    return out


def shown_scenes(folder: Path) -> tuple[list[str], list[Shown]]:
    """Paths, and what a finder sees of each."""
    weights = str(lite0_weights())
    settings = make_settings(source=str(folder / "items"), encoder=f"frozen:{ENCODER}", weights=weights, px=PX)
    items, device, quiet = photos_of(open_items(str(folder / "items"))), torch.device("cpu"), Callbacks()
    photos = decode_photos(items, plan_photos(items, settings, device, quiet), settings, quiet)
    encoder = photos.modality.make_encoder().eval()
    shown = shown_photos(photos, make_finder("maskcontrast", Options()).layers, encoder, device)
    return photos.items.paths, [s for _, s in shown]


def animal_of(region: Region, truth: np.ndarray, names: list[str]) -> str:
    """The animal that a region overlaps most; "" where that is too little."""
    inside = region.soft_HW > 0.5
    ious = [mask_iou(inside, truth == number) for number in (1, 2)]
    return names[int(np.argmax(ious))] if max(ious) > LEAST_IOU else ""


def main() -> None:
    folder = scenes()
    names = defaultdict(list)
    for row in csv.DictReader((folder / "boxes.csv").open()):
        names[row["path"]].append(row["label"])
    paths, shown = shown_scenes(folder)
    size = shown[0].pixels_HWC.shape[1::-1]
    masks = [Image.open(folder / "masks" / f"{Path(p).stem}.png").resize(size, Image.Resampling.NEAREST) for p in paths]
    rows = []
    for seed in SEEDS:
        finder = make_finder("maskcontrast", Options())
        finder.fit(shown, torch.Generator().manual_seed(seed))
        found = [(s, r, animal_of(r, np.asarray(m), names[p])) for p, s, m in zip(paths, shown, masks) for r in finder.find(s)]
        found = [(s, r, animal) for s, r, animal in found if animal]
        truth = [animal for _, _, animal in found]
        frozen = np.stack([described(r._replace(features=None), s) for s, r, _ in found])
        spaces = {
            "embeddings": np.stack([r.features for _, r, _ in found]),
            "mean frozen features": frozen,
            "mean frozen features, length 1": frozen / np.linalg.norm(frozen, axis=1, keepdims=True),
        }
        row = {"seed": seed, "masks": len(truth), "animals": len(set(truth))}
        for name, x in spaces.items():
            labels = KMeans(len(set(truth)), n_init=10, random_state=seed).fit_predict(x)
            row[name] = round(score(truth, labels)["nmi"], 4)
        rows.append(row)
        print(row, flush=True)
    means = {name: round(float(np.mean([row[name] for row in rows])), 4) for name in spaces}
    about = f"{ENCODER} (ImageNet, supervised), map of stride 16, {PX} px; masks of found; {SCENES} scenes of seed 2"
    write_results("mask_embeddings", {"features": about, "mean nmi": means, "rows": rows})


if __name__ == "__main__":
    main()
