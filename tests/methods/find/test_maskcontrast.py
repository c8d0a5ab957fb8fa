import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from selflabel.base.errors import UserError
from selflabel.contract import Region, Shown
from selflabel.methods import make_finder
from selflabel.methods.find.maskcontrast import KEPT, Options, contrast, embedded, kept_patches, learned, make_head


def plain_contrast(queries, means, queue, temperature):
    """The loss of the paper in plain loops: a softmax for every pixel over the means of all masks."""
    total, n = 0.0, 0
    others = [*means.tolist(), *queue.tolist()]
    for b, patches in enumerate(queries.tolist()):
        for q in patches:
            products = [math.exp(sum(x * y for x, y in zip(q, z)) / temperature) for z in others]
            total -= math.log(products[b] / sum(products))
            n += 1
    return total / n


@pytest.mark.parametrize("queued", [0, 3])
@pytest.mark.parametrize("temperature", [0.5, 0.07])
def test_the_loss_is_that_of_the_paper(queued, temperature):
    torch.manual_seed(0)
    queries, means, queue = (F.normalize(torch.randn(*shape), dim=-1) for shape in ((4, 5, 6), (4, 6), (queued, 6)))
    expected = plain_contrast(queries, means, queue, temperature)
    assert float(contrast(queries, means, queue, temperature)) == pytest.approx(expected, rel=1e-5)


def masks(n=60, classes=4, dim=24, seed=0):
    """Features (n, KEPT, dim): masks of a class share a weak direction; strong ones differ from patch to patch."""
    rng, of_class = np.random.default_rng(seed), np.arange(n) % classes
    directions = np.linalg.qr(rng.normal(size=(dim, dim)))[0]
    weak = 0.5 * directions[of_class][:, None]
    strong = 2 * rng.normal(size=(n, KEPT, 3)) @ directions[-3:]
    return torch.from_numpy(1.5 * directions[classes] + weak + strong + 0.05 * rng.normal(size=(n, KEPT, dim))).half()


def test_patches_of_a_mask_are_drawn_together_and_what_differs_inside_masks_is_left_out():
    features = masks()
    fresh = masks(seed=1)
    generator = torch.Generator().manual_seed(0)
    head = learned(features, Options(steps=200, batch=32, momentum=0.9, lr=0.003), generator)

    def spread(patches):
        """Mean cosine of two patches of a mask, less that of two masks."""
        units = F.normalize(patches, dim=-1)
        within, across = units[:, 0] * units[:, 1], units[:, 0] * units[:, 0].roll(1, 0)
        return float(within.sum(dim=1).mean() - across.sum(dim=1).mean())

    assert spread(embedded(head, features.float())) > spread(features.float()) + 0.3
    assert embedded(head, fresh.float()).shape == (60, KEPT, 32)


def test_the_same_generator_gives_the_same_head():
    features = masks(12)
    heads = [learned(features, Options(steps=5), torch.Generator().manual_seed(3)).state_dict() for _ in range(2)]
    assert all(torch.equal(heads[0][k], heads[1][k]) for k in heads[0])


def test_patches_are_those_inside_by_probability_and_of_a_thin_object_the_one_most_inside():
    places = np.arange(16, dtype=np.float32).reshape(4, 4, 1)
    shown = Shown(places, np.zeros((16, 16, 3), np.uint8), "stride16")
    soft = np.full((16, 16), 0.45, np.float32)  # a logit of -.2: not inside
    soft[4:8, 8:12] = 0.55  # a logit of .2: inside
    kept = kept_patches(shown, Region(soft, 1.0), torch.Generator())
    assert kept.shape == (KEPT, 1) and set(kept[:, 0].tolist()) == {6.0}
    thin = np.zeros((16, 16), np.float32)
    thin[9, :4] = 1
    assert set(kept_patches(shown, Region(thin, 1.0), torch.Generator())[:, 0].tolist()) == {8.0}


def test_a_head_for_other_features_or_with_numbers_that_are_none_is_refused():
    finder = make_finder("maskcontrast", Options(masks="cut"))
    state = {f"head.{k}": v.numpy() for k, v in make_head(4).state_dict().items()}
    finder.load_state(state)
    places = np.zeros((6, 6, 5), np.float32)
    places[..., 0], places[2:4, 2:4] = 1, [0, 1, 0, 0, 0]
    with pytest.raises(UserError, match="is for 4 features, and the encoder gives 5"):
        finder.find(Shown(places, np.zeros((48, 48, 3), np.uint8), "keys"))
    with pytest.raises(ValueError, match="numbers that are not finite"):
        finder.load_state(state | {"head.1.bias": np.full(8, np.nan, np.float32)})
