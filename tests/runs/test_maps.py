"""Maps are written a block at a time, whole or not at all, and are read where they lie."""

import shutil

import numpy as np
import pytest
import torch
from torch import nn

from selflabel.base.errors import CannotWrite, UserError
from selflabel.base.settings import make_settings
from selflabel.encoders import make_clip_encoder, make_encoder
from selflabel.jobs.label import label
from selflabel.jobs.maps import stream_maps
from selflabel.runs import maps as maps_module
from selflabel.runs.maps import MapsInfo, read_maps, write_maps
from selflabel.runs.run import Run
from selflabel.training.data import ResidentData
from selflabel.training.distributed import Ranks
from selflabel.training.stored import StoredClips, StoredImages

SHAPE = (7, 3, 4, 5)
VALUES = np.random.default_rng(0).normal(size=SHAPE).astype(np.float32) * np.array([1, 50, 0.01], np.float32)[:, None, None]
INFO = MapsInfo.between(VALUES.min(axis=(0, 2, 3)), VALUES.max(axis=(0, 2, 3)), seconds=1.5, names=("a", "b", "c"))


def blocks(values=VALUES, size=3):
    return [(first, values[first : first + size]) for first in range(0, len(values), size)]


def names(folder):
    return sorted(file.name for file in folder.iterdir())


def test_what_is_read_is_what_was_written_to_within_half_a_step(tmp_path):
    written = write_maps(tmp_path, SHAPE, INFO, reversed(blocks()))
    maps = read_maps(tmp_path, 7)
    assert maps.info == written == INFO and isinstance(maps.bytes, np.memmap) and maps.bytes.dtype == np.uint8
    assert (np.abs(maps.values(slice(0, 7)) - VALUES) <= 0.51 * np.array(INFO.scale)[:, None, None]).all()
    assert np.array_equal(maps.values(np.array([5, 2])), maps.values(slice(None))[[5, 2]])
    assert names(tmp_path) == ["maps"] and names(tmp_path / "maps") == ["maps.npy", "maps.toml"]
    assert read_maps(tmp_path / "elsewhere", 7) is None


def test_what_bytes_do_not_hold_is_clipped_and_counted(tmp_path):
    values = VALUES.copy()
    values[0, 0, 0, :2] = (1e4, -1e4)
    assert write_maps(tmp_path, SHAPE, INFO, blocks(values)).clipped == 2 / VALUES.size
    maps = read_maps(tmp_path, 7)
    assert maps.bytes[0, 0, 0, :2].tolist() == [255, 0] and maps.info.clipped == 2 / VALUES.size


def failing(error):
    yield blocks()[0]
    raise error


@pytest.mark.parametrize(
    ("given", "error"),
    [
        (lambda: failing(KeyboardInterrupt()), KeyboardInterrupt),
        (lambda: failing(OSError(28, "No space left on device")), CannotWrite),
        (lambda: blocks()[:2], ValueError),  # a row is missing
        (lambda: [*blocks(), blocks()[0]], ValueError),  # one comes twice
        (lambda: [(0, VALUES[:, :2])], ValueError),
        (lambda: [(5, VALUES[:3])], ValueError),
        (lambda: blocks(VALUES * np.nan), ValueError),
    ],
)
def test_maps_are_there_whole_or_not_at_all(given, error, tmp_path):
    with pytest.raises(error):
        write_maps(tmp_path, SHAPE, INFO, given())
    assert not names(tmp_path)
    write_maps(tmp_path, SHAPE, INFO, blocks())
    with pytest.raises(error):
        write_maps(tmp_path, SHAPE, INFO, given())
    assert names(tmp_path) == ["maps"] and read_maps(tmp_path, 7).bytes[6].any()  # the old ones stay
    write_maps(tmp_path, SHAPE, INFO, blocks(-VALUES))
    assert names(tmp_path) == ["maps"] and not np.allclose(read_maps(tmp_path, 7).values(slice(7)), VALUES, atol=0.5)


def another_array(folder, array):
    np.save(folder / "maps/maps.npy", array, allow_pickle=array.dtype == object)


def another_line(folder, old, new):
    file = folder / "maps/maps.toml"
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def link(folder):
    shutil.move(folder / "maps/maps.npy", folder / "elsewhere.npy")
    (folder / "maps/maps.npy").symlink_to(folder / "elsewhere.npy")


@pytest.mark.parametrize(
    "damage",
    [
        lambda f: another_array(f, np.zeros((6, 3, 4, 5), np.uint8)),
        lambda f: another_array(f, np.zeros((7, 2, 4, 5), np.uint8)),
        lambda f: another_array(f, np.zeros((7, 3, 20), np.uint8)),
        lambda f: another_array(f, np.zeros((7, 3, 0, 5), np.uint8)),
        lambda f: another_array(f, np.zeros(SHAPE, np.float32)),
        lambda f: another_array(f, np.full(SHAPE, print, object)),
        lambda f: (f / "maps/maps.npy").write_bytes((f / "maps/maps.npy").read_bytes()[:-1]),
        lambda f: (f / "maps/maps.npy").unlink(),
        lambda f: (f / "maps/maps.toml").unlink(),
        lambda f: (f / "maps/maps.toml").write_text("offset = ["),
        lambda f: another_line(f, "frames = 1", "frames = 3"),
        lambda f: another_line(f, "frames = 1", "frames = 0"),
        lambda f: another_line(f, "frames = 1", "frames = 1.5"),
        lambda f: another_line(f, '"square"', '"round"'),
        lambda f: another_line(f, "seconds = 1.5", "seconds = nan"),
        lambda f: another_line(f, "seconds = 1.5", "seconds = -1"),
        lambda f: another_line(f, '    "c",\n', ""),
        lambda f: another_line(f, "scale = [", "scale = [\n    0.0,"),
        lambda f: another_line(f, "offset = [", 'offset = [\n    "x",'),
        link,
    ],
)
def test_maps_that_no_run_wrote_are_refused_in_one_sentence(damage, tmp_path):
    write_maps(tmp_path, SHAPE, INFO, blocks())
    damage(tmp_path)
    with pytest.raises(UserError) as refused:
        read_maps(tmp_path, 7)
    assert "maps/maps." in str(refused.value) and "\n" not in str(refused.value) and str(refused.value).endswith(".")


def test_a_run_has_the_maps_of_its_items(tmp_path):
    x = np.random.default_rng(0).normal(size=(7, 4)).astype(np.float32)
    label(make_settings(source="array", clusters=2, epochs=1, method="kmeans", device="cpu"), tmp_path / "run", data=x)
    run = Run.open(tmp_path / "run")
    assert run.maps is None
    write_maps(run.folder, SHAPE, INFO, blocks())
    assert run.maps.bytes.shape == SHAPE
    write_maps(run.folder, (6, 3, 4, 5), INFO, blocks(VALUES[:6]))
    with pytest.raises(UserError, match=r"of the shape \(6, 3, 4, 5\), and the run needs \(7, 3, h, w\)"):
        run.maps  # noqa: B018


def test_an_encoders_maps_are_streamed_a_block_at_a_time(tmp_path, monkeypatch):
    g = torch.Generator().manual_seed(0)
    images = StoredImages(torch.randint(0, 255, (300, 1, 16, 16), dtype=torch.uint8, generator=g), "glyph", px=16)
    clips = StoredClips(torch.randint(0, 255, (5, 6, 3, 16, 16), dtype=torch.uint8, generator=g), "video", frames=4)
    for modality, stored, make in (
        ("image", images, lambda: make_encoder("resnet9", 1, 16)),
        ("video", clips, lambda: make_clip_encoder("clip9", 16, 4)),
    ):
        data = ResidentData({modality: stored}, torch.device("cpu"), Ranks(), 0)
        torch.manual_seed(0)
        data.encoders = nn.ModuleDict({modality: make()})
        sizes, to_bytes = [], maps_module.to_bytes
        monkeypatch.setattr(maps_module, "to_bytes", lambda v, i, s=sizes, f=to_bytes: s.append(len(v)) or f(v, i))
        info = stream_maps(tmp_path / modality, data, modality)
        maps = read_maps(tmp_path / modality, stored.n_items)
        expected = torch.cat([block.maps[modality] for _, block in data.blocks(maps=True)])
        found = torch.from_numpy(maps.values(slice(None))).view(expected.shape)
        assert max(sizes) <= data.eval_batch() and sum(sizes) == stored.n_items
        steps = torch.tensor(info.scale).view(-1, *[1] * (expected.ndim - 2))
        assert info.clipped < 0.001 and ((found - expected).abs() <= 0.6 * steps).float().mean() > 0.999
        assert info.frames == (expected.shape[2] if modality == "video" else 1)
        monkeypatch.undo()
