"""How many clusters other ways find in features (N, D), without truth."""

from __future__ import annotations

import numpy as np
import torch

from selflabel.assignment.neighbours import nearest
from selflabel.assignment.spectral import leading_eigenvectors, neighbour_graph
from selflabel.methods.label.baselines.umap import umap_embedding

DENSITY_SHARE = 1 / 200  # of the items: HDBSCAN's smallest cluster
MOST = 150  # clusters that the eigengap may find


def number_by_density(x: np.ndarray) -> int:
    """The clusters that HDBSCAN finds in a UMAP embedding; noise is none."""
    from sklearn.cluster import HDBSCAN

    embedding = umap_embedding(torch.from_numpy(x), 0).numpy()
    smallest = max(5, round(DENSITY_SHARE * len(x)))
    return int(HDBSCAN(min_cluster_size=smallest, copy=True).fit_predict(embedding).max()) + 1


def number_by_eigengap(x: np.ndarray) -> int:
    """The K, from 2 on, after which the eigenvalues of the graph of 10 neighbours fall most (von Luxburg, 2007)."""
    rows = nearest(torch.from_numpy(x), 10, project_to=x.shape[1]).rows.numpy()
    values, _ = leading_eigenvectors(neighbour_graph(torch.as_tensor(rows)), min(MOST + 1, len(x) - 2), 0)
    return int(np.argmax(values[1:-1] - values[2:])) + 2
