"""TokenCut (Wang et al., CVPR 2022), and further objects as MaskCut (Wang et al., CVPR 2023, "CutLER") has them.

Claim: patches of one object have alike keys in the last attention layer of a DINO transformer, so that a normalised cut of the
graph of patches parts the object from the rest, without any training.

Other than published: patches that were found leave the graph, where MaskCut sets their features to zero; the eigenvector comes
from Lanczos steps; borders follow the picture by a guided filter, where the papers use a bilateral solver or a CRF.

Axes: h x w places, D features, H x W pixels.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from selflabel.contract.finder import Finder, Region, Shown
from selflabel.methods.option_types import PositiveInt, Share
from selflabel.regions.boxes import distinct
from selflabel.regions.cut import cut_objects, threshold_above
from selflabel.regions.guided import FLAT, enlarged, grey_of, refined

KEYS_TAU = 0.2  # TokenCut, section 4.1; MaskCut has .15
ALIKE_SHARE = 0.15  # of pairs of places, of maps of convolutional networks, which have no threshold of their own

Patches = Annotated[float, Field(ge=0, le=8, allow_inf_nan=False)]
Cosine = Annotated[float, Field(ge=-1, lt=1, allow_inf_nan=False)]


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Options:
    """Options of `cut`.

    Attributes:
        tau: cosine above which two patches are alike; None is .2 for keys (TokenCut), and for maps of convolutional networks the
            one that 15 of 100 pairs exceed.
        most: objects of a photo, at most (MaskCut has 3).
        min_area: share of a photo that an object has at least (MaskCut has .01).
        overlap: IoU with an earlier object from which on a later one is left out (MaskCut has .5).
        refine: radius of the guided filter, in patches, up to 8; 0 leaves masks made of patches.
    """

    tau: Cosine | None = None
    most: PositiveInt = 3
    min_area: Share = 0.01
    overlap: Share = 0.5
    refine: Patches = 1.0


class Cut(Finder):
    """Normalised cuts of a photo's patches."""

    options_type = Options
    layers = ("keys", "stride16")

    def find(self, shown: Shown) -> list[Region]:
        own: Options = self.options
        tau = own.tau
        if tau is None:
            tau = KEYS_TAU if shown.layer == "keys" else threshold_above(shown.places_hwD, ALIKE_SHARE)
        cuts = cut_objects(shown.places_hwD, own.most, tau, own.min_area)
        softs = [self.to_pixels(cut.mask, shown.pixels_HWC) for cut in cuts]
        inside = [soft > 0.5 for soft in softs]
        large = [i for i, mask in enumerate(inside) if mask.mean() >= own.min_area and mask.any()]
        kept = distinct([inside[i] for i in large], own.overlap)
        return [Region(softs[large[i]], cuts[large[i]].score) for i in kept]

    def to_pixels(self, mask_hw: np.ndarray, pixels_HWC: np.ndarray) -> np.ndarray:
        """(H, W) soft mask of an object's patches."""
        height, width, _ = pixels_HWC.shape
        radius = round(self.options.refine * height / mask_hw.shape[0])
        if not radius:
            return enlarged(mask_hw, (height, width))
        return refined(mask_hw, grey_of(pixels_HWC), radius, FLAT)
