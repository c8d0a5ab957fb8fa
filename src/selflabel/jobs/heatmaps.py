"""Heatmaps of a set by a trained localiser: of every picture with its sound, or with another one, or with silence.

Of a film FRAMES frames have one each, with the sound around each.

Axes: B items of a block, C channels, D features, F frames, h x w places.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from selflabel.contract import Features, Localiser
from selflabel.training.data import ResidentData
from selflabel.views import Window

FRAMES = 8  # of a film, evenly over the seconds that have picture and sound
SILENCE = -1  # as the row of a sound


@dataclass(frozen=True)
class Heat:
    """Heatmaps of a block of items.

    Attributes:
        maps: (B, C, F, h, w) in [0, 1], on the CPU; one frame of a picture.
        places: (B, D, F, h, w) features of the pictures' places, on the CPU.
        spans_s: (B, F, 2) float64 seconds of the film that each frame stands for; NaN where picture and sound share none, and
            of pictures.
    """

    maps: Tensor
    places: Tensor
    spans_s: Tensor


@torch.no_grad()
def heat_of(method: Localiser, data: ResidentData, rows: Tensor, sounds: Tensor | None = None) -> Heat:
    """The heatmaps of some items.

    Args:
        method: trained, in eval mode.
        data: the set, on one rank.
        rows: (B,) items whose pictures are shown.
        sounds: (B,) items whose sounds are heard, or SILENCE; None hears each item's own.
    """
    heard = rows if sounds is None else sounds
    if method.pictures != "video":
        maps, places = heat_of_view(method, data, rows, heard, None, None)
        return Heat(maps[:, :, None], places[:, :, None], torch.full((len(rows), 1, 2), torch.nan, dtype=torch.float64))
    frames, around = frame_windows(data, rows, method.hears)
    _, around_heard = (frames, around) if sounds is None else frame_windows(data, heard.clamp(min=0), method.hears)
    parts = [heat_of_view(method, data, rows, heard, f, a) for f, a in zip(frames, around_heard)]
    maps, places = (torch.stack(x, dim=2) for x in zip(*parts))
    return Heat(maps, places, torch.stack([f.span_s for f in frames], dim=1))


def heat_of_view(
    method: Localiser, data: ResidentData, rows: Tensor, heard: Tensor, frame: Window | None, around: Window | None
) -> tuple[Tensor, Tensor]:
    """((B, C, h, w) heatmaps, (B, D, h, w) features of places) of one view.

    Args:
        method, data, rows, heard: as in `heat_of`.
        frame, around: of films, the windows that are shown of the pictures and of the sounds; None of pictures.
    """
    pictures = data.view(method.pictures, rows, "centre", 0, frame).pixels
    views = {method.pictures: pictures}
    if method.hears:
        sounds = data.view("audio", heard.clamp(min=0), "centre", 0, around).pixels
        sounds[heard.to(sounds.device) == SILENCE] = 0  # a spectrogram in which nothing is above its floor
        views["audio"] = sounds
    with data.autocast():
        maps = {m: method.encoders[m].map(x) for m, x in views.items()}  # type: ignore[operator]
        heat = method.heatmaps(Features({}, {}, maps))
    places = maps[method.pictures]
    return heat.float().cpu(), (places[:, :, 0] if places.ndim == 5 else places).float().cpu()


def frame_windows(data: ResidentData, rows: Tensor, hears: bool) -> tuple[list[Window], list[Window]]:
    """Of films, the FRAMES stretches that frames stand for, and the seconds of sound around the middle of each.

    Args:
        data, rows: as in `heat_of`.
        hears: whether the sound matters; else all seconds of the picture are taken.
    """
    common = data.window(("video", "audio") if hears else ("video",), rows, None, whole=True).span_s
    start, length = common[:, :1], common[:, 1:] - common[:, :1]
    heard_s = data.stored["audio"].window_s if hears else 0.0
    assert heard_s is not None
    frames, around = [], []
    for i in range(FRAMES):
        slot = start + length * torch.tensor([[i, i + 1]], dtype=torch.float64) / FRAMES
        first = (slot.mean(dim=1, keepdim=True) - heard_s / 2).clamp(max=common[:, 1:] - heard_s)
        first = torch.maximum(first, start)
        frames.append(Window(slot, heard_s))
        around.append(Window(torch.cat([first, torch.minimum(first + heard_s, common[:, 1:])], dim=1), heard_s))
    return frames, around
