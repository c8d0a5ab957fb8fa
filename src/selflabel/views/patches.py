"""Patterns of photographs and videos before any network has learned: how much of each small pattern lies where.

One convolutional layer without training (Coates & Ng, 2012, "Learning feature representations with k-means"), with patches of the
set itself as filters, which are nearly as good as learned ones (Coates & Ng, 2011, "The importance of encoding versus training").
Patches at equal contrast are whitened and compared with FILTERS of them; positive and negative similarities are summed over
quarters of the picture. The leading principal directions are kept, half whitened: the first few describe brightness, and would
dominate otherwise.

Axes: B images, C channels, F frames, K filters, D sums, S sampled patches, P values of a patch.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

PX = 32  # side to which images shrink
SIDE = 6  # of a patch
FILTERS, QUARTERS, KEPT = 128, 2, 128
PATCHES = 100_000  # sampled in all
CONTRAST = (10 / 255) ** 2  # added to a patch's variance, so that plain ones stay plain
NOISE = 0.1  # added to the variance of each direction of patches
BLOCK = 16  # images or frames at a time


@dataclass(frozen=True)
class Patches:
    """A fitted layer of patch filters.

    Attributes:
        filters: (K, C, SIDE, SIDE); with `bias`, and over the patch's standard deviation, the similarity of a whitened patch.
        bias: (K,).
        threshold: similarities below it count as zero.
        centre: (D,) mean of the sums.
        basis: (D, KEPT) their principal directions.
    """

    filters: Tensor
    bias: Tensor
    threshold: float
    centre: Tensor
    basis: Tensor

    def __call__(self, x: Tensor) -> Tensor:
        """(B, KEPT) features of images (B, C, H, W) or videos (B, C, F, H, W) in [0, 1], on the filters' device."""
        return (pooled_similarities(x, self.filters, self.bias, self.threshold) - self.centre) @ self.basis


def fit_patches(x: Tensor, seed: int = 0) -> Patches:
    """Fit the layer to images or videos; a few thousand suffice.

    Args:
        x: (B, C, H, W) or (B, C, F, H, W) in [0, 1].
        seed: of the sampled patches.
    """
    generator = torch.Generator().manual_seed(seed)
    images = shrink(x)
    patches_SP = equal_contrast(sample_patches(images, generator))
    mean_P, whiten_PP = whitening(patches_SP)
    white_SP = (patches_SP - mean_P) @ whiten_PP
    subset = torch.randperm(len(white_SP), generator=generator)[:FILTERS]
    own_KP = F.normalize(white_SP[subset.to(x.device)], dim=1)
    threshold = 0.5 * float((white_SP[:10_000] @ own_KP.T).std())
    raw_KP = own_KP @ whiten_PP  # the same similarity, of patches that are not whitened
    filters = (raw_KP - raw_KP.mean(dim=1, keepdim=True)).view(-1, images.shape[1], SIDE, SIDE)
    sums_BD = pooled_similarities(x, filters, raw_KP @ mean_P, threshold)
    centre_D = sums_BD.mean(dim=0)
    return Patches(filters, raw_KP @ mean_P, threshold, centre_D, principal_directions(sums_BD - centre_D, seed))


def shrink(x: Tensor) -> Tensor:
    """Images, or all frames of videos as images, shrunk to PX on a side; never smaller than a patch."""
    if x.ndim == 5:
        x = x.transpose(1, 2).flatten(0, 1)
    if min(x.shape[-2:]) < SIDE:
        return F.interpolate(x, size=(SIDE, SIDE))
    return F.adaptive_avg_pool2d(x, (min(PX, x.shape[-2]), min(PX, x.shape[-1])))


def sample_patches(images: Tensor, generator: torch.Generator) -> Tensor:
    """(S, C * SIDE^2) patches, equally many from each image."""
    B, _, H, W = images.shape
    each = max(1, PATCHES // B)
    of = torch.arange(B).repeat_interleave(each)[:, None, None]
    top, left = (torch.randint(n - SIDE + 1, (len(of), 1, 1), generator=generator) for n in (H, W))
    along = torch.arange(SIDE)
    at = (i.to(images.device) for i in (of, top + along[:, None], left + along))
    row, down, across = at
    return images.permute(0, 2, 3, 1)[row, down, across].permute(0, 3, 1, 2).flatten(1)


def equal_contrast(patches_SP: Tensor) -> Tensor:
    """Patches minus their mean, over their standard deviation."""
    centred = patches_SP - patches_SP.mean(dim=1, keepdim=True)
    return centred / (centred.square().mean(dim=1, keepdim=True) + CONTRAST).sqrt()


def whitening(patches_SP: Tensor) -> tuple[Tensor, Tensor]:
    """(mean (P,), matrix (P, P)) that decorrelate patches (ZCA whitening)."""
    mean_P = patches_SP.mean(dim=0)
    centred = (patches_SP - mean_P).double()
    values, vectors = torch.linalg.eigh(centred.T @ centred / len(centred))
    return mean_P, (vectors @ torch.diag((values.clamp(min=0) + NOISE).rsqrt()) @ vectors.T).to(patches_SP)


def pooled_similarities(x: Tensor, filters: Tensor, bias: Tensor, threshold: float) -> Tensor:
    """(B, D) square roots of positive and negative similarities to each filter in each quarter; of videos their mean."""
    mean = torch.full_like(filters[:1], 1 / filters[0].numel())
    parts = []
    for block in x.split(max(1, BLOCK // (x.shape[2] if x.ndim == 5 else 1))):
        images = shrink(block).contiguous(memory_format=torch.channels_last)
        spread = (F.conv2d(images.square(), mean) - F.conv2d(images, mean).square()).clamp_(min=0).add_(CONTRAST).sqrt_()
        similarity = F.conv2d(images, filters) / spread - bias[:, None, None]
        signs = (similarity - threshold).relu_(), similarity.neg_().sub_(threshold).relu_()
        sums = torch.cat([F.adaptive_avg_pool2d(s, QUARTERS) for s in signs], dim=1).flatten(1).sqrt()
        parts.append(sums.view(len(block), -1, sums.shape[1]).mean(dim=1))
    return torch.cat(parts)


def principal_directions(centred_BD: Tensor, seed: int) -> Tensor:
    """(D, KEPT) principal directions, each over the square root of its standard deviation."""
    B, D = centred_BD.shape
    kept = min(KEPT, B - 1, D)
    if kept < 1:
        return torch.zeros(D, 1).to(centred_BD)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        _, spread, basis = torch.svd_lowrank(centred_BD, kept, niter=4)
    return basis * (spread / B**0.5).clamp(min=1e-6).rsqrt()
