"""BASELINES: what a user would pick instead. Labels are read off the features of a fixed backbone, of given features, or, with no
pretrained encoder, off first features (views.first: pictures' pixels, films' outlines and colours). Nothing is trained, but with
`pretext` an encoder learns one before its features are read.

    kmeans, spherical-kmeans, gaussian-mixture   on the features
    umap-kmeans                                  k-means of 10 dimensions that UMAP found (McInnes et al., 2018)
    umap-hdbscan                                 density clusters of them (Campello et al., 2013); K is only a wish: the
                                                 largest are kept, the rest and what is noise go to the nearest

Unseen items are labelled by the centres, the mixture, or, after UMAP, by a vote of the nearest labelled items.
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
from selflabel.contract import Batch, Data, Final, Method, Phase, Prediction, finished, quick_epochs
from selflabel.heads import Centres
from selflabel.pretexts import Name, Pretext, pretext_phase
from selflabel.views import first_features, sound_features

SHOWN, TEMPERATURE = 120_000, 0.2  # of a pretext: items of a quick run
UMAP_DIMS, UMAP_NEIGHBOURS = 10, 15
LEAST_SHARE = 0.2  # of an equal share of the items: HDBSCAN's smallest cluster
VOTERS = 10
RIDGE = 1e-6  # of a mixture's variances, of the features' own


@checked(frozen=True, config=ConfigDict(extra="forbid"))
class Options:
    """starts: of k-means or the mixture, of which the best is reported. pretext: what an encoder learns beforehand; None uses
    first features. Given or pretrained features are taken as they are.
    """

    starts: int = 5
    pretext: Name | None = None


class FirstFeatures(nn.Module):
    """An encoder that learns nothing: what an item is like before any network has learned."""

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
        self.clusters = task.clusters or min(10, task.n_items)

    def build(self, encoders: nn.ModuleDict) -> None:
        m = self.task.modality
        if self.learns_first:
            self.encoders = encoders
            self.pretext = Pretext(self.options.pretext, encoders[m], TEMPERATURE, self.task.n_items)
        else:
            self.encoders = nn.ModuleDict({m: FirstFeatures(self.task.kind)}) if self.task.starts_from_nothing else encoders

    @property
    def learns_first(self) -> bool:
        return self.options.pretext is not None and self.task.starts_from_nothing

    def phases(self) -> list[Phase]:
        if not self.learns_first:
            return []
        m, n = self.task.modality, self.task.n_items
        epochs = self.task.epochs or quick_epochs(self.task, SHOWN, 20, 120)
        return [pretext_phase(self.options.pretext, m, self.view_of(m), epochs, n)]

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        m = self.task.modality
        return {"pretext": self.pretext.loss(self.encoders[m], batch.views[m], batch.every)}

    def after_step(self) -> None:
        self.pretext.after_step(self.encoders[self.task.modality])


class KMeans(Baseline):
    """k-means, or with centres and items on the unit sphere."""

    spherical = False

    def build(self, encoders: nn.ModuleDict) -> None:
        super().build(encoders)
        self.centres = Centres(self.clusters, self.dim(self.task.modality), self.options.starts)

    def shown(self, features: Tensor) -> Tensor:
        return F.normalize(features.float(), dim=1) if self.spherical else features.float()

    def predict(self, block: dict[str, Tensor], present: dict[str, Tensor] | None = None) -> Prediction:
        return Prediction(self.centres(self.shown(block[self.task.modality])))

    def final(self, data: Data, generator: torch.Generator) -> Final:
        x = self.shown(data.features(self.task.modality))
        best = self.centres.fit(x, self.task.seed, self.spherical)
        return finished(self.centres(x), best, {"mass": "as found"})


class SphericalKMeans(KMeans):
    """k-means by cosine."""

    spherical = True


class GaussianMixture(Baseline):
    """A mixture of Gaussians with diagonal covariances, from k-means."""

    shares_K: Tensor
    means_KD: Tensor
    variances_KD: Tensor

    def build(self, encoders: nn.ModuleDict) -> None:
        super().build(encoders)
        shape = (self.clusters, self.dim(self.task.modality))
        self.register_buffer("shares_K", torch.full((self.clusters,), 1 / self.clusters))
        self.register_buffer("means_KD", torch.zeros(shape))
        self.register_buffer("variances_KD", torch.ones(shape))

    def predict(self, block: dict[str, Tensor], present: dict[str, Tensor] | None = None) -> Prediction:
        x = block[self.task.modality].float()
        scores = [
            share.log() - 0.5 * ((x - mean).square() / variance + variance.log() + math.log(2 * math.pi)).sum(dim=1)
            for share, mean, variance in zip(self.shares_K, self.means_KD, self.variances_KD)
        ]
        return Prediction([F.log_softmax(torch.stack(scores, dim=1), dim=1)])

    def final(self, data: Data, generator: torch.Generator) -> Final:
        from sklearn.mixture import GaussianMixture as Mixture

        x = data.features(self.task.modality)
        known, K, starts = x.double().cpu().numpy(), self.clusters, self.options.starts if len(x) > 1 else 1
        ridge = max(RIDGE * float(known.var()), 1e-10)
        x_fit = known if len(known) > 1 else known.repeat(2, axis=0)  # scikit-learn wants two items
        mixture = Mixture(K, covariance_type="diag", n_init=starts, reg_covar=ridge, random_state=self.task.seed).fit(x_fit)
        found = (mixture.weights_.clip(1e-12), mixture.means_, mixture.covariances_)
        self.shares_K, self.means_KD, self.variances_KD = (torch.from_numpy(a).float().to(x.device) for a in found)
        return finished(self.predict({self.task.modality: x}).log_probs, 0, {"mass": "as found"})


class OfUmap(Baseline):
    """Clusters of what UMAP makes of the features; unseen items are labelled by their nearest labelled ones."""

    features_ND: Tensor
    labels_N: Tensor

    def build(self, encoders: nn.ModuleDict) -> None:
        super().build(encoders)
        self.register_buffer("features_ND", torch.zeros(1, self.dim(self.task.modality)))
        self.register_buffer("labels_N", torch.zeros(1, dtype=torch.int64))

    @abstractmethod
    def grouped(self, embedded: Tensor) -> Tensor:
        """(N,) labels of the embedded items."""

    def predict(self, block: dict[str, Tensor], present: dict[str, Tensor] | None = None) -> Prediction:
        found = []
        for x in block[self.task.modality].float().split(1024):
            nearest = torch.cdist(x, self.features_ND).topk(min(VOTERS, len(self.features_ND)), largest=False).indices
            found.append(F.one_hot(self.labels_N[nearest], self.clusters).float().mean(dim=1))
        return Prediction([torch.cat(found).clamp(min=1e-6).log()])

    def final(self, data: Data, generator: torch.Generator) -> Final:
        x = data.features(self.task.modality).float()
        self.features_ND, self.labels_N = x, self.grouped(embedded(x, self.task.seed)).to(x.device)
        share = self.predict({self.task.modality: x}).log_probs[0].exp()
        rows = (share + F.one_hot(self.labels_N, self.clusters)) / 2  # an item votes for its own label
        return Final([self.labels_N], 0, (rows / rows.sum(dim=1, keepdim=True)).half(), {"mass": "as found"})


def embedded(x: Tensor, seed: int) -> Tensor:
    """(N, 10) by UMAP, or the features themselves where there are too few items for it."""
    if len(x) <= UMAP_NEIGHBOURS + 1 or not bool((x != x[:1]).any()):
        return x
    import warnings

    import umap

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns that a seed forbids threads
        made = umap.UMAP(n_components=UMAP_DIMS, n_neighbors=UMAP_NEIGHBOURS, min_dist=0.0, random_state=seed, init=first(x))
        return torch.from_numpy(np.asarray(made.fit_transform(x.cpu().numpy()), np.float32))


def first(x: Tensor) -> np.ndarray:
    """Where UMAP starts: principal directions, because its spectral start fails on a graph in pieces."""
    centred = (x - x.mean(dim=0)).double().cpu()
    _, _, directions = torch.linalg.svd(centred[:: max(1, len(x) // 5000)], full_matrices=False)
    made = F.pad(centred @ directions[:UMAP_DIMS].T, (0, max(0, UMAP_DIMS - min(centred.shape))))[:, :UMAP_DIMS]
    noise = np.random.default_rng(0).normal(size=made.shape)
    return (10 * made / made.abs().max().clamp(min=1e-12)).numpy().astype(np.float32) + 1e-4 * noise.astype(np.float32)


class UmapKMeans(OfUmap):
    """k-means of UMAP."""

    def grouped(self, embedded: Tensor) -> Tensor:
        found = [kmeans(embedded, self.clusters, seed=self.task.seed * 1009 + s, turns=50) for s in range(self.options.starts)]
        return min(found, key=lambda pair: float(nearest_centre(embedded, pair[0])[1].mean()))[1]


class UmapHdbscan(OfUmap):
    """Density clusters of UMAP."""

    def grouped(self, embedded: Tensor) -> Tensor:
        from sklearn.cluster import HDBSCAN

        least = max(2, round(LEAST_SHARE * len(embedded) / self.clusters))
        if len(embedded) <= least or len(embedded) < 2 * self.clusters:
            return torch.zeros(len(embedded), dtype=torch.int64)
        found = HDBSCAN(min_cluster_size=least, copy=True).fit_predict(embedded.numpy())
        return completed(embedded, torch.from_numpy(found).long(), self.clusters)


def completed(x_ND: Tensor, labels_N: Tensor, K: int) -> Tensor:
    """The K largest clusters, by size; noise (-1) and smaller ones go to the nearest mean. All in one where all is noise.

    Example:
        >>> x = torch.tensor([[0.0], [0.1], [0.2], [5.0], [5.1], [4.0]])
        >>> completed(x, torch.tensor([4, 4, 4, 2, 2, -1]), 2).tolist()
        [0, 0, 0, 1, 1, 1]
    """
    sizes = torch.bincount(labels_N[labels_N >= 0], minlength=1)
    kept = [k for k in sizes.argsort(descending=True, stable=True).tolist()[:K] if sizes[k] > 0]
    if not kept:
        return torch.zeros_like(labels_N)
    means = torch.stack([x_ND[labels_N == k].mean(dim=0) for k in kept])
    made = nearest_centre(x_ND, means)[0]
    for new, old in enumerate(kept):
        made[labels_N == old] = new
    return made
