"""Where what sounds is, in films of `ucf101_av7` with boxes in one frame: heatmaps by pretrained towers of pictures.

A film is one picture, the frame whose boxes are known or the one in the middle, and its sound. The tower of the pictures is
EfficientNet-Lite0 (ImageNet, supervised) at 192 px and stays as it is; sounds are learned from scratch, without labels, from all
278 films. 61 frames have boxes, in groups of even number. The object map is the mean size of a place's features, without sound.

python -m reproduce.film_boxes [--seeds 0 1 2]
"""

from __future__ import annotations

import argparse
import csv
import tempfile
from pathlib import Path
from typing import Any

import av
import numpy as np
from scipy.io import wavfile

from reproduce.common import unpack_files, write_results
from reproduce.lite0 import ENCODER, lite0_weights
from selflabel.base.settings import make_settings
from selflabel.jobs.callbacks import Callbacks
from selflabel.jobs.localise import localise
from selflabel.jobs.score_regions import score_regions
from selflabel.runs.run import Run

PX = 192
METHODS = {
    "avcontrast": ("avcontrast", {}),
    "avcontrast, prior .6": ("avcontrast", {"prior": 0.6}),
    "object map": ("avcontrast", {"prior": 1.0}),
    "avol": ("avol", {}),
}
COLUMNS = ("file", "label", "x0", "y0", "x1", "y1")


def as_pairs(out: Path) -> tuple[Path, Path]:
    """(folder of pictures and sounds of one name each, CSV of the boxes)."""
    folder = unpack_files("ucf101_av7")
    with (folder / "boxes.csv").open(newline="") as lines:
        boxes = list(csv.DictReader(lines))
    at = {box["path"]: int(box["frame"]) for box in boxes}
    (out / "items").mkdir(parents=True)
    for film in sorted((folder / "items").rglob("*.mp4")):
        path = film.relative_to(folder / "items").as_posix()
        write_pair(film, out / "items" / film.stem, at.get(path))
    with (out / "boxes.csv").open("w", newline="") as lines:
        table = csv.writer(lines)
        table.writerow(["path", *COLUMNS[1:]])
        table.writerows([Path(box["path"]).stem + ".png", *(box[c] for c in COLUMNS[1:])] for box in boxes)
    return out / "items", out / "boxes.csv"


def write_pair(film: Path, out: Path, frame: int | None) -> None:
    """One frame of a film, counted from 0 (None is the one in the middle), and its whole sound, beside each other."""
    with av.open(str(film)) as container:
        frames = list(container.decode(video=0))
    number = len(frames) // 2 if frame is None else frame
    frames[number].to_image().save(out.with_suffix(".png"))
    with av.open(str(film)) as container:
        if not container.streams.audio:
            return
        parts = [block.to_ndarray().mean(axis=0) for block in container.decode(audio=0)]
        rate = container.streams.audio[0].rate
    wavfile.write(out.with_suffix(".wav"), rate, np.concatenate(parts).astype(np.float32))


def scores_of(name: str, items: Path, boxes: Path, seed: int) -> dict[str, Any]:
    """A method trained and scored."""
    method, options = METHODS[name]
    towers = {"encoder": f"image={ENCODER}", "weights": f"image={lite0_weights()}", "px": PX, "device": "cpu"}
    with tempfile.TemporaryDirectory() as folder:
        settings = make_settings(source=str(items), method=method, options=options, seed=seed, **towers)
        localise(settings, Path(folder) / "run", callbacks=Callbacks(lambda text: print(text, flush=True)))
        return score_regions(Run.open(Path(folder) / "run"), str(boxes))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    own = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        items, boxes = as_pairs(Path(folder))
        for seed in own.seeds:
            for name in own.methods:
                rows.append({"method": name, "seed": seed, "scores": scores_of(name, items, boxes, seed)})
                print(rows[-1], flush=True)
                towers = f"{ENCODER} (ImageNet, supervised), {PX} px, fixed; sounds from scratch"
                write_results("film_boxes", {"towers": towers, "films": len(list(items.glob("*.png"))), "runs": rows})


if __name__ == "__main__":
    main()
