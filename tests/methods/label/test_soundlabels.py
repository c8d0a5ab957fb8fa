"""soundlabels on pairs of features, where the sound tells the classes and the picture must learn them."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from selflabel.base.errors import UserError
from selflabel.contract import Batch, Features, Task
from selflabel.methods.label.soundlabels import (
    ABSENT,
    BITS,
    Options,
    SoundLabels,
    balanced,
    binary_codes,
    contributions,
    mean_codes,
    stretched,
)
from tests.methods.label.helpers import FeatureData, identity_encoders, views_of

CLASSES, DIM = 4, 6


def made(labels="kmeans", n=120, clusters=CLASSES):
    """Sounds in four groups; pictures have what tells them apart, too, in other directions."""
    g = torch.Generator().manual_seed(0)
    of = torch.arange(n) % CLASSES
    x = {"image": 2 * F.one_hot(of, DIM).float(), "audio": 3 * F.one_hot(of, DIM).float().flip(1)}
    x = {m: v + 0.2 * torch.randn(n, DIM, generator=g) for m, v in x.items()}
    kinds = dict.fromkeys(x, "features")
    torch.manual_seed(0)
    method = SoundLabels(Task(n, clusters, "features", 0, 0, kinds=kinds), Options(labels=labels))
    method.build(identity_encoders(DIM, x))
    return method, FeatureData(x), of


def same_partition(a, b):
    return len(set(zip(a.tolist(), b.tolist()))) == len(set(a.tolist())) == len(set(b.tolist()))


def batch_of(data, rows, **present):
    return Batch(rows[:, None], views_of(image=[data.by_modality["image"][rows]]), 0.0, present)


def learned(labels):
    """The method after some steps of gradient descent on all items."""
    method, data, of = made(labels)
    with torch.no_grad():
        method.relabel(data, torch.Generator())
    optimiser = torch.optim.Adam(method.head.parameters(), 0.1)
    for _ in range(60):
        optimiser.zero_grad()
        sum(method.loss(batch_of(data, torch.arange(120))).values()).backward()
        optimiser.step()
    return method.eval(), data, of


@pytest.mark.parametrize("labels", ["kmeans", "binary", "sela"])
@torch.no_grad()
def test_sounds_are_labelled_once_and_unseen_ones_alike(labels):
    method, data, of = made(labels)
    assert method.phases()[0].relabel_at == (0.0,) and set(method.phases()[0].views) == {"image"}
    (found,) = method.relabel(data, torch.Generator()).labels
    assert same_partition(found, of)
    alone = method.predict(Features({"audio": data.by_modality["audio"]})).log_probs[0]
    assert torch.equal(alone.argmax(dim=1), found)


@pytest.mark.parametrize("labels", ["kmeans", "binary", "sela"])
def test_pictures_learn_the_labels_of_their_sounds_and_a_picture_counts_before_its_sound(labels):
    method, data, of = learned(labels)
    with torch.no_grad():
        outcome = method.final(data, torch.Generator())
        assert same_partition(outcome.labels[0], of) and torch.isfinite(outcome.probabilities).all()
        swapped = Features({"image": data.by_modality["image"], "audio": data.by_modality["audio"].roll(1, 0)})
        assert torch.equal(method.predict(swapped).log_probs[0].argmax(dim=1), outcome.labels[0])
        none = torch.zeros(120, dtype=torch.bool)
        heard = method.predict(Features(swapped.pooled, {"image": none})).log_probs[0].argmax(dim=1)
    assert torch.equal(heard, outcome.labels[0].roll(1))


@torch.no_grad()
def test_the_loss_is_the_cross_entropy_of_the_label_or_of_each_bit():
    rows = torch.arange(50)
    method, data, _ = made("kmeans")
    method.relabel(data, torch.Generator())
    log_p = method.head(data.by_modality["image"][rows]).log_softmax(dim=1).numpy()
    plain = np.mean([-log_p[i, int(method.labels_N[i])] for i in range(50)])
    assert float(method.loss(batch_of(data, rows))["sound"]) == pytest.approx(plain, rel=1e-5)
    method, data, _ = made("binary")
    method.relabel(data, torch.Generator())
    p, code = method.head(data.by_modality["image"][rows]).sigmoid().double().numpy(), method.codes_NM.numpy()
    plain = np.mean([-np.log(p[i, j] if code[i, j] else 1 - p[i, j]) for i in range(50) for j in range(BITS)])
    assert float(method.loss(batch_of(data, rows))["sound"]) == pytest.approx(plain, rel=1e-5)


@pytest.mark.parametrize("labels", ["kmeans", "binary"])
@torch.no_grad()
def test_items_without_a_sound_or_a_picture_teach_nothing(labels):
    method, data, _ = made(labels)
    data.present["audio"][:10] = False
    assert (method.relabel(data, torch.Generator()).labels[0][:10] == -1).all() and (method.labels_N[:10] == ABSENT).all()
    has_picture = torch.arange(30) < 20
    whole, part = (method.loss(batch_of(data, rows)) for rows in (torch.arange(10, 20), torch.arange(10, 20)))
    loss = method.loss(batch_of(data, torch.arange(30), image=has_picture))
    assert float(loss["sound"]) == pytest.approx(float(whole["sound"]), rel=1e-5) and whole == part
    assert float(method.loss(batch_of(data, torch.arange(10)))["sound"]) == 0


def test_a_code_has_the_signs_of_the_principal_components_about_their_medians():
    x = torch.randn(101, 5, generator=torch.Generator().manual_seed(1)) * torch.tensor([9.0, 4.0, 2.0, 1.0, 0.5])
    x -= x.mean(dim=0)
    codes = binary_codes(x).numpy()
    assert codes.shape == (101, BITS) and not codes[:, 5:].any()  # there are five components
    components = x.double().numpy() @ np.linalg.svd(x.double().numpy())[2].T
    for j, z in enumerate(components.T):
        assert (codes[:, j] == (z > np.median(z))).all() or (codes[:, j] == (z < np.median(z))).all()


def test_a_cluster_has_the_mean_of_its_codes():
    codes, labels = torch.tensor([[1, 0], [0, 0], [1, 1]], dtype=torch.bool), torch.tensor([0, 0, 2])
    assert mean_codes(codes, labels, 3).tolist() == [[0.5, 0.0], [0.5, 0.5], [1.0, 1.0]]


def test_balanced_clusters_have_equal_sizes_where_kmeans_has_not():
    g = torch.Generator().manual_seed(0)
    x = torch.cat([torch.randn(90, 2, generator=g), torch.randn(10, 2, generator=g) + 6])
    centres, labels = balanced(x, torch.tensor([[0.0, 0.0], [6.0, 6.0]]))
    assert torch.bincount(labels).tolist() == [50, 50]
    assert torch.allclose(centres, torch.stack([x[labels == k].mean(dim=0) for k in (0, 1)]), atol=1e-5)


@pytest.mark.parametrize("flat", [False, True])
def test_what_places_add_sums_to_the_score(flat):
    maps = torch.rand(2, 3, 4, 5)
    features = maps.flatten(1) if flat else maps.mean(dim=(2, 3))
    weight = torch.randn(7, features.shape[1])
    assert torch.allclose(contributions(maps, weight).sum(dim=(2, 3)), features @ weight.T, atol=1e-5)


def test_a_network_whose_features_are_no_mean_of_its_map_is_refused():
    with pytest.raises(UserError, match="no mean of its map"):
        contributions(torch.rand(1, 3, 4, 4), torch.randn(2, 5))


@torch.no_grad()
def test_a_heatmap_goes_up_to_the_probability_of_its_cluster():
    kinds = {"image": "photo", "audio": "features"}
    method = SoundLabels(Task(9, 3, "photo", 32, 3, kinds=kinds), Options())
    encoders = nn.ModuleDict({"image": nn.Identity(), "audio": nn.Identity()})
    encoders["image"].dim, encoders["audio"].dim = 5, 6
    method.build(encoders)
    method.sounds.fit(torch.randn(9, 6), 0)
    maps = torch.randn(4, 5, 3, 3)
    heat = method.heatmaps(Features({}, {}, {"image": maps[:, :, None]}))
    (log_probs,) = method.predict(Features({"image": maps.mean(dim=(2, 3)), "audio": torch.zeros(4, 6)})).log_probs
    assert heat.shape == (4, 3, 3, 3) and float(heat.min()) == 0 and not method.hears
    assert torch.allclose(heat.amax(dim=(2, 3)), log_probs.exp(), atol=1e-5)
    assert not stretched(torch.ones(1, 1, 2, 2)).any()


def test_sounds_that_a_network_would_have_to_learn_first_are_refused():
    with pytest.raises(UserError, match="audio=frozen:NAME"):
        SoundLabels(Task(9, 3, "photo", 32, 3, kinds={"image": "photo", "audio": "sound"}), Options())
