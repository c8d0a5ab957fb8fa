import numpy as np
import pytest
import torch

from selflabel.methods.find.dmc import APART, DMC, MEANS_ROUNDS, ROUNDS, STIFFNESS, soft_kmeans
from tests.methods.find.helpers import batch_of, built, maps_of
from tests.reference.localising import dmc_contrast_loss, dmc_margin_loss, dmc_routed, dmc_soft_kmeans


def places_of(method, batch):
    return tuple(x.double().numpy() for x in method.places(maps_of(method, batch)))


@torch.no_grad()
def test_the_margin_form_is_that_of_the_paper_and_its_map_the_cluster_that_agrees_most_with_the_sound():
    method, batch = built(DMC, form="margin"), batch_of(4)
    projections = method.projections_KDE.double().numpy()
    pictures, sounds = ([dmc_routed(x, projections, ROUNDS) for x in side] for side in places_of(method, batch))
    of_pictures, of_sounds = [c for c, _ in pictures], [c for c, _ in sounds]
    assert float(method.loss(batch)["clusters"]) == pytest.approx(dmc_margin_loss(of_pictures, of_sounds), rel=1e-4)
    heat = method.heatmaps(maps_of(method, batch)).numpy()
    best = max(range(len(projections)), key=lambda j: float(of_pictures[2][j] @ of_sounds[2][j]))
    np.testing.assert_allclose(heat[2, 0].reshape(-1), [row[best] for row in pictures[2][1]], atol=1e-4)


@torch.no_grad()
def test_the_contrast_form_is_that_of_the_later_code_and_its_map_the_cluster_nearest_to_a_sounds_centre():
    method, batch = built(DMC, form="contrast", objects=3, sounds=2), batch_of(4)
    of_pictures, of_sounds = [], []
    for side, k, out in zip(places_of(method, batch), (3, 2), (of_pictures, of_sounds)):
        starts = np.round(np.linspace(0, side.shape[1] - 1, k)).astype(int)
        out += [dmc_soft_kmeans(x, starts, MEANS_ROUNDS, STIFFNESS) for x in side]
    centres = [[c for c, _ in side] for side in (of_pictures, of_sounds)]
    assert float(method.loss(batch)["clusters"]) == pytest.approx(dmc_contrast_loss(*centres, APART), rel=1e-4)
    heat = method.heatmaps(maps_of(method, batch)).numpy()
    nearest = [min(range(3), key=lambda j: np.linalg.norm(centres[0][1][j] - a)) for a in centres[1][1]]
    expected = [max(row[j] for j in nearest) for row in of_pictures[1][1]]
    np.testing.assert_allclose(heat[1, 0].reshape(-1), expected, atol=1e-4)


def test_soft_kmeans_of_two_groups_of_places_finds_them_and_its_gradients_are_finite():
    groups = torch.tensor([[0.0, 0], [0, 0.1], [5, 5], [5, 5.1]]).repeat(3, 1)[None].requires_grad_()
    centres, shares = soft_kmeans(groups, 2)
    assert shares.argmax(dim=2)[0].tolist() == [0, 0, 1, 1] * 3 and torch.allclose(shares.sum(dim=2), torch.ones(1, 12))
    centres.sum().backward()
    assert torch.isfinite(groups.grad).all()
