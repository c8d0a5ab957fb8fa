import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import zoom

from selflabel.regions.guided import enlarged, filtered_map, grey_of, guided_filter, refined, resized


def plain_filter(guide, mask, radius, epsilon):
    """Algorithm 1 of the paper in plain loops, windows repeated at the border."""
    padded = [np.pad(x, 2 * radius, mode="edge") for x in (guide, mask)]
    size, out = 2 * radius + 1, np.zeros(guide.shape)
    fits = np.zeros((2, guide.shape[0], guide.shape[1]))
    for y in range(guide.shape[0]):
        for x in range(guide.shape[1]):
            g, p = (v[y + radius : y + radius + size, x + radius : x + radius + size] for v in padded)
            a = ((g * p).mean() - g.mean() * p.mean()) / (g.var() + epsilon)
            fits[:, y, x] = a, p.mean() - a * g.mean()
    wide = [np.pad(f, radius, mode="edge") for f in fits]
    for y in range(guide.shape[0]):
        for x in range(guide.shape[1]):
            a, b = (f[y : y + size, x : x + size].mean() for f in wide)
            out[y, x] = a * guide[y, x] + b
    return out


@given(st.integers(0, 2**31), st.integers(1, 3), st.sampled_from([1e-3, 1e-2]))
@settings(deadline=None, max_examples=10)
def test_it_is_the_filter_of_the_paper(seed, radius, epsilon):
    rng = np.random.default_rng(seed)
    guide, mask = rng.random((9, 12)), rng.random((9, 12))
    np.testing.assert_allclose(guided_filter(guide, mask, radius, epsilon), plain_filter(guide, mask, radius, epsilon), atol=1e-3)


def test_a_constant_mask_stays_and_a_flat_picture_only_smooths():
    rng = np.random.default_rng(0)
    assert np.allclose(guided_filter(rng.random((20, 20)), np.full((20, 20), 0.7), 3, 1e-3), 0.7, atol=1e-4)
    soft = guided_filter(np.full((20, 20), 0.5), np.eye(20), 2, 1e-3)
    assert soft.min() >= 0 and soft.max() < 0.5


def test_a_mask_of_patches_follows_the_border_in_the_picture():
    y, x = np.mgrid[:64, :64]
    disc = (y - 30) ** 2 + (x - 34) ** 2 < 18**2
    picture = np.where(disc, 0.9, 0.1) + 0.02 * np.random.default_rng(0).normal(size=disc.shape)
    blocks = disc.reshape(8, 8, 8, 8).mean(axis=(1, 3)) > 0.5
    rough = enlarged(blocks, (64, 64)) > 0.5
    fine = refined(blocks, picture, 8, 1e-3) > 0.5
    assert (fine != disc).mean() < 0.01 < 0.04 < (rough != disc).mean()


def test_pieces_that_touch_no_patch_of_the_object_are_left_out_and_values_stay_in_range():
    blocks = np.zeros((8, 8), bool)
    blocks[2:5, 2:5] = True
    noise = np.random.default_rng(0).random((64, 64))
    soft = refined(blocks, noise, 8, 1e-3)
    assert soft.min() >= 0 and soft.max() <= 1 and not (soft[48:, 48:] > 0.5).any() and (soft > 0.5).any()


def test_the_fast_filter_is_about_the_filter_itself_and_a_map_of_ones_stays():
    y, x = np.mgrid[:96, :120]
    disc = (y - 50) ** 2 + (x - 60) ** 2 < 30**2
    guide = (np.where(disc, 0.8, 0.2) + 0.02 * np.random.default_rng(0).normal(size=disc.shape)).astype(np.float32)
    soft = resized(disc[None], (12, 15), "area")[0]
    slow, fast = guided_filter(guide, enlarged(soft, guide.shape), 8, 1e-3), filtered_map(soft, guide, 1)
    assert np.abs(slow - fast).mean() < 0.03 and ((fast > 0.5) != disc).mean() < 0.01
    assert np.allclose(filtered_map(np.ones((12, 15), np.float32), guide, 1), 1, atol=1e-4)


def test_maps_are_enlarged_with_each_value_in_the_middle_of_its_patch():
    small = np.random.default_rng(0).random((3, 5)).astype(np.float32)
    expected = zoom(small, 8, order=1, mode="nearest", grid_mode=True)
    np.testing.assert_allclose(enlarged(small, (24, 40)), expected, atol=1e-5)


def test_grey_values_are_those_of_the_luma_of_bt_601_and_of_one_channel_themselves():
    assert np.allclose(grey_of(np.full((2, 2, 3), 51, np.uint8)), 0.2) and np.allclose(
        grey_of(np.full((2, 2, 1), 51, np.uint8)), 0.2
    )
    assert np.allclose(grey_of(np.array([[[255, 0, 0]]], np.uint8)), 0.299)


def test_an_object_of_one_patch_is_not_blurred_away():
    blocks = np.zeros((10, 10), bool)
    blocks[4, 4] = True
    soft = refined(blocks, np.full((80, 80), 0.5), 8, 1e-3)
    assert 32 <= (soft > 0.5).sum() <= 80
