import numpy as np
import pytest

from selflabel.regions.boxes import box_of
from selflabel.regions.heatmap import heat_regions, otsu


def gaussians(*spots, side=48, width=4.0):
    y, x = np.mgrid[:side, :side]
    return np.max([top * np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / (2 * width**2)) for cx, cy, top in spots], axis=0)


def test_otsu_is_the_threshold_with_the_least_variance_within_both_groups():
    rng = np.random.default_rng(0)
    values = np.concatenate([rng.normal(0.2, 0.05, 700), rng.normal(0.7, 0.1, 300)])

    def within(t):
        return sum(len(part) * part.var() for part in (values[values > t], values[values <= t]) if len(part))

    candidates = np.linspace(values.min(), values.max(), 400)[1:-1]
    assert within(otsu(values)) == pytest.approx(min(map(within, candidates)), rel=0.01)
    assert otsu(np.full(9, 0.3)) == 0.3


@pytest.mark.parametrize("scale", [1.0, 0.05])
def test_each_spot_is_a_region_whatever_the_height_of_the_map(scale):
    heat = scale * gaussians((12, 30, 0.9), (36, 10, 0.8))
    first, second = heat_regions(heat, most=3, min_area=0.01)
    assert [first.score, second.score] == pytest.approx([0.9 * scale, 0.8 * scale], rel=1e-6)
    x0, y0, x1, y1 = box_of(first.mask)
    assert abs((x0 + x1) / 2 - 12.5) < 1 and abs((y0 + y1) / 2 - 30.5) < 1
    assert len(heat_regions(heat, most=1, min_area=0.01)) == 1 and not heat_regions(np.full((9, 9), 0.4), 3, 0.01)


def test_the_highest_place_has_a_region_however_small_and_other_scraps_have_none():
    heat = np.full((20, 20), 0.1)
    heat[3, 4], heat[15, 15] = 0.9, 0.8
    (only,) = heat_regions(heat, most=3, min_area=0.05)
    assert only.mask.sum() == 1 and only.mask[3, 4]
