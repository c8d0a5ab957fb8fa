import numpy as np
import pytest
import torch

from selflabel.methods.find.avcontrast import AVContrast, object_map
from tests.methods.find.helpers import batch_of, built, maps_of
from tests.reference.localising import cosine, ezvsl_loss


@torch.no_grad()
def test_the_loss_is_that_of_the_paper_and_the_map_the_cosine_at_each_place():
    method, batch = built(AVContrast, tau=0.1), batch_of()
    places, sounds = (x.double().numpy() for x in method.embedded(maps_of(method, batch)))
    assert float(method.loss(batch)["contrast"]) == pytest.approx(ezvsl_loss(places, sounds, 0.1), rel=1e-4)
    heat = method.heatmaps(maps_of(method, batch)).numpy()
    assert heat.min() >= 0 and heat.max() <= 1
    np.testing.assert_allclose(2 * heat[2, 0, 1, 0] - 1, cosine(places[2, :, 1, 0], sounds[2]), atol=1e-4)


@torch.no_grad()
def test_the_object_map_needs_no_sound_and_is_mixed_in_by_its_share():
    batch, plain, mixed, alone = batch_of(), built(AVContrast), built(AVContrast, prior=0.6), built(AVContrast, prior=1.0)
    maps = maps_of(plain, batch)
    objects = object_map(maps.maps["image"])
    torch.testing.assert_close(mixed.heatmaps(maps), 0.4 * plain.heatmaps(maps) + 0.6 * objects)
    torch.testing.assert_close(alone.heatmaps(maps), objects)
