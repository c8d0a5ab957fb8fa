import numpy as np
import pytest
import torch

from selflabel.methods.find.avcontrast import AVContrast
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
