import numpy as np
import pytest
import torch

from selflabel.contract import Features
from selflabel.methods.find.ssod import SSOD, first_labels, weighted_places
from tests.methods.find.helpers import batch_of, built, maps_of
from tests.reference.localising import ezvsl_loss


class Blocks:
    """A set as `relabel` sees it: one block."""

    def __init__(self, features, n):
        self.features, self.n = features, n

    def blocks(self, maps=False):
        yield torch.arange(self.n), self.features


def log_softmax(x):
    return x - np.log(np.exp(x).sum(axis=1, keepdims=True))


@torch.no_grad()
def test_the_loss_is_contrast_and_the_mean_cross_entropy_of_both_heads():
    method, batch = built(SSOD), batch_of()
    method.labels_N[:5] = torch.tensor([0, 2, 1, 1, -1])
    maps = maps_of(method, batch)
    places, sounds = (x.double().numpy() for x in method.embedded(maps))
    losses = method.label_loss(batch)
    assert float(losses["contrast"]) == pytest.approx(ezvsl_loss(places, sounds, 0.1), rel=1e-4)
    heads = (method.picture_classes, method.sound_classes)
    both = [log_softmax(head(x / 0.1).double().numpy()) for head, x in zip(heads, method.described(maps))]
    plain = np.mean([-log[[0, 1, 2, 3], [0, 2, 1, 1]].mean() for log in both])  # an item without a label adds nothing
    assert float(losses["label"]) == pytest.approx(plain, rel=1e-4)


@torch.no_grad()
def test_a_picture_is_described_by_the_places_that_are_like_its_sound():
    places = torch.arange(8.0).view(1, 2, 2, 2)
    cosines = torch.tensor([[[0.0, 0.9], [0.0, 0.0]]])
    assert weighted_places(places, cosines, 0.01)[0].tolist() == pytest.approx([1.0, 5.0])


@torch.no_grad()
def test_labels_have_equal_sizes_and_heatmaps_are_faint_where_the_heads_disagree():
    method, batch = built(SSOD), batch_of(6)
    maps = maps_of(method, batch)
    first, second = (method.relabel(Blocks(maps, 6), torch.Generator()) for _ in range(2))
    assert set(first.labels[0].tolist()) <= set(range(6))  # no more classes than items
    assert second.converged and second.error < 0.1 and second.n_iter > 0
    for head in (method.picture_classes, method.sound_classes):
        head.weight.data.zero_()
        head.bias.data = torch.tensor([9.0, 0, 0, 0, 0, 0])
    sure = method.heatmaps(maps)
    method.sound_classes.bias.data = torch.tensor([0, 9.0, 0, 0, 0, 0])
    torn = method.heatmaps(maps)
    assert sure.shape[:2] == (6, 6) and 0 <= float(sure.min()) <= float(sure.max()) <= 1
    assert float(torn.max()) < 0.6 * float(sure[:, 0].max())


def test_first_labels_of_blobs_are_the_blobs():
    generator = torch.Generator().manual_seed(0)
    x = torch.eye(3).repeat_interleave(8, dim=0) + 0.05 * torch.randn(24, 3, generator=generator)
    labels = first_labels(torch.nn.functional.normalize(x, dim=1), 3, 0).view(3, 8)
    assert (labels == labels[:, :1]).all() and len(set(labels[:, 0].tolist())) == 3


def test_an_item_without_sound_has_no_label():
    method, batch = built(SSOD), batch_of(6)
    maps = maps_of(method, batch)
    present = {"audio": torch.tensor([1, 1, 1, 0, 1, 1]).bool()}
    labels = method.relabel(Blocks(Features({}, present, maps.maps), 6), torch.Generator()).labels[0]
    assert labels[3] == -1 and (labels[[0, 1, 2, 4, 5]] >= 0).all()
