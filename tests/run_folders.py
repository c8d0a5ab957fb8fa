"""Finished run folders for whatever reads one: written by the run's own writer, with labels made up instead of learnt."""

from pathlib import Path

import numpy as np

from selflabel.runs.run import Labelling, Run


def write_run(folder, source, paths, labels, kinds=None, features=None, truth=None, seed=0):
    """A finished run over `source`.

    kinds: modality -> kind, as run.toml keeps it; pictures where it is left out. features: (N, D); made from the labels where
    they are left out, so that clusters lie apart.
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
    run.write_start({"settings": {"source": str(source), "clusters": k, "method": "sela-nn"}, "worked_out": worked_out})
    run.write_labelling(Labelling(list(paths), labels, others, best, features, neighbours, [], truth))
    run.write_report({"n_items": n, "n_clusters": k, "sizes": np.bincount(labels).tolist()})
    return run
