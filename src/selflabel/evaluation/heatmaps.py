"""How well a heatmap says where something is: consensus IoU and its area, the place of the maximum; of class maps of mixed scenes
the IoU of classes that sound and the dark area of those that do not.

All maps and truths are on one square of SIDE pixels into which the picture is squeezed, as in published evaluations; shares of
areas do not change by it. Every threshold is that of one map alone. Axes: T true classes of a picture, C channels, S = SIDE.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image

from selflabel.assignment.alignment import hungarian

SIDE = 224  # pixels
LEVELS = np.linspace(0, 1, 21)  # of the area under the curve
HALF_OF_MAXIMUM = 0.5  # of DSOL's maps in mixed scenes
DARK = 0.2  # a pixel at most this is dark (DSOL)


def of_picture(map_hw: np.ndarray, size: tuple[int, int], geometry: str) -> np.ndarray:
    """(S, S) float32, a map of a square of a picture as one of the whole picture.

    Args:
        map_hw: of the square.
        size: width and height of the picture.
        geometry: "letterbox" where the picture lies in the top left corner of a square as large as its longer side, "square"
            where only its middle square is shown; then the rest is 0.
    """
    image = Image.fromarray(np.asarray(map_hw, np.float32))
    w, h = (side / (max(size) if geometry == "letterbox" else min(size)) for side in size)  # of the picture, in squares
    if geometry == "letterbox":
        box = (0, 0, image.width * w, image.height * h)
        return np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BILINEAR, box=box))
    inner = (max(1, round(SIDE / w)), max(1, round(SIDE / h)))
    whole, left, top = np.zeros((SIDE, SIDE), np.float32), (SIDE - inner[0]) // 2, (SIDE - inner[1]) // 2
    whole[top : top + inner[1], left : left + inner[0]] = np.asarray(image.resize(inner, Image.Resampling.BILINEAR))
    return whole


def drawn(boxes_T4: np.ndarray, size: tuple[float, float]) -> np.ndarray:
    """(S, S) bool, the pixels whose middle lies in any of some boxes of a picture.

    Args:
        boxes_T4: x0, y0, x1, y1 in pixels of the picture.
        size: its width and height.

    Example:
        >>> float(drawn(np.array([[0, 0, 50, 10]]), (100, 20)).mean())
        0.25
    """
    x, y = (np.arange(SIDE) + 0.5) / SIDE * size[0], (np.arange(SIDE) + 0.5) / SIDE * size[1]
    inside = np.zeros((SIDE, SIDE), bool)
    for x0, y0, x1, y1 in np.asarray(boxes_T4, np.float64).reshape(-1, 4):
        inside |= ((y >= y0) & (y < y1))[:, None] & ((x >= x0) & (x < x1))[None]
    return inside


def top_half(map_SS: np.ndarray) -> np.ndarray:
    """Bool, the pixels at or above the median of their own map (Chen et al., 2021, and most after it). Of a constant map all."""
    return map_SS >= np.median(map_SS)


def above_half_of_maximum(map_SS: np.ndarray) -> np.ndarray:
    """Bool, the pixels with at least half of their own map's maximum; none of a map that is 0 everywhere (DSOL)."""
    return (map_SS >= HALF_OF_MAXIMUM * map_SS.max()) & (map_SS > 0)


def consensus_iou(inside_SS: np.ndarray, truth_SS: np.ndarray) -> float:
    """cIoU: the truth that is inside, over all truth and all that is inside without truth; 0 where both are empty.

    Args:
        inside_SS: bool.
        truth_SS: bool, or in [0, 1] where people disagree (Senocak et al., 2018).
    """
    truth = np.asarray(truth_SS, np.float64)
    below = truth.sum() + (inside_SS & (truth == 0)).sum()
    return float(truth[inside_SS].sum() / below) if below else 0.0


def area_under(ious: np.ndarray, counts: np.ndarray | None = None) -> float:
    """Area under the share of pictures with an IoU of at least 0, .05, ..., 1 ("AUC").

    Args:
        ious: (N,).
        counts: (N,) how often each picture counts; None counts each once.

    Example:
        >>> area_under(np.array([1.0])), round(area_under(np.array([0.52])), 4)
        (1.0, 0.525)
    """
    weights = np.ones(len(ious)) if counts is None else counts
    shares = (np.asarray(ious)[None] >= LEVELS[:, None] - 1e-9) @ weights / max(1e-12, weights.sum())
    return float(((shares[1:] + shares[:-1]) / 2 * np.diff(LEVELS)).sum())


def maximum_inside(map_SS: np.ndarray, truth_SS: np.ndarray) -> float:
    """Share of the brightest pixels that lie on the truth; 1 or 0 where one is brightest (pointing game, Zhang et al., 2016)."""
    return float((truth_SS[map_SS == map_SS.max()] > 0).mean())


def check_heatmap(maps: np.ndarray) -> None:
    """Raise ValueError where values lie outside [0, 1]: logits have other thresholds than probabilities."""
    if not (maps.min() >= 0 and maps.max() <= 1):
        raise ValueError(f"a heatmap has values from {maps.min():.3g} to {maps.max():.3g}, and must have them in 0 to 1")


# ------------------------------------------------------------------------------------------- mixed scenes, class by class


def class_ious(maps_CSS: np.ndarray, truths_TSS: np.ndarray) -> np.ndarray:
    """(T, C) IoU of each class map, cut at half of its own maximum, with the boxes of each true class. Raises ValueError."""
    check_heatmap(maps_CSS)
    cuts = [above_half_of_maximum(one) for one in maps_CSS]
    return np.array([[consensus_iou(cut, truth) for cut in cuts] for truth in truths_TSS]).reshape(-1, len(cuts))


def dark_areas(maps_CSS: np.ndarray) -> np.ndarray:
    """(C,) share of the pixels of each class map that are at most DARK. Raises ValueError."""
    check_heatmap(maps_CSS)
    return (maps_CSS <= DARK).mean(axis=(1, 2))


def match_classes(ious: Sequence[np.ndarray], classes: Sequence[np.ndarray], n_classes: int) -> np.ndarray:
    """(K,) the channel that stands for each class, -1 for a class without one; a single channel stands for all.

    Channels are matched one to one, so that the sum of IoUs over pictures is largest (Kuhn, 1955).

    Args:
        ious: of each picture (T, C), of the classes that sound.
        classes: of each picture (T,) their numbers, 0 to K - 1.
        n_classes: K.
    """
    n_channels = ious[0].shape[1] if ious else 1
    if n_channels == 1:
        return np.zeros(n_classes, np.int64)
    sums, found = np.zeros((n_classes, n_channels)), np.full(n_classes, -1)
    for own, rows in zip(ious, classes):
        np.add.at(sums, rows, own)
    matched_classes, channels = hungarian(sums)
    found[matched_classes] = channels
    return found


def sounding_ious(ious_TC: np.ndarray, classes_T: np.ndarray, channels_K: np.ndarray) -> float:
    """CIoU of a picture: the mean IoU of its classes that sound; 0 for one without a channel."""
    return float(np.mean([own[channels_K[k]] if channels_K[k] >= 0 else 0.0 for own, k in zip(ious_TC, classes_T)]))


def silent_area(dark_C: np.ndarray, classes_T: np.ndarray, channels_K: np.ndarray) -> float:
    """NSA of a picture: the mean dark area of the classes that do not sound; NaN where all sound. 1 for maps all dark."""
    silent = [k for k in range(len(channels_K)) if k not in set(classes_T.tolist()) and channels_K[k] >= 0]
    return float(dark_C[channels_K[silent]].mean()) if silent else float("nan")


def guessed_ious(truths_KSS: np.ndarray, sounds_K: np.ndarray, draws: int = 100, seed: int = 0) -> np.ndarray:
    """(draws,) CIoU of a picture where the places of its classes are known, and which class is where is guessed.

    Args:
        truths_KSS: the boxes of each class in the picture, whether it sounds or not.
        sounds_K: bool, which of them sound.
        draws: guesses.
        seed: of the guesses.
    """
    rng, ious = np.random.default_rng(seed), class_ious(truths_KSS.astype(np.float32), truths_KSS)
    order = rng.permuted(np.tile(np.arange(len(sounds_K)), (draws, 1)), axis=1)
    return ious[np.arange(len(sounds_K)), order][:, sounds_K].mean(axis=1)
