"""What a photograph or a film is made of, before any network has learned: how much of each small pattern is where.

One layer without training (Coates & Ng, 2012, "Learning feature representations with k-means"), with patches of the set itself as
filters, which they found nearly as good (2011, "The importance of encoding versus training"): patches at even
contrast are whitened, compared with FILTERS of them, and what is alike or opposite is summed over quarters of the picture. Its
principal directions are kept, half whitened: the first few of them say how bright a picture is, and would drown the others.

Axes: B pictures, C colours, T frames, K filters, D sums, S sampled patches.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

PX = 32  # side to which pictures shrink
SIDE = 6  # of a patch
FILTERS, QUARTERS, KEPT = 128, 2, 128
PATCHES = 100_000  # sampled
CONTRAST = (10 / 255) ** 2  # added to a patch's variance, so that plain ones stay plain
NOISE = 0.1  # added to the variance of each direction of patches
BLOCK = 16  # pictures or frames at a time


@dataclass(frozen=True)
class Patches:
    """filters (K, C, SIDE, SIDE) and bias (K,) give a whitened patch's likeness to each filter, once divided by the patch's
    spread; what is under the threshold counts nothing. centre (D,), basis (D, KEPT): principal directions.
    """

    filters: Tensor
    bias: Tensor
    threshold: float
    centre: Tensor
    basis: Tensor

    def __call__(self, x: Tensor) -> Tensor:
        """(B, KEPT) of pictures (B, C, H, W) or films (B, C, T, H, W), as they are shown, on the filters' device."""
        return (sums(x, self.filters, self.bias, self.threshold) - self.centre) @ self.basis


def fit_patches(x: Tensor, seed: int = 0) -> Patches:
    """Learn what the patches of these pictures or films are like; a few thousand suffice.

    Args:
        x: (B, C, H, W) or (B, C, T, H, W) in [0, 1].
        seed: of which patches are taken.
    """
    generator = torch.Generator().manual_seed(seed)
    pictures = small(x)
    patches_SP = even(sampled(pictures, generator))
    mean_P, whiten_PP = whitening(patches_SP)
    white_SP = (patches_SP - mean_P) @ whiten_PP
    chosen = torch.randperm(len(white_SP), generator=generator)[:FILTERS]
    own_KP = F.normalize(white_SP[chosen.to(x.device)], dim=1)
    threshold = 0.5 * float((white_SP[:10_000] @ own_KP.T).std())
    raw_KP = own_KP @ whiten_PP  # the same likeness, of patches as they are
    filters = (raw_KP - raw_KP.mean(dim=1, keepdim=True)).view(-1, pictures.shape[1], SIDE, SIDE)
    found_BD = sums(x, filters, raw_KP @ mean_P, threshold)
    centre_D = found_BD.mean(dim=0)
    return Patches(filters, raw_KP @ mean_P, threshold, centre_D, directions(found_BD - centre_D, seed))


def small(x: Tensor) -> Tensor:
    """Pictures, or all frames of films, shrunk to PX and no less than a patch."""
    if x.ndim == 5:
        x = x.transpose(1, 2).flatten(0, 1)
    if min(x.shape[-2:]) < SIDE:
        return F.interpolate(x, size=(SIDE, SIDE))
    return F.adaptive_avg_pool2d(x, (min(PX, x.shape[-2]), min(PX, x.shape[-1])))


def sampled(pictures: Tensor, generator: torch.Generator) -> Tensor:
    """(S, C * SIDE^2) patches, equally many from each picture."""
    B, _, H, W = pictures.shape
    each = max(1, PATCHES // B)
    of = torch.arange(B).repeat_interleave(each)[:, None, None]
    top, left = (torch.randint(n - SIDE + 1, (len(of), 1, 1), generator=generator) for n in (H, W))
    along = torch.arange(SIDE)
    at = (i.to(pictures.device) for i in (of, top + along[:, None], left + along))
    row, down, across = at
    return pictures.permute(0, 2, 3, 1)[row, down, across].permute(0, 3, 1, 2).flatten(1)


def even(patches_SP: Tensor) -> Tensor:
    """Patches about their mean, in their own spread."""
    centred = patches_SP - patches_SP.mean(dim=1, keepdim=True)
    return centred / (centred.square().mean(dim=1, keepdim=True) + CONTRAST).sqrt()


def whitening(patches_SP: Tensor) -> tuple[Tensor, Tensor]:
    """(mean (P,), matrix (P, P)) that take all correlation from patches and leave them what they look like (ZCA)."""
    mean_P = patches_SP.mean(dim=0)
    centred = (patches_SP - mean_P).double()
    values, vectors = torch.linalg.eigh(centred.T @ centred / len(centred))
    return mean_P, (vectors @ torch.diag((values.clamp(min=0) + NOISE).rsqrt()) @ vectors.T).to(patches_SP)


def sums(x: Tensor, filters: Tensor, bias: Tensor, threshold: float) -> Tensor:
    """(B, D) square roots of the likeness and unlikeness to each filter in each quarter, of films the mean over frames."""
    mean = torch.full_like(filters[:1], 1 / filters[0].numel())
    parts = []
    for block in x.split(max(1, BLOCK // (x.shape[2] if x.ndim == 5 else 1))):
        seen = small(block).contiguous(memory_format=torch.channels_last)
        spread = (F.conv2d(seen.square(), mean) - F.conv2d(seen, mean).square()).clamp_(min=0).add_(CONTRAST).sqrt_()
        like = F.conv2d(seen, filters) / spread - bias[:, None, None]
        either = torch.cat([like, -like], dim=1).sub_(threshold).relu_()
        found = F.adaptive_avg_pool2d(either, QUARTERS).flatten(1).sqrt()
        parts.append(found.view(len(block), -1, found.shape[1]).mean(dim=1))
    return torch.cat(parts)


def directions(centred_BD: Tensor, seed: int) -> Tensor:
    """(D, KEPT) principal directions, each divided by the root of its spread."""
    B, D = centred_BD.shape
    kept = min(KEPT, B - 1, D)
    if kept < 1:
        return torch.zeros(D, 1).to(centred_BD)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        _, spread, basis = torch.svd_lowrank(centred_BD, kept, niter=4)
    return basis * (spread / B**0.5).clamp(min=1e-6).rsqrt()
