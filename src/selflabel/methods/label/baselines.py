"""BASELINES: what a user would otherwise run. Labels come from the features of a fixed backbone, from given features or, without
a pretrained encoder, from first features (`views.first`: patterns or pixels of pictures, outlines and colours of films). Nothing
is trained, unless `pretext` names what an encoder learns first.

    kmeans, spherical-kmeans, gaussian-mixture   on the features
    umap-kmeans                                  k-means of the 10 dimensions of UMAP (McInnes et al., 2018)
    umap-hdbscan                                 density clusters of them (Campello et al., 2013). K is an upper bound: the
                                                 largest are kept, and other items and noise go to the nearest

Unseen items are labelled by the centres, by the mixture or, after UMAP, by a vote of the nearest labelled items.

Axes: N items, D features, K labels.
"""

from __future__ import annotations

import math
from abc import abstractmethod

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import ConfigDict
from pydantic.dataclasses import dataclass as checked
from torch import Tensor, nn

from selflabel.assignment.kmeans import kmeans, nearest_centre
from selflabel.base.schedules import epochs_for_budget
from selflabel.contract import Data, Features, Method, Outcome, Phase, Prediction, argmax_outcome
from selflabel.heads import Centres
from selflabel.methods.option_types import PositiveInt
from selflabel.pretexts import PretextName, make_pretext
from selflabel.views import first_features, sound_features

SHORT_RUN_ITEMS = 120_000  # items shown by a pretext in all
DEFAULT_CLUSTERS = 10
UMAP_DIMS, UMAP_NEIGHBOURS = 10, 15
MIN_SHARE = 0.2  # of an equal share of the items: HDBSCAN's smallest cluster
VOTES = 10  # labelled items that vote on an unseen one
RIDGE = 1e-6  # added to a mixture's variances, relative to that of the features


@checked(frozen=True, config=ConfigDict(extra="forbid"))
class Options:
    """Options of the baselines.

    Attributes:
        starts: starts of k-means or of the mixture, of which the best is reported.
        pretext: what an encoder learns first; None uses first features. Given or pretrained features are used as they are.
    """

    starts: PositiveInt = 5
    pretext: PretextName | None = None


class FirstFeatures(nn.Module):
    """First features as an encoder without parameters.

    Args:
        kind: kind of the items, as in `Task.kinds`.
    """

    def __init__(self, kind: str):
        super().__init__()
        self.kind, self.dim, self.px = kind, 0, 0

    def forward(self, x: Tensor) -> Tensor:
        return sound_features(x, self.kind == "spoken") if self.kind in ("sound", "spoken") else first_features(x)


class Baseline(Method):
    """Features in, labels out."""

    options_type = Options

    def __init__(self, task, options: Options):
        super().__init__(task, options)
        self.clusters = task.n_clusters(DEFAULT_CLUSTERS)

    def build(self, encoders: nn.ModuleDict) -> None:
        m = self.task.modality
        if self.options.pretext is not None and self.task.from_scratch:
            self.encoders = encoders
            self.pretext = make_pretext(self.options.pretext, encoders[m], self.task.n_items)
        else:
            self.encoders = nn.ModuleDict({m: FirstFeatures(self.task.kind)}) if self.task.from_scratch else encoders

    def phases(self) -> list[Phase]:
        m, n = self.task.modality, self.task.n_items
        if self.options.pretext is None or not self.task.from_scratch:
            return []
        default = epochs_for_budget(n, SHORT_RUN_ITEMS, 20, 120, self.task.gpu)
        epochs = default if self.task.epochs is None else self.task.epochs
        return [self.pretext.phase(self.encoders[m], m, self.task.view_preset(m), epochs, n)]


class KMeans(Baseline):
    """k-means, or with centres and items on the unit sphere."""

    spherical = False

    def build(self, encoders: nn.ModuleDict) -> None:
        super().build(encoders)
        self.centres = Centres(self.clusters, self.dim(self.task.modality), self.options.starts)

    def transform(self, features: Tensor) -> Tensor:
        return F.normalize(features.float(), dim=1) if self.spherical else features.float()

    def predict(self, features: Features) -> Prediction:
        return Prediction(self.centres(self.transform(features.pooled[self.task.modality])))

    def final(self, data: Data, generator: torch.Generator) -> Outcome:
        x = self.transform(data.features(self.task.modality))
        best = self.centres.fit(x, self.task.seed, self.spherical)
        return argmax_outcome(self.centres(x), best, {"mass": "as found"})


class SphericalKMeans(KMeans):
    """k-means by cosine."""

    spherical = True


class GaussianMixture(Baseline):
    """A mixture of Gaussians with diagonal covariances, started from k-means."""

    shares_K: Tensor
    means_KD: Tensor
    variances_KD: Tensor

    def build(self, encoders: nn.ModuleDict) -> None:
        super().build(encoders)
        shape = (self.clusters, self.dim(self.task.modality))
        self.register_buffer("shares_K", torch.full((self.clusters,), 1 / self.clusters))
        self.register_buffer("means_KD", torch.zeros(shape))
        self.register_buffer("variances_KD", torch.ones(shape))

    def predict(self, features: Features) -> Prediction:
        x = features.pooled[self.task.modality].float()
        scores = [
            share.log() - 0.5 * ((x - mean).square() / variance + variance.log() + math.log(2 * math.pi)).sum(dim=1)
            for share, mean, variance in zip(self.shares_K, self.means_KD, self.variances_KD)
        ]
        return Prediction([F.log_softmax(torch.stack(scores, dim=1), dim=1)])

    def final(self, data: Data, generator: torch.Generator) -> Outcome:
        from sklearn.mixture import GaussianMixture as Mixture

        x = data.features(self.task.modality)
        rows, K, starts = x.double().cpu().numpy(), self.clusters, self.options.starts if len(x) > 1 else 1
        ridge = max(RIDGE * float(rows.var()), 1e-10)
        x_fit = rows if len(rows) > 1 else rows.repeat(2, axis=0)  # scikit-learn needs two items
        mixture = Mixture(K, covariance_type="diag", n_init=starts, reg_covar=ridge, random_state=self.task.seed).fit(x_fit)
        parameters = (mixture.weights_.clip(1e-12), mixture.means_, mixture.covariances_)
        self.shares_K, self.means_KD, self.variances_KD = (torch.from_numpy(a).float().to(x.device) for a in parameters)
        return argmax_outcome(self.predict(Features({self.task.modality: x})).log_probs, 0, {"mass": "as found"})


class UmapBaseline(Baseline):
    """Clusters of a UMAP embedding. Unseen items are labelled by a vote of their nearest labelled items."""

    features_ND: Tensor
    labels_N: Tensor

    def build(self, encoders: nn.ModuleDict) -> None:
        super().build(encoders)
        self.register_buffer("features_ND", torch.zeros(1, self.dim(self.task.modality)))
        self.register_buffer("labels_N", torch.zeros(1, dtype=torch.int64))

    @abstractmethod
    def cluster(self, embedding: Tensor) -> Tensor:
        """(N,) labels of the embedded items."""

    def predict(self, features: Features) -> Prediction:
        shares = []
        for x in features.pooled[self.task.modality].float().split(1024):
            nearest = torch.cdist(x, self.features_ND).topk(min(VOTES, len(self.features_ND)), largest=False).indices
            shares.append(F.one_hot(self.labels_N[nearest], self.clusters).float().mean(dim=1))
        return Prediction([torch.cat(shares).clamp(min=1e-6).log()])

    def final(self, data: Data, generator: torch.Generator) -> Outcome:
        x = data.features(self.task.modality).float()
        self.features_ND, self.labels_N = x, self.cluster(umap_embedding(x, self.task.seed)).to(x.device)
        share = self.predict(Features({self.task.modality: x})).log_probs[0].exp()
        rows = (share + F.one_hot(self.labels_N, self.clusters)) / 2  # an item votes for its own label
        return Outcome([self.labels_N], 0, (rows / rows.sum(dim=1, keepdim=True)).half(), {"mass": "as found"})


def umap_embedding(x: Tensor, seed: int) -> Tensor:
    """(N, 10) UMAP embedding of features (N, D), or the features themselves where there are too few items."""
    if len(x) <= UMAP_NEIGHBOURS + 1 or not bool((x != x[:1]).any()):
        return x
    import warnings

    import umap

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns that a seed forbids threads
        model = umap.UMAP(n_components=UMAP_DIMS, n_neighbors=UMAP_NEIGHBOURS, min_dist=0.0, random_state=seed, init=umap_init(x))
        return torch.from_numpy(np.asarray(model.fit_transform(x.cpu().numpy()), np.float32))


def umap_init(x: Tensor) -> np.ndarray:
    """(N, 10) principal components to start UMAP from, because its spectral start fails on a graph that is not connected."""
    centred = (x - x.mean(dim=0)).double().cpu()
    _, _, directions = torch.linalg.svd(centred[:: max(1, len(x) // 5000)], full_matrices=False)
    start = F.pad(centred @ directions[:UMAP_DIMS].T, (0, max(0, UMAP_DIMS - min(centred.shape))))[:, :UMAP_DIMS]
    noise = np.random.default_rng(0).normal(size=start.shape)
    return (10 * start / start.abs().max().clamp(min=1e-12)).numpy().astype(np.float32) + 1e-4 * noise.astype(np.float32)


class UmapKMeans(UmapBaseline):
    """k-means of a UMAP embedding."""

    def cluster(self, embedding: Tensor) -> Tensor:
        seeds = [self.task.seed * 1009 + s for s in range(self.options.starts)]
        results = [kmeans(embedding, self.clusters, seed=seed, max_iter=50) for seed in seeds]
        return min(results, key=lambda pair: float(nearest_centre(embedding, pair[0])[1].mean()))[1]


class UmapHdbscan(UmapBaseline):
    """Density clusters of a UMAP embedding."""

    def cluster(self, embedding: Tensor) -> Tensor:
        from sklearn.cluster import HDBSCAN

        n, smallest = len(embedding), max(2, round(MIN_SHARE * len(embedding) / self.clusters))
        if n <= smallest or n < 2 * self.clusters:
            return torch.zeros(n, dtype=torch.int64)
        labels = HDBSCAN(min_cluster_size=smallest, copy=True).fit_predict(embedding.numpy())
        return assign_rest(embedding, torch.from_numpy(labels).long(), self.clusters)


def assign_rest(x_ND: Tensor, labels_N: Tensor, K: int) -> Tensor:
    """Keep the K largest clusters, in the order of their sizes, and assign the other items to the nearest mean.

    Args:
        x_ND: (N, D) items.
        labels_N: (N,) clusters; -1 for noise. Where all is noise, all items get label 0.
        K: clusters to keep.

    Example:
        >>> x = torch.tensor([[0.0], [0.1], [0.2], [5.0], [5.1], [4.0]])
        >>> assign_rest(x, torch.tensor([4, 4, 4, 2, 2, -1]), 2).tolist()
        [0, 0, 0, 1, 1, 1]
    """
    sizes = torch.bincount(labels_N[labels_N >= 0], minlength=1)
    kept = [k for k in sizes.argsort(descending=True, stable=True).tolist()[:K] if sizes[k] > 0]
    if not kept:
        return torch.zeros_like(labels_N)
    means = torch.stack([x_ND[labels_N == k].mean(dim=0) for k in kept])
    labels = nearest_centre(x_ND, means)[0]
    for new, old in enumerate(kept):
        labels[labels_N == old] = new
    return labels
