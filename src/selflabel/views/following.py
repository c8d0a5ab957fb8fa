"""Masks and boxes that follow a view's geometry, and back from a view to the part that it shows.

A view's `theta` says for each of its places which place of the part is shown there (see `View`). Masks are resampled by it, as
the pixels were; boxes go the other way, by its inverse.

Axes: B items, C masks of an item, K boxes of an item. Boxes are (x0, y0, x1, y1) as fractions of the width and height of what is
stored of the item, which of a picture is its middle square, and of a piece the square around its box.
"""

from __future__ import annotations

import torch
from torch import Tensor

from selflabel.views.image import warp

CORNERS = ((0, 1), (2, 1), (2, 3), (0, 3))  # of a box, in order around it: which of its numbers are x and y


def masks_in_view(masks: Tensor, theta: Tensor, size: tuple[int, int], mode: str = "bilinear") -> Tensor:
    """The masks of parts as views show them; what lies outside the part belongs to no mask.

    Args:
        masks: (B, C, H, W) bool, or floats such as heatmaps. One of a film's frames each may be C.
        theta: (B, 2, 3) of the view.
        size: (height, width) of the view.
        mode: "bilinear", or "nearest" for maps of numbers that must not be mixed. Bool masks are true from one half on.

    Returns:
        (B, C, *size) of the type of `masks`.

    Example:
        >>> mirror = torch.tensor([[[-1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]])
        >>> masks_in_view(torch.tensor([[[[True, False, False]]]]), mirror, (1, 3)).tolist()
        [[[[False, False, True]]]]
    """
    values = masks if masks.is_floating_point() else masks.to(theta.dtype)
    moved = warp(values, theta.to(values), size, mode, "zeros")
    return moved >= 0.5 if masks.dtype == torch.bool else moved.to(masks.dtype)


def masks_from_view(masks: Tensor, theta: Tensor, size: tuple[int, int], mode: str = "bilinear") -> Tensor:
    """The masks of views as masks of their parts, which belong to no mask where the view does not show them.

    Args:
        masks, theta, mode: as in `masks_in_view`.
        size: (height, width) of the part's mask.
    """
    return masks_in_view(masks, inverse(theta), size, mode)


def boxes_in_view(boxes: Tensor, theta: Tensor) -> tuple[Tensor, Tensor]:
    """The boxes of parts as views show them.

    Args:
        boxes: (B, K, 4) fractions of the part.
        theta: (B, 2, 3) of the view.

    Returns:
        ((B, K, 4) fractions of the view: the upright boxes around the moved ones, clipped to the view; (B, K) the share of each
        box's area that the view shows, 0 to 1).

    Example:
        >>> left_half = torch.tensor([[[0.5, 0.0, -0.5], [0.0, 1.0, 0.0]]])
        >>> boxes, share = boxes_in_view(torch.tensor([[[0.25, 0.0, 0.75, 1.0]]]), left_half)
        >>> boxes.tolist(), share.tolist()
        ([[[0.5, 0.0, 1.0, 1.0]]], [[0.5]])
    """
    corners = moved_corners(boxes, inverse(theta))
    return box_around(corners), share_inside(corners)


def boxes_from_view(boxes: Tensor, theta: Tensor) -> Tensor:
    """(B, K, 4) the boxes of views, as fractions of their parts: the upright boxes around the moved ones, clipped to the part."""
    return box_around(moved_corners(boxes, theta))


def inverse(theta: Tensor) -> Tensor:
    """(B, 2, 3) matrices of the way back."""
    back = torch.linalg.inv(theta[:, :, :2])
    return torch.cat([back, -back @ theta[:, :, 2:]], dim=2)


def moved_corners(boxes: Tensor, theta: Tensor) -> Tensor:
    """(B, K, 4, 2) corners x, y of boxes (B, K, 4) after a move (B, 2, 3), in fractions before and after."""
    corners = torch.stack([boxes[..., list(corner)] for corner in CORNERS], dim=2) * 2 - 1
    theta = theta.to(boxes.dtype)
    moved = torch.einsum("bkcx,byx->bkcy", corners, theta[:, :, :2]) + theta[:, None, None, :, 2]
    return (moved + 1) / 2


def box_around(corners: Tensor) -> Tensor:
    """(B, K, 4) upright boxes around corners (B, K, 4, 2), clipped to [0, 1]."""
    return torch.cat([corners.amin(dim=2), corners.amax(dim=2)], dim=-1).clamp(0, 1)


def share_inside(corners: Tensor) -> Tensor:
    """(B, K) the share of convex polygons (B, K, n, 2) that lies in the unit square; 0 of one without an area.

    What lies beyond a side of the square is pushed onto that side, where it has no area. An edge that crosses the side is cut
    there first, so that what lies within stays as it is.
    """
    whole, points = area(corners), corners
    for axis in (0, 1):
        for side in (0.0, 1.0):
            points = with_crossings(points, axis, side)
            pushed = points[..., axis].clamp(min=side) if side == 0 else points[..., axis].clamp(max=side)
            points = torch.stack([pushed, points[..., 1]] if axis == 0 else [points[..., 0], pushed], dim=-1)
    return torch.where(whole > 0, area(points) / whole.clamp(min=torch.finfo(whole.dtype).tiny), 0.0).clamp(0, 1)


def with_crossings(points: Tensor, axis: int, side: float) -> Tensor:
    """(B, K, 2 n, 2) polygons with a further point in each edge: where it crosses a line across the axis, else at its end."""
    following = points.roll(-1, dims=2)
    step = following[..., axis] - points[..., axis]
    at = torch.where(step == 0, 1.0, (side - points[..., axis]) / torch.where(step == 0, 1.0, step)).clamp(0, 1)
    between = points + at[..., None] * (following - points)
    return torch.stack([points, between], dim=3).flatten(2, 3)


def area(points: Tensor) -> Tensor:
    """(B, K) areas of polygons (B, K, n, 2), by the shoelace formula."""
    x, y = points.unbind(dim=-1)
    return (x * y.roll(-1, dims=-1) - y * x.roll(-1, dims=-1)).sum(dim=-1).abs() / 2
