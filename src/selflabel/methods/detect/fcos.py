"""FCOS: every place of a map says what is there and how far the sides of its box are. Tian et al. (ICCV 2019).

Head, losses, matching and decoding are torchvision's reference definition. A detector that was trained on boxes found without
labels is better than these boxes: LOST (Simeoni et al., BMVC 2021), SSOD (Afouras et al., CVPR 2022).

Other than published:
- one map, the encoder's own with a place for every 16 pixels, instead of a pyramid of five: one size of an anchor, and no bounds
  on the sizes of objects;
- the encoder stays as it is: what was learned from much more than the user's photos is not lost on some hundred noisy boxes;
- narrower (128 channels for 256) and shallower (two convolutions for four), for the same reason, and for CPUs;
- an object has one class: of boxes that overlap, the one of the highest score is kept, whatever its class; the score is the
  probability of any class, because classes that were found without labels are not sure, and an object is one all the same.

torchvision's detection is imported where it is used: it loads a compiler, which takes seconds.

Axes: B photos, D features, h x w places, P = h w, R boxes of a photo, K classes.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from pydantic import ConfigDict
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from selflabel.base.schedules import one_cycle
from selflabel.contract import Batch, Detections, Detector, Phase, Recipe
from selflabel.methods.fixed_maps import OnFixedMaps
from selflabel.methods.option_types import PositiveInt, Share
from selflabel.views import View
from selflabel.views.following import boxes_in_view

WIDTH, CONVS = 128, 2
ANCHOR = 4  # places: side of the anchor, in which distances are measured
REACH = 2.0  # places: how far from the middle of an object, across or down, places learn it
SMALL, LARGE_LOSE = 0.01, 0.125  # share of the square up to which a score stays; power of it that is taken off above
LEAST_VISIBLE = 0.3  # share of a box that a view must show; else it is no object there
LEAST_SIDE = 2.0  # pixels of a box in a view


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Options:
    """Options of `fcos`.

    Attributes:
        least_score: of an object that is kept, before the score is made smaller for large objects.
        overlap: IoU with an object of higher score from which on one is left out.
        most: objects of a photo, at most.
    """

    least_score: Share = 0.2
    overlap: Share = 0.5
    most: PositiveInt = 10


class FCOSDetector(OnFixedMaps, Detector):
    """FCOS on one map of a fixed encoder."""

    options_type = Options
    layer = "stride16"
    shown = ((8000, 8), (600, 60))  # more epochs learn the errors of the boxes

    def build(self, encoders: nn.ModuleDict) -> None:
        """Build the head around the encoder."""
        from torchvision.models.detection import FCOS
        from torchvision.models.detection.anchor_utils import AnchorGenerator

        dim, places = self.take_encoder(encoders)
        self.neck = Neck(dim, WIDTH)
        own: Options = self.options
        self.fcos = FCOS(
            self.neck,
            self.classes,
            anchor_generator=AnchorGenerator(((round(ANCHOR * self.task.px / places),),), ((1.0,),)),
            head=float32_head(WIDTH, self.classes),
            score_thresh=own.least_score,
            nms_thresh=own.overlap,
            center_sampling_radius=REACH / ANCHOR,
            detections_per_img=max(100, own.most),
        )
        self.begin_at_usual_size()

    def begin_at_usual_size(self) -> None:
        """Let every place begin with a box of the median size of the known ones, or short trainings end with boxes too small."""
        if self.known is not None:
            boxes_R4 = self.known.boxes_R4
            half = (boxes_R4[:, 2:] - boxes_R4[:, :2]).median(dim=0).values * self.task.px / 2
            side = self.fcos.anchor_generator.sizes[0][0]
            with torch.no_grad():
                self.fcos.head.regression_head.bbox_reg.bias.copy_((half / side).repeat(2))

    def phases(self) -> list[Phase]:
        return [self.phase(Recipe(1e-3, one_cycle, "adamw", 1e-4), self.loss)]

    # ------------------------------------------------------------------------------------------------------ training

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Focal loss of classes, GIoU loss of boxes, cross-entropy of centreness, each by the number of places in objects."""
        maps, targets = self.maps_and_targets(batch)
        places = self.neck(maps)
        return self.fcos.compute_loss(targets, self.fcos.head([places]), self.anchors(places), [places[0, 0].numel()])

    def targets_in(self, view: View, rows_B: Tensor) -> list[dict[str, Tensor]]:
        """The boxes of some photos' regions in pixels of their views, with classes."""
        assert self.known is not None and view.theta is not None
        found, px = [], view.pixels.shape[-1]
        for row, theta in zip(rows_B.tolist(), view.theta):
            first, end = torch.searchsorted(self.known.photos_R, torch.tensor([row, row + 1])).tolist()
            boxes, visible = boxes_in_view(self.known.boxes_R4[None, first:end].to(theta), theta[None])
            boxes = boxes[0] * px
            kept = (visible[0] >= LEAST_VISIBLE) & ((boxes[:, 2:] - boxes[:, :2]) >= LEAST_SIDE).all(dim=1)
            found.append({"boxes": boxes[kept], "labels": self.known.labels_R[first:end].to(boxes.device)[kept]})
        return found

    # ----------------------------------------------------------------------------------------------------- detection

    @torch.no_grad()
    def detect(self, pixels: Tensor) -> list[Detections]:
        maps, px = self.map(pixels), pixels.shape[-1]
        places = self.neck(maps)
        outputs = self.fcos.head([places])
        outputs = {name: [values] for name, values in (outputs | {"cls_logits": logits_of_any(outputs["cls_logits"])}).items()}
        anchors = [[own] for own in self.anchors(places)]
        found = self.fcos.postprocess_detections(outputs, anchors, [(px, px)] * len(pixels))
        return [self.distinct(one, maps[i : i + 1].float(), px) for i, one in enumerate(found)]

    def distinct(self, found: dict[str, Tensor], map_1Dhw: Tensor, px: int) -> Detections:
        """What is left of one photo's boxes where an object has one class, as fractions of the square."""
        from torchvision.ops import nms, roi_align

        boxes, scores = found["boxes"], found["scores"]
        kept = nms(boxes, scores, self.options.overlap)
        shares = (boxes[kept, 2:] - boxes[kept, :2]).prod(dim=1) / px**2
        # more places learn a large object, so its scores are higher
        scores[kept] *= (SMALL / shares.clamp(min=SMALL)) ** LARGE_LOSE
        kept = kept[scores[kept].argsort(descending=True, stable=True)][: self.options.most]
        features = roi_align(map_1Dhw, [boxes[kept]], 1, map_1Dhw.shape[-1] / px)[:, :, 0, 0]
        return Detections(boxes[kept] / px, scores[kept], found["labels"][kept], features)

    def anchors(self, places: Tensor) -> list[Tensor]:
        """(P, 4) of each photo, in pixels: around the middles of places, as in the paper; torchvision's are at corners."""
        from torchvision.models.detection.image_list import ImageList

        px = self.task.px
        square = places.new_zeros(1, 1, px, px).expand(len(places), 1, px, px)
        half = px / places.shape[-1] / 2
        return [own + half for own in self.fcos.anchor_generator(ImageList(square, [(px, px)] * len(places)), [places])]


class Neck(nn.Sequential):
    """A map (B, D, h, w) as one of few channels, whatever its scale."""

    def __init__(self, dim: int, width: int):
        super().__init__(nn.Conv2d(dim, width, 1), nn.GroupNorm(32, width))
        self.out_channels = width  # FCOS asks for it


def logits_of_any(logits_BPK: Tensor) -> Tensor:
    """Logits by which the likeliest class of each place has the probability of any class, and every other one 0.

    The classes of a place are decided by K sigmoids, so that the probability of any is 1 - prod_k (1 - p_k).
    """
    of_none = F.softplus(logits_BPK.double()).sum(dim=2, keepdim=True)  # minus the logarithm of its probability
    of_any = of_none + torch.log(-torch.expm1(-of_none))
    is_likeliest = torch.zeros_like(logits_BPK, dtype=torch.bool).scatter_(2, logits_BPK.argmax(dim=2, keepdim=True), True)
    return torch.where(is_likeliest, of_any.to(logits_BPK.dtype), -torch.inf)


def float32_head(width: int, classes: int) -> nn.Module:
    """The head with outputs in float32, so that losses and boxes are not rounded where the loop computes in bfloat16."""
    from torchvision.models.detection.fcos import FCOSHead

    class Float32Head(FCOSHead):
        def forward(self, x: list[Tensor]) -> dict[str, Any]:
            return {name: values.float() for name, values in super().forward(x).items()}

    return Float32Head(width, 1, classes, CONVS)
