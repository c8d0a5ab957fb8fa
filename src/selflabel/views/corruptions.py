"""Corruptions of stored items, from mild to strong, to measure how robust a finished run's labels are.

Images and videos are corrupted as they are stored (uint8; the last three axes are channels, height and width), sounds as int16
waves. Every corruption takes (items, their row numbers, a level).
"""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from selflabel.views.random import uniforms

NOISE = 0x4015E  # mixed into the key for the noise's random numbers


def compress(x: Tensor, rows: Tensor, quality: int) -> Tensor:
    """Encode as JPEG of this quality (1 to 100) and decode again."""
    from PIL import Image

    flat = x.reshape(-1, *x.shape[-3:]).permute(0, 2, 3, 1).cpu().numpy()
    decoded = []
    for picture in flat:
        data = io.BytesIO()
        Image.fromarray(picture[:, :, 0] if picture.shape[2] == 1 else picture).save(data, "JPEG", quality=quality)
        decoded.append(np.asarray(Image.open(data)).reshape(picture.shape))
    return torch.from_numpy(np.stack(decoded)).permute(0, 3, 1, 2).reshape(x.shape).to(x.device)


def blur(x: Tensor, rows: Tensor, sigma: float) -> Tensor:
    """Gaussian blur; sigma is a share of the height."""
    from torchvision.transforms.functional import gaussian_blur

    width = sigma * x.shape[-2]
    radius = min(2 * round(2 * width) + 1, 2 * (min(x.shape[-2:]) - 1) - 1)
    return gaussian_blur(x.reshape(-1, *x.shape[-3:]), max(3, radius), width).reshape(x.shape)


def low_pass(x: Tensor, rows: Tensor, share: float) -> Tensor:
    """Remove the frequencies above this share of the band."""
    spectrum = torch.fft.rfft(x.float(), dim=1)
    spectrum[:, round(share * spectrum.shape[1]) :] = 0
    return torch.fft.irfft(spectrum, x.shape[1], dim=1).clamp(-32768, 32767).to(x.dtype)


def add_noise(x: Tensor, rows: Tensor, decibels: float) -> Tensor:
    """Add white noise at this signal-to-noise ratio; an item's noise is always the same."""
    rms = x.float().square().mean(dim=1, keepdim=True).sqrt()
    u = uniforms(NOISE, rows.to(x.device), x.shape[1])
    noise = (u - 0.5) * 12**0.5 * rms * 10 ** (-decibels / 20)
    return (x.float() + noise).clamp(-32768, 32767).to(x.dtype)


# name in the report: (function, name of the level to its value), mild levels first
PICTURE_CORRUPTIONS: dict[str, tuple[Callable[..., Tensor], dict[str, float]]] = {
    "compressed": (compress, {f"JPEG {q}": q for q in (50, 20, 10, 5, 2)}),
    "blurred": (blur, {f"sigma {s:.0%}": s for s in (0.02, 0.04, 0.08, 0.16)}),
}
SOUND_CORRUPTIONS: dict[str, tuple[Callable[..., Tensor], dict[str, float]]] = {
    "muffled": (low_pass, {f"1/{n} of the band": 1 / n for n in (2, 4, 8, 16)}),
    "noisy": (add_noise, {f"{d} dB": d for d in (20, 10, 5, 0, -5)}),
}
DROP_SHARES = (0.25, 0.5, 0.75, 1.0)  # shares of the items that lose the modality
