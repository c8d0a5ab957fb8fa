"""Boxes and masks: the box of a mask, overlaps, and what overlaps too much. Boxes are (x0, y0, x1, y1), x1 and y1 outside.

Axes: M and R boxes or masks.
"""

from __future__ import annotations

import numpy as np


def box_of(mask_hw: np.ndarray) -> tuple[int, int, int, int]:
    """The smallest box around a mask's True cells; (0, 0, 0, 0) where it has none.

    Example:
        >>> box_of(np.array([[0, 0, 0], [0, 1, 1]], bool))
        (1, 1, 3, 2)
    """
    rows, columns = np.flatnonzero(mask_hw.any(axis=1)), np.flatnonzero(mask_hw.any(axis=0))
    if not len(rows):
        return 0, 0, 0, 0
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def box_ious(boxes_M4: np.ndarray, others_R4: np.ndarray) -> np.ndarray:
    """(M, R) intersections over unions; 0 for a pair that is empty.

    Example:
        >>> box_ious(np.array([[0, 0, 2, 2]]), np.array([[1, 0, 3, 2], [5, 5, 6, 6]])).round(3).tolist()
        [[0.333, 0.0]]
    """
    a, b = np.asarray(boxes_M4, np.float64)[:, None], np.asarray(others_R4, np.float64)[None]
    sides = np.clip(np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2]), 0, None)
    common = sides.prod(axis=-1)
    areas = [np.clip(x[..., 2:] - x[..., :2], 0, None).prod(axis=-1) for x in (a, b)]
    union = areas[0] + areas[1] - common
    return np.divide(common, union, out=np.zeros_like(common), where=union > 0)


def mask_iou(mask: np.ndarray, other: np.ndarray) -> float:
    """Intersection over union of two boolean masks of one shape; 0 where both are empty."""
    union = np.logical_or(mask, other).sum()
    return float(np.logical_and(mask, other).sum() / union) if union else 0.0


def distinct(masks: list[np.ndarray], most: float) -> list[int]:
    """Places of the masks whose IoU with every earlier one that is kept is at most `most`: the first ones come first."""
    kept: list[int] = []
    for i, mask in enumerate(masks):
        if all(mask_iou(mask, masks[j]) <= most for j in kept):
            kept.append(i)
    return kept
