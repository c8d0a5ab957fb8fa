"""A pretrained tower of pictures is not trained: it is run once, and every method learns from the maps that were kept."""

from dataclasses import replace

import pytest
import torch

from selflabel.methods import LOCALISERS
from selflabel.methods.picture_sound import maps_of_batch
from tests.methods.find.helpers import batch_of, built, maps_of


@pytest.mark.parametrize("name", [name for name, entry in LOCALISERS.items() if entry.make.hears])
@torch.no_grad()
def test_a_pretrained_tower_of_pictures_is_shown_nothing_and_learns_nothing(name):
    method = built(LOCALISERS[name].make)
    method.task = replace(method.task, pretrained=True)
    for phase in method.phases():
        assert set(phase.views) == {"audio"}
        learns = [n for n, _ in method.named_parameters() if n.startswith(tuple(phase.learns))]
        assert learns and not any(n.startswith("encoders.image") for n in learns)


@torch.no_grad()
def test_the_maps_that_were_kept_are_those_of_the_tower():
    method, batch = built(LOCALISERS["avcontrast"].make), batch_of()
    expected = method.encoders["image"].map(batch.views["image"][0].pixels)
    method.kept_maps = expected.half().repeat(2, 1, 1, 1)
    shown = replace(batch, rows_BG=batch.rows_BG + 5, views={"audio": batch.views["audio"]})
    found = maps_of_batch(method, shown)
    torch.testing.assert_close(found.maps["image"], expected, atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(found.maps["audio"], maps_of(method, batch).maps["audio"])
