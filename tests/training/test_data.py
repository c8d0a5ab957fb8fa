"""The set as methods see it: features of all items, and the same ones in blocks with their maps."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from selflabel.encoders import make_clip_encoder, make_encoder
from selflabel.training.data import ResidentData
from selflabel.training.distributed import Ranks
from selflabel.training.stored import StoredClips, StoredImages, StoredSounds

CPU = torch.device("cpu")


def films_with_sound(n=9, without_sound=(2, 5)):
    g = torch.Generator().manual_seed(0)
    lengths = torch.full((n,), 6000)
    lengths[list(without_sound)] = 0
    clips = torch.randint(0, 255, (n, 6, 3, 16, 16), dtype=torch.uint8, generator=g)
    waves = torch.randint(-9000, 9000, (n, 6000), dtype=torch.int16, generator=g)
    stored = {"video": StoredClips(clips, "video", frames=4), "audio": StoredSounds(waves, "sound", lengths, rate=4000)}
    data = ResidentData(stored, CPU, Ranks(), 0)
    torch.manual_seed(0)
    data.encoders = nn.ModuleDict({"video": make_clip_encoder("clip9", 16, 4), "audio": make_encoder("resnet9", 1, 64)})
    return data


def test_blocks_are_the_features_of_all_items_with_their_maps():
    data = films_with_sound()
    blocks = list(data.blocks(maps=True))
    assert torch.cat([rows for rows, _ in blocks]).tolist() == list(range(9))
    for m in ("video", "audio"):
        assert torch.equal(torch.cat([block.pooled[m] for _, block in blocks]), data.features(m))
    (_, block), *_ = blocks
    assert block.maps["video"].ndim == 5 and block.maps["audio"].ndim == 4
    assert block.maps["video"].shape[:2] == block.pooled["video"].shape
    assert not next(data.blocks())[1].maps


def test_the_items_that_lack_a_modality_are_known():
    data = films_with_sound()
    assert data.lacking == {"audio"} and data.present["audio"].tolist() == [i not in (2, 5) for i in range(9)]
    assert torch.equal(next(data.blocks())[1].present["audio"], data.present["audio"])


def test_a_pass_leaves_the_encoder_in_its_mode_and_repeats_under_a_draw():
    data = films_with_sound()
    data.encoders.train()
    first = data.features("video", view="video", draw=1)
    assert data.encoders["video"].training and torch.equal(first, data.features("video", view="video", draw=1))
    assert not torch.equal(first, data.features("video", view="video", draw=2))


@pytest.mark.parametrize("world", [2, 3, 20])
def test_ranks_share_the_blocks(world):
    images = torch.randint(0, 255, (11, 1, 8, 8), dtype=torch.uint8)
    rows = []
    for rank in range(world):
        data = ResidentData({"image": StoredImages(images, "glyph", px=8)}, CPU, Ranks(rank, world), 0)
        data.encoders = nn.ModuleDict({"image": make_encoder("conv4", 1, 8)})
        rows += [int(i) for block, _ in data.blocks() for i in block]
    assert rows == list(range(11))


def test_a_corrupted_copy_leaves_the_set_as_it_was():
    data = films_with_sound()
    dark = data.with_stored("video", replace(data.stored["video"], corrupt=lambda x, rows: x * 0))
    rows = torch.arange(3)
    assert not dark.view("video", rows, "centre", 0).pixels.any() and data.view("video", rows, "centre", 0).pixels.any()
    assert dark.encoders is data.encoders


def test_first_features_need_no_network():
    data = films_with_sound()
    data.encoders = nn.ModuleDict({m: nn.Identity() for m in data.stored})
    assert all(np.isfinite(data.features(m, layer="input").numpy()).all() for m in data.stored)
