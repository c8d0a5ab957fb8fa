"""Runs whose items are pieces of files: boxes and masks in photographs, windows of recordings and films."""

import wave

import numpy as np
from PIL import Image

from selflabel.base.rle import encode
from selflabel.items import Piece, Pieces
from selflabel.runs.run import Run
from tests.films import bars, tone, write_film
from tests.run_folders import write_run

TURN = 6  # the EXIF of a camera held upright: to be turned clockwise by 90 degrees
ROUND = np.hypot(*(np.mgrid[:40, :60] - np.array([20, 30])[:, None, None])) < 12

# Rows are not in the order of the files, two files have one name, and one picture lies on its side.
BOXES = [
    ("a/one.png", Piece(box=(3, 2, 17, 12), size=(60, 40)), 0),
    ("turned.jpg", Piece(box=(10, 30, 34, 50), size=(40, 60)), 1),
    ("b/one.png", Piece(box=(0.25, 0.5, 60, 40), size=(60, 40)), 2),
    ("a/one.png", Piece(box=(18, 8, 42, 32), size=(60, 40), mask=encode(ROUND)), 1),
    ("turned.jpg", Piece(box=(0, 0, 7, 60), size=(40, 60), mask=encode(np.eye(60, 40, dtype=bool))), 0),
    ("a/one.png", Piece(box=(3, 2, 17, 12.4), size=(60, 40)), 2),  # its file would have the name of the first one's
    ("whole.png", None, 1),
]


def upright_pixels(path):
    """What a picture of BOXES shows."""
    rng = np.random.default_rng(sum(map(ord, path)))
    height, width = (60, 40) if path == "turned.jpg" else (40, 60)
    blocks = rng.integers(0, 255, (height // 10, width // 10, 3)).astype(np.uint8)
    return blocks.repeat(10, 0).repeat(10, 1)


def write_pictures(folder):
    for path in {path for path, _, _ in BOXES}:
        file, pixels, exif = folder / path, upright_pixels(path), Image.Exif()
        file.parent.mkdir(parents=True, exist_ok=True)
        if path == "turned.jpg":
            exif[0x0112] = TURN
            Image.fromarray(np.rot90(pixels).copy()).save(file, quality=95, subsampling=0, exif=exif)
        else:
            Image.fromarray(pixels).save(file)


def boxes_run(folder, table=BOXES):
    """A run of boxes over pictures below `folder`, three classes."""
    write_pictures(folder / "photos")
    paths, pieces, labels = zip(*table)
    return write_run(folder / "run", folder / "photos", paths, labels, pieces=Pieces.of(pieces))


def write_wav(file, samples_SC, rate):
    """A WAV of 16 bits."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(file), "wb") as out:
        out.setnchannels(samples_SC.shape[1])
        out.setsampwidth(2)
        out.setframerate(rate)
        out.writeframes(samples_SC.astype("<i2").tobytes())


def read_wav(file):
    """((samples, channels) of 16 bits, rate)."""
    with wave.open(str(file)) as read:
        assert read.getsampwidth() == 2
        samples = np.frombuffer(read.readframes(read.getnframes()), "<i2")
        return samples.reshape(-1, read.getnchannels()), read.getframerate()


def noise(seconds, rate, channels):
    return np.random.default_rng(rate).integers(-20_000, 20_000, (round(seconds * rate), channels)).astype(np.int16)


SOUNDS = {"low.wav": (8.0, 8_000, 1), "sub/high.wav": (5.0, 44_100, 2), "all.wav": (1.5, 8_000, 1)}
WINDOWS = [
    ("low.wav", (3.0, 4.5), 0),
    ("sub/high.wav", (0.25, 1.0), 1),
    ("low.wav", (0.0, 1.5), 0),
    ("low.wav", (1.5, 3.0), 1),
    ("low.wav", (4.5, 6.0), 0),
    ("low.wav", (6.0, 8.0), 2),
    ("sub/high.wav", (0.5, 1.25), 1),
    ("sub/high.wav", (3.0, 3.75), 1),
    ("all.wav", None, 2),
]


def windows_run(folder):
    """A run of windows of recordings of 8 kHz and of 44.1 kHz in stereo, three classes; one recording is an item as a whole."""
    for name, (seconds, rate, channels) in SOUNDS.items():
        write_wav(folder / "sounds" / name, noise(seconds, rate, channels), rate)
    paths, spans, labels = zip(*WINDOWS)
    pieces = Pieces.of([span and Piece(span_s=span) for span in spans])
    return write_run(folder / "run", folder / "sounds", paths, labels, {"audio": "sound"}, pieces=pieces)


def film_run(folder):
    """A run of three windows of one film of 3 s with 10 frames a second and sound; the second frame a window is a box, too."""
    (folder / "films").mkdir()
    rng = np.random.default_rng(0)
    write_film(folder / "films" / "a.mp4", bars(30, 0, rng), tone(440, 3.0))
    pieces = [Piece(span_s=(0.0, 1.0)), Piece((1.0, 2.0), (8, 4, 41, 36), (64, 48)), Piece(span_s=(2.0, 3.0))]
    kinds = {"video": "video"}
    return write_run(folder / "run", folder / "films", ["a.mp4"] * 3, [0, 1, 0], kinds, pieces=Pieces.of(pieces))


def confidence(run: Run):
    return run.raw_labels["confidence"].to_numpy().round(4)
