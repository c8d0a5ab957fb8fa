"""SwAV: balanced targets, the swapped loss, the queue, crops."""

import pytest
import torch
from torch import nn

from selflabel.assignment.reference import sinkhorn_reference
from selflabel.contract import Batch, Task
from selflabel.encoders import accepts_px, make_encoder
from selflabel.methods.label.swav import Options, SwAV, balanced_labels, swapped_loss
from tests.methods.label.helpers import identity_encoders, views_of
from tests.reference import clustering


def test_targets_are_three_turns_of_sinkhorn():
    scores = torch.randn(40, 5)
    plain = sinkhorn_reference(scores, 0.5, tol=0, max_iter=3)[-16:]
    (found,) = balanced_labels([scores], 0.5, 16)
    assert torch.allclose(found.double(), plain, atol=1e-4)


def test_the_loss_is_the_plain_one_over_many_crops():
    scores = [torch.rand(6, 4) for _ in range(5)]
    targets = [torch.rand(6, 4).softmax(dim=1) for _ in range(2)]
    plain = clustering.swapped_loss([t.tolist() for t in targets], [s.tolist() for s in scores], 0.1)
    assert float(swapped_loss(targets, scores, 0.1)) == pytest.approx(plain, rel=1e-4)


def made(n=64, **options):
    method = SwAV(Task(n, 3, "features", 0, 0), Options(**options))
    method.build(identity_encoders(6))
    return method


def test_the_queue_takes_the_newest_and_counts_when_full():
    method = made(queue=20)
    assert method.head_sizes == [3] * 5 + [30] and method.queue_VQD.shape == (2, 20, 128)
    for step in range(2):
        views = views_of(image=[torch.randn(16, 6), torch.randn(16, 6)])
        method.loss(Batch(torch.arange(16)[:, None], views, 0.0))["swap"].backward()
        newest = method.projections
        method.phases()[0].after_step()
        assert torch.equal(method.queue_VQD[:, :16], newest) and method.queued == min(20, 16 * (step + 1))
    z = method.queue_VQD[0, :4]
    without_queue, with_queue = method.targets(0, z, 0.0)[0], method.targets(0, z, 0.5)[0]
    assert not torch.allclose(without_queue, with_queue) and with_queue.shape == (4, 3)


def test_prototypes_are_frozen_at_first():
    method = made()
    for progress, moves in ((0.0, False), (0.5, True)):
        method.zero_grad()
        views = views_of(image=[torch.randn(16, 6), torch.randn(16, 6)])
        method.loss(Batch(torch.arange(16)[:, None], views, progress))["swap"].backward()
        assert (method.prototypes.weight.grad is not None) == moves


def test_small_crops_only_where_the_encoder_takes_them():
    assert accepts_px(make_encoder("resnet9", 3, 64), 3, 27) and not accepts_px(make_encoder("conv4", 1, 32), 1, 14)
    counts = {}
    for kind, encoder, px, channels in (("photo", "resnet9", 64, 3), ("glyph", "conv4", 32, 1)):
        method = SwAV(Task(50, 3, kind, px, channels), Options())
        method.build(nn.ModuleDict({"image": make_encoder(encoder, channels, px)}))
        counts[kind] = len(method.phases()[0].views["image"])
    assert counts == {"photo": 8, "glyph": 2}
