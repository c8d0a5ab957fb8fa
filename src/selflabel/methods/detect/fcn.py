"""FCN: the class of every pixel, by convolutions on the map of an encoder. Long, Shelhamer & Darrell (CVPR 2015).

The head is torchvision's reference definition: a convolution of 3 x 3, batch norm, ReLU, dropout, and a convolution of 1 x 1 to
the classes, whose logits are enlarged to pixels; the loss is the cross-entropy of every pixel.

Other than published:
- the encoder stays as it is, since labels that were found without people are noisy, and for CPUs;
- the head sees its map with a place for every 16 pixels and the coarser ones after it, side by side, where the paper adds the
  logits of maps of strides 32, 16 and 8;
- the loss is of every fourth pixel across and down: a place of the map shows 16 of them.

What is learned is the class of the region that a pixel lies in; `jobs.known_maps` says when pixels of no region are background.
torchvision's segmentation is imported where it is used, because it takes seconds.

Axes: B photos, D features, h x w places, K classes (with the background, if there is one), S x S pixels.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from selflabel.base.schedules import one_cycle
from selflabel.contract import UNKNOWN, Batch, NoOptions, Phase, Recipe, Segmentation, Segmenter
from selflabel.methods.fixed_maps import OnFixedMaps
from selflabel.views import View
from selflabel.views.following import masks_in_view


class FCNSegmenter(OnFixedMaps, Segmenter):
    """A fully convolutional head on the maps of a fixed encoder."""

    options_type = NoOptions
    layer = "stages"
    shown = ((8000, 8), (600, 60))

    def build(self, encoders: nn.ModuleDict) -> None:
        """Build the head around the encoder."""
        from torchvision.models.segmentation.fcn import FCNHead

        dim, _ = self.take_encoder(encoders)
        self.head = FCNHead(dim, self.classes)

    def phases(self) -> list[Phase]:
        return [self.phase(Recipe(1e-3, one_cycle, "adamw", 1e-4), self.loss)]

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Cross-entropy of the pixels whose class is known."""
        maps, targets = self.maps_and_targets(batch)
        classes_BSS = torch.stack([*targets]).to(maps.device, torch.int64)
        logits = F.interpolate(self.head(maps).float(), classes_BSS.shape[1:], mode="bilinear", align_corners=False)
        total = F.cross_entropy(logits, classes_BSS, ignore_index=UNKNOWN, reduction="sum")
        return {"pixels": total / (classes_BSS != UNKNOWN).sum().clamp(min=1)}

    def targets_in(self, view: View, rows_B: Tensor) -> Tensor:
        """(B, S, S) classes in views; what lies beside the photo is unknown."""
        assert self.known is not None and view.theta is not None
        at = torch.searchsorted(self.known.photos_M, rows_B.cpu())
        numbers = self.known.classes_MSS[at][:, None].to(view.theta) - UNKNOWN  # 0 is what a view gets from outside the photo
        moved = masks_in_view(numbers, view.theta, self.known.classes_MSS.shape[1:], "nearest")  # type: ignore[arg-type]
        return (moved[:, 0] + UNKNOWN).to(self.known.classes_MSS.dtype).cpu()

    @torch.no_grad()
    def segment(self, pixels: Tensor) -> Segmentation:
        maps = self.map(pixels)
        return Segmentation(self.head(maps).float().softmax(dim=1), maps)
