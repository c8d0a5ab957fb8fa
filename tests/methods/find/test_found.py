import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from selflabel.assignment.reference import sinkhorn_reference
from selflabel.methods.find.found import FOUND, RIDGE, Options, Taken, learned, logistic, pieces_of, solved, whitened


def sample(n, seed=0, share=0.25, dim=10, shape=(9, 11)):
    """Photos with patches of two kinds; their first masks are wrong in one of five patches."""
    rng = np.random.default_rng(seed)
    kinds = np.linalg.qr(rng.normal(size=(dim, 2)))[0].T
    photos, truth = [], []
    for _ in range(n):
        inside = np.zeros(shape, bool)
        y, x = rng.integers(0, 4, 2)
        inside[y : y + int(shape[0] * 2 * share), x : x + shape[1] // 2] = True
        unit = kinds[inside.astype(int)] + 0.3 * rng.normal(size=(*shape, dim)) / np.sqrt(dim)
        unit /= np.linalg.norm(unit, axis=2, keepdims=True)
        photos.append(Taken(unit.astype(np.float16), inside ^ (rng.random(shape) < 0.2), inside * 0.8 + 0.1))
        truth.append(inside.reshape(-1))
    return photos, np.concatenate(truth)


def test_the_layer_has_the_least_cross_entropy_and_ridge():
    rng = np.random.default_rng(0)
    z, targets = rng.normal(size=(200, 4)), (rng.random(200) < 0.3).astype(float)

    def loss(layer):
        p = 1 / (1 + np.exp(-(z @ layer[:-1] + layer[-1])))
        entropy = -np.mean(targets * np.log(p) + (1 - targets) * np.log(1 - p))
        return entropy + RIDGE / 2 * (layer[:-1] ** 2).sum() + 1e-4 / 2 * layer[-1] ** 2

    expected = minimize(loss, np.zeros(5), tol=1e-10).x
    np.testing.assert_allclose(logistic(z, targets, np.zeros(5)), expected, atol=1e-4)


@pytest.mark.parametrize("relax", [0.0, 0.1, 0.6, 1.0])
def test_labels_are_those_of_the_transport_of_the_two_log_probabilities(relax):
    logits = np.random.default_rng(1).normal(-1, 2, 300)
    p = 1 / (1 + np.exp(-logits))
    plan = sinkhorn_reference(np.log(np.stack([1 - p, p], axis=1)), 1.0, np.array([0.65, 0.35]), relax)
    np.testing.assert_array_equal(solved(logits, 0.35, relax), plan.argmax(dim=1).numpy())


def test_components_are_uncorrelated_with_variance_one_and_fold_back_to_features():
    photos, _ = sample(6)
    z, mean, components = whitened(photos)
    np.testing.assert_allclose(np.cov(z.T, bias=True), np.eye(z.shape[1]), atol=1e-3)
    rows = np.concatenate([t.unit_hwD.reshape(-1, 10) for t in photos]).astype(np.float32)
    np.testing.assert_allclose((rows - mean) @ components, z, atol=1e-4)


def test_it_says_object_where_objects_are_though_the_first_masks_are_often_wrong_and_is_not_inverted():
    photos, truth = sample(12)
    weight, bias = learned(photos, Options())
    rows = np.concatenate([t.unit_hwD.reshape(-1, 10) for t in photos]).astype(np.float32)
    first = np.concatenate([t.object_hw.reshape(-1) for t in photos])
    assert (((rows @ weight + bias) > 0) == truth).mean() > 0.95 > (first == truth).mean()


def test_relaxed_shares_keep_either_side_from_taking_all():
    photos, _ = sample(12)
    nothing = [t._replace(object_hw=np.zeros_like(t.object_hw)) for t in photos]
    everything = [t._replace(object_hw=np.ones_like(t.object_hw)) for t in photos]
    for start in (nothing, everything):
        weight, bias = learned(start, Options())
        assert np.isfinite(weight).all() and np.isfinite(bias)


def test_masks_are_cut_at_a_probability_of_one_half_not_at_a_logit_of_one_half():
    from selflabel.contract import Shown

    finder = FOUND(Options(refine=0))
    finder.load_state({"weight": np.array([1.0, 0.0], np.float32), "bias": np.array([0.3], np.float32)})
    places = np.tile(np.array([-1.0, 0.0], np.float32), (4, 4, 1))
    places[1:3, 1:3] = [0.0, 1.0]  # a logit of .3: a probability of .57
    regions = finder.find(Shown(places, np.zeros((32, 32, 3), np.uint8), "stride16"))
    assert len(regions) == 1 and regions[0].soft_HW[15, 15] > 0.5 and regions[0].soft_HW[0, 0] < 0.5


def test_pieces_come_by_size_small_ones_are_left_out_and_scores_share_one():
    soft = np.zeros((20, 20), np.float32)
    soft[2:8, 2:8], soft[12:16, 12:16], soft[0, 19] = 0.9, 0.8, 1.0
    first, second = pieces_of(soft, 3, 0.01)
    assert (first.soft_HW > 0.5).sum() == 36 and (second.soft_HW > 0.5).sum() == 16
    assert first.score == pytest.approx(0.9 * 32.4 / 46.2) and second.score == pytest.approx(0.8 * 12.8 / 46.2)
    assert len(pieces_of(soft, 1, 0.01)) == 1 and pieces_of(soft * 0.5, 3, 0.01) == []


@pytest.mark.parametrize("change", [{"weight": np.array([np.nan])}, {"bias": np.zeros(2)}, {"weight": np.zeros((2, 2))}])
def test_numbers_from_a_strangers_file_are_checked(change):
    with pytest.raises(ValueError, match="no row of finite numbers"):
        FOUND(Options()).load_state({"weight": torch.ones(3).numpy(), "bias": np.zeros(1)} | change)
