"""SelfLabeler, a scikit-learn estimator: fit on a path, on images or on features; labels_, predict, predict_proba, transform."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClusterMixin, TransformerMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.validation import check_is_fitted, validate_data

SAME_NAMES = (
    "method", "encoder", "weights", "mass", "views", "epochs", "device", "outliers", "windows", "hop", "options",
)  # fmt: skip
OWN_NAMES = {  # settings that have a parameter of their own, and its name here
    "source": "fit(X)",
    "items": "fit(X, items=...)",
    "clusters": "n_clusters",
    "seed": "random_state",
    **{name: name for name in SAME_NAMES},
}


class SelfLabeler(ClusterMixin, TransformerMixin, BaseEstimator):
    """Label unlabelled images, videos, sounds or features.

    It has the settings of `selflabel label` under the names that are usual in scikit-learn. It writes no run folder, so that
    --out, --resume and --overwrite have no parameter; `selflabel.label` writes one, to be browsed, scored and exported.

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
        options: of the method, and settings that have no parameter here (px, frames, fps, rate, modality, preset, labels,
            follow_links, cache, workers, item_seconds, item_gb), as in `--set key=value`.
        weights: .safetensors file of pretrained weights for the encoder.
        outliers: share of items that fit no cluster, above 0 and at most 0.5; "auto" finds it; None gives every item a cluster.
        images: folder of the pictures, where X is a COCO file; None looks for them beside it.
        windows: length in seconds of the windows that sounds and films are cut into; every window is an item. None takes files
            whole.
        hop: seconds from the start of a window to that of the next; None is `windows`.

    Attributes:
        labels_: (N,) int64 labels; of an item that fits no cluster the nearest one.
        outliers_: (N,) bool, whether an item fits no cluster; None where `outliers` is None.
        paths_: (N,) list, the item of each label: its path, or "row:000012" of an array.
        pieces_: (N,) list, the time span, box or mask that an item is; None where all items are whole files.
        skipped_: list of (path, reason), the items that could not be used and have no label; an entry has the attributes piece
            (span_s, box) and row ("row 7 of boxes.csv"), where it is a piece of a file.
        n_clusters_: how many clusters have items, without those that fit none.
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
        outliers: str | float | None = None,
        images: str | os.PathLike[str] | None = None,
        windows: float | None = None,
        hop: float | None = None,
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
        self.outliers = outliers
        self.images = images
        self.windows = windows
        self.hop = hop

    def fit(self, X: Any, y: Any = None, items: Any = None) -> SelfLabeler:
        """Label X. `y` is ignored.

        Args:
            X: a path or a list of paths, images (N, H, W[, C]) of any real type, or features (N, D).
            items: where X is features, the files that its rows belong to: a folder, a list in a file, or a list of paths, row i
                of the i-th. `paths_` then names them.

        Returns:
            The estimator itself.

        Raises:
            UserError, ValueError: X or a parameter is wrong.

        Warns:
            ConvergenceWarning: the labels have collapsed.
            UserWarning: items could not be used; `skipped_` lists them.
        """
        from selflabel.jobs.label import label

        data = self._check(X, reset=True)
        is_array = isinstance(data, np.ndarray)
        if is_array and self.n_clusters is not None and self.n_clusters > len(data):
            raise ValueError(f"n_clusters={self.n_clusters} should be <= n_samples={len(data)}.")
        files = paths_of(items)
        if items is not None and files is None:
            raise ValueError(f"items={items!r:.80}: must be a folder, a list in a file, or a list of paths.")
        settings = self._settings("array" if is_array else data, files)
        labelled = label(settings, None, data=data if is_array else None)
        labelling = labelled.labelling
        assert labelling is not None  # nothing was written, so nothing was finished before
        self._model, self._follow_links = as_model(labelled, settings), settings.follow_links
        self.labels_, self.outliers_ = labelling.labels.astype(np.int64), labelling.outliers
        self.paths_, self.skipped_ = list(labelling.paths), list(labelling.skipped)
        self.pieces_ = None if labelling.pieces is None else list(labelling.pieces)
        self.report_ = dict(labelled)
        self.n_clusters_ = int(labelled["n_clusters"])
        if labelled["collapsed"]:
            found = f"{self.n_clusters_} of {len(labelled['sizes'])} clusters found"
            warnings.warn(f"{found}: the labels have collapsed; see report_.", ConvergenceWarning, stacklevel=2)
        warn_of_skipped(self.skipped_, len(self.paths_), "have no label; see skipped_", stacklevel=3)
        self._n_features_out = labelling.features.shape[1]
        return self

    def _settings(self, source: Any, items: Any) -> Any:
        from selflabel.base.settings import make_settings

        settings, options = split_options(self.options or {}, self.method)
        return make_settings(
            **settings,
            source=source,
            items=items,
            images=None if self.images is None else os.fspath(self.images),
            clusters=None if self.n_clusters is None else int(self.n_clusters),
            method=self.method,
            encoder=self.encoder,
            weights=None if self.weights is None else os.fspath(self.weights),
            mass=self.mass,
            views=self.views,
            epochs=self.epochs,
            outliers=self.outliers if self.outliers is None or isinstance(self.outliers, str) else float(self.outliers),
            windows=None if self.windows is None else float(self.windows),
            hop=None if self.hop is None else float(self.hop),
            seed=seed_of(self.random_state),
            device=self.device,
            options=options,
        )

    def predict(self, X: Any) -> np.ndarray:
        """(N,) int64 labels of unseen items. X, errors, warnings: as in `predict_proba`."""
        return self._predict(X).labels.astype(np.int64)

    def predict_outliers(self, X: Any) -> np.ndarray | None:
        """(N,) bool, whether an unseen item is unlike everything that was fitted, so that its label says nothing; None where too
        few items were fitted to tell. X, errors, warnings: as in `predict_proba`.
        """
        return self._predict(X).outliers

    def predict_proba(self, X: Any) -> np.ndarray:
        """(N, K) probabilities of the labels of unseen items; rows sum to 1.

        Args:
            X: a path, images or features, as in `fit`.

        Raises:
            NotFittedError: `fit` was not called before.
            UserError, ValueError: X is not of the kind that was fitted.

        Warns:
            UserWarning: items could not be used, and have no row; the warning names the first of them.
        """
        return self._predict(X).log_probs.double().softmax(dim=1).numpy()  # labels without items have none

    def transform(self, X: Any) -> np.ndarray:
        """(N, D) float32 features of the encoder for unseen items. X, errors: as in `predict_proba`."""
        return self._predict(X).features.numpy()

    def _predict(self, X: Any) -> Any:
        check_is_fitted(self, "labels_")
        from selflabel.items import takes_images

        data = self._check(X, reset=False)
        images = os.fspath(self.images) if self.images is not None and takes_images(data) else None
        predicted = self._model.predict(data, follow_links=self._follow_links, images=images)
        warn_of_skipped(predicted.skipped, len(predicted.paths), "have no row", stacklevel=4)
        return predicted

    def _check(self, X: Any, reset: bool) -> Any:
        if (places := paths_of(X)) is not None:
            return places
        if getattr(X, "ndim", 2) in (3, 4):
            return np.asarray(X)
        return np.asarray(validate_data(self, X, reset=reset, dtype=[np.float64, np.float32]), np.float32)


def paths_of(X: Any) -> str | list[str] | None:
    """A path or a list of paths as text; None for anything else."""
    if isinstance(X, (str, os.PathLike)):
        return os.fspath(X)
    if isinstance(X, (list, tuple)) and X and all(isinstance(place, (str, os.PathLike)) for place in X):
        return [os.fspath(place) for place in X]
    return None


def split_options(options: Mapping[str, Any], method: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """(settings, options of the method) of `SelfLabeler(options=...)`, as `--set` divides them.

    Raises:
        ValueError: a setting has a parameter of its own.
        UserError: there is no such method.

    Example:
        >>> split_options({"px": 32, "heads": 4}, "sela-nn")
        ({'px': 32}, {'heads': 4})
    """
    from selflabel.base.settings import SETTINGS
    from selflabel.methods import option_names

    names = option_names(method)
    settings = {name: value for name, value in options.items() if name in SETTINGS and name not in names}
    own = next((name for name in settings if name in OWN_NAMES), None)
    if own is not None:
        raise ValueError(f"options={{{own!r}: ...}}: SelfLabeler has a parameter for it, {OWN_NAMES[own]}.")
    return settings, {name: value for name, value in options.items() if name not in settings}


def warn_of_skipped(skipped: Sequence[tuple[str, str]], n_used: int, what: str, stacklevel: int) -> None:
    """Warn of items that could not be used, where there are any. stacklevel: as in `warnings.warn`."""
    if skipped:
        path, reason = skipped[0]
        text = f"{len(skipped):,} of {len(skipped) + n_used:,} items could not be used and {what}; the first, {path}: {reason}"
        warnings.warn(text, UserWarning, stacklevel=stacklevel)


def seed_of(random_state: Any) -> int:
    """An integer seed from None, an integer or a RandomState."""
    if isinstance(random_state, (int, np.integer)):
        return int(random_state)
    from sklearn.utils import check_random_state

    return int(check_random_state(random_state).randint(1 << 31))


def as_model(labelled: Any, settings: Any) -> Any:
    """The fitted networks, ready to predict, without a run folder."""
    from selflabel.decode.limits import Limits
    from selflabel.jobs.model import Model
    from selflabel.jobs.prepare.windows import Windows
    from selflabel.training.distributed import pick_device

    head, device = labelled["head"], pick_device(settings.device)
    model = Model.of(labelled.method, labelled.prepared, head, device, settings.cache)
    limits = Limits(settings.item_seconds, settings.item_gb)
    in_use = labelled.labelling.labels_in_use
    windows = Windows.of(settings.windows, settings.hop)
    return replace(model, workers=settings.workers, limits=limits, seen=labelled.seen, in_use=in_use, windows=windows)
