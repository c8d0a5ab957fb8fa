"""Real films and sounds, written by PyAV: a bar that moves, a tone that sounds."""

from fractions import Fraction

import av
import numpy as np

RATE = 16_000


def tone(hertz, seconds, rate=RATE, loud=0.3, rng=None):
    t = np.arange(round(seconds * rate)) / rate
    wave = loud * np.sin(2 * np.pi * hertz * t)
    if rng is not None:
        wave = wave + 0.01 * rng.standard_normal(len(wave))
    return (wave * 32767).astype(np.int16)


def bars(frames, kind, rng, size=(48, 64)):
    """(frames, H, W, 3) of a bar that wanders across (kind 0) or down (kind 1)."""
    h, w = size
    film = np.full((frames, h, w, 3), 30, np.uint8)
    start = int(rng.integers(0, 20))
    for i in range(frames):
        at = (start + 2 * i) % ((w if kind == 0 else h) - 8)
        if kind == 0:
            film[i, :, at : at + 8] = (220, 200, 90)
        else:
            film[i, at : at + 8] = (80, 160, 230)
    return film


def write_film(path, frames=None, wave=None, fps=10, codec="mpeg4", sound="aac", rate=RATE, sound_starts_s=0.0, gop_size=12):
    """A file with a picture track, a sound track, or both. gop_size: frames from one key frame to the next, at most."""
    with av.open(str(path), "w") as out:
        if frames is not None:
            video = out.add_stream(codec, rate=fps)
            video.height, video.width, video.pix_fmt = frames.shape[1], frames.shape[2], "yuv420p"
            video.codec_context.gop_size = gop_size
        if wave is not None:
            audio = out.add_stream(sound, rate=rate)
            audio.layout = "mono"
        if frames is not None:
            for picture in frames:
                out.mux(video.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
            out.mux(video.encode(None))
        if wave is not None:
            first = round(sound_starts_s * rate)
            for at in range(0, len(wave), 1024):
                frame = av.AudioFrame.from_ndarray(wave[None, at : at + 1024], format="s16", layout="mono")
                frame.sample_rate, frame.pts, frame.time_base = rate, at + first, Fraction(1, rate)
                out.mux(audio.encode(frame))
            out.mux(audio.encode(None))
    return path


def grey_film(path, levels, times_s):
    """A film of plain frames, each shown at its own time."""
    with av.open(str(path), "w") as out:
        stream = out.add_stream("mpeg4", rate=25)
        stream.height, stream.width, stream.pix_fmt = 32, 32, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        for level, at in zip(levels, times_s):
            frame = av.VideoFrame.from_ndarray(np.full((32, 32, 3), level, np.uint8), format="rgb24")
            frame.pts, frame.time_base = round(1000 * at), Fraction(1, 1000)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


def write_set(folder, n=24, seconds=1.2, seed=0):
    """n films of two kinds, each with its picture and its tone; the truth."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    kinds = rng.integers(0, 2, n)
    for i, kind in enumerate(kinds):
        wave = tone((400, 1500)[kind] * rng.uniform(0.95, 1.05), seconds, rng=rng)
        write_film(folder / f"{i:03d}.mp4", bars(round(10 * seconds), kind, rng), wave)
    return kinds
