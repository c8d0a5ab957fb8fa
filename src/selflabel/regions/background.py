"""The background of one picture, from the patch that is most surely background: the first step of FOUND.

FOUND (Simeoni et al., CVPR 2023) takes the patch that a transformer attends to least; all patches alike to it are background. Of
a network without attention the patch that is like most others is taken.

Axes: h x w patches, N = h w of them, D features, M attention heads.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

ALIKE_SHARE = 0.15  # of the pairs of patches that count as alike where a degree is counted


def background(unit_hwD: np.ndarray, attention_Mhw: np.ndarray | None, threshold: float | None, share: float) -> np.ndarray:
    """(h, w) bool, the patches that are alike to the seed.

    Args:
        unit_hwD: features of the patches, each of length 1.
        attention_Mhw: how much the class token attends to each, by head; None where there is none.
        threshold: cosine with the seed above which a patch is background; None is the cosine that `share` of all pairs exceed.
        share: of pairs, see `threshold`.
    """
    shape = unit_hwD.shape[:2]
    unit_ND = unit_hwD.reshape(-1, unit_hwD.shape[2])
    if attention_Mhw is not None and threshold is not None:
        return ((unit_ND @ unit_ND[least_attended(attention_Mhw)]) > threshold).reshape(shape)
    cosines = unit_ND @ unit_ND.T
    alike, exceeded = quantiles(cosines, (1 - ALIKE_SHARE, 1 - share))
    seed = most_alike(cosines, alike) if attention_Mhw is None else least_attended(attention_Mhw)
    return (cosines[seed] > (exceeded if threshold is None else threshold)).reshape(shape)


def least_attended(attention_Mhw: np.ndarray) -> int:
    """The patch with the least attention, heads counted by how few patches they attend to.

    A head's weight is minus the logarithm of the share of patches to which it attends more than all heads do on average.
    """
    attention = attention_Mhw.reshape(len(attention_Mhw), -1)
    shares = (attention > attention.mean()).mean(axis=1)
    weights = -np.log(np.clip(shares, 1 / attention.shape[1], 1))
    weights = weights if weights.any() else np.ones_like(weights)
    return int((weights @ attention).argmin())


def most_alike(cosines_NN: np.ndarray, alike: float) -> int:
    """The patch of highest degree: alike to most others. alike: cosine above which two are."""
    return int((cosines_NN > alike).sum(axis=1).argmax())


def quantiles(cosines_NN: np.ndarray, shares: Sequence[float]) -> list[float]:
    """The values below which these shares of all pairs lie, without interpolation."""
    at = [min(cosines_NN.size - 1, int(share * cosines_NN.size)) for share in shares]
    return [float(value) for value in np.partition(cosines_NN.reshape(-1), at)[at]]
