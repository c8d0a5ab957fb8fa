"""Views of videos: some of the stored frames, all under one geometry and one colour change, so that only the video moves."""

from __future__ import annotations

import torch
from torch import Tensor

from selflabel.views.image import Preset, view_images
from selflabel.views.random import uniforms
from selflabel.views.view import View

FRAMES = 8  # frames of a view
TIME = 0x71AE  # mixed into the key for the random numbers of time


def view_clips(
    clips: Tensor,
    preset: Preset,
    key: int,
    rows: Tensor,
    frames: int = FRAMES,
    lengths: Tensor | None = None,
    px: int | None = None,
    window: Tensor | None = None,
) -> View:
    """A random view of every video.

    Args:
        clips: (B, F, 3, H, H) uint8.
        preset: how strongly to change them. The identity shows frames evenly over the whole video; any other preset frames evenly
            over a random half of it or more. With `lengths` the identity shows the middle frames; any other starts anywhere.
        key, rows: fix the random numbers, as in `view_images`.
        frames: frames of the view.
        lengths: (B,) frames before a video repeats. Where they are given, frames follow one another as they are stored.
        px: side of the view; None keeps the stored side.
        window: (B, 2) the shares of the stored video whose frames are shown, evenly; None draws them.

    Returns:
        A view of (B, 3, frames, px, px) float32 pixels in [0, 1].
    """
    B, F = clips.shape[:2]
    u = None if preset.is_identity else uniforms(key ^ TIME, rows.to(clips.device), 2)
    count = min(frames, F)
    if window is not None:
        index, span = frames_within(window.to(clips.device), count, F)
    elif lengths is None:
        index, span = spread_frames(F, count, u)
    else:
        index, span = consecutive_frames(lengths.to(clips.device), count, F, u)
    subset = clips[torch.arange(B, device=clips.device)[:, None], index.to(clips.device).expand(B, -1)]
    repeated = rows.to(clips.device).repeat_interleave(count)
    view = view_images(subset.flatten(0, 1), preset, key, repeated, px)
    pixels = view.pixels.view(B, count, *view.pixels.shape[1:]).transpose(1, 2)
    assert view.theta is not None
    return View(pixels, view.theta[::count], span.to(clips.device).expand(B, 2))


def spread_frames(F: int, count: int, u: Tensor | None) -> tuple[Tensor, Tensor]:
    """Frames evenly over a video, or over a random share of 0.5 to 1 of it.

    Args:
        F: stored frames.
        count: frames of the view.
        u: (B, 2) uniform random numbers; None shows the whole video.

    Returns:
        ((B or 1, count) frame numbers, (B or 1, 2) the span as shares of the video).
    """
    steps = (torch.arange(count) + 0.5) / count
    if u is None:
        return (steps * F).long()[None], torch.tensor([[0.0, 1.0]])
    share = 0.5 + 0.5 * u[:, :1]
    start = u[:, 1:] * (1 - share)
    index = ((start + share * steps.to(u.device)) * F).long().clamp(max=F - 1)
    return index, torch.cat([start, start + share], dim=1)


def frames_within(window: Tensor, count: int, F: int) -> tuple[Tensor, Tensor]:
    """Frames evenly over a window of each video.

    Args:
        window: (B, 2) shares of the stored frames.
        count: frames of the view.
        F: stored frames.

    Returns:
        ((B, count) frame numbers, (B, 2) the span as shares of the stored frames).
    """
    steps = (torch.arange(count, device=window.device) + 0.5) / count
    at = window[:, :1] + (window[:, 1:] - window[:, :1]) * steps
    return (at * F).long().clamp(0, F - 1), window.float()


def consecutive_frames(lengths: Tensor, count: int, F: int, u: Tensor | None) -> tuple[Tensor, Tensor]:
    """Frames that follow one another, from the middle of a video or from a random start. Short videos repeat.

    Args:
        lengths: (B,) frames before a video repeats.
        count: frames of the view.
        F: stored frames.
        u: (B, 2) uniform random numbers; None shows the middle.

    Returns:
        ((B, count) frame numbers, (B, 2) the span as shares of the stored frames).
    """
    spare = (lengths - count).clamp(min=0)
    start = spare // 2 if u is None else (u[:, 1] * (spare + 1)).long().clamp(max=spare)
    span = torch.stack([start, start + count], dim=1).float() / F
    return start[:, None] + torch.arange(count, device=lengths.device), span
