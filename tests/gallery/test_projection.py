"""The map's layout: near items are near one another, and it is the same every time."""

import sys

import numpy as np
import pytest

from selflabel.gallery import projection
from selflabel.gallery.projection import project
from tests.gallery.conftest import nearest


@pytest.mark.slow
def test_items_lie_near_their_neighbours_whether_umap_or_their_neighbours_placed_them(blobs):
    features, truth = blobs(n=600, k=4, d=10)
    reports = []
    positions = project(features.astype(np.float16), sample=400, report=lambda share, step: reports.append((share, step)))
    assert [share for share, _ in reports] == sorted(share for share, _ in reports) and reports[-1][0] == 1
    assert list(dict.fromkeys(step for _, step in reports))[-2:] == ["laying out", "placing the other items"]
    assert positions.shape == (600, 2) and positions.min() >= -0.1 and positions.max() <= 1.1
    near = nearest(positions, 5)
    assert (truth[near] == truth[:, None]).mean() > 0.97
    assert (project(features.astype(np.float16), sample=400) == positions).all()


@pytest.mark.parametrize("n,d", [(1, 3), (2, 1), (7, 2), (49, 4)])
def test_a_few_items_have_a_map_too(n, d):
    positions = project(np.random.default_rng(0).normal(size=(n, d)).astype(np.float32))
    assert positions.shape == (n, 2) and np.isfinite(positions).all()


def test_all_but_rare_outliers_lie_in_the_unit_square():
    positions = np.random.default_rng(0).normal(7, 3, (10_000, 2))
    positions[0] = 1e6
    scaled = projection.to_unit_square(positions)
    assert ((scaled >= 0.01) & (scaled <= 0.99)).mean() > 0.995 and (scaled[0] == np.float32(1.1)).all()


def test_the_command_writes_the_map_of_a_run(picture_run, monkeypatch):
    run = picture_run(each=2)
    monkeypatch.setattr(sys, "argv", ["projection", str(run.folder)])
    projection.main()
    assert (np.load(run.folder / "map.npy") == project(run.features)).all()
