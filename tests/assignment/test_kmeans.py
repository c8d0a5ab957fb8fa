"""K-means, whitening, and what is computed from centres."""

import pytest
import torch

from selflabel.assignment.kmeans import (
    centre_log_probs,
    isotropic_variance,
    kmeans,
    nearest_centre,
    squared_distances,
    whiten,
    whitening,
)
from tests.assignment.problems import random_scores


def test_kmeans_finds_separated_centres_and_copes_with_few_items():
    x = torch.cat([torch.zeros(20, 2), torch.full((20, 2), 9.0)])
    centres, labels = kmeans(x, 2, seed=0)
    assert sorted(centres[:, 0].round().tolist()) == [0, 9]
    assert len(set(labels[:20].tolist())) == 1
    assert kmeans(x[:2], 5, seed=0)[0].shape == (5, 2)


def test_more_starts_and_iterations_are_better_and_a_seed_repeats():
    x = random_scores(300, 4)

    def spread(**options):
        return float(nearest_centre(x, kmeans(x, 8, seed=1, **options)[0])[1].sum())

    assert spread(max_iter=50, n_init=5) < spread(max_iter=50) < spread(max_iter=1)
    assert torch.equal(kmeans(x, 8, seed=1)[1], kmeans(x, 8, seed=1)[1])


def test_spherical_centres_have_unit_length():
    centres, _ = kmeans(random_scores(300, 4), 8, seed=1, spherical=True)
    assert torch.allclose(centres.norm(dim=1), torch.ones(8), atol=1e-5)


def test_whitened_columns_have_unit_variance_and_no_correlation():
    x = random_scores(500, 6) @ random_scores(6, 6, seed=1)
    mean, basis = whitening(x, 4)
    y = (x - mean) @ basis
    assert torch.allclose(y.T @ y / 500, torch.eye(4), atol=1e-4)
    assert torch.allclose(whiten(x, mean, basis), torch.nn.functional.normalize(y, dim=1))


def test_directions_without_variance_become_zero():
    x = torch.cat([random_scores(50, 2), torch.ones(50, 3)], dim=1)
    y = whiten(x, *whitening(x))
    assert y.shape == (50, 5) and torch.isfinite(y).all() and (y[:, 2:] == 0).all()


def test_nearest_centres_and_their_probabilities_follow_the_distances():
    x, centres = random_scores(40, 3), random_scores(5, 3, seed=1)
    distances = ((x[:, None] - centres[None]) ** 2).sum(dim=2)
    assert torch.allclose(squared_distances(x, centres), distances, atol=1e-4)
    labels, nearest = nearest_centre(x, centres)
    assert torch.equal(labels, distances.argmin(dim=1)) and torch.allclose(nearest, distances.amin(dim=1), atol=1e-4)
    log_probs = centre_log_probs(x, centres, 0.7)
    assert torch.allclose(log_probs.exp().sum(dim=1), torch.ones(40), atol=1e-5)
    ratio = (distances[:, 1] - distances[:, 0]) / (2 * 0.7)
    assert torch.allclose(log_probs[:, 0] - log_probs[:, 1], ratio, atol=1e-4)


def test_the_variance_is_per_dimension_that_matters():
    x = torch.cat([2 * random_scores(4000, 3), torch.zeros(4000, 61)], dim=1)
    assert isotropic_variance(x, torch.zeros(1, 64)) == pytest.approx(4, rel=0.05)
    assert isotropic_variance(x + 5, torch.full((1, 64), 5.0)) == pytest.approx(4, rel=0.05)
