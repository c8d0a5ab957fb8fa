"""Views of films: some of the stored frames, all shown under one geometry and one colour, so that only the film moves."""

from __future__ import annotations

import torch
from torch import Tensor

from selflabel.views.image import Preset, show
from selflabel.views.random import uniforms

SHOWN = 8  # frames of a view
TIME = 0x71AE  # mixed into the key for the draws of time


def show_clip(clips: Tensor, preset: Preset, key: int, rows: Tensor, px: int | None = None, shown: int = SHOWN) -> Tensor:
    """A view of every film.

    Args:
        clips: (B, F, 3, H, W) uint8.
        preset: a still one sees frames evenly apart over the whole; any other over a random half of it or more.
        key, rows: fix the draws.
        px: side of the view.
        shown: frames of the view.

    Returns:
        (B, 3, shown, px, px) float32 in [0, 1].
    """
    B, F = clips.shape[:2]
    at = frames_of(F, min(shown, F), None if preset.is_still else uniforms(key ^ TIME, rows.to(clips.device), 2))
    chosen = clips[torch.arange(B, device=clips.device)[:, None], at.to(clips.device).expand(B, -1)]
    T = chosen.shape[1]
    seen = show(chosen.flatten(0, 1), preset, key, rows.to(clips.device).repeat_interleave(T), px)
    return seen.view(B, T, *seen.shape[1:]).transpose(1, 2)


def frames_of(F: int, shown: int, u: Tensor | None) -> Tensor:
    """(B or 1, shown) frames: evenly apart; with draws u (B, 2), over a share of 0.5 to 1 of the film from a random start."""
    steps = (torch.arange(shown) + 0.5) / shown
    if u is None:
        return (steps * F).long()[None]
    share = 0.5 + 0.5 * u[:, :1]
    start = u[:, 1:] * (1 - share)
    return ((start + share * steps.to(u.device)) * F).long().clamp(max=F - 1)
