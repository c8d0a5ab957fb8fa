import itertools

import pytest
import torch

from selflabel.base.errors import UserError
from selflabel.encoders import make_clip_encoder, make_encoder
from selflabel.pretexts.dpc import DPC, ConvGRU, Predictor, block_maps, dense_nce, split_frames
from tests.reference import pretexts


def test_the_loss_is_the_plain_formula():
    predicted, seen = (torch.randn(3, 2, 5, 2, 2, generator=torch.Generator().manual_seed(s)) for s in (0, 1))
    plain = pretexts.dense_nce(predicted.double().numpy(), seen.double().numpy())
    assert float(dense_nce(predicted, seen)) == pytest.approx(plain, rel=1e-5)


def test_a_prediction_is_pushed_from_other_places_other_steps_and_other_films_and_pulled_to_its_own():
    """The gradient of one prediction's loss: all the others are zero, and have none."""
    B, P, D, h, w = 3, 2, 4, 2, 3
    predicted, seen = torch.zeros(B, P, D, h, w), torch.rand(B, P, D, h, w, requires_grad=True)
    film, step, y, x = 1, 0, 1, 2
    predicted[film, step, :, y, x] = torch.rand(D) + 0.1
    dense_nce(predicted, seen).backward()
    pushed = (seen.grad * predicted[film, step, :, y, x][None, None, :, None, None]).sum(dim=2)
    kinds = {"positive": [], "spatial": [], "temporal": [], "easy": []}
    for i, k, v, u in itertools.product(range(B), range(P), range(h), range(w)):
        same_place = (v, u) == (y, x)
        kind = "easy" if i != film else "spatial" if not same_place else "temporal" if k != step else "positive"
        kinds[kind].append(float(pushed[i, k, v, u]))
    assert [len(of) for of in kinds.values()] == [1, P * (h * w - 1), P - 1, (B - 1) * P * h * w]
    assert kinds.pop("positive")[0] < 0 and all(value > 0 for of in kinds.values() for value in of)


@torch.no_grad()
def test_the_gru_is_the_plain_formula_at_every_place():
    torch.manual_seed(0)
    gru, x, state = ConvGRU(3).eval(), torch.randn(1, 3, 2, 2), torch.randn(1, 3, 2, 2)
    gates = [(conv.weight[:, :, 0, 0].numpy(), conv.bias.normal_().numpy()) for conv in (gru.update, gru.reset, gru.out)]
    for h in (torch.zeros_like(state), state):
        plain = pretexts.conv_gru(x[0].numpy(), h[0].numpy(), *gates)
        assert torch.allclose(gru(x, h)[0], torch.from_numpy(plain), atol=1e-5)
    assert torch.equal(gru(x, None), gru(x, torch.zeros_like(x)))


@torch.no_grad()
def test_predictions_go_into_the_gru_in_turn_and_depend_on_every_block_before():
    torch.manual_seed(0)
    predictor, maps = Predictor(4).eval(), torch.rand(2, 3, 4, 2, 2)
    found = predictor(maps, 2)
    assert found.shape == (2, 2, 4, 2, 2)
    state = None
    for z in maps.unbind(dim=1):
        state = predictor.gru(z, state)
    first = predictor.next(state)
    second = predictor.next(predictor.gru(first.relu(), state))
    assert torch.allclose(found, torch.stack([first, second], dim=1))
    for block in range(3):
        changed = maps.clone()
        changed[:, block] += 1
        assert not torch.allclose(predictor(changed, 1), found[:, :1])


@pytest.mark.parametrize("name", ["clip9", "resnet9"])
def test_the_maps_of_blocks_are_those_of_each_block_by_itself(name):
    encoder, films = make_clip_encoder(name, 32, 8).eval(), torch.rand(2, 3, 9, 32, 32)
    with torch.no_grad():
        maps = block_maps(encoder, films, split_frames(9))
        for n in range(4):
            alone = encoder.map(films[:, :, 2 * n : 2 * n + 2]).mean(dim=2)
            assert torch.allclose(maps[:, n], alone, atol=1e-5)


def test_encoder_and_predictor_learn():
    torch.manual_seed(0)
    encoder = make_clip_encoder("clip9", 32, 8)
    pretext = DPC(encoder)
    pretext.loss(encoder, [torch.rand(3, 3, 8, 32, 32)]).backward()
    for module in (encoder, pretext.projector):
        assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in module.parameters())


def test_what_is_no_film_is_refused():
    with pytest.raises(UserError, match="no films; use simclr or moco"):
        DPC(make_encoder("conv4", 1, 16))
    with pytest.raises(UserError, match="a view has one frame"):
        split_frames(1)
