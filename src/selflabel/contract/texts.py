"""What is said in the items, as features with times, and which of it is near a view.

Axes: N items, B items of a batch, F files of captions, M sentences, L sentences of the longest file in a batch, P of a bag,
D features.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class Texts:
    """The sentences of a set, file after file.

    Attributes:
        features_MD: (M, D) of each sentence.
        times_M2: (M, 2) float64 first and last second of each, of its file.
        starts_F: (F + 1,) int64 the first sentence of each file, and M.
        files_N: (N,) int64 the file of each item; -1 where an item has none.
        clock_N2: (N, 2) float64 the second of its film at which a stored item starts, and its length in seconds; NaN where they
            are not known, as those of a picture.
    """

    features_MD: Tensor
    times_M2: Tensor
    starts_F: Tensor
    files_N: Tensor
    clock_N2: Tensor

    @property
    def dim(self) -> int:
        """D."""
        return self.features_MD.shape[1]

    def take(self, rows: np.ndarray) -> Texts:
        """Those of these items only."""
        kept = torch.from_numpy(np.asarray(rows, np.int64))
        return replace(self, files_N=self.files_N[kept], clock_N2=self.clock_N2[kept])

    def near(self, rows_B: Tensor, span_B2: Tensor | None, most: int) -> tuple[Tensor, Tensor]:
        """((B, P) sentences nearest in time to views, (B, P) bool which of them there are). P is `most`.

        How far a sentence is from a view are the seconds between them, 0 where they overlap; of equally near ones some are drawn.

        Args:
            rows_B: row numbers of the items.
            span_B2: first and last moment of the views, as shares of the stored items; None where they have no time.
            most: sentences of a bag.
        """
        rows_B = rows_B.cpu()
        files = self.files_N[rows_B]
        first, last = self.starts_F[files], self.starts_F[files + 1]  # of file -1: M, and 0
        places_BL = first[:, None] + torch.arange(max(most, int((last - first).max())))
        is_own_BL = places_BL < last[:, None]
        places_BL = torch.where(is_own_BL, places_BL, 0)
        seconds_B2 = self.seconds(rows_B, span_B2)
        times_BL2 = self.times_M2[places_BL]
        gaps = torch.maximum(times_BL2[..., 0] - seconds_B2[:, 1:], seconds_B2[:, :1] - times_BL2[..., 1]).clamp(min=0)
        gaps = gaps.nan_to_num(0.0).masked_fill(~is_own_BL, torch.inf)
        shuffled = torch.rand(gaps.shape).argsort(dim=1)
        nearest = gaps.gather(1, shuffled).argsort(dim=1, stable=True)[:, :most]
        chosen = shuffled.gather(1, nearest)
        return places_BL.gather(1, chosen), is_own_BL.gather(1, chosen)

    def seconds(self, rows_B: Tensor, span_B2: Tensor | None) -> Tensor:
        """(B, 2) float64 views' first and last second of their films; NaN where these are not known."""
        clock_B2 = self.clock_N2[rows_B]
        if span_B2 is None:
            return torch.full_like(clock_B2, torch.nan)
        return clock_B2[:, :1] + span_B2.cpu().double() * clock_B2[:, 1:]
