"""What sounds, in scenes of two animals of which one cries: `animal_scenes`, 2,000 to train (seed 1), 500 to test (seed 2).

Both sets show the same animals, in new compositions. With the defaults of `selflabel find`, from scratch. Beside each method
stands the middle of the picture. Nothing was chosen on the test scenes.

python -m reproduce.sounding_objects [--seeds 0] [--methods avol avcontrast]
"""

from __future__ import annotations

import argparse
import csv
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from reproduce.common import data_folder, read_results, write_results
from selflabel.base.settings import make_settings
from selflabel.contract import Features, Phase
from selflabel.evaluation.retrieval import chance_ndcg, ndcg
from selflabel.evaluation.sound_swap import peaks
from selflabel.items import open_items
from selflabel.jobs.build import make_method, make_task
from selflabel.jobs.callbacks import Callbacks
from selflabel.jobs.heatmaps import heat_of
from selflabel.jobs.localise import Pairs, localise, open_pairs, prepare_pairs
from selflabel.jobs.model import Model, load_model
from selflabel.jobs.swap_sound import swap_sounds
from selflabel.methods.find.avol import AVOL
from selflabel.methods.picture_sound import pooled
from selflabel.runs.run import Run
from selflabel.training.distributed import Ranks
from selflabel.training.loop import LoopCallbacks, train

TRAIN, TEST = ("train", 2000, 1), ("test", 500, 2)
BLOCK = 64
AVE_NET = "correspondence"
VARIANTS = {
    "avol, no pretext": ("avol", {"pretext": "none"}),
    "dmc, contrast": ("dmc", {"form": "contrast"}),
}
NAME = "sounding_objects"  # of the results, in which other methods keep their rows
CPU = torch.device("cpu")


@dataclass(frozen=True)
class Scenes:
    """Scenes that were found, in the order of their pairs.

    Attributes:
        cries: (N,) who cries, by name.
        others: (N,) who is silent.
        crying, silent: (N, 4) their boxes in shares of the picture, which is a square.
    """

    cries: list[str]
    others: list[str]
    crying: np.ndarray
    silent: np.ndarray


def unpacked(name: str, limit: int, seed: int) -> Path:
    """A set of scenes as a folder."""
    out = Path(tempfile.gettempdir()) / "selflabel-data" / f"animal_scenes-{name}-{limit}-{seed}"
    if not (out / "truth.csv").exists():
        script = [sys.executable, str(data_folder() / "unpack.py"), "animal_scenes", str(out)]
        subprocess.run([*script, "--limit", str(limit), "--seed", str(seed)], check=True)
    return out


def scenes_of(folder: Path, pairs: Pairs) -> Scenes:
    """The truth of some pairs."""
    found: dict[str, dict[bool, tuple[str, list[float]]]] = {}
    for row in csv.DictReader((folder / "boxes.csv").open()):
        box = [float(row[c]) for c in ("x0", "y0", "x1", "y1")]
        found.setdefault(row["path"], {})[row["sounding"] == "1"] = (row["label"], box)
    known = [found[path] for path in pairs.prepared.items.paths]
    side = np.tile(pairs.sizes, 2)
    boxes = [np.array([scene[is_crying][1] for scene in known]) / side for is_crying in (True, False)]
    return Scenes([scene[True][0] for scene in known], [scene[False][0] for scene in known], *boxes)


def inside(points_N2: np.ndarray, boxes_N4: np.ndarray) -> np.ndarray:
    """(N,) bool."""
    return ((points_N2 >= boxes_N4[:, :2]) & (points_N2 < boxes_N4[:, 2:])).all(axis=1)


def maps_with(pairs: Pairs, sounds: torch.Tensor) -> np.ndarray:
    """(N, h, w) heatmaps of all pictures with these sounds."""
    blocks = zip(torch.arange(len(sounds)).split(BLOCK), sounds.split(BLOCK))
    return torch.cat([heat_of(pairs.method, pairs.data, *block).maps[:, 0, 0] for block in blocks]).numpy()


def localisation(pairs: Pairs, scenes: Scenes) -> dict[str, Any]:
    """Where the highest place of the map lies, with the scene's own sound and with the cry of the other animal."""
    n = len(scenes.cries)
    own = maps_with(pairs, torch.arange(n))
    first = {name: i for i, name in reversed(list(enumerate(scenes.cries)))}
    has_cry = np.array([name in first for name in scenes.others])
    other = maps_with(pairs, torch.tensor([first.get(name, i) for i, name in enumerate(scenes.others)]))
    at, then = peaks(own), peaks(other)
    hit, to_other = inside(at, scenes.crying), inside(then, scenes.silent)
    asked = hit & has_cry
    wrong = maps_with(pairs, torch.tensor([(i + 1) % n for i in range(n)]))
    different = np.array([scenes.cries[i] not in (scenes.cries[(i + 1) % n],) for i in range(n)])
    return {
        "scenes": n,
        "on the crying animal": float(hit.mean()),
        "on the silent animal": float(inside(at, scenes.silent).mean()),
        "moves to the other animal with its cry": float(to_other[asked].mean()),
        "scenes asked": int(asked.sum()),
        "correspondence accuracy at .5": decided(own[different], wrong[different], 0.5),
        "right pair above wrong pair": float((own[different].max(axis=(1, 2)) > wrong[different].max(axis=(1, 2))).mean()),
    }


def decided(right: np.ndarray, wrong: np.ndarray, threshold: float) -> float:
    """Share of right and wrong pairs that the highest value of their maps decides rightly."""
    return float(np.concatenate([right.max(axis=(1, 2)) > threshold, wrong.max(axis=(1, 2)) <= threshold]).mean())


def centre_prior(scenes: Scenes) -> dict[str, float]:
    """The middle of the picture instead of the highest place of a map, which no sound moves."""
    middle = np.full((len(scenes.cries), 2), 0.5)
    return {"on the crying animal": float(inside(middle, scenes.crying).mean()), "moves to the other animal with its cry": 0.0}


class PretextAlone(AVOL):
    """AVE-Net for all epochs of AVOL-Net."""

    def phases(self) -> list[Phase]:
        before, after = super().phases()
        return [replace(before, epochs=before.epochs + after.epochs)]


def train_pretext(source: Path, seed: int, epochs: int | None) -> Model:
    """AVE-Net alone, by the same towers, batches and number of items shown."""
    options = {"pretext": "correspondence"}
    settings = make_settings(source=str(source), method="avol", options=options, seed=seed, device="cpu", epochs=epochs)
    prepared = prepare_pairs(None, settings, CPU, Ranks(), Callbacks(print))
    method = make_method(PretextAlone, "avol", options, make_task(settings, prepared, CPU), prepared, CPU)
    data = prepared.dataset(CPU, Ranks(), seed)
    data.encoders = method.encoders
    train(method, data, None, seed, LoopCallbacks(on_epoch=print))
    return Model.of(method.eval(), prepared, 0, CPU)


def embeddings(pairs: Pairs) -> tuple[torch.Tensor, torch.Tensor]:
    """((N, E) of the pictures, (N, E) of the sounds) by AVE-Net."""
    method, parts = pairs.method, []
    with torch.no_grad():
        for rows in torch.arange(pairs.data.n_items).split(BLOCK):
            views = {m: pairs.data.view(m, rows, "centre", 0).pixels for m in (method.pictures, "audio")}
            with pairs.data.autocast():
                features = Features({}, {}, {m: method.encoders[m].map(x) for m, x in views.items()})
                parts.append(method.pretext.embed(*pooled(method, features)))
    pictures, sounds = (torch.cat(x) for x in zip(*parts))
    return pictures, sounds


def retrieval(pairs: Pairs, scenes: Scenes) -> dict[str, float]:
    """AVE-Net: whether pairs correspond, and nDCG of all four directions; relevant is what has the same cry."""
    pictures, sounds = embeddings(pairs)
    names = np.array(scenes.cries)
    relevance = (names[:, None] == names[None]).astype(float)
    itself = np.eye(len(names), dtype=bool)
    sides = {"picture": pictures, "sound": sounds}
    rows = {}
    for query, a in sides.items():
        for answer, b in sides.items():
            similarity = np.where(itself, -np.inf, -torch.cdist(a, b).numpy())
            rows[f"nDCG@30, {answer}s for a {query}"] = ndcg(similarity, relevance)
    logits = pairs.method.pretext.logits(pictures, sounds).detach().numpy()
    right, wrong = np.diag(logits), np.roll(logits, 1, axis=1).diagonal()
    apart = names != np.roll(names, -1)
    accuracy = np.concatenate([right[apart] > 0, wrong[apart] <= 0]).mean()
    return {"correspondence accuracy": float(accuracy), "nDCG@30 by chance": chance_ndcg(np.where(itself, 0, relevance)), **rows}


def one_method(name: str, seed: int, epochs: int | None) -> dict[str, Any]:
    """A method, or a variant of one, trained and measured."""
    method, options = VARIANTS.get(name, (name, {}))
    source, unseen = unpacked(*TRAIN), unpacked(*TEST)
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        sets = {"source": str(source / "items"), "options": options, "epochs": epochs}
        settings = make_settings(method=method, seed=seed, device="cpu", **sets)
        callbacks = Callbacks(print, loop=LoopCallbacks(on_epoch=print))
        report = localise(settings, Path(folder) / "run", callbacks=callbacks).report
        seconds = time.perf_counter() - began
        model = load_model(Run.open(Path(folder) / "run"), "cpu")
        pairs = open_pairs(model, open_items(str(unseen / "items")), Callbacks(print))
        scenes = scenes_of(unseen, pairs)
        swap = swap_sounds(model, open_items(str(unseen / "items")), Callbacks())
    row = localisation(pairs, scenes) | {"swap": swap, "seconds": round(seconds), "epochs": report["epochs"], "seed": seed}
    print(name, row)
    return row | {"centre": centre_prior(scenes)}


def pretext(seed: int, epochs: int | None) -> dict[str, Any]:
    """AVE-Net trained and measured."""
    source, unseen = unpacked(*TRAIN), unpacked(*TEST)
    began = time.perf_counter()
    model = train_pretext(source / "items", seed, epochs)
    seconds = time.perf_counter() - began
    pairs = open_pairs(model, open_items(str(unseen / "items")), Callbacks(print))
    return retrieval(pairs, scenes_of(unseen, pairs)) | {"seconds": round(seconds), "seed": seed}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, nargs="*", default=[0])
    parser.add_argument("--methods", nargs="*", default=["avol", "avcontrast", AVE_NET])
    parser.add_argument("--epochs", type=int)
    own = parser.parse_args()
    rows = {m: [pretext(s, own.epochs) if m == AVE_NET else one_method(m, s, own.epochs) for s in own.seeds] for m in own.methods}
    data = "animal_scenes: 2,000 scenes of seed 1 to train, 500 of seed 2 to test"
    write_results(NAME, {"data": data, "rows": read_results(NAME).get("rows", {}) | rows})


if __name__ == "__main__":
    main()
