"""Labels from picture and sound where one of them is unlike what the run has seen."""

import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from selflabel.contract import Task
from selflabel.evaluation.seen import Seen
from selflabel.jobs.model import Model
from selflabel.jobs.seen import as_tensors, from_tensors
from selflabel.jobs.trust import SLACK, SUPPOSED, modality_weights
from selflabel.methods.label.sela_nn import Options, SeLaNN
from selflabel.methods.label.selavi import Options as SeLaViOptions
from selflabel.methods.label.selavi import SeLaVi
from tests.methods.label.helpers import identity_encoders

N, K, DIM, MODALITIES = 120, 3, 32, ("video", "audio")
CENTRES = {
    m: 4 * F.normalize(torch.randn(K, DIM, generator=torch.Generator().manual_seed(i)), dim=1) for i, m in enumerate(MODALITIES)
}
CLASSES = torch.arange(N) % K
EVERYWHERE = dict.fromkeys(MODALITIES, torch.ones(N, dtype=torch.bool))


def items(seed):
    """Modality to features (N, DIM) around the centres of the classes."""
    generator = torch.Generator().manual_seed(seed)
    return {m: CENTRES[m][CLASSES] + 0.3 * torch.randn(N, DIM, generator=generator) for m in MODALITIES}


def noise(modality, seed=9):
    """(N, DIM) random directions, each away from a random class: heads are sure of what it is not."""
    generator = torch.Generator().manual_seed(seed)
    away = CENTRES[modality][torch.randint(K, (N,), generator=generator)] / 4
    return 8 * (F.normalize(torch.randn(N, DIM, generator=generator), dim=1) - away)


@pytest.fixture(scope="module", params=["sela-nn", "selavi"])
def model(request):
    """A finished run whose heads tell the classes apart in each modality."""
    task = Task(N, K, "features", 0, 0, kinds=dict.fromkeys(MODALITIES, "features"))
    method = SeLaNN(task, Options(heads=1, fine=())) if request.param == "sela-nn" else SeLaVi(task, SeLaViOptions(heads=1))
    method.build(identity_encoders(DIM, MODALITIES))
    for m in MODALITIES:
        weight_KD, bias_K = method.heads[m].weight_and_bias(0)
        weight_KD.data.copy_(CENTRES[m])
        bias_K.data.zero_()
    seen = {f"pooled.{m}": Seen.fit(x) for m, x in items(0).items()}
    return Model(method.eval(), {}, task, 0, torch.device("cpu"), seen=seen)


def labels(model, features, present=EVERYWHERE):
    with torch.no_grad():
        return model.log_probs(features, {m: present[m] for m in features}).argmax(dim=1)


@pytest.mark.parametrize("spoiled, clean", [("audio", "video"), ("video", "audio")])
def test_with_one_modality_pure_noise_labels_are_those_of_the_other(model, spoiled, clean):
    features = items(1) | {spoiled: noise(spoiled)}
    alone = labels(model, {clean: features[clean]})
    assert (labels(model, features) == alone).float().mean() > 0.98
    assert (labels(replace(model, seen={}), features) == alone).float().mean() < 0.9  # the plain product believes the noise


def test_one_spoiled_item_among_usual_ones_is_found_also_by_itself(model):
    features = items(1)
    features["audio"][5] = noise("audio")[5]
    for some in (slice(0, N), slice(5, 6)):
        part, present = ({m: x[some] for m, x in of.items()} for of in (features, EVERYWHERE))
        weights = modality_weights(model.seen, part, present)
        at = 5 - some.start
        assert weights["audio"][at] < 0.01 and weights["video"][at] == 1


@pytest.mark.parametrize("seed", [0, 1])
def test_where_both_modalities_are_usual_nothing_changes(model, seed):
    features = items(seed)
    weights = torch.stack(list(modality_weights(model.seen, features, EVERYWHERE).values()))
    assert weights.mean() > 0.9 and torch.equal(weights.amax(dim=0), torch.ones(N))
    assert torch.equal(labels(model, features), labels(replace(model, seen={}), features))


def test_labels_of_one_modality_are_never_changed(model):
    features, present = {"video": noise("video")}, {"video": EVERYWHERE["video"]}
    with torch.no_grad():
        assert torch.equal(*(x.log_probs(features, present) for x in (model, replace(model, seen={}))))
    both = items(1) | {"audio": noise("audio")}
    silent = EVERYWHERE | {"audio": torch.zeros(N, dtype=torch.bool)}
    with torch.no_grad():
        assert torch.equal(*(x.log_probs(both, silent) for x in (model, replace(model, seen={}))))


def test_a_run_that_did_not_store_how_far_its_items_are_apart_trusts_all_alike(model):
    stored = as_tensors(model.seen)
    again = from_tensors(stored)
    assert all(again[space].median == pytest.approx(what.median) for space, what in model.seen.items())
    older = from_tensors({name: x[:3] if name.endswith("limit") else x for name, x in stored.items()})
    assert modality_weights(older, items(1), EVERYWHERE) == {}
    with pytest.raises(ValueError, match="no sample of features"):
        from_tensors({name: -x if name.endswith("limit") else x for name, x in stored.items()})


def test_joint_posteriors_are_the_plain_weighted_product(model):
    features = items(1)
    features["audio"][::2] = noise("audio")[::2]
    present = EVERYWHERE | {"video": torch.arange(N) % 5 > 0}
    with torch.no_grad():
        found = model.log_probs(features, present).exp()
    usual = {m: plain_usualness(features[m], present[m], model.seen[f"pooled.{m}"]) for m in MODALITIES}
    for i in range(0, N, 7):
        most, product = max(of[i] for of in usual.values()), [1.0] * K
        for m in MODALITIES:
            exps = [math.exp(float(features[m][i] @ CENTRES[m][k])) for k in range(K)]
            product = [p * (e / sum(exps)) ** (usual[m][i] / most) for p, e in zip(product, exps)]
        assert found[i].tolist() == pytest.approx([p / sum(product) for p in product], rel=1e-2, abs=1e-6)


def plain_usualness(x_ND, present_N, seen):
    """The share of the run's items that are as far away over that of the unseen ones, of each item; 0 where it is absent."""
    rows, tails = [i for i in range(N) if present_N[i]], {}
    for i in rows:
        unit = (x_ND[i] / x_ND[i].norm()).tolist()
        fifth = sorted(math.dist(unit, row) for row in seen.sample.float().tolist())[4]
        spread = (math.log(seen.limit) - math.log(seen.median)) / 1.1 / 2.3263
        tails[i] = math.erfc((math.log(fifth) - math.log(seen.median)) / spread / 2**0.5) / 2
    as_far = {i: sum(tails[j] <= tails[i] for j in rows) for i in rows}
    shares = {i: (as_far[i] + SUPPOSED * tails[i]) / (len(rows) + SUPPOSED) for i in rows}
    return [min(1.0, SLACK * tails[i] / shares[i]) if i in tails else 0.0 for i in range(N)]
