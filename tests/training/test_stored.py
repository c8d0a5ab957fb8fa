"""Every kind of stored items gives views of its own shape, which belong to the item."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from selflabel.training.stored import StoredClips, StoredFeatures, StoredImages, StoredSounds, resident
from selflabel.views import PRESETS

N, CPU = 7, torch.device("cpu")
g = torch.Generator().manual_seed(0)

IMAGES = StoredImages(torch.randint(0, 255, (N, 3, 20, 20), dtype=torch.uint8, generator=g), "photo", px=16)
CLIPS = StoredClips(torch.randint(0, 255, (N, 12, 3, 16, 16), dtype=torch.uint8, generator=g), "video", frames=4)
SOUNDS = StoredSounds(torch.randint(-9000, 9000, (N, 16000), dtype=torch.int16, generator=g), "sound", rate=4000)
FEATURES = StoredFeatures(torch.randn(N, 50, generator=g), "features")
KINDS = [
    (IMAGES, (3, 16, 16), "photo"),
    (CLIPS, (3, 4, 16, 16), "video"),
    (SOUNDS, (1, 64), "sound"),
    (FEATURES, (50,), "dropout"),
]
every_kind = pytest.mark.parametrize(("stored", "shape", "preset"), KINDS, ids=[type(kind[0]).__name__ for kind in KINDS])


@every_kind
def test_a_view_has_the_kinds_shape_geometry_and_span(stored, shape, preset):
    for name in (preset, "centre"):
        view = stored.view(torch.arange(N), name, 5, CPU)
        assert view.pixels.shape[: 1 + len(shape)] == (N, *shape) and view.pixels.dtype == torch.float32
        assert (view.theta is None) == (stored is FEATURES)
        assert (view.span is not None) == (stored is CLIPS or stored is SOUNDS)
        if view.theta is not None:
            assert view.theta.shape == (N, 2, 3) and torch.isfinite(view.theta).all()
        if view.span is not None:
            assert view.span.shape == (N, 2) and (view.span[:, 0] < view.span[:, 1]).all()


@every_kind
def test_a_view_belongs_to_the_item_and_its_key(stored, shape, preset):
    whole = stored.view(torch.arange(N), preset, 5, CPU).pixels
    assert torch.allclose(stored.view(torch.tensor([4, 2]), preset, 5, CPU).pixels, whole[[4, 2]], atol=1e-5)
    assert not torch.equal(stored.view(torch.arange(N), preset, 6, CPU).pixels, whole)
    assert torch.equal(stored.view(torch.arange(N), PRESETS[preset], 5, CPU).pixels, whole)


@every_kind
def test_an_index_places_items_and_a_corruption_comes_before_the_view(stored, shape, preset):
    order = torch.tensor([6, 0, 3])
    some = replace(stored, index=order)
    assert some.n_items == 3
    assert torch.equal(some.view(torch.arange(3), "centre", 0, CPU).pixels, stored.view(order, "centre", 0, CPU).pixels)
    corrupted = replace(stored, corrupt=lambda x, rows: x * 0)
    shown, blank = (s.view(torch.arange(N), "centre", 0, CPU).pixels for s in (stored, corrupted))
    assert shown.std() > 0 and blank.std() == 0


def test_items_of_length_zero_are_absent():
    lengths = torch.tensor([9000, 0, 9000, 1, 1, 1, 1])
    assert replace(SOUNDS, lengths=lengths).present.tolist() == [True, False, True, True, True, True, True]
    assert bool(SOUNDS.present.all()) and len(SOUNDS.present) == N


def test_a_read_only_map_is_shown_and_never_written(tmp_path):
    np.save(tmp_path / "x.npy", np.arange(12, dtype=np.uint8).reshape(3, 4))
    before = (tmp_path / "x.npy").read_bytes()
    tensor = resident(np.load(tmp_path / "x.npy", mmap_mode="r"), CPU)
    tensor[0] = 7
    assert tensor[0].tolist() == [7] * 4 and (tmp_path / "x.npy").read_bytes() == before
