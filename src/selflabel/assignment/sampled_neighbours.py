"""Nearest neighbours of very many rows among a sample of them: each row costs the same, however many there are.

The sample is searched by an inverted file (Jegou et al., 2011) with rows as `neighbours.nearest` compares them: centred,
projected and of unit length.

Axes: N rows, M rows of the sample, D features, k neighbours.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from selflabel.assignment.neighbours import PROJECT_TO, RECALL_ROWS, Projection, drop_excluded, exact_search
from selflabel.base.sampling import drawn_rows

CELL_ROWS, PROBES = 128, 16  # rows of the sample in a cell on average, and cells that are searched for a row
ROUNDS = 10  # of the k-means of the cells


@dataclass(frozen=True, eq=False)
class SampleIndex:
    """A sample that rows find their neighbours in.

    Attributes:
        rows: (M,) int64, ascending, which of all rows the sample has.
        sample: (M, d) the projected sample.
        projection: of all rows.
        index: of faiss.
    """

    rows: np.ndarray
    sample: Tensor
    projection: Projection
    index: Any

    @classmethod
    def of(cls, features_MD: Tensor, rows: np.ndarray) -> SampleIndex:
        """The index of a sample.

        Args:
            features_MD: floats on the CPU.
            rows: (M,) ascending, which of all rows they are.
        """
        import faiss

        projection = Projection.fit(features_MD, PROJECT_TO)
        sample = projection(features_MD)
        data, d = np.ascontiguousarray(sample.numpy()), sample.shape[1]
        n_cells = max(1, len(data) // CELL_ROWS)
        index = faiss.IndexIVFFlat(faiss.IndexFlatIP(d), d, n_cells, faiss.METRIC_INNER_PRODUCT)
        index.cp.seed, index.cp.niter, index.nprobe = 0, ROUNDS, PROBES
        index.cp.min_points_per_centroid = 1
        index.train(data)
        index.add(data)
        return cls(rows, sample, projection, index)

    def nearest(self, features_BD: Tensor, own_B: np.ndarray, k: int) -> np.ndarray:
        """(B, k) int64 nearest rows, of the sample's, nearest first; a row is never its own neighbour.

        Args:
            features_BD: floats on the CPU.
            own_B: which of all rows these are.
            k: less than M.
        """
        queries = self.projection(features_BD)
        found = self.index.search(np.ascontiguousarray(queries.numpy()), k + 1)[1]
        is_short = (found < 0).any(axis=1)  # the cells near a row have too few rows
        if is_short.any():
            found[is_short] = exact_search(queries[torch.from_numpy(is_short)], self.sample, k + 1).numpy()
        return drop_excluded(self.rows[found], own_B)

    def recall(self, features_ND: Tensor, k: int) -> float:
        """The share, 0 to 1, of the true neighbours in the sample that are found, measured on some rows of (N, D) features."""
        drawn = drawn_rows(len(features_ND), RECALL_ROWS)
        features = features_ND[torch.from_numpy(drawn)].float()
        truth = self.rows[exact_search(self.projection(features), self.sample, k + 1).numpy()]
        pairs = zip(self.nearest(features, drawn, k), drop_excluded(truth, drawn))
        return float(np.mean([len(np.intersect1d(a, b)) / k for a, b in pairs]))
