"""The pretexts: their losses are the papers', and each runs before sela-nn."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from selflabel.base.errors import UserError
from selflabel.base.settings import make_settings
from selflabel.heads import momentum_update
from selflabel.jobs.label import label
from selflabel.pretexts.moco import MOMENTUM, MoCo, info_nce
from selflabel.pretexts.rotation import quarter_turns
from selflabel.pretexts.simclr import nt_xent
from tests.reference import clustering


def unit(n, d, seed):
    return F.normalize(torch.randn(n, d, generator=torch.Generator().manual_seed(seed)), dim=1)


def test_the_contrastive_losses_are_the_plain_formulas():
    a, b, old = unit(8, 5, 0), unit(8, 5, 1), unit(20, 5, 2)
    assert float(nt_xent(torch.cat([a, b]), 0.2)) == pytest.approx(clustering.nt_xent(a.numpy(), b.numpy(), 0.2), rel=1e-4)
    assert float(info_nce(a, b, old, 0.2)) == pytest.approx(clustering.info_nce(a, b, old, 0.2), rel=1e-4)


def test_quarter_turns_come_with_their_number():
    x = torch.rand(3, 1, 6, 6)
    turned, quarters = quarter_turns(x)
    for q in range(4):
        assert torch.equal(turned[quarters == q].rot90(4 - q, (-2, -1)), x)


def encoder():
    net = nn.Sequential(nn.Flatten(), nn.Linear(36, 7), nn.BatchNorm1d(7))
    net.dim = 7
    return net


def test_the_copy_follows_slowly_and_the_queue_takes_the_newest_keys():
    torch.manual_seed(0)
    net = encoder()
    pretext = MoCo(net, n_items=40, temperature=0.2)
    before, old = pretext.slow[0][1].weight.clone(), pretext.queue_QD.clone()
    with torch.no_grad():
        net[1].weight.add_(1.0)
    pretext.loss(net, [torch.rand(4, 1, 6, 6), torch.rand(4, 1, 6, 6)]).backward()
    keys = pretext.keys
    assert all(p.grad is None for p in pretext.slow.parameters())
    pretext.after_step(net)
    assert torch.allclose(pretext.slow[0][1].weight, before + (1 - MOMENTUM), atol=1e-5)
    assert torch.equal(pretext.queue_QD, torch.cat([keys, old])[:10]) and pretext.keys is None


def test_batch_statistics_follow_too():
    fast, slow = encoder(), encoder()
    fast(torch.rand(5, 36) + 3)
    momentum_update(slow, fast, 0.99)
    assert torch.equal(slow[2].running_mean, fast[2].running_mean) and slow[2].running_mean.any()


@pytest.mark.parametrize("shape", [(3, 1, 64, 98), (3, 40)])
def test_items_that_are_no_square_pictures_are_refused(shape):
    with pytest.raises(UserError, match="simclr or moco"):
        quarter_turns(torch.rand(shape))


@pytest.mark.parametrize("name", ["simclr", "moco", "rotation"])
def test_those_of_pictures_run_before_sela_nn_and_repeat_under_a_seed(name, signs):
    x, _ = signs(60)
    settings = make_settings(
        source="array", clusters=2, epochs=4, options={"pretext_epochs": 2, "pretext": name}, device="cpu", views="photo-weak"
    )
    a, b = (label(settings, None, data=x)["labelling"] for _ in range(2))
    assert (a.features == b.features).all()
