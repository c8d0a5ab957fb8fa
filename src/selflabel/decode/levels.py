"""The level of a sound: what mixing, 16 bits and resampling would lose is levelled first. Imports no torch.

Very quiet sounds are made louder, a constant offset is taken away, floats far above full scale are made quieter, and of two
channels that cancel one another the louder one is heard.
"""

from __future__ import annotations

from typing import Any

import numpy as np

QUIET = 1e-3  # of full scale: a wave that never rises above it is made louder
LEVEL = 0.5  # of full scale, to which it is
SILENT_STEPS = 4  # of 16 bits, or of FINE_STEP: a wave that moves by less is silent
FINE_STEP = 2.0**-20  # of samples of more than 16 bits, as they are stored
FINE_FORMATS = ("s32", "s32p", "flt", "dbl", "dblp")  # lossy codecs decode to "fltp"
CANCELLED = 0.05  # share of a channel's power: a mix of two channels that keeps less has lost the sound
CLIPPED = 2.0  # times full scale: floats up to it are clipped, louder ones made quieter
FULL_SCALE = 32768
FEW = 1024  # samples of a span, evenly spread, by which an offset is seen
LOOKED_AT = 4096  # samples of a wave, evenly spread, by which its level is judged
TYPES = {"u8": np.uint8, "s16": np.int16, "s32": np.int32, "flt": np.float32, "dbl": np.float64}
LEVELS = {"u8": 128.0, "s16": 2.0**15, "s32": 2.0**31, "flt": 1.0, "dbl": 1.0}  # of full scale


def channels_of(frame: Any) -> list[np.ndarray]:
    """The samples of every channel as they are stored, without a copy."""
    kind, n = TYPES[frame.format.name.removesuffix("p")], frame.layout.nb_channels
    if frame.format.is_planar:
        return [np.frombuffer(plane, kind)[: frame.samples] for plane in frame.planes]
    values = np.frombuffer(frame.planes[0], kind)[: frame.samples * n]
    return [values[c::n] for c in range(n)]


def sparse(wave: np.ndarray) -> np.ndarray:
    """LOOKED_AT samples of a wave (S,) or a few more, or all."""
    return wave[:: max(1, len(wave) // LOOKED_AT)]


def is_plain(wave: np.ndarray, channels: list[np.ndarray]) -> bool:
    """Whether a wave (S,) of int16 is that of its channels: not quiet, without a large offset, neither cancelled nor clipped."""
    if len(wave) == 0:
        return True
    if max(int(wave.max()), -int(wave.min())) < QUIET * FULL_SCALE:
        return False
    part = sparse(wave).astype(np.float32)
    return abs(part.mean()) <= part.std() and not is_clipped(channels) and not are_cancelled(channels)


def is_clipped(channels: list[np.ndarray]) -> bool:
    """Whether floats are far above full scale."""
    return channels[0].dtype.kind == "f" and any(float(np.abs(sparse(c)).max(initial=0)) > CLIPPED for c in channels)


def are_cancelled(channels: list[np.ndarray]) -> bool:
    """Whether the mix of two channels loses most of their power."""
    if len(channels) != 2:
        return False
    left, right = (sparse(c).astype(np.float64) for c in channels)
    left, right = left - left.mean(), right - right.mean()
    return bool(np.square((left + right) / 2).mean() < CANCELLED * max(np.square(left).mean(), np.square(right).mean()))


def levelled_wave(frame: Any, channels: list[np.ndarray]) -> Any:
    """A mono frame of floats without offset, at LEVEL where it was very quiet or too loud; zeros where nothing moves."""
    import av

    name = frame.format.name.removesuffix("p")
    waves = np.stack([np.nan_to_num(c.astype(np.float64), posinf=0, neginf=0) for c in channels]) / LEVELS[name]
    waves -= waves.mean(axis=1, keepdims=True)
    wave = waves[np.square(waves).mean(axis=1).argmax()] if are_cancelled(list(waves)) else waves.mean(axis=0)
    step = step_of(frame.format.name)
    peak = float(np.abs(wave).max())
    if np.ptp(wave) < SILENT_STEPS * step:
        wave = np.zeros_like(wave)
    elif peak < QUIET or peak > CLIPPED:
        wave *= LEVEL / peak
    mono = av.AudioFrame.from_ndarray(wave[None].astype(np.float32), format="fltp", layout="mono")
    mono.sample_rate = frame.sample_rate
    return mono


def resample(frame: Any, rate: int) -> np.ndarray:
    """(S,) int16 mix of a frame's channels at a rate."""
    import av

    resampler = av.AudioResampler(format="s16", layout="mono", rate=rate)
    out = [*resampler.resample(frame), *resampler.resample(None)]
    return np.concatenate([part.to_ndarray()[0] for part in out]) if out else np.zeros(0, np.int16)


def step_of(name: str) -> float:
    """The smallest step of a sample of this format of FFmpeg, of full scale."""
    return FINE_STEP if name in FINE_FORMATS else 1 / FULL_SCALE


def to_int16(wave: np.ndarray, step: float) -> np.ndarray:
    """(S,) int16 of a mono wave (S,) of floats, levelled where it has to be; zeros where nothing moves.

    Args:
        wave: as it was mixed and resampled, in units of full scale.
        step: of the samples as they were stored.
    """
    if len(wave) == 0:
        return np.zeros(0, np.int16)
    peak = max(float(wave.max()), -float(wave.min()))
    if not np.isfinite(peak):
        return to_int16(np.nan_to_num(wave, posinf=0, neginf=0), step)
    part = wave[:: max(1, len(wave) // FEW)]
    if peak < QUIET or peak > CLIPPED or abs(part.mean()) > part.std():
        wave = wave - wave.mean()
        peak = float(np.abs(wave).max())
        if np.ptp(wave) < SILENT_STEPS * step:
            return np.zeros(len(wave), np.int16)
        if peak < QUIET or peak > CLIPPED:
            wave = wave * (LEVEL / peak)
    whole = np.rint(wave * np.float32(FULL_SCALE))
    if peak * FULL_SCALE > FULL_SCALE - 1:
        np.clip(whole, -FULL_SCALE, FULL_SCALE - 1, out=whole)
    return whole.astype(np.int16)
