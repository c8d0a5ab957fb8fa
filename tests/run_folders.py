"""Finished run folders, written by the package's own writer with labels that nobody trained."""

from pathlib import Path

import numpy as np

from selflabel.runs.origin import Origin, sign
from selflabel.runs.run import Run
from selflabel.runs.writing import Labelling, write_labelling, write_report, write_start


def write_run(folder, source, paths, labels, kinds=None, features=None, truth=None, seed=0, pieces=None):
    """A finished run over `source`.

    Args:
        folder: of the run.
        source: of the items, which need not be there.
        paths: (N,) of the items.
        labels: (N,).
        kinds: modality -> kind, as in run.toml; None is pictures.
        features: (N, D); None makes some from the labels, clusters well apart.
        truth: (N,) class names, or None.
        seed: of the random numbers.
        pieces: (N,) of the items; None for whole files.
    """
    rng = np.random.default_rng(seed)
    labels = np.asarray(labels, np.int32)
    n, k = len(labels), int(labels.max()) + 1
    if features is None:
        features = 4 * np.eye(k)[labels] + rng.normal(size=(n, k))
    others = np.argsort(rng.random((n, k)) + 2 * (np.arange(k) == labels[:, None]), axis=1)[:, ::-1][:, : min(5, k)]
    best = np.sort(rng.dirichlet(np.ones(k), n), axis=1)[:, ::-1][:, : min(5, k)]
    neighbours = np.stack([rng.permutation(n)[:10] for _ in range(n)]) if n >= 10 else np.zeros((n, 10), int)
    run = Run(Path(folder))
    worked_out = {m: {"kind": kind, "px": 32, "channels": 3} for m, kind in (kinds or {"image": "photo"}).items()}
    sections = {"settings": {"source": str(source), "clusters": k, "method": "sela-nn"}, "worked_out": worked_out}
    write_start(run.folder, sections, paths=list(paths), pieces=pieces)
    sign(run.folder, Origin((str(source),), False))
    write_labelling(run.folder, Labelling(list(paths), labels, others, best, features, neighbours, [], truth, pieces=pieces))
    write_report(run.folder, {"n_items": n, "n_clusters": k, "sizes": np.bincount(labels).tolist()})
    return run
