"""Views of images: one affine warp (crop, flip, rotation, shear, shift), one colour matrix, one blur; all batched.

Everything random is drawn by `uniforms`, so a view is a function of (key, item). Geometry is one 2 x 3 matrix an item,
so that a mask may be warped by the same matrix. Colour is one 3 x 3 matrix and an offset an item: brightness, contrast,
saturation, hue and grey are all linear, so one pass over memory applies them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from selflabel.views.random import uniforms

DRAWS = 18  # uniforms an item and view
GREY = (0.299, 0.587, 0.114)  # ITU-R BT.601 luma


@dataclass(frozen=True)
class Preset:
    """How strongly a view changes an image; zeros change nothing.

    area: share of the picture's area that a crop keeps, lowest and highest. aspect: largest width over height of a crop.
    flip, grey, blur: probabilities. degrees, shear (tangent), shift (share of the side), zoom (relative): affine, plus or
    minus. jitter: brightness, contrast, saturation (relative) and hue (turns), with probability jitter_p. cutout: share of
    the side of one square that is blanked with the picture's mean (DeVries & Taylor, 2017). side: of the view, in sides of the
    picture.
    """

    area: tuple[float, float] = (1.0, 1.0)
    aspect: float = 1.0
    flip: float = 0.0
    degrees: float = 0.0
    shear: float = 0.0
    shift: float = 0.0
    zoom: float = 0.0
    jitter: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    jitter_p: float = 1.0
    grey: float = 0.0
    blur: float = 0.0
    cutout: float = 0.0
    side: float = 1.0

    @property
    def is_still(self) -> bool:
        return self == Preset()


PRESETS: dict[str, Preset] = {
    "centre": Preset(),
    "dropout": Preset(shift=1e-9),  # of features: a tenth of the entries blanked
    # written signs: a sign stays itself when it leans, shifts or grows, not when it is mirrored
    "glyph": Preset(degrees=15, shear=0.2, shift=0.1, zoom=0.15),
    # sounds as spectrograms; words more so: speakers differ in pitch and tempo, not in what they say
    "sound": Preset(shift=0.05, zoom=0.1),
    "spoken": Preset(shift=0.1, zoom=0.2),
    # films: what photographs bear, a little less of it
    "video": Preset(area=(0.3, 1.0), aspect=4 / 3, flip=0.5, jitter=(0.4, 0.4, 0.4, 0.1), jitter_p=0.8, grey=0.2),
    # photographs: SimCLR's family (Chen et al., 2020)
    "photo": Preset(area=(0.2, 1.0), aspect=4 / 3, flip=0.5, jitter=(0.4, 0.4, 0.4, 0.1), jitter_p=0.8, grey=0.2, blur=0.2),
    "photo-weak": Preset(area=(0.5, 1.0), aspect=4 / 3, flip=0.5),
    # for labels that are already sure (SCAN's third phase), and for SwAV's crops, large and small
    "photo-strong": Preset(
        area=(0.2, 1.0), aspect=4 / 3, flip=0.5, degrees=15, shear=0.15, jitter=(0.6, 0.6, 0.6, 0.15), grey=0.2, cutout=0.4
    ),
    "glyph-strong": Preset(degrees=25, shear=0.3, shift=0.15, zoom=0.2, cutout=0.3),
    "crop-large": Preset(area=(0.14, 1.0), aspect=4 / 3, flip=0.5, jitter=(0.8, 0.8, 0.8, 0.2), jitter_p=0.8, grey=0.2, blur=0.5),
    "crop-small": Preset(
        area=(0.05, 0.14), aspect=4 / 3, flip=0.5, jitter=(0.8, 0.8, 0.8, 0.2), jitter_p=0.8, grey=0.2, blur=0.5, side=96 / 224
    ),
    # SeLa's recipes: below 64 px its CIFAR one, above its ImageNet one; jitter is always applied
    "sela-small": Preset(area=(0.2, 1.0), aspect=4 / 3, flip=0.5, jitter=(0.4, 0.4, 0.4, 0.4), grey=0.2),
    # SeLaVi's: of a film whose short side is 128 to 160 px, a square of 112
    "selavi": Preset(area=(0.49, 0.77), flip=0.5),
    "sela-large": Preset(area=(0.08, 1.0), aspect=4 / 3, flip=0.5, jitter=(0.4, 0.4, 0.4, 0.4), grey=0.2),
}


def show(images: Tensor, preset: Preset, key: int, rows: Tensor, px: int | None = None) -> Tensor:
    """A view of every image.

    Args:
        images: (B, C, H, W) uint8, or floats in [0, 1]; C is 1 or 3.
        preset: how strongly to change them.
        key: from `key_of`, e.g. (seed, epoch, use).
        rows: (B,) the items' rows; with `key` they fix the draws.
        px: side of the view; None keeps the stored side.

    Returns:
        (B, C, px, px) float32 in [0, 1], px in proportion where the preset's side is not 1.
    """
    px = max(1, round(preset.side * (px or images.shape[-1])))
    x = images.float().div_(255) if images.dtype == torch.uint8 else images.float()
    if preset.is_still:
        return resized(x, px)
    u = uniforms(key, rows.to(images.device), DRAWS)
    x = warp(x, geometry(preset, u), (px, px)) if has_geometry(preset) else resized(x, px)
    if any(preset.jitter) or preset.grey:
        x = coloured(x, preset, u)
    if preset.blur:
        x = blurred(x, u[:, 13] < preset.blur, 0.1 + 1.9 * u[:, 14])
    return blanked(x, preset.cutout, u[:, 16:18]) if preset.cutout else x


def resized(x: Tensor, px: int) -> Tensor:
    if x.shape[-1] == px:
        return x
    return F.interpolate(x, size=(px, px), mode="bicubic", align_corners=False, antialias=True).clamp_(0, 1)


# --------------------------------------------------------------------------------------------------------- geometry


def has_geometry(p: Preset) -> bool:
    return bool(p.area != (1.0, 1.0) or p.flip or p.degrees or p.shear or p.shift or p.zoom)


def geometry(p: Preset, u: Tensor) -> Tensor:
    """(B, 2, 3) matrices from view to image coordinates, both in [-1, 1]."""
    signed = 2 * u - 1
    area = p.area[0] + (p.area[1] - p.area[0]) * u[:, 0]
    stretch = torch.exp(0.5 * math.log(p.aspect) * signed[:, 1])
    zoom = 1 + p.zoom * signed[:, 2]
    half_w = (area.sqrt() * stretch).clamp(max=1) * zoom
    half_h = (area.sqrt() / stretch).clamp(max=1) * zoom
    centre_x = signed[:, 3] * ((1 - half_w).clamp(min=0) if p.area != (1.0, 1.0) else 2 * p.shift)
    centre_y = signed[:, 4] * ((1 - half_h).clamp(min=0) if p.area != (1.0, 1.0) else 2 * p.shift)
    mirror = torch.where(u[:, 5] < p.flip, -1.0, 1.0)
    angle = math.radians(p.degrees) * signed[:, 6]
    lean = p.shear * signed[:, 7]
    cos, sin = angle.cos(), angle.sin()
    row_x = torch.stack([half_w * mirror * cos, half_w * (lean * cos - sin), centre_x], dim=1)
    row_y = torch.stack([half_h * mirror * sin, half_h * (lean * sin + cos), centre_y], dim=1)
    return torch.stack([row_x, row_y], dim=1)


def warp(x: Tensor, theta: Tensor, size: tuple[int, int], mode: str = "bilinear") -> Tensor:
    """Resample (B, C, H, W) by `geometry`'s matrices to (height, width); the border's colour fills what lies outside."""
    theta = theta.to(x.dtype)
    across = theta[:, :, 0, None] * centres(size[1], x)
    down = theta[:, :, 1, None] * centres(size[0], x) + theta[:, :, 2:]
    grid = (across[:, :, None, :] + down[:, :, :, None]).permute(0, 2, 3, 1)  # a third of the time of affine_grid
    return F.grid_sample(x, grid, mode=mode, padding_mode="border", align_corners=False)


def centres(n: int, like: Tensor) -> Tensor:
    """Pixel centres in [-1, 1]."""
    return (2 * torch.arange(n, device=like.device, dtype=like.dtype) + 1) / n - 1


# ----------------------------------------------------------------------------------------------------------- colour


def coloured(x: Tensor, p: Preset, u: Tensor) -> Tensor:
    """Jitter and grey as x' = M x + o, with one matrix and offset an item."""
    brightness, contrast, saturation, hue = p.jitter
    on = (u[:, 8] < p.jitter_p).float()
    gain = 1 + brightness * on * (2 * u[:, 9] - 1)
    spread = 1 + contrast * on * (2 * u[:, 10] - 1)
    if x.shape[1] == 1:
        middle = x.mean(dim=(2, 3), keepdim=True) * gain[:, None, None, None]
        scale = (gain * spread)[:, None, None, None]
        return (x * scale + middle * (1 - spread)[:, None, None, None]).clamp_(0, 1)
    luma = x.new_tensor(GREY)
    keep = 1 + saturation * on * (2 * u[:, 11] - 1)
    keep = torch.where(u[:, 15] < p.grey, torch.zeros_like(keep), keep)
    to_grey = luma.expand(3, 3)
    desaturate = keep[:, None, None] * torch.eye(3, device=x.device) + (1 - keep)[:, None, None] * to_grey
    matrix = desaturate @ hue_matrix(2 * math.pi * hue * on * (2 * u[:, 12] - 1))
    matrix = matrix * (gain * spread)[:, None, None]
    middle = (x.mean(dim=(2, 3)) @ luma) * gain * (1 - spread)
    flat = torch.baddbmm(middle[:, None, None].expand(-1, 3, 1), matrix, x.flatten(2))
    return flat.view_as(x).clamp_(0, 1)


def hue_matrix(angle: Tensor) -> Tensor:
    """(B, 3, 3) rotations about the grey axis, in radians (Rodrigues' formula)."""
    cos, sin = angle.cos()[:, None, None], angle.sin()[:, None, None] / math.sqrt(3)
    eye = torch.eye(3, device=angle.device)
    cross = torch.tensor([[0.0, -1, 1], [1, 0, -1], [-1, 1, 0]], device=angle.device)
    return cos * eye + sin * cross + (1 - cos) / 3


def blurred(x: Tensor, chosen: Tensor, sigma: Tensor) -> Tensor:
    """Gaussian blur of the chosen items; sigma (B,) is in pixels at 224 px and shrinks with the view."""
    where = chosen.nonzero()[:, 0]
    if not len(where):
        return x
    b, c, h, w = len(where), *x.shape[1:]
    radius = max(1, round(4 * h / 224))
    offsets = torch.arange(-radius, radius + 1, device=x.device, dtype=x.dtype)
    widths = (sigma[where] * h / 224).clamp(min=0.2)
    kernel = torch.softmax(-offsets.square() / (2 * widths[:, None].square()), dim=1).repeat_interleave(c, 0)
    flat = F.pad(x[where].reshape(1, b * c, h, w), (radius,) * 4, mode="replicate")
    flat = F.conv2d(flat, kernel[:, None, None, :], groups=b * c)
    flat = F.conv2d(flat, kernel[:, None, :, None], groups=b * c)
    return x.index_copy(0, where, flat.view(b, c, h, w).clamp(0, 1))  # a kernel's sum may be a hair above 1


def blanked(x: Tensor, share: float, where: Tensor) -> Tensor:
    """A square of this share of the side, centred anywhere (B, 2) in [0, 1], takes the picture's mean colour."""
    down, across = ((centres(n, x) + 1 - 2 * at[:, None]).abs() < share for n, at in zip(x.shape[2:], where.T))
    square = (down[:, :, None] & across[:, None, :])[:, None]
    return torch.where(square, x.mean(dim=(2, 3), keepdim=True), x)
