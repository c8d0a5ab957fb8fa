"""What every finder must do, over FINDERS: no finder is written without these holding."""

import ast
import inspect
from itertools import count

import numpy as np
import pytest
import torch

from selflabel.contract import Shown
from selflabel.methods import FINDERS, make_finder

STEP, SHAPE, DIM = 8, (12, 14), 16
QUICK = {"maskcontrast": {"steps": 10}}
DIRECTIONS = np.linalg.qr(np.random.default_rng(0).normal(size=(DIM, 3)))[0].T


def photo(seed, objects=1):
    """(Shown, (H, W) bool): bright things of one kind on a dark ground, in features and in pixels."""
    rng, inside = np.random.default_rng(seed), np.zeros(SHAPE, bool)
    for i in range(objects):
        y, x = rng.integers(2, 7), int(rng.integers(1, 3)) + 6 * i
        inside[y : y + 3, x : x + 4] = True
    features = np.where(inside[..., None], DIRECTIONS[1], DIRECTIONS[0]) + 0.1 * rng.normal(size=(*SHAPE, DIM))
    large = inside.repeat(STEP, 0).repeat(STEP, 1)
    pixels = np.where(large[..., None], 220, 40) + rng.integers(0, 20, (*large.shape, 3))
    return Shown(features.astype(np.float32), pixels.astype(np.uint8), "stride16"), large


def made(name, photos):
    finder = make_finder(name, FINDERS[name].make.options_type(**QUICK.get(name, {})))
    finder.fit(photos, torch.Generator().manual_seed(0))
    return finder


@pytest.fixture(scope="module", params=FINDERS)
def name(request):
    return request.param


@pytest.fixture(scope="module")
def finder(name):
    return made(name, [photo(seed)[0] for seed in range(20)])


def iou(a, b):
    return (a & b).sum() / (a | b).sum()


def test_it_finds_the_object_of_a_photo_that_it_has_not_seen_and_not_the_ground(finder):
    for seed in range(100, 105):
        shown, truth = photo(seed)
        regions = finder.find(shown)
        assert iou(regions[0].soft_HW > 0.5, truth) > 0.7


def test_several_objects_are_several_regions_that_do_not_overlap(finder):
    shown, truth = photo(7, objects=2)
    regions = finder.find(shown)
    masks = [r.soft_HW > 0.5 for r in regions[:2]]
    assert len(masks) == 2 and not (masks[0] & masks[1]).any() and iou(masks[0] | masks[1], truth) > 0.7


def test_regions_have_the_shape_of_the_picture_soft_values_in_range_and_falling_scores(finder):
    shown, _ = photo(3, objects=2)
    regions = finder.find(shown)
    scores = [r.score for r in regions]
    assert scores == sorted(scores, reverse=True) and all(0 <= s <= 1 for s in scores)
    for region in regions:
        assert region.soft_HW.shape == shown.pixels_HWC.shape[:2] and region.soft_HW.dtype == np.float32
        assert 0 <= region.soft_HW.min() <= region.soft_HW.max() <= 1 and (region.soft_HW > 0.5).any()


def test_it_is_repeated_by_the_same_photos_and_restored_from_its_state(name, finder):
    again, restored = made(name, [photo(seed)[0] for seed in range(20)]), make_finder(name, finder.options)
    restored.load_state({k: torch.from_numpy(v).numpy() for k, v in finder.state().items()})
    shown, _ = photo(50)
    for other in (again, restored):
        for a, b in zip(finder.find(shown), other.find(shown), strict=True):
            assert a.score == b.score and np.array_equal(a.soft_HW, b.soft_HW)


def test_a_state_that_is_not_its_own_is_refused(name):
    finder = make_finder(name, FINDERS[name].make.options_type())
    with pytest.raises((ValueError, KeyError)):
        finder.load_state({"other": np.ones(3, np.float32)})


def test_what_it_keeps_of_the_photos_it_learns_from_does_not_grow_with_the_folder(name):
    taken, photos = [], [photo(seed)[0] for seed in range(5)]

    class Endless:
        def __iter__(self):
            for seed in count():
                taken.append(seed)
                yield photos[seed % 5]

    finder = made(name, Endless())  # would not end if it took all
    assert len(taken) <= 1024 and sum(v.nbytes for v in finder.state().values()) < 2**20


@pytest.mark.parametrize("n", [0, 1])
def test_it_learns_from_one_photo_and_survives_none(name, n):
    finder = made(name, [photo(0)[0]] * n)
    if n:
        assert iou(finder.find(photo(0)[0])[0].soft_HW > 0.5, photo(0)[1]) > 0.5


def test_it_imports_no_other_method(name):
    module = inspect.getmodule(FINDERS[name].make)
    imported = [node.module for node in ast.walk(ast.parse(inspect.getsource(module))) if isinstance(node, ast.ImportFrom)]
    assert not [m for m in imported if m.startswith("selflabel.methods.") and m != "selflabel.methods.option_types"]
