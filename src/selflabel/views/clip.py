"""Views of films: some of the stored frames, all shown under one geometry and one colour, so that only the film moves."""

from __future__ import annotations

import torch
from torch import Tensor

from selflabel.views.image import Preset, show
from selflabel.views.random import uniforms

SHOWN = 8  # frames of a view
TIME = 0x71AE  # mixed into the key for the draws of time


def show_clip(
    clips: Tensor,
    preset: Preset,
    key: int,
    rows: Tensor,
    px: int | None = None,
    shown: int = SHOWN,
    lengths: Tensor | None = None,
) -> Tensor:
    """A view of every film.

    Args:
        clips: (B, F, 3, H, W) uint8.
        preset: a still one sees frames evenly apart over the whole; any other over a random half of it or more. With lengths, a
            still one sees the middle frames; any other starts anywhere.
        key, rows: fix the draws.
        px: side of the view.
        shown: frames of the view.
        lengths: (B,) frames before a film loops; then the view's frames follow one another as they are stored.

    Returns:
        (B, 3, shown, px, px) float32 in [0, 1].
    """
    B, F = clips.shape[:2]
    u = None if preset.is_still else uniforms(key ^ TIME, rows.to(clips.device), 2)
    at = frames_of(F, min(shown, F), u) if lengths is None else in_step(lengths.to(clips.device), min(shown, F), u)
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


def in_step(lengths: Tensor, shown: int, u: Tensor | None) -> Tensor:
    """(B, shown) frames that follow one another: from the middle, or from a random start by draws u (B, 2). Short films loop."""
    spare = (lengths - shown).clamp(min=0)
    start = spare // 2 if u is None else (u[:, 1] * (spare + 1)).long().clamp(max=spare)
    return start[:, None] + torch.arange(shown, device=lengths.device)
