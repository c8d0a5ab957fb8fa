"""Pictures of two things side by side, one of which sounds: discs and squares of six colours, each with its tone."""

import csv

import numpy as np
from PIL import Image, ImageDraw
from scipy.io import wavfile

from tests.films import tone, write_film

THINGS = {  # colour to the hertz of its tone
    "crimson": 300, "royalblue": 2500, "forestgreen": 700, "gold": 1500, "purple": 4000, "black": 6000,
}  # fmt: skip


def picture(rng, order, size=(120, 80)):
    """((H, W, 3) picture, name to box) of the two things, the first named one on the left."""
    w, h = size
    image = Image.fromarray(rng.normal(150, 6, (h, w, 3)).clip(0, 255).astype(np.uint8))
    draw, boxes = ImageDraw.Draw(image), {}
    for name, left in zip(order, (0, w // 2)):
        x, y, side = left + int(rng.integers(2, w // 2 - 34)), int(rng.integers(2, h - 34)), 30
        boxes[name] = (x, y, x + side, y + side)
        (draw.ellipse if THINGS[name] < 2000 else draw.rectangle)(boxes[name], fill=name)
    return np.asarray(image), boxes


def write_scenes(folder, n=8, seed=0, films=False):
    """n pictures with a sound of the same name each, or films; path to (box of what sounds, box of what does not)."""
    rng, boxes = np.random.default_rng(seed), {}
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(n):
        order = rng.permutation(list(THINGS))[:2].tolist()
        sounding = order[int(rng.integers(2))]
        pixels, found = picture(rng, order)
        wave = tone(THINGS[sounding] * rng.uniform(0.95, 1.05), 2.0, rng=rng)
        if films:
            write_film(folder / f"{i:03d}.mp4", np.repeat(pixels[None], 20, axis=0), wave)
        else:
            Image.fromarray(pixels).save(folder / f"{i:03d}.png")
            wavfile.write(folder / f"{i:03d}.wav", 16_000, wave)
        silent = next(name for name in order if name != sounding)
        boxes[f"{i:03d}.{'mp4' if films else 'png'}"] = (found[sounding], found[silent])
    return boxes


def skipped_in(folder):
    return {row["path"]: row["reason"] for row in csv.DictReader((folder / "skipped.csv").open())}
