"""SelfLabeler, the scikit-learn face: fit on a path, images or features; labels_, predict, predict_proba, transform."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClusterMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from selflabel.base.errors import UserError


class SelfLabeler(ClusterMixin, TransformerMixin, BaseEstimator):
    """Label unlabelled items.

    Args:
        n_clusters: labels; None lets the method choose without truth.
        method: as in `selflabel methods`.
        encoder: as in `selflabel encoders`; "auto" is by the data.
        mass: "auto", "uniform", "gaussian", "zipf", "estimated" or "relaxed".
        views: a preset of views; "auto" is by the data.
        epochs: of all phases together; None is by the data.
        random_state: seed.
        device: "auto", "cpu", "cuda" or "mps".
        options: of the method, as `--set key=value`.

    Attributes:
        labels_: (N,) int labels.
        report_: the report, as in report.json.
        n_features_in_: for feature input.

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

    def fit(self, X: Any, y: Any = None) -> SelfLabeler:
        """Label X: a path, images (N, H, W[, C] uint8) or features (N, D). `y` is ignored."""
        from selflabel.base.settings import make_settings
        from selflabel.jobs.label import label

        data = self._checked(X, reset=True)
        is_array = isinstance(data, np.ndarray)
        clusters = self.n_clusters
        if is_array and clusters is not None and clusters > len(data):
            raise ValueError(f"n_clusters={clusters} should be <= n_samples={len(data)}.")
        settings = make_settings(
            source="array" if is_array else os.fspath(data),
            clusters=None if clusters is None else int(clusters),
            method=self.method,
            encoder=self.encoder,
            mass=self.mass,
            views=self.views,
            epochs=self.epochs,
            seed=seed_of(self.random_state),
            device=self.device,
            options=self.options or {},
        )
        done = label(settings, None, data=data if is_array else None)
        self._model, found = as_model(done, settings), done["labelling"]
        self.labels_ = found.labels.astype(np.int64)
        self.report_ = {k: v for k, v in done.items() if k not in ("labelling", "method", "prepared")}
        self._n_features_out = found.features.shape[1]
        return self

    def predict(self, X: Any) -> np.ndarray:
        """(N,) labels of unseen items."""
        return self.predict_proba(X).argmax(axis=1)

    def predict_proba(self, X: Any) -> np.ndarray:
        """(N, K) probabilities."""
        return np.exp(self._predicted(X).log_probs.double().numpy())

    def transform(self, X: Any) -> np.ndarray:
        """(N, D) features of the encoder."""
        return self._predicted(X).features.numpy()

    def _predicted(self, X: Any) -> Any:
        check_is_fitted(self, "labels_")
        return self._model.predict(self._checked(X, reset=False))

    def _checked(self, X: Any, reset: bool) -> Any:
        if isinstance(X, (str, os.PathLike)):
            return os.fspath(X)
        if getattr(X, "ndim", 2) in (3, 4):
            return np.asarray(X)
        return np.asarray(validate_data(self, X, reset=reset, dtype=[np.float64, np.float32]), np.float32)


def seed_of(random_state: Any) -> int:
    """A whole number from None, a number or a RandomState."""
    if isinstance(random_state, (int, np.integer)):
        return int(random_state)
    from sklearn.utils import check_random_state

    return int(check_random_state(random_state).randint(1 << 31))


def as_model(done: dict[str, Any], settings: Any) -> Any:
    """The fitted networks, ready to predict, without a run folder."""
    from selflabel.jobs.predict import Model
    from selflabel.training.distributed import pick_device

    prepared, method = done["prepared"], done["method"]
    if method is None:
        raise UserError("the run was already finished.")
    return Model.of(method, prepared, settings, done["head"], pick_device(settings.device))
