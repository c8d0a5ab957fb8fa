import numpy as np
import pytest
import torch

from selflabel.pretexts.correspondence import Correspondence
from tests.methods.find.helpers import batch_of, built
from tests.reference.localising import avenet_loss


@torch.no_grad()
def test_the_loss_is_that_of_the_paper_pair_by_pair():
    torch.manual_seed(0)
    pretext, pictures, sounds = Correspondence(6, 4), torch.randn(5, 6), torch.randn(5, 4)
    projected = [x.double().numpy() for x in (pretext.pictures(pictures), pretext.sounds(sounds))]
    assert float(pretext.loss(pictures, sounds)) == pytest.approx(avenet_loss(*projected, -4.0, 4.0), rel=1e-4)
    a, b = pretext.embed(pictures, sounds)
    assert torch.allclose(a.norm(dim=1), torch.ones(5)) and torch.allclose(b.norm(dim=1), torch.ones(5))
    assert (np.diff(pretext.logits(a[:1], torch.stack([a[0], -a[0]]))) < 0).all()  # near is "together" from the start


def test_it_takes_a_third_of_a_localisers_epochs_before_the_method_and_learns_with_both_encoders():
    from selflabel.methods.find.avol import AVOL

    method = built(AVOL, pretext="correspondence")
    before, after = method.phases()
    assert (before.name, after.name) == ("pretext", "correspondence") and 2 * before.epochs == pytest.approx(after.epochs, abs=2)
    before.loss(batch_of())["pretext"].backward()
    learned = {name.split(".")[0] for name, p in method.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0}
    assert learned == {"encoders", "pretext"}
