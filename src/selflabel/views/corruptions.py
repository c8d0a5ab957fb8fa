"""Ways to spoil stored items, from mildly to badly, to see how a finished run bears them: pictures and films as they are decoded
(uint8, the last three axes colours, height and width) and sounds (int16 waves). All take (items, their rows, a level).
"""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from selflabel.views.random import uniforms

NOISE = 0x4015E  # mixed into the key for the draws of noise


def compressed(x: Tensor, rows: Tensor, quality: int) -> Tensor:
    """As JPEG of this quality (1 to 100) gives it back."""
    from PIL import Image

    flat = x.reshape(-1, *x.shape[-3:]).permute(0, 2, 3, 1).cpu().numpy()
    made = []
    for picture in flat:
        bytes_ = io.BytesIO()
        Image.fromarray(picture[:, :, 0] if picture.shape[2] == 1 else picture).save(bytes_, "JPEG", quality=quality)
        made.append(np.asarray(Image.open(bytes_)).reshape(picture.shape))
    return torch.from_numpy(np.stack(made)).permute(0, 3, 1, 2).reshape(x.shape).to(x.device)


def blurred(x: Tensor, rows: Tensor, sigma: float) -> Tensor:
    """Under a Gaussian whose sigma is this share of the height."""
    from torchvision.transforms.functional import gaussian_blur

    wide = sigma * x.shape[-2]
    reach = min(2 * round(2 * wide) + 1, 2 * (min(x.shape[-2:]) - 1) - 1)
    return gaussian_blur(x.reshape(-1, *x.shape[-3:]), max(3, reach), wide).reshape(x.shape)


def muffled(x: Tensor, rows: Tensor, share: float) -> Tensor:
    """Without the frequencies above this share of those it has."""
    spectrum = torch.fft.rfft(x.float(), dim=1)
    spectrum[:, round(share * spectrum.shape[1]) :] = 0
    return torch.fft.irfft(spectrum, x.shape[1], dim=1).clamp(-32768, 32767).to(x.dtype)


def noisy(x: Tensor, rows: Tensor, decibels: float) -> Tensor:
    """Under white noise so far below the sound's own power (above it, where negative); an item's noise is always the same."""
    loud = x.float().square().mean(dim=1, keepdim=True).sqrt()
    u = uniforms(NOISE, rows.to(x.device), x.shape[1])
    hiss = (u - 0.5) * 12**0.5 * loud * 10 ** (-decibels / 20)
    return (x.float() + hiss).clamp(-32768, 32767).to(x.dtype)


# way to (function, level as shown to level as taken), mild ones first
PICTURES: dict[str, tuple[Callable[..., Tensor], dict[str, float]]] = {
    "compressed": (compressed, {f"JPEG {q}": q for q in (50, 20, 10, 5, 2)}),
    "blurred": (blurred, {f"sigma {s:.0%}": s for s in (0.02, 0.04, 0.08, 0.16)}),
}
SOUNDS: dict[str, tuple[Callable[..., Tensor], dict[str, float]]] = {
    "muffled": (muffled, {f"1/{n} of the band": 1 / n for n in (2, 4, 8, 16)}),
    "noisy": (noisy, {f"{d} dB": d for d in (20, 10, 5, 0, -5)}),
}
DROPPED = (0.25, 0.5, 0.75, 1.0)  # of the items lose the modality
