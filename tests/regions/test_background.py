import numpy as np

from selflabel.regions.background import ALIKE_SHARE, background, least_attended, most_alike, quantiles


def field(rng, shape=(8, 10), dim=12, noise=0.1):
    """(unit features, bool object): a ground of one direction, and an object of another."""
    directions, inside = np.linalg.qr(rng.normal(size=(dim, 2)))[0].T, np.zeros(shape, bool)
    inside[2:5, 3:7] = True
    features = np.where(inside[..., None], directions[1], directions[0]) + noise * rng.normal(size=(*shape, dim))
    return (features / np.linalg.norm(features, axis=2, keepdims=True)).astype(np.float32), inside


def test_without_attention_the_background_is_what_is_alike_to_the_patch_of_highest_degree():
    unit, inside = field(np.random.default_rng(0))
    assert (background(unit, None, None, 0.5) == ~inside).mean() > 0.9
    assert (background(unit, None, 0.5, 0.5) == ~inside).all()
    flat = unit.reshape(-1, unit.shape[2])
    cosines = flat @ flat.T
    assert not inside.reshape(-1)[most_alike(cosines, quantiles(cosines, [1 - ALIKE_SHARE])[0])]


def test_with_attention_it_is_what_is_alike_to_the_least_attended_patch_wherever_most_patches_are():
    unit, inside = field(np.random.default_rng(1))
    attention = np.where(inside, 0.01, 0.2)[None].astype(np.float32)  # here the class token looks at the ground
    for threshold in (0.5, None):
        found = background(unit, attention, threshold, 0.2)
        assert found[inside].any() and not found[~inside].any()


def test_a_head_that_attends_to_few_patches_counts_for_more():
    sharp, wide = np.zeros((4, 5), np.float32), np.full((4, 5), 0.05, np.float32)
    sharp[1, 1], wide[3, 4], sharp[3, 4] = 0.9, 0.02, 0.03
    assert least_attended(np.stack([wide])) == 19  # its own least one
    assert least_attended(np.stack([sharp, wide])) not in (6, 19)
    assert least_attended(np.full((2, 4, 5), 0.05, np.float32)) == 0  # heads that all attend alike everywhere
