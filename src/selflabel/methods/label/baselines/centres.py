"""k-means, k-means by cosine and a mixture of Gaussians, on the features.

Axes: N items, D features, K labels.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from selflabel.contract import Data, Features, Outcome, Prediction, argmax_outcome
from selflabel.heads import Centres
from selflabel.methods.label.baselines.base import Baseline

RIDGE = 1e-6  # added to a mixture's variances, relative to that of the features


class KMeans(Baseline):
    """k-means, or with centres and items on the unit sphere."""

    spherical = False

    def build(self, encoders: nn.ModuleDict) -> None:
        super().build(encoders)
        self.centres = Centres(self.clusters, self.width, self.options.starts)

    def transform(self, features: Tensor) -> Tensor:
        return F.normalize(features.float(), dim=1) if self.spherical else features.float()

    def predict(self, features: Features) -> Prediction:
        return Prediction(self.centres(self.transform(self.clustered(features))))

    def final(self, data: Data, generator: torch.Generator) -> Outcome:
        x = self.transform(self.all_clustered(data))
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
        shape = (self.clusters, self.width)
        self.register_buffer("shares_K", torch.full((self.clusters,), 1 / self.clusters))
        self.register_buffer("means_KD", torch.zeros(shape))
        self.register_buffer("variances_KD", torch.ones(shape))

    def predict(self, features: Features) -> Prediction:
        return Prediction([self.log_probs(self.clustered(features).float())])

    def log_probs(self, x: Tensor) -> Tensor:
        """(B, K) of what is clustered (B, D)."""
        scores = [
            share.log() - 0.5 * ((x - mean).square() / variance + variance.log() + math.log(2 * math.pi)).sum(dim=1)
            for share, mean, variance in zip(self.shares_K, self.means_KD, self.variances_KD)
        ]
        return F.log_softmax(torch.stack(scores, dim=1), dim=1)

    def final(self, data: Data, generator: torch.Generator) -> Outcome:
        from sklearn.mixture import GaussianMixture as Mixture

        x = self.all_clustered(data)
        rows, K, starts = x.double().cpu().numpy(), self.clusters, self.options.starts if len(x) > 1 else 1
        ridge = max(RIDGE * float(rows.var()), 1e-10)
        x_fit = rows if len(rows) > 1 else rows.repeat(2, axis=0)  # scikit-learn needs two items
        mixture = Mixture(K, covariance_type="diag", n_init=starts, reg_covar=ridge, random_state=self.task.seed).fit(x_fit)
        parameters = (mixture.weights_.clip(1e-12), mixture.means_, mixture.covariances_)
        self.shares_K, self.means_KD, self.variances_KD = (torch.from_numpy(a).float().to(x.device) for a in parameters)
        return argmax_outcome([self.log_probs(x.float())], 0, {"mass": "as found"})
