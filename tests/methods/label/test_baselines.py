"""What a user would pick instead: found on features and pixels, predicted for unseen items, refused with a sentence."""

import numpy as np
import pytest
import torch

from selflabel.assignment.neighbours import nearest
from selflabel.assignment.spectral import cluster_qr, leading_eigenvectors, neighbour_graph
from selflabel.base.errors import UserError
from selflabel.base.settings import make_settings
from selflabel.contract import Features, Task
from selflabel.evaluation.metrics import accuracy
from selflabel.jobs.label import label
from selflabel.jobs.predict import predict
from selflabel.methods import BASELINES, METHODS
from selflabel.methods.label.baselines import GaussianMixture, Options, assign_rest
from selflabel.methods.label.baselines.voted import check_pairs_fit
from selflabel.runs.run import Run

by_umap = {name: pytest.param(name, marks=pytest.mark.slow) for name in BASELINES if name.startswith("umap")}  # numba compiles
every_baseline = pytest.mark.parametrize("name", [by_umap.get(name, name) for name in BASELINES])


def labelled(x, k, name, out=None, **options):
    return label(make_settings(source="array", clusters=k, method=name, device="cpu", options=options), out, data=x)


def test_no_name_means_two_things():
    assert not set(METHODS) & set(BASELINES)


@pytest.mark.slow
@every_baseline
def test_each_finds_blobs_and_predicts_others_of_them(name, blobs, tmp_path):
    x, truth = blobs(n=120)
    labelled(x[:90], 3, name, tmp_path / "run")
    run = Run.open(tmp_path / "run")
    known = run.labels["label"].to_numpy()
    assert accuracy(truth[:90], known) > 0.95
    found = predict(run, x)
    assert accuracy(truth, found.labels) > 0.95 and (found.labels[:90] == known).mean() > 0.95


@every_baseline
def test_pictures_are_clustered_by_their_pixels(name, signs):
    x, truth = signs(100)
    report = labelled(x, 2, name)
    assert report["epochs"] == 0 and report["labelling"].features.shape == (100, 256)
    assert accuracy(truth, report["labelling"].labels) > (0.5 if "hdbscan" in name else 0.6)


@every_baseline
@pytest.mark.parametrize("n", [1, 2, 3, 20])
def test_a_handful_or_all_the_same_is_labelled(name, n, blobs):
    for x in (blobs(n=max(n, 3))[0][:n], np.ones((n, 5), np.float32)):
        found = labelled(x, min(n, 2), name)["labelling"]
        assert set(found.labels) <= {0, 1} and np.isfinite(found.top_probs).all()


def test_the_mixture_says_what_scikit_learns_does(blobs):
    from sklearn.mixture import GaussianMixture as Mixture

    x, _ = blobs(n=200)
    theirs = Mixture(3, covariance_type="diag", random_state=0, n_init=2).fit(x)
    mine = GaussianMixture(Task(200, 3, "features", 0, 0), Options())
    mine.shares_K, mine.means_KD, mine.variances_KD = (
        torch.from_numpy(a).float() for a in (theirs.weights_, theirs.means_, theirs.covariances_)
    )
    found = mine.predict(Features({"image": torch.from_numpy(x)})).log_probs[0].exp().numpy()
    assert np.allclose(found, theirs.predict_proba(x), atol=1e-4)


def test_noise_goes_to_the_nearest_and_all_noise_is_one():
    x = torch.randn(30, 2)
    assert assign_rest(x, torch.full((30,), -1), 3).tolist() == [0] * 30
    labels = torch.tensor([0] * 10 + [1] * 15 + [2] * 5)
    made = assign_rest(x, labels, 2)
    assert (made[10:25] == 0).all() and (made[:10] == 1).all()


def test_a_pretext_learns_first_and_its_network_serves_as_a_frozen_one(signs, tmp_path):
    x, _ = signs(160)
    settings = make_settings(source="array", clusters=2, method="kmeans", options={"pretext": "simclr"}, epochs=3, device="cpu")
    report = label(settings, tmp_path / "run", data=x)
    learned = Run.open(tmp_path / "run").features.astype(np.float32)
    assert report["epochs"] == 3 and learned.shape == (160, 512)
    weights = str(tmp_path / "run" / "model.safetensors")
    frozen = make_settings(
        source="array", clusters=2, method="spherical-kmeans", encoder="frozen:conv4", weights=weights, device="cpu"
    )
    again = label(frozen, None, data=x)["labelling"]
    about = learned - learned.mean(axis=0)  # frozen features are seen about their mean
    assert np.allclose(again.features, about / np.linalg.norm(about, axis=1).mean(), atol=2e-3)


@pytest.mark.parametrize("linkage", ["average", "ward"])
def test_agglomerative_and_spectral_clustering_keep_blobs_of_unequal_size(linkage):
    rng = np.random.default_rng(0)
    truth = rng.permutation(np.repeat([0, 1, 2, 3], [300, 100, 40, 20]))
    x = (16 * np.eye(4, 12)[truth] + rng.normal(size=(len(truth), 12))).astype(np.float32)
    for found in (labelled(x, 4, "agglomerative", linkage=linkage), labelled(x, 4, "spectral")):
        assert accuracy(truth, found.labelling.labels) > 0.98


@pytest.mark.parametrize("linkage", ["average", "ward"])
def test_agglomerative_labels_are_those_of_scikit_learn(linkage):
    from sklearn.cluster import AgglomerativeClustering

    x = np.random.default_rng(0).normal(size=(300, 6)).astype(np.float32)
    found = labelled(x, 7, "agglomerative", linkage=linkage).labelling
    unit = found.features / np.linalg.norm(found.features, axis=1, keepdims=True)
    assert accuracy(AgglomerativeClustering(7, linkage=linkage).fit_predict(unit), found.labels) == 1


def test_spectral_labels_are_those_of_scikit_learn_on_the_same_graph(blobs):
    from sklearn.cluster import SpectralClustering

    x = torch.from_numpy(blobs(n=600)[0]) + 3 * torch.randn(600, 1, generator=torch.Generator().manual_seed(0))
    graph = neighbour_graph(nearest(x, 10).rows)
    model = SpectralClustering(5, affinity="precomputed", assign_labels="cluster_qr", random_state=0)
    theirs = model.fit_predict(graph.toarray())
    assert accuracy(theirs, cluster_qr(leading_eigenvectors(graph, 5, 0)[1])) > 0.99


def test_more_pairs_than_fit_the_memory_are_a_sentence():
    with pytest.raises(UserError, match=r"compares all pairs of the 10,000,000 items, .* take --method spectral"):
        check_pairs_fit("agglomerative", 10_000_000, 8)
