import numpy as np
import pytest
import torch
from torch import nn

from selflabel.contract import Task
from selflabel.encoders import make_encoder
from selflabel.evaluation.metrics import nmi
from selflabel.methods.find.dsol import DSOL, LOCATION, SCALE, object_vectors, transported
from tests.methods.find.helpers import batch_of, maps_of
from tests.reference.localising import (
    cosine,
    dsol_class_maps,
    dsol_distribution_loss,
    dsol_location_loss,
    dsol_object_vector,
    sigmoid,
)

N, K = 5, 3


def built_dsol(solos=None, **options):
    torch.manual_seed(0)
    method = DSOL(Task(N, K, "photo", 32, 3, kinds={"image": "photo", "audio": "sound"}), DSOL.options_type(**options))
    method.build(nn.ModuleDict({"image": make_encoder("resnet7-fine", 3, 32), "audio": make_encoder("resnet7-fine", 1, 64)}))
    method.solos = solos
    return method.eval()


class Blocks:
    """A set of one block."""

    def __init__(self, features):
        self.features = features

    def blocks(self, maps=False):
        yield torch.arange(N), self.features


@pytest.fixture
def known():
    """(a method with a dictionary, a batch, its maps, places and sounds in the common space as arrays)."""
    method, batch = built_dsol(), batch_of(N)
    maps = maps_of(method, batch)
    with torch.no_grad():
        method.keep_dictionary(object_vectors(maps.maps["image"], method.sounding(maps)), torch.tensor([0, 1, 2, 0, 1]))
        method.heard_NK.copy_(torch.rand(N, K).softmax(dim=1))
        places, sounds = (x.double().numpy() for x in method.embedded(maps))
    return method, batch, maps, places, sounds


@torch.no_grad()
def test_stage_one_is_that_of_the_paper_pair_by_pair(known):
    method, batch, maps, places, sounds = known
    assert float(method.localise(batch)["location"]) == pytest.approx(dsol_location_loss(places, sounds, SCALE, False), rel=1e-4)
    sounding = method.sounding(maps).numpy()
    assert sounding[2, 1, 0] == pytest.approx(sigmoid(SCALE * cosine(places[2, :, 1, 0], sounds[2])), rel=1e-4)
    features = maps.maps["image"].double().numpy()
    map_hw = np.where(np.random.default_rng(0).random(sounding[0].shape) < 0.4, 0.9, 0.01)
    vector = object_vectors(maps.maps["image"][:1], torch.from_numpy(map_hw)[None].float())
    np.testing.assert_allclose(vector[0].numpy(), dsol_object_vector(features[0], map_hw), rtol=1e-4, atol=1e-6)


@torch.no_grad()
def test_stage_two_is_that_of_the_paper_and_maps_are_shown_as_shares_of_classes(known):
    method, batch, maps, places, sounds = known
    features, mean, dictionary = (x.double().numpy() for x in (maps.maps["image"], method.mean_D, method.dictionary_KD))
    expected = [dsol_class_maps(features[i], places[i], sounds[i], dictionary, mean, SCALE, SCALE, 0.0) for i in range(N)]
    losses = method.scenes_loss(batch)
    heard = method.heard_NK.double().numpy()
    assert float(losses["classes"]) == pytest.approx(dsol_distribution_loss(expected, heard), rel=1e-3)
    mixed = dsol_location_loss(places, sounds, SCALE, True)
    assert float(losses["location"]) == pytest.approx(LOCATION * mixed, rel=1e-4)
    shown, sounding = method.heatmaps(maps).numpy(), method.sounding(maps).double().numpy()
    weights = np.exp(expected[1][:, 0, 1] / sounding[1, 0, 1])  # the maps of stage two without the sounding map
    loudness = 0.5 + 0.5 * sounding[1, 0, 1] / sounding[1].max()
    np.testing.assert_allclose(shown[1, :, 0, 1], loudness * weights / weights.sum(), rtol=1e-3)
    total = shown.sum(axis=1)
    assert total.min() >= 0.5 and np.allclose(total.max(axis=(1, 2)), 1, atol=1e-5)  # 1 at the loudest place


def blobs(sizes=(30, 30, 30), spread=0.25, seed=0):
    g = torch.Generator().manual_seed(seed)
    truth = torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes))
    centres = torch.eye(len(sizes), 8)
    return nn.functional.normalize(centres[truth] + spread * torch.randn(len(truth), 8, generator=g), dim=1), truth


def test_transport_finds_classes_and_makes_them_of_equal_size_whatever_they_look_like():
    vectors, truth = blobs()
    labels = transported(vectors, 3, 0)
    assert nmi(truth.numpy(), labels.numpy()) > 0.9
    noise = nn.functional.normalize(torch.rand(90, 8, generator=torch.Generator().manual_seed(1)), dim=1)
    assert torch.bincount(transported(noise, 3, 0), minlength=3).min() >= 25


@pytest.mark.parametrize("labels", ["kmeans", "sela"])
@torch.no_grad()
def test_only_solos_get_labels_and_the_heads_are_fresh_after_each_turn(labels):
    solos = torch.tensor([1, 1, 0, 1, 0]).bool()
    method = built_dsol(solos, labels=labels)
    data, before = Blocks(maps_of(method, batch_of(N))), method.sound_classes.weight.clone()
    for _ in range(2):
        method.solve_classes(data, torch.Generator().manual_seed(0))
        assert (method.labels_N[solos] >= 0).all() and (method.labels_N[~solos] == -1).all()
    assert not torch.equal(before, method.sound_classes.weight)
    names = [(p.name, sorted(p.draw(0, torch.Generator().manual_seed(0))[:, 0].tolist())) for p in method.phases()]
    assert names[-1] == ("scenes", [2, 4]) and all(rows == [0, 1, 3] for _, rows in names[:-1]) and len(names) == 9
    method.listen(data, torch.Generator())
    assert torch.allclose(method.heard_NK.sum(dim=1), torch.ones(N))
    method.solos = None
    assert all(p.name != "scenes" for p in method.phases())
