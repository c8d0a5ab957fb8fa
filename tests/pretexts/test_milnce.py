import math
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from selflabel.base.errors import UserError
from selflabel.contract import Batch, Task, Texts
from selflabel.pretexts import make_pretext
from selflabel.pretexts.milnce import BAG, FLOOR, mil_nce
from selflabel.views import View
from tests.reference import pretexts


def drawn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_the_loss_is_the_plain_formula_with_the_own_bag_in_both_sums():
    films, bags = drawn(4, 3), drawn(4, 2, 3, seed=1)
    assert float(mil_nce(films, bags)) == pytest.approx(pretexts.mil_nce(films.double().numpy(), bags.double().numpy()), rel=1e-5)


def test_its_floor_is_log_2_and_one_that_fits_in_a_bag_is_enough():
    films, nothing = 5 * torch.eye(5), torch.zeros(5, 1, 5)
    fits = films[:, None]
    assert math.log(2) == FLOOR
    assert float(mil_nce(films, fits)) == pytest.approx(FLOOR, abs=1e-5)
    assert float(mil_nce(films, torch.cat([nothing, fits], dim=1))) == pytest.approx(FLOOR, abs=1e-5)
    assert float(mil_nce(films, nothing)) == pytest.approx(math.log(2 * 5))
    assert float(mil_nce(films[:1], fits[:1])) == pytest.approx(FLOOR) and float(mil_nce(films[:0], fits[:0])) == 0


def encoders(**dims):
    made = {}
    for m, dim in dims.items():
        made[m] = nn.Sequential(nn.Flatten(), nn.LazyLinear(dim))
        made[m].dim = dim
    return nn.ModuleDict(made)


def batch_of(present=None):
    views = {"video": [View(drawn(6, 3, 2, 4, 4))], "audio": [View(drawn(6, 1, 4, 8, seed=s)) for s in range(BAG)]}
    return Batch(torch.arange(6)[:, None], views, 0.0, present or {})


def task(**kinds):
    return Task(len(kinds), 2, next(iter(kinds.values())), 32, 3, kinds=kinds)


def test_the_bag_of_an_item_is_of_its_own_sounds_and_both_encoders_learn():
    both, films_and_sounds = encoders(video=5, audio=7), task(video="video", audio="sound")
    pretext, batch = make_pretext("milnce", both, films_and_sounds), batch_of()
    assert pretext.views(films_and_sounds) == {"video": ("video",), "audio": ("sound",) * BAG}
    loss = pretext.batch_loss(both, films_and_sounds, batch)
    films = pretext.projector["video"](both["video"](batch.views["video"][0].pixels))
    sounds = [pretext.projector["audio"](both["audio"](view.pixels)) for view in batch.views["audio"]]
    assert torch.allclose(loss, mil_nce(films, torch.stack(sounds, dim=1)))
    loss.backward()
    for module in (both, pretext):
        assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in module.parameters() if p.ndim == 2)


def test_items_without_sound_are_in_no_sum():
    both, films_and_sounds = encoders(video=5, audio=7), task(video="video", audio="sound")
    pretext, heard = make_pretext("milnce", both, films_and_sounds), torch.tensor([True, True, False, True, False, True])
    full, batch = batch_of(), batch_of({"audio": heard})
    loss = pretext.batch_loss(both, films_and_sounds, batch)
    fewer = {m: [View(view.pixels[heard]) for view in views] for m, views in full.views.items()}
    assert torch.allclose(loss, pretext.batch_loss(both, films_and_sounds, Batch(torch.arange(4)[:, None], fewer, 0.0)))
    silent = pretext.batch_loss(both, films_and_sounds, batch_of({"audio": torch.zeros(6, dtype=torch.bool)}))
    silent.backward()
    assert float(silent.detach()) == 0


def test_items_of_one_modality_and_fixed_encoders_are_refused():
    with pytest.raises(UserError, match="these items have image only"):
        make_pretext("milnce", encoders(image=5), task(image="photo"))
    with pytest.raises(UserError, match="name none as frozen"):
        make_pretext("milnce", encoders(video=5, audio=7), task(video="features", audio="sound"))


def test_candidates_that_a_bag_lacks_are_in_no_sum():
    films, bags = drawn(4, 3), drawn(4, 3, 3, seed=1)
    is_there = torch.tensor([[True, False, True], [True, True, True], [False, True, False], [True, False, False]])
    of_length = [bag[there].double().numpy() for bag, there in zip(bags, is_there, strict=True)]
    assert float(mil_nce(films, bags, is_there)) == pytest.approx(pretexts.mil_nce(films.double().numpy(), of_length), rel=1e-5)


def test_with_an_encoder_of_text_only_the_films_network_learns_from_the_sentences_near_each_view():
    both, with_text = encoders(video=5, audio=7), replace(task(video="video", audio="sound"), text_dim=3)
    pretext = make_pretext("milnce", both, with_text)
    times, clock, files = torch.zeros(8, 2).double(), torch.zeros(6, 2).double(), torch.tensor([0, 0, 0, 1, 1, -1])
    sentences = Texts(drawn(8, 3), times, torch.tensor([0, 7, 8]), files, clock)
    phase = pretext.phase(both, with_text, 3)
    phase.precompute(SimpleNamespace(texts=sentences))
    assert phase.views == {"video": ("video",)} and phase.learns == ("encoders.video.", "pretext.projector")
    shown = View(drawn(6, 3, 2, 4, 4), span=torch.zeros(6, 2))
    batch = Batch(torch.arange(6)[:, None], {"video": [shown]}, 0.0, {"video": torch.tensor([True] * 3 + [False] + [True] * 2)})
    both["video"](shown.pixels)  # draws its weights
    bags, is_there = pretext.bags_of_text(batch, "video")
    assert is_there.sum(dim=1).tolist() == [5, 5, 5, 1, 1, 0]
    torch.manual_seed(1)
    loss = phase.loss(batch)["pretext"]
    torch.manual_seed(1)
    bags, is_there = pretext.bags_of_text(batch, "video")
    films, kept = pretext.projector["video"](both["video"](shown.pixels)), [0, 1, 2, 4]
    assert torch.allclose(loss, mil_nce(films[kept], bags[kept], is_there[kept]))
    loss.backward()
    assert pretext.projector["text"].weight.grad.abs().sum() > 0 and next(both["video"].parameters()).grad is not None
