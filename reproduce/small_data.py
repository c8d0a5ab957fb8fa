"""Twenty small sets of 12 to 200 items, made and real. Settings were chosen on ten of them; the other ten are for reporting only.

Axes: N items, D features.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from reproduce.common import unpack
from reproduce.lite0 import features_of

FILES = 2000  # of a real set that items are drawn from

Source = str | np.ndarray
Drawn = tuple[Source, np.ndarray]  # the source, and the truth (N,) of its items in their order


@dataclass(frozen=True)
class SmallSet:
    """A set.

    Attributes:
        draw: (random numbers, an empty folder) to source and truth; the random numbers are always seeded alike.
        chosen_on: whether settings were chosen on it.
        what: what it is, for a reader.
    """

    draw: Callable[[np.random.Generator, Path], Drawn]
    chosen_on: bool
    what: str


def shuffled(rng: np.random.Generator, x: np.ndarray, truth: np.ndarray) -> Drawn:
    order = rng.permutation(len(x))
    return x[order], truth[order]


# ------------------------------------------------------------------------------------------------------ made features


def blobs(rng: np.random.Generator, sizes: list[int], dims: int, apart: float, noise_dims: int = 0, copies: float = 1.0) -> Drawn:
    """Gaussian blobs of unit variance, with centres at distance `apart` from each other.

    Args:
        rng: random numbers.
        sizes: items of each blob.
        dims: features that have the blobs, at least as many as blobs.
        apart: distance of any two centres.
        noise_dims: further features that are noise.
        copies: standard deviation within a blob.
    """
    truth = np.repeat(np.arange(len(sizes)), sizes)
    x = apart / 2**0.5 * np.eye(dims)[truth] + copies * rng.normal(size=(len(truth), dims))
    x = np.concatenate([x, rng.normal(size=(len(truth), noise_dims))], axis=1)
    return shuffled(rng, x.astype(np.float32), truth)


def moons(rng: np.random.Generator, n: int) -> Drawn:
    from sklearn.datasets import make_moons

    x, truth = make_moons(n, noise=0.08, random_state=int(rng.integers(1 << 31)))
    return x.astype(np.float32), truth


def constant_features(rng: np.random.Generator) -> Drawn:
    """Three blobs in four features, beside six that are the same for all items."""
    x, truth = blobs(rng, [14, 14, 14], 4, 6.0)
    return np.concatenate([x, np.full((len(x), 6), 3.0, np.float32)], axis=1), truth


# -------------------------------------------------------------------------------------------- made pictures and sounds


def coloured_picture(rng: np.random.Generator, kind: int, px: int = 48) -> np.ndarray:
    """(px, px, 3) uint8: a red disc, green stripes or a blue frame on noise."""
    down, across = np.mgrid[:px, :px] / px
    picture = np.full((px, px, 3), 90.0) + rng.normal(0, 12, (px, px, 3))
    if kind == 0:
        picture[(across - 0.5) ** 2 + (down - 0.5) ** 2 < 0.09] = (220, 40, 40)
    elif kind == 1:
        picture[np.floor(down * 8) % 2 == 0] = (40, 200, 60)
    else:
        picture[(np.abs(across - 0.5) > 0.3) | (np.abs(down - 0.5) > 0.3)] = (40, 60, 220)
    return np.clip(picture + rng.normal(0, 8, picture.shape), 0, 255).astype(np.uint8)


def grey_sign(rng: np.random.Generator, kind: int, px: int = 28) -> np.ndarray:
    """(px, px) uint8: a ring, a cross, a square or a bar, somewhere near the middle on black paper."""
    down, across = (np.mgrid[:px, :px] - px / 2) - rng.normal(0, 1.5, (2, 1, 1))
    radius = px / 4 * (1 + 0.1 * rng.normal())
    far = np.maximum(np.abs(down), np.abs(across))
    masks = {
        0: np.abs(np.hypot(down, across) - radius) < 1.5,
        1: (np.minimum(np.abs(down), np.abs(across)) < 1.5) & (far < radius),
        2: np.abs(far - radius) < 1.5,
        3: (np.abs(across) < 2) & (np.abs(down) < radius * 1.3),
    }
    return np.clip(np.where(masks[kind], 220, 0) + rng.normal(0, 12, (px, px)), 0, 255).astype(np.uint8)


def pictures(rng: np.random.Generator, sizes: list[int], make: Callable[..., np.ndarray]) -> Drawn:
    truth = np.repeat(np.arange(len(sizes)), sizes)
    return shuffled(rng, np.stack([make(rng, int(kind)) for kind in truth]), truth)


def tones(rng: np.random.Generator, folder: Path, n: int) -> Drawn:
    """A folder of WAV files of two seconds: a low hum, a high tone or noise."""
    from scipy.io import wavfile

    truth, rate = rng.permutation(np.arange(n) % 3), 16_000
    time = np.arange(2 * rate) / rate
    for i, kind in enumerate(truth):
        hertz = (150 + 20 * rng.random(), 2500 + 200 * rng.random(), 0)[kind]
        wave = np.sin(2 * math.pi * hertz * time) if hertz else rng.normal(0, 0.5, len(time))
        wave = 0.5 * wave + rng.normal(0, 0.01, len(time))
        wavfile.write(folder / f"{i:04d}.wav", rate, (wave.clip(-1, 1) * 32767).astype(np.int16))
    return str(folder), truth


# ----------------------------------------------------------------------------------------------------------- real sets


def from_scikit_learn(rng: np.random.Generator, name: str, n: int | None = None) -> Drawn:
    """Iris, wine or breast cancer, each feature over its standard deviation."""
    from sklearn import datasets

    x, truth = getattr(datasets, f"load_{name}")(return_X_y=True)
    x, truth = shuffled(rng, (x / x.std(axis=0)).astype(np.float32), truth)
    return x[:n], truth[:n]


def some_of(rng: np.random.Generator, x: np.ndarray, truth: np.ndarray, sizes: list[int]) -> Drawn:
    """As many items of each class, the first classes in sorted order."""
    rows = [rng.permutation(np.flatnonzero(truth == c))[:n] for c, n in zip(np.unique(truth), sizes)]
    order = rng.permutation(np.concatenate(rows))
    return x[order], truth[order]


def handwritten(rng: np.random.Generator, name: str, sizes: list[int]) -> Drawn:
    from selflabel.items import open_items

    items = open_items(name)
    return some_of(rng, items.array, np.array(items.truth), sizes)


def files_of(rng: np.random.Generator, folder: Path, pack: str, classes: int, n: int) -> Drawn:
    """A folder of links to files of a real set: n of each of the first classes."""
    items, truth = unpack(pack, limit=FILES)
    names = np.array(sorted(truth))
    chosen, labels = some_of(rng, names, np.array([truth[name] for name in names]), [n] * classes)
    for i, name in enumerate(chosen):
        (folder / f"{i:04d}{Path(name).suffix}").symlink_to(items / name)
    return str(folder), labels


@cache
def photo_features() -> tuple[np.ndarray, np.ndarray]:
    return features_of("imagenette128", "test")


SETS = {
    "pictures-30": SmallSet(lambda r, f: pictures(r, [10] * 3, coloured_picture), True, "30 made pictures of three kinds"),
    "rows-12": SmallSet(lambda r, f: blobs(r, [4] * 3, 4, 8.0), True, "12 rows of 4 features in three blobs"),
    "blobs-near": SmallSet(lambda r, f: blobs(r, [15] * 4, 8, 4.0), True, "60 rows of 8 features in four blobs that touch"),
    "blobs-uneven": SmallSet(lambda r, f: blobs(r, [60, 25, 10, 5], 16, 7.0), True, "100 rows in blobs of 60, 25, 10 and 5"),
    "blobs-in-noise": SmallSet(lambda r, f: blobs(r, [20] * 2, 2, 9.0, 50), True, "40 rows; two blobs, and 50 features of noise"),
    "iris": SmallSet(lambda r, f: from_scikit_learn(r, "iris"), True, "150 irises, 4 measures, three species"),
    "digits-80": SmallSet(lambda r, f: handwritten(r, "digits", [20] * 4), True, "80 digits of 8 px, 0 to 3"),
    "tones-24": SmallSet(lambda r, f: tones(r, f, 24), True, "24 made sounds of three kinds"),
    "photos-60": SmallSet(lambda r, f: files_of(r, f, "cifar10", 2, 30), True, "60 photos of 32 px, aeroplanes and cars"),
    "photo-features-100": SmallSet(lambda r, f: some_of(r, *photo_features(), [20] * 5), True, "100 photos, pretrained features"),
    "signs-12": SmallSet(lambda r, f: pictures(r, [3] * 4, grey_sign), False, "12 made grey signs of four kinds"),
    "signs-uneven": SmallSet(lambda r, f: pictures(r, [30, 12, 6], grey_sign), False, "48 made grey signs: 30, 12 and 6"),
    "blobs-many": SmallSet(lambda r, f: blobs(r, [5] * 10, 32, 8.0), False, "50 rows of 32 features in ten blobs of 5"),
    "near-copies": SmallSet(lambda r, f: blobs(r, [8] * 6, 20, 5.0, copies=0.05), False, "48 rows: near-copies of six"),
    "constants": SmallSet(lambda r, f: constant_features(r), False, "42 rows in three blobs, six constant features"),
    "moons": SmallSet(lambda r, f: moons(r, 120), False, "120 rows in two interleaved half circles"),
    "wine": SmallSet(lambda r, f: from_scikit_learn(r, "wine"), False, "178 wines, 13 measures, three growers"),
    "breast-cancer": SmallSet(lambda r, f: from_scikit_learn(r, "breast_cancer", 200), False, "200 tumours, 30 measures"),
    "mnist-150": SmallSet(lambda r, f: handwritten(r, "mnist5k", [30] * 5), False, "150 digits of 28 px, 0 to 4"),
    "words-90": SmallSet(lambda r, f: files_of(r, f, "fsdd", 3, 30), False, "90 spoken digits, 0 to 2, six speakers"),
}


def draw(name: str, folder: Path) -> Drawn:
    """A set, always the same. folder: an empty folder for its files."""
    return SETS[name].draw(np.random.default_rng(sorted(SETS).index(name)), folder)
