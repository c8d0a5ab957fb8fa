"""FCOS on one map: its loss is that of the paper, its boxes follow views, and overlapping boxes are one object."""

import pytest
import torch
from torch import nn

from selflabel.contract import Batch, KnownBoxes, Task
from selflabel.methods.detect.fcos import ANCHOR, REACH, FCOSDetector, Options, logits_of_any
from selflabel.views import View
from tests.reference.detection import fcos_loss

PX, STRIDE = 64, 16


class Blocks(nn.Module):
    """An encoder whose map is the mean colour of squares of 16 pixels."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))

    def map(self, x, layer="map"):
        return nn.functional.avg_pool2d(x, STRIDE) * self.scale


LESSONS = KnownBoxes(
    torch.tensor([0, 0, 2]),
    torch.tensor([[0.1, 0.1, 0.6, 0.7], [0.5, 0.5, 0.95, 0.9], [0.0, 0.2, 0.5, 0.8]]),
    torch.tensor([1, 0, 1]),
)


def detector(known_boxes=LESSONS, **options):
    torch.manual_seed(0)
    made = FCOSDetector(Task(3, 2, "photo", PX, 3, kinds={"image": "photo"}), Options(**options), known_boxes)
    made.build(nn.ModuleDict({"image": Blocks()}))
    with torch.no_grad():
        for p in made.parameters():
            p.add_(0.05 * torch.randn_like(p))
    return made


def unchanged(pixels):
    return View(pixels, torch.tensor([[[1.0, 0, 0], [0, 1, 0]]]).repeat(len(pixels), 1, 1))


def test_the_loss_is_that_of_the_paper(monkeypatch):
    made, pixels = detector(), torch.rand(1, 3, PX, PX, generator=torch.Generator().manual_seed(1))
    monkeypatch.setattr(FCOSDetector, "views", 0)
    losses = made.loss(Batch(torch.tensor([[0]]), {"image": [unchanged(pixels)]}, 0.0))
    with torch.no_grad():
        out = {name: values[0].tolist() for name, values in made.fcos.head([made.neck(made.map(pixels))]).items()}
    n = PX // STRIDE
    centres = [(STRIDE * (i % n + 0.5), STRIDE * (i // n + 0.5)) for i in range(n * n)]
    places = [
        (x, y, *row)
        for (x, y), row in zip(centres, zip(out["cls_logits"], out["bbox_regression"], [c for (c,) in out["bbox_ctrness"]]))
    ]
    expected = fcos_loss(places, (LESSONS.boxes_R4[:2] * PX).tolist(), [1, 0], 2, ANCHOR * STRIDE, REACH / ANCHOR)
    assert [losses[k].item() for k in ("classification", "bbox_regression", "bbox_ctrness")] == pytest.approx(expected, rel=1e-4)


def test_boxes_follow_a_view_and_those_that_it_hardly_shows_are_no_objects_there():
    mirror = torch.tensor([[[-1.0, 0, 0], [0, 1, 0]]])
    (target,) = detector().targets_in(View(torch.zeros(1, 3, PX, PX), mirror), torch.tensor([2]))
    torch.testing.assert_close(target["boxes"], torch.tensor([[0.5, 0.2, 1.0, 0.8]]) * PX)
    right_part = torch.tensor([[[0.3, 0, 0.7], [0, 1, 0]]])
    (target,) = detector().targets_in(View(torch.zeros(1, 3, PX, PX), right_part), torch.tensor([0]))
    assert target["labels"].tolist() == [0]
    assert detector().targets_in(View(torch.zeros(1, 3, PX, PX), mirror), torch.tensor([1]))[0]["boxes"].shape == (0, 4)


def test_only_photos_with_regions_are_shown_and_each_once_an_epoch():
    made = detector()
    slots = made.draw(0, torch.Generator().manual_seed(0))[:, 0]
    assert sorted((slots // made.views).tolist()) == [0, 1] and made.photos.tolist() == [0, 2]


def test_of_boxes_that_overlap_the_surest_is_kept_whatever_its_class():
    boxes = torch.tensor([[0.0, 0, 32, 32], [1, 1, 32, 32], [40, 40, 60, 60]])
    found = {"boxes": boxes, "scores": torch.tensor([0.5, 0.9, 0.3]), "labels": torch.tensor([0, 1, 0])}
    kept = detector().distinct(found, torch.rand(1, 3, 4, 4), PX)
    assert kept.labels_R.tolist() == [1, 0]
    torch.testing.assert_close(kept.boxes_R4, boxes[[1, 2]] / PX)
    assert kept.features_RD.shape == (2, 3)


def test_the_likeliest_class_of_a_place_is_scored_by_the_probability_of_any():
    logits = torch.randn(2, 7, 3, generator=torch.Generator().manual_seed(0)) * 3
    p, any_class = torch.sigmoid(logits), torch.sigmoid(logits_of_any(logits))
    likeliest = logits.argmax(dim=2, keepdim=True)
    assert torch.allclose(any_class.gather(2, likeliest)[..., 0], 1 - (1 - p).prod(dim=2), atol=1e-6)
    assert (any_class.sum(dim=2) - any_class.amax(dim=2)).abs().max() == 0


@pytest.mark.parametrize("logit", [-40.0, -3.0, 0.0, 40.0])
def test_a_single_class_keeps_its_logits(logit):
    assert logits_of_any(torch.full((1, 1, 1), logit)).item() == pytest.approx(logit, abs=1e-4)
