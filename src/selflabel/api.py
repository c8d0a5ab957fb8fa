"""SelfLabeler, a scikit-learn estimator: fit on a path, on images or on features; labels_, predict, predict_proba, transform."""

from __future__ import annotations

import os
import warnings
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClusterMixin, TransformerMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.validation import check_is_fitted, validate_data


class SelfLabeler(ClusterMixin, TransformerMixin, BaseEstimator):
    """Label unlabelled images, videos, sounds or features.

    Args:
        n_clusters: number of clusters; None is estimated by sela-nn, without truth, and the default of other methods.
        method: name, as in `selflabel methods`.
        encoder: name, as in `selflabel encoders`; "auto" takes a pretrained one for photographs, films and sounds where it can be
            had, "scratch" always trains a network on the items.
        mass: cluster sizes: "auto", "uniform", "gaussian", "zipf", "estimated" or "relaxed".
        views: preset of the random views; "auto" is by the data.
        epochs: of all phases together; None is by the data.
        random_state: a seed, a numpy RandomState, or None for another result each time.
        device: "auto", "cpu", "cuda" or "mps".
        options: of the method, as in `--set key=value`.
        weights: .safetensors file of pretrained weights for the encoder.

    Attributes:
        labels_: (N,) int64 labels.
        n_clusters_: how many clusters have items.
        report_: dict, as in report.json.
        n_features_in_: length of the features, for feature input.

    Example:
        >>> import numpy as np
        >>> from selflabel import SelfLabeler
        >>> x = np.random.default_rng(0).normal(size=(60, 8)) + np.repeat([[0.0], [9.0]], 30, axis=0) * np.eye(8)[0]
        >>> labels = SelfLabeler(n_clusters=2, random_state=0).fit(x).labels_
        >>> len(set(labels[:30])), len(set(labels[30:]))
        (1, 1)
    """

    def __init__(
        self,
        n_clusters: int | None = 8,
        *,
        method: str = "sela-nn",
        encoder: str = "auto",
        mass: str = "auto",
        views: str = "auto",
        epochs: int | None = None,
        random_state: int | None = 0,
        device: str = "auto",
        options: dict[str, Any] | None = None,
        weights: str | os.PathLike[str] | None = None,
    ):
        self.n_clusters = n_clusters
        self.method = method
        self.encoder = encoder
        self.mass = mass
        self.views = views
        self.epochs = epochs
        self.random_state = random_state
        self.device = device
        self.options = options
        self.weights = weights

    def fit(self, X: Any, y: Any = None) -> SelfLabeler:
        """Label X. `y` is ignored.

        Args:
            X: a path or a list of paths, images (N, H, W[, C]) of any real type, or features (N, D).

        Returns:
            The estimator itself.

        Raises:
            UserError, ValueError: X or a parameter is wrong.

        Warns:
            ConvergenceWarning: the labels have collapsed.
        """
        from selflabel.base.settings import make_settings
        from selflabel.jobs.label import label

        data = self._check(X, reset=True)
        is_array = isinstance(data, np.ndarray)
        clusters = self.n_clusters
        if is_array and clusters is not None and clusters > len(data):
            raise ValueError(f"n_clusters={clusters} should be <= n_samples={len(data)}.")
        settings = make_settings(
            source="array" if is_array else data,
            clusters=None if clusters is None else int(clusters),
            method=self.method,
            encoder=self.encoder,
            weights=None if self.weights is None else os.fspath(self.weights),
            mass=self.mass,
            views=self.views,
            epochs=self.epochs,
            seed=seed_of(self.random_state),
            device=self.device,
            options=self.options or {},
        )
        labelled = label(settings, None, data=data if is_array else None)
        assert labelled.labelling is not None  # nothing was written, so nothing was finished before
        self._model = as_model(labelled, settings)
        self.labels_ = labelled.labelling.labels.astype(np.int64)
        self.report_ = dict(labelled)
        self.n_clusters_ = int(labelled["n_clusters"])
        if labelled["collapsed"]:
            found = f"{self.n_clusters_} of {len(labelled['sizes'])} clusters found"
            warnings.warn(f"{found}: the labels have collapsed; see report_.", ConvergenceWarning, stacklevel=2)
        self._n_features_out = labelled.labelling.features.shape[1]
        return self

    def predict(self, X: Any) -> np.ndarray:
        """(N,) int64 labels of unseen items. X, errors: as in `predict_proba`."""
        return self.predict_proba(X).argmax(axis=1)

    def predict_proba(self, X: Any) -> np.ndarray:
        """(N, K) probabilities of the labels of unseen items; rows sum to 1.

        Args:
            X: a path, images or features, as in `fit`.

        Raises:
            NotFittedError: `fit` was not called before.
            UserError, ValueError: X is not of the kind that was fitted.
        """
        return np.exp(self._predict(X).log_probs.double().numpy())

    def transform(self, X: Any) -> np.ndarray:
        """(N, D) float32 features of the encoder for unseen items. X, errors: as in `predict_proba`."""
        return self._predict(X).features.numpy()

    def _predict(self, X: Any) -> Any:
        check_is_fitted(self, "labels_")
        return self._model.predict(self._check(X, reset=False))

    def _check(self, X: Any, reset: bool) -> Any:
        if isinstance(X, (str, os.PathLike)):
            return os.fspath(X)
        if isinstance(X, (list, tuple)) and X and all(isinstance(place, (str, os.PathLike)) for place in X):
            return [os.fspath(place) for place in X]
        if getattr(X, "ndim", 2) in (3, 4):
            return np.asarray(X)
        return np.asarray(validate_data(self, X, reset=reset, dtype=[np.float64, np.float32]), np.float32)


def seed_of(random_state: Any) -> int:
    """An integer seed from None, an integer or a RandomState."""
    if isinstance(random_state, (int, np.integer)):
        return int(random_state)
    from sklearn.utils import check_random_state

    return int(check_random_state(random_state).randint(1 << 31))


def as_model(labelled: Any, settings: Any) -> Any:
    """The fitted networks, ready to predict, without a run folder."""
    from selflabel.jobs.predict import Model
    from selflabel.training.distributed import pick_device

    head, device = labelled["head"], pick_device(settings.device)
    return Model.of(labelled.method, labelled.prepared, head, device, settings.cache)
