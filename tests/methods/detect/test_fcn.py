"""FCN on maps of a fixed encoder: its loss is that of the paper, and classes of pixels follow views."""

import pytest
import torch
from torch import nn

from selflabel.contract import UNKNOWN, Batch, KnownMaps, NoOptions, Task
from selflabel.methods.detect.fcn import FCNSegmenter
from selflabel.views import View
from tests.methods.detect.test_fcos import Blocks
from tests.reference.segmentation import pixel_loss

PX, SIDE = 64, 16


def known_maps():
    """Of two photos the classes of pixels: left and right are another class; the lowest rows are unknown."""
    classes = torch.zeros(2, SIDE, SIDE, dtype=torch.int16)
    classes[0, :, 5:], classes[1, :, 9:] = 1, 2
    classes[:, -4:] = UNKNOWN
    return KnownMaps(torch.tensor([0, 2]), classes)


def segmenter():
    torch.manual_seed(0)
    made = FCNSegmenter(Task(3, 3, "photo", PX, 3, kinds={"image": "photo"}), NoOptions(), known_maps())
    made.build(nn.ModuleDict({"image": Wide()}))
    return made


class Wide(Blocks):
    """An encoder with eight features a place."""

    def map(self, x, layer="map"):
        colours = super().map(x, layer)
        return torch.cat([colours, colours**2, colours[:, :2] ** 3], dim=1)


def shown(pixels, theta=((1.0, 0, 0), (0, 1, 0))):
    return View(pixels, torch.tensor([theta]).repeat(len(pixels), 1, 1))


def test_the_loss_is_that_of_the_paper(monkeypatch):
    made, pixels = segmenter().eval(), torch.rand(2, 3, PX, PX, generator=torch.Generator().manual_seed(1))
    monkeypatch.setattr(FCNSegmenter, "views", 0)
    loss = made.loss(Batch(torch.tensor([[0], [2]]), {"image": [shown(pixels)]}, 0.0))["pixels"]
    logits = made.head(made.map(pixels)).tolist()
    expected = [pixel_loss(own, classes) for own, classes in zip(logits, made.known.classes_MSS.tolist())]
    assert loss.item() == pytest.approx(sum(expected) / 2, rel=1e-5)  # both photos have as many known pixels


def test_a_batch_of_unknown_pixels_teaches_nothing(monkeypatch):
    made = segmenter()
    made.known.classes_MSS[:] = UNKNOWN
    monkeypatch.setattr(FCNSegmenter, "views", 0)
    loss = made.loss(Batch(torch.tensor([[0], [2]]), {"image": [shown(torch.rand(2, 3, PX, PX))]}, 0.0))["pixels"]
    assert loss.item() == 0


def test_classes_follow_a_view_and_what_lies_beside_the_photo_is_unknown():
    made, pixels = segmenter(), torch.zeros(1, 3, PX, PX)
    (mirrored,) = made.targets_in(shown(pixels, ((-1.0, 0, 0), (0, 1, 0))), torch.tensor([2]))
    assert torch.equal(mirrored, made.known.classes_MSS[1].flip(1))
    (shifted,) = made.targets_in(shown(pixels, ((1.0, 0, 1.0), (0, 1, 0))), torch.tensor([0]))  # its right half, then nothing
    assert (shifted[:-4, : SIDE // 2] == 1).all() and (shifted[:, SIDE // 2 :] == UNKNOWN).all()


def test_probabilities_of_a_place_sum_to_one():
    found = segmenter().eval().segment(torch.rand(2, 3, PX, PX))
    assert found.soft_BKhw.shape == (2, 3, 4, 4) and found.map_BDhw.shape == (2, 8, 4, 4)
    torch.testing.assert_close(found.soft_BKhw.sum(dim=1), torch.ones(2, 4, 4))
