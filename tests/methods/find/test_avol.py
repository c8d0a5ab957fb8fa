import numpy as np
import pytest
import torch

from selflabel.methods.find.avcontrast import AVContrast
from selflabel.methods.find.avol import AVOL, correspondence_loss
from tests.methods.find.helpers import batch_of, built, maps_of
from tests.reference.localising import avol_loss, avol_map


def embedded(method, batch):
    places, sounds = method.embedded(maps_of(method, batch))
    return places.double().numpy(), sounds.double().numpy()


@torch.no_grad()
def test_the_loss_and_the_map_are_those_of_the_paper_pair_by_pair():
    method, batch = built(AVOL), batch_of()
    method.scale.data, method.shift.data = torch.tensor(0.7), torch.tensor(-0.4)
    places, sounds = embedded(method, batch)
    assert float(method.loss(batch)["correspondence"]) == pytest.approx(avol_loss(places, sounds, 0.7, -0.4), rel=1e-4)
    heat = method.heatmaps(maps_of(method, batch))
    assert heat.shape == (5, 1, *places.shape[2:])
    np.testing.assert_allclose(heat[3, 0], avol_map(places[3], sounds[3], 0.7, -0.4), rtol=1e-4)
    assert np.ptp(np.linalg.norm(places, axis=1)) > 1e-3  # places keep their lengths: background can answer weakly


def test_a_right_pair_lifts_one_place_and_a_wrong_pair_lowers_its_highest_one():
    """A localiser whose labels are exchanged, as in a reproduction, would push the whole map of right pairs down."""
    maps = torch.zeros(2, 2, 3, 3, requires_grad=True)
    with torch.no_grad():
        maps[0, 0, 1, 2] = maps[0, 1, 2, 0] = 1.0
    correspondence_loss(maps.amax(dim=(2, 3))).backward()
    assert maps.grad[0, 0, 1, 2] < 0 < maps.grad[0, 1, 2, 0]  # descent raises the former
    assert (maps.grad[0, 0] != 0).sum() == (maps.grad[0, 1] != 0).sum() == 1


@pytest.mark.parametrize("make", [AVOL, AVContrast])
@torch.no_grad()
def test_a_pair_without_sound_or_apart_in_time_is_left_out(make):
    method, whole = built(make), batch_of(6)
    kept = torch.tensor([1, 1, 0, 1, 1, 1]).bool()
    rows = kept.nonzero()[:, 0]
    part = batch_of(6, {"audio": kept})
    alone = batch_of(6)
    alone.rows_BG = rows[:, None]
    for views in alone.views.values():
        views[0] = type(views[0])(views[0].pixels[rows])
    (with_gap,), (without,), (all_pairs,) = (method.loss(b).values() for b in (part, alone, whole))
    assert float(with_gap) == pytest.approx(float(without), rel=1e-6) != pytest.approx(float(all_pairs), rel=2e-5)
