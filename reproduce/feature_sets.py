"""Sets of given features on which every method is compared, in two halves that were fixed before anything was measured.

    SELFLABEL_DATA=... python -m reproduce.feature_sets FOLDER [SET ...]     # saves FOLDER/SET.npz with x and y

Settings may be chosen on the development half; the reporting half is for reporting only. A source of data lies wholly in one
half: Imagenette, Tiny ImageNet and scikit-learn's digits (and the photos of ECSSD and CamVid that serve as junk) in development;
CIFAR-10, MNIST, spoken digits and clips in reporting. Photos are seen by EfficientNet-Lite0 (`reproduce.lite0`).

Axes: N items, D features.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageEnhance, ImageFilter, ImageOps
from scipy import ndimage
from torch import nn

from reproduce.common import data_folder, unpack, unpack_files
from reproduce.imbalance import long_tailed
from reproduce.lite0 import encoded, features_of
from selflabel.evaluation.metrics import encode_labels
from selflabel.items import open_items
from selflabel.jobs.prepare import prepare
from selflabel.training.distributed import Ranks

JUNK = "junk"  # the truth of rows that belong to no class; they are not scored

Rows = tuple[np.ndarray, np.ndarray]  # features (N, D), truth (N,)


@dataclass(frozen=True)
class FeatureSet:
    """A set.

    Attributes:
        make: makes the features and the truth, always the same.
        half: "development" or "reporting".
        what: what it is, for a reader.
        uneven: whether its classes are of unequal size on purpose.
    """

    make: Callable[[], Rows]
    half: str
    what: str
    uneven: bool = False


# -------------------------------------------------------------------------------------------------------------- choosing rows


def some(x: np.ndarray, y: np.ndarray, n: int, seed: int = 0) -> Rows:
    """n random rows."""
    rows = np.random.default_rng(seed).permutation(len(x))[:n]
    return x[rows], y[rows]


def thin(x: np.ndarray, y: np.ndarray, sizes: list[int], seed: int = 0) -> Rows:
    """A subset with classes of these sizes, largest first; each class is drawn among those that are large enough."""
    rng = np.random.default_rng(seed)
    classes = list(rng.permutation(np.unique(y)))
    rows = []
    for size in sizes:
        name = next(c for c in classes if (y == c).sum() >= size)
        classes.remove(name)
        rows.append(rng.permutation(np.flatnonzero(y == name))[:size])
    order = rng.permutation(np.concatenate(rows))
    return x[order], y[order]


def falling(x: np.ndarray, y: np.ndarray, ratio: float, largest: int | None = None) -> Rows:
    """A subset whose class sizes fall geometrically by `ratio` in all; which class is large is random.

    Args:
        x, y: rows.
        ratio: largest over smallest class.
        largest: items of the largest class; None is the smallest class of `y`.
    """
    rng = np.random.default_rng(0)
    pool = np.concatenate([rng.permutation(np.flatnonzero(y == c))[:largest] for c in np.unique(y)])
    rows = pool[long_tailed(encode_labels(y[pool]), ratio, 0)]
    order = rng.permutation(rows)
    return x[order], y[order]


# --------------------------------------------------------------------------------------------------------------------- sources


@cache
def photos(name: str, split: str) -> Rows:
    return features_of(name, split)


def imagenette(n: int = 3000) -> Rows:
    return some(*photos("imagenette128", "test"), n)


def uneven20() -> Rows:
    """Imagenette and the first ten classes of Tiny ImageNet."""
    (x, y), (x2, y2) = photos("imagenette128", "all"), photos("tinyimagenet20", "all")
    first = np.isin(y2, np.unique(y2)[:10])
    x, y = np.concatenate([x, x2[first]]), np.concatenate([y, y2[first]])
    return thin(x, y, np.geomspace(800, 85, 20).round().astype(int).tolist())


def imagenette_five() -> Rows:
    x, y = photos("imagenette128", "test")
    first = np.isin(y, np.unique(y)[:5])
    return x[first], y[first]


def shrunk(name: str, split: str, n: int, pixels: int, n_classes: int | None = None) -> Rows:
    """n random photos, each shrunk before the backbone enlarges it.

    Args:
        name, split: of the data set.
        n: photos.
        pixels: side of the shrunk photo.
        n_classes: the first classes by name, from which photos are drawn; None is all.
    """
    return seen(name, split, n, pixels, lambda photo, _: photo, n_classes)


def in_six_styles(n: int = 3000, pixels: int = 96) -> Rows:
    """Photos of Imagenette, each in one of six styles at random: as it is, grey, inverted, blurred, upside down, or dark."""
    style = np.random.default_rng(1).integers(len(STYLES), size=n)
    return seen("imagenette128", "test", n, pixels, lambda photo, row: STYLES[style[row]](photo))


STYLES: list[Callable[[Image.Image], Image.Image]] = [
    lambda photo: photo,
    lambda photo: ImageOps.grayscale(photo).convert("RGB"),
    ImageOps.invert,
    lambda photo: photo.filter(ImageFilter.GaussianBlur(2)),
    lambda photo: photo.rotate(180),
    lambda photo: ImageEnhance.Brightness(ImageEnhance.Contrast(photo).enhance(0.35)).enhance(0.5),
]


def seen(
    name: str,
    split: str,
    n: int,
    pixels: int,
    change: Callable[[Image.Image, int], Image.Image],
    n_classes: int | None = None,
) -> Rows:
    """n random photos, shrunk to squares and changed, as the backbone sees them. change: of a photo and its row."""
    folder, truth = unpack(name, split)
    classes = sorted(set(truth.values()))[:n_classes]
    paths = np.random.default_rng(0).permutation([path for path in sorted(truth) if truth[path] in classes])[:n]
    small = (Image.open(folder / path).convert("RGB").resize((pixels, pixels), Image.Resampling.BOX) for path in paths)
    x, _ = encoded(np.stack([np.asarray(change(photo, row)) for row, photo in enumerate(small)]))
    return x, np.array([truth[path] for path in paths])


def imagenette_junk() -> Rows:
    """2,700 photos of the ten classes and 150 photos each of salient objects (ECSSD) and streets (CamVid)."""
    x, y = imagenette(2700)
    others = [encoded(str(unpack_files(name, limit=150) / "items"))[0] for name in ("ecssd", "camvid")]
    x = np.concatenate([x, *others])
    return some(x, np.concatenate([y, np.full(len(x) - len(y), JUNK)]), len(x))


def digits() -> Rows:
    from sklearn.datasets import load_digits

    data = load_digits()
    return (data.data / 16).astype(np.float32), data.target.astype(str)


def digits_in_six_styles() -> Rows:
    """Digits of 16 x 16, each in one of six styles at random: as it is, thicker, thinner, slanted either way, or lower."""
    x, y = digits()
    style = np.random.default_rng(0).integers(6, size=len(x))
    large = [ndimage.zoom(row, 2, order=1) for row in x.reshape(-1, 8, 8)]
    return np.array([in_style(picture, k).reshape(-1) for picture, k in zip(large, style)], np.float32), y


def in_style(picture: np.ndarray, style: int) -> np.ndarray:
    """A digit (16, 16) in one of the six styles of `digits_in_six_styles`."""
    if style in (1, 2):
        return (ndimage.grey_dilation if style == 1 else ndimage.grey_erosion)(picture, size=(2, 2))
    if style in (3, 4):
        slant = 0.35 if style == 3 else -0.35
        return ndimage.affine_transform(picture, np.array([[1, 0], [slant, 1]]), offset=[0, -8 * slant], order=1)
    return np.roll(picture, 2, axis=0) if style == 5 else picture


def mnist5k() -> Rows:
    items = open_items("mnist5k")
    assert items.array is not None
    return items.array.reshape(len(items.array), -1) / np.float32(255), np.array(items.truth)


@cache
def mnist70k() -> Rows:
    with np.load(data_folder() / "mnist" / "mnist.npz", allow_pickle=False) as pack:
        pictures, labels = pack["image"], pack["label"]
    return pictures.reshape(len(pictures), -1) / np.float32(255), labels.astype(str)


def with_copies(x: np.ndarray, y: np.ndarray) -> Rows:
    """Every fifth row is replaced by another row's picture (28 x 28), shifted by a pixel."""
    rng, x, y = np.random.default_rng(0), x.copy(), y.copy()
    copies = np.arange(0, len(x), 5)
    originals = rng.choice(np.setdiff1d(np.arange(len(x)), copies), len(copies), replace=False)
    for copy, original in zip(copies, originals):
        x[copy] = np.roll(x[original].reshape(28, 28), rng.choice([-1, 1]), axis=rng.integers(2)).reshape(-1)
        y[copy] = y[original]
    return x, y


@cache
def first_features(name: str) -> tuple[np.ndarray, list[str]]:
    """(features (N, D), paths) of the films or sounds of a real set: what sela-nn begins with, before any network."""
    folder, _ = unpack(name)
    device = torch.device("cpu")
    prepared = prepare(str(folder), device)
    data = prepared.dataset(device, Ranks(), 0)
    modality = next(iter(prepared.modalities))
    data.encoders = nn.ModuleDict({modality: nn.Identity()})
    return data.features(modality, layer="input").numpy(), prepared.items.paths


def columns(name: str, *names: str) -> np.ndarray:
    """(N,) what the truth of a real set says of its first features' rows: the columns, with a space between them."""
    with (unpack_files(name) / "truth.csv").open(newline="") as file:
        classes = {row["path"]: " ".join(row[column] for column in names) for row in csv.DictReader(file)}
    return np.array([classes[path] for path in first_features(name)[1]])


def pairs(n: int = 5000) -> Rows:
    """A written digit beside a spoken digit: 100 classes of 50 rows, a class for each pair of digits."""
    written, seen = mnist5k()
    spoken, heard = first_features("fsdd")[0], columns("fsdd", "label")
    rng, rows = np.random.default_rng(0), list[tuple[int, int]]()
    for a in np.unique(seen):
        left = rng.permutation(np.flatnonzero(seen == a))
        for i, b in enumerate(np.unique(heard)):
            right = rng.permutation(np.flatnonzero(heard == b))[: n // 100]
            rows += zip(left[i * len(right) :], right)
    lefts, rights = np.array(rng.permutation(rows)).T
    x = np.concatenate([unit(written[lefts]), unit(spoken[rights])], axis=1)
    return x, np.char.add(np.char.add(seen[lefts], " "), heard[rights])


def unit(x: np.ndarray) -> np.ndarray:
    return x / np.linalg.norm(x, axis=1, keepdims=True)


# ------------------------------------------------------------------------------------------------------------------- the suite

DEVELOPMENT = {
    "imagenette": FeatureSet(imagenette, "development", "3,000 test photos of Imagenette, 10 classes"),
    "digits": FeatureSet(digits, "development", "1,797 written digits, raw pixels"),
    "digits-1to10": FeatureSet(lambda: falling(*digits(), 10), "development", "written digits, classes falling 1:10", True),
    "tiny20": FeatureSet(
        lambda: some(*photos("tinyimagenet20", "all"), 4000), "development", "4,000 photos of Tiny ImageNet, 20 classes"
    ),
    "tiny20-1to50": FeatureSet(
        lambda: falling(*photos("tinyimagenet20", "all"), 50), "development", "Tiny ImageNet, 20 classes falling 1:50", True
    ),
    "imagenette-uneven10": FeatureSet(
        lambda: thin(*photos("imagenette128", "all"), np.geomspace(800, 85, 10).round().astype(int).tolist()),
        "development",
        "Imagenette, 10 classes of 800 to 85",
        True,
    ),
    "uneven20": FeatureSet(uneven20, "development", "Imagenette and ten classes of Tiny ImageNet, 20 classes of 800 to 85", True),
    "imagenette5": FeatureSet(imagenette_five, "development", "the test photos of five classes of Imagenette"),
    "imagenette-junk": FeatureSet(imagenette_junk, "development", "2,700 photos of Imagenette, and 300 of other things"),
    "imagenette-64px": FeatureSet(
        lambda: shrunk("imagenette128", "test", 3000, 64), "development", "the 3,000 photos of Imagenette, shown at 64 px"
    ),
    "imagenette-24px": FeatureSet(
        lambda: shrunk("imagenette128", "test", 3000, 24), "development", "the 3,000 photos of Imagenette, shown at 24 px"
    ),
    "tiny20-32px": FeatureSet(
        lambda: shrunk("tinyimagenet20", "all", 4000, 32), "development", "4,000 photos of Tiny ImageNet, 20 classes, at 32 px"
    ),
    "tiny7-32px": FeatureSet(
        lambda: shrunk("tinyimagenet20", "all", 280, 32, 7),
        "development",
        "280 photos (fewer than the 700 of the other sets) of seven classes of Tiny ImageNet, at 32 px",
    ),
    "imagenette-styles": FeatureSet(in_six_styles, "development", "3,000 photos of Imagenette, each in one of six styles"),
    "digits-styles": FeatureSet(digits_in_six_styles, "development", "written digits, each in one of six styles"),
}

REPORTING = {
    "cifar10": FeatureSet(lambda: some(*photos("cifar10", "test"), 4000), "reporting", "4,000 test photos of CIFAR-10"),
    "cifar10-1to10": FeatureSet(
        lambda: falling(*photos("cifar10", "test"), 10), "reporting", "CIFAR-10, classes falling 1:10", True
    ),
    "mnist5k": FeatureSet(mnist5k, "reporting", "5,000 MNIST digits, raw pixels"),
    "mnist5k-duplicates": FeatureSet(
        lambda: with_copies(*mnist5k()), "reporting", "5,000 MNIST digits, a fifth of them shifted copies of others"
    ),
    "mnist-1to50": FeatureSet(
        lambda: falling(*mnist70k(), 50, largest=2000), "reporting", "MNIST, classes falling from 2,000 to 40, raw pixels", True
    ),
    "spoken": FeatureSet(
        lambda: (first_features("fsdd")[0], columns("fsdd", "label")), "reporting", "3,000 spoken digits, cepstra; 10 digits"
    ),
    "spoken60": FeatureSet(
        lambda: (first_features("fsdd")[0], columns("fsdd", "label", "speaker")),
        "reporting",
        "3,000 spoken digits, cepstra; 60 classes, a digit of a speaker each",
    ),
    "clips": FeatureSet(
        lambda: (first_features("ucf101_av7")[0], columns("ucf101_av7", "label")),
        "reporting",
        "278 clips (fewer than the 700 of the other sets), first features of their frames; 7 actions",
    ),
    "pairs100": FeatureSet(pairs, "reporting", "5,000 rows, a written beside a spoken digit; 100 classes"),
    "mnist70k": FeatureSet(mnist70k, "reporting", "70,000 MNIST digits, raw pixels"),
}

SETS = DEVELOPMENT | REPORTING


def load(name: str, folder: Path) -> Rows:
    """A set, made once and then read from FOLDER/NAME.npz."""
    file = folder / f"{name}.npz"
    if not file.exists():
        x, y = SETS[name].make()
        folder.mkdir(parents=True, exist_ok=True)
        np.savez(folder / f"making-{name}.npz", x=np.ascontiguousarray(x, np.float32), y=y.astype(str))
        (folder / f"making-{name}.npz").rename(file)
    with np.load(file, allow_pickle=False) as arrays:
        return arrays["x"], arrays["y"]


def main() -> None:
    folder, *names = sys.argv[1:]
    for name in names or SETS:
        x, y = load(name, Path(folder))
        sizes = np.unique(y, return_counts=True)[1]
        print(f"{name}: {len(x):,} x {x.shape[1]}, {len(sizes)} classes of {sizes.min()} to {sizes.max()}", flush=True)


if __name__ == "__main__":
    main()
