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
from selflabel.views.view import View, identity

DRAWS = 18  # uniforms an item and view
GREY = (0.299, 0.587, 0.114)  # ITU-R BT.601 luma


@dataclass(frozen=True)
class Preset:
    """How strongly a random view changes an image; zeros change nothing.

    Attributes:
        area: lowest and highest share of the picture's area that a crop keeps.
        aspect: largest ratio of width to height of a crop, or of height to width.
        flip: probability of mirroring left and right.
        degrees: rotation, plus or minus.
        shear: tangent of the shear's angle, plus or minus.
        shift: share of the side, plus or minus.
        zoom: relative change of the size, plus or minus.
        jitter: relative change of brightness, contrast and saturation, and of the hue in full turns, plus or minus.
        jitter_p: probability of the jitter.
        grey: probability of losing all colour.
        blur: probability of a Gaussian blur.
        cutout: share of the side of one square that takes the picture's mean colour.
        side: side of the view, as a share of the usual one.
        masks: largest stretches of time and of pitch of a sound that are masked, as shares of the usual ones.
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
    masks: float = 1.0

    @property
    def is_identity(self) -> bool:
        """Whether views are the stored items as they are."""
        return self == Preset()

    @property
    def has_geometry(self) -> bool:
        """Whether views are warped."""
        return bool(self.area != (1.0, 1.0) or self.flip or self.degrees or self.shear or self.shift or self.zoom)


PRESETS: dict[str, Preset] = {
    "centre": Preset(),
    "dropout": Preset(shift=1e-9),  # of features: a tenth of the entries is set to zero
    # written signs: a sign stays itself when it leans, shifts or grows, not when it is mirrored
    "glyph": Preset(degrees=15, shear=0.2, shift=0.1, zoom=0.15),
    # sounds as spectrograms; words more so: speakers differ in pitch and tempo, not in what they say
    "sound": Preset(shift=0.05, zoom=0.1),
    "spoken": Preset(shift=0.1, zoom=0.2),
    "stretch": Preset(masks=0.0),  # of sounds: a random stretch of time, and nothing else
    # videos: as photographs, a little weaker
    "video": Preset(area=(0.3, 1.0), aspect=4 / 3, flip=0.5, jitter=(0.4, 0.4, 0.4, 0.1), jitter_p=0.8, grey=0.2),
    # photographs: SimCLR's family (Chen et al., 2020)
    "photo": Preset(area=(0.2, 1.0), aspect=4 / 3, flip=0.5, jitter=(0.4, 0.4, 0.4, 0.1), jitter_p=0.8, grey=0.2, blur=0.2),
    "photo-weak": Preset(area=(0.5, 1.0), aspect=4 / 3, flip=0.5),
    # pictures in which something sounds that may be anywhere: most of it is kept, with its colours
    "scene": Preset(area=(0.5, 1.0), aspect=4 / 3, flip=0.5, jitter=(0.3, 0.3, 0.3, 0.0)),
    # SCAN's third phase, and SwAV's large and small crops
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
    # SeLaVi's: of a video whose short side is 128 to 160 px, a square of 112
    "selavi": Preset(area=(0.49, 0.77), flip=0.5),
    "sela-large": Preset(area=(0.08, 1.0), aspect=4 / 3, flip=0.5, jitter=(0.4, 0.4, 0.4, 0.4), grey=0.2),
}


def view_images(images: Tensor, preset: Preset, key: int, rows: Tensor, px: int | None = None) -> View:
    """A random view of every image.

    Args:
        images: (B, C, H, H) uint8, or floats in [0, 1]; C is 1 or 3.
        preset: how strongly to change them.
        key: from `key_of`, e.g. of (seed, epoch, use).
        rows: (B,) row numbers of the items; with `key` they fix the random numbers.
        px: side of the view; None keeps the stored side.

    Returns:
        A view of (B, C, px, px) float32 pixels in [0, 1]; where the preset's side is not 1, px changes in proportion.
    """
    px = max(1, round(preset.side * (px or images.shape[-1])))
    x = images.float().div_(255) if images.dtype == torch.uint8 else images.float()
    theta = identity(len(x), x)
    if preset.is_identity:
        return View(resize(x, px), theta)
    u = uniforms(key, rows.to(images.device), DRAWS)
    if preset.has_geometry:
        theta = random_geometry(preset, u)
        x = warp(x, theta, (px, px))
    else:
        x = resize(x, px)
    if any(preset.jitter) or preset.grey:
        x = jitter_colour(x, preset, u)
    if preset.blur:
        x = blur(x, u[:, 13] < preset.blur, 0.1 + 1.9 * u[:, 14])
    return View(cut_out(x, preset.cutout, u[:, 16:18]) if preset.cutout else x, theta)


def resize(x: Tensor, px: int) -> Tensor:
    """(B, C, px, px) by antialiased bicubic interpolation."""
    if x.shape[-1] == px:
        return x
    return F.interpolate(x, size=(px, px), mode="bicubic", align_corners=False, antialias=True).clamp_(0, 1)


# --------------------------------------------------------------------------------------------------------- geometry


def random_geometry(p: Preset, u: Tensor) -> Tensor:
    """(B, 2, 3) matrices from view to image coordinates, both in [-1, 1].

    Args:
        p: ranges of crop, flip, rotation, shear, shift and zoom.
        u: (B, 8 or more) uniform random numbers.
    """
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


def warp(x: Tensor, theta: Tensor, size: tuple[int, int], mode: str = "bilinear", outside: str = "border") -> Tensor:
    """Resample images.

    Args:
        x: (B, C, H, W).
        theta: (B, 2, 3) matrices from output to input coordinates, both in [-1, 1].
        size: (height, width) of the output.
        mode: "bilinear" or "nearest".
        outside: what lies outside the image: "border" for the colour of its border, "zeros" for zeros.
    """
    theta = theta.to(x.dtype)
    across = theta[:, :, 0, None] * pixel_centres(size[1], x)
    down = theta[:, :, 1, None] * pixel_centres(size[0], x) + theta[:, :, 2:]
    grid = (across[:, :, None, :] + down[:, :, :, None]).permute(0, 2, 3, 1)  # a third of the time of affine_grid
    return F.grid_sample(x, grid, mode=mode, padding_mode=outside, align_corners=False)


def pixel_centres(n: int, like: Tensor) -> Tensor:
    """(n,) centres of n pixels in [-1, 1]."""
    return (2 * torch.arange(n, device=like.device, dtype=like.dtype) + 1) / n - 1


# ----------------------------------------------------------------------------------------------------------- colour


def jitter_colour(x: Tensor, p: Preset, u: Tensor) -> Tensor:
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


def blur(x: Tensor, subset: Tensor, sigma: Tensor) -> Tensor:
    """Gaussian blur of a subset (B,) bool of the items; sigma (B,) is in pixels at 224 px and shrinks with the view."""
    where = subset.nonzero()[:, 0]
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


def cut_out(x: Tensor, share: float, where: Tensor) -> Tensor:
    """Cutout (DeVries & Taylor, 2017): a square of this share of the side, centred at (B, 2) in [0, 1], takes the mean colour."""
    down, across = ((pixel_centres(n, x) + 1 - 2 * at[:, None]).abs() < share for n, at in zip(x.shape[2:], where.T))
    square = (down[:, :, None] & across[:, None, :])[:, None]
    return torch.where(square, x.mean(dim=(2, 3), keepdim=True), x)
