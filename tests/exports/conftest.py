"""Runs to export: photographs in sub-folders, arrays, tar shards, films, sounds and bare features."""

import tarfile

import numpy as np
import pytest
from PIL import Image

from selflabel.edits import Merge, Move, Name, Reject, append, make_split
from tests.films import bars, tone, write_film
from tests.run_folders import write_run

N = 40
LABELS = np.arange(N) % 4


def photo(rng, i):
    """A picture of its own size and colour, so that it differs from all others."""
    pixels = np.full((20 + i % 3, 30 + i % 5, 3), (6 * i, 250 - 6 * i, 40), np.uint8)
    pixels[::4, :, 2] = rng.integers(0, 255)
    return Image.fromarray(pixels)


def write_photos(folder, n=N):
    """Two sub-folders whose files have the same names, among them names that mean something elsewhere; their paths."""
    rng = np.random.default_rng(0)
    names = [f"{half}/{name}" for half in ("a", "b") for name in ("test-1.png", "train 2.jpg", "<b>3&.png", "ü 4.png")]
    names += [f"{half}/{i:02d}.{ending}" for half, ending in (("a", "jpg"), ("b", "png")) for i in range(n // 2 - 4)]
    for i, name in enumerate(sorted(names)):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        photo(rng, i).save(folder / name)
    return sorted(names)


@pytest.fixture
def photos(tmp_path):
    """A run over 40 photographs in four clusters, without edits."""
    paths = write_photos(tmp_path / "photos")
    return write_run(tmp_path / "run", tmp_path / "photos", paths, LABELS)


EDITS = [
    Name(cluster=0, name="cats/dogs"),
    Name(cluster=1, name='<i>&"é"'),
    Merge(clusters=[2, 3], into=3),
    Move(items=[4], to=1),
    Reject(items=[5, 6]),
]
EDITED = np.where(LABELS == 2, 3, LABELS)
EDITED[4], EDITED[[5, 6]] = 1, -1
KEPT = np.flatnonzero(EDITED >= 0)
NAMES = {0: "cats/dogs", 1: '<i>&"é"', 3: "cluster-003"}


@pytest.fixture
def edited(photos):
    """The same run after a person worked on it: its labels are EDITED and its names NAMES."""
    for edit in EDITS:
        append(photos.folder, edit)
    return photos


@pytest.fixture
def split_run(photos):
    """The same run with cluster 0 split by its features; (run, the split)."""
    split = make_split(0, photos.features, np.flatnonzero(LABELS == 0), 2, range(4))
    append(photos.folder, split)
    return photos, split


@pytest.fixture
def arrays(tmp_path):
    """A run over an .npz of grey pictures."""
    x = np.random.default_rng(0).integers(0, 255, (N, 9, 7)).astype(np.uint8)
    np.savez(tmp_path / "x.npz", x=x)
    return write_run(tmp_path / "run-arrays", tmp_path / "x.npz", [f"row:{i:06d}" for i in range(N)], LABELS)


@pytest.fixture
def shards(tmp_path):
    """A run over two tar shards."""
    folder = tmp_path / "for-tars"
    names = write_photos(folder)
    for shard in (0, 1):
        with tarfile.open(tmp_path / f"s{shard}.tar", "w") as tar:
            for name in names[shard::2]:
                tar.add(folder / name, name)
    paths = [f"s{shard}.tar/{name}" for shard in (0, 1) for name in names[shard::2]]
    return write_run(tmp_path / "run-shards", tmp_path / "s*.tar", paths, LABELS)


@pytest.fixture
def films(tmp_path):
    """A run over six films."""
    rng = np.random.default_rng(0)
    (tmp_path / "films").mkdir()
    for i in range(6):
        write_film(tmp_path / "films" / f"{i}.mp4", bars(4, i % 2, rng), tone(440, 0.4))
    kinds = {"video": "video", "audio": "sound"}
    return write_run(tmp_path / "run-films", tmp_path / "films", [f"{i}.mp4" for i in range(6)], np.arange(6) % 2, kinds)


@pytest.fixture
def sounds(tmp_path):
    """A run over six sounds."""
    (tmp_path / "sounds").mkdir()
    for i in range(6):
        write_film(tmp_path / "sounds" / f"{i}.wav", wave=tone(300 + 100 * i, 0.2), sound="pcm_s16le")
    return write_run(
        tmp_path / "run-sounds", tmp_path / "sounds", [f"{i}.wav" for i in range(6)], np.arange(6) % 2, {"audio": "sound"}
    )


@pytest.fixture
def features(tmp_path, blobs):
    """A run over bare features."""
    x, truth = blobs(n=30)
    np.save(tmp_path / "f.npy", x)
    return write_run(tmp_path / "run-f", tmp_path / "f.npy", [f"row:{i:06d}" for i in range(30)], truth, {"image": "features"}, x)
