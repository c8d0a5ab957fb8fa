"""XDC on features whose two modalities know different halves of the classes."""

import pytest
import torch

from selflabel.contract import Batch, Features, Task
from selflabel.methods.label.xdc import ABSENT, XDC, Options, concatenate
from tests.methods.label.helpers import FeatureData, identity_encoders, views_of


def made(variant="xdc", n=120):
    """Video tells items 0 and 1 from 2 and 3, audio 0 and 2 from 1 and 3: only both tell all four."""
    g = torch.Generator().manual_seed(0)
    of = torch.arange(n) % 4
    two = torch.tensor([[3.0, 0, 0], [0, 3.0, 0]])
    x = {"video": two[of // 2], "audio": two[of % 2]}
    x = {m: v + 0.2 * torch.randn(n, 3, generator=g) for m, v in x.items()}
    method = XDC(Task(n, 4, "features", 0, 0, kinds=dict.fromkeys(x, "features")), Options(variant=variant, over=0.5))
    method.build(identity_encoders(3, x))
    return method, FeatureData(x), of


def same_partition(a, b):
    return len(set(zip(a.tolist(), b.tolist()))) == len(set(a.tolist())) == len(set(b.tolist()))


@torch.no_grad()
@pytest.mark.parametrize("variant", ["xdc", "sdc", "mdc", "cdc"])
def test_each_encoder_learns_the_clusters_its_variant_says(variant):
    method, data, of = made(variant)
    method.relabel(data, torch.Generator())
    by_eye, by_ear = of // 2, of % 2
    learned = dict(zip(method.rows, method.clusters_MN))
    wanted = {"xdc": (by_ear, by_eye), "sdc": (by_eye, by_ear)}
    if variant in wanted:
        for modality, truth in zip(("video", "audio"), wanted[variant]):
            (row,) = [y for (m, _), y in learned.items() if m == modality]
            assert same_partition(row, truth)
    elif variant == "mdc":
        assert same_partition(learned["video", ("video",)], by_eye) and same_partition(learned["video", ("audio",)], by_ear)
    else:
        assert torch.equal(learned["video", ("video", "audio")], learned["audio", ("video", "audio")])


@torch.no_grad()
def test_the_finished_labelling_is_of_both_and_predicts_the_same_items_alike():
    method, data, of = made()
    final = method.final(data, torch.Generator())
    assert same_partition(final.labels[final.head], of)
    again = method.predict(Features(data.by_modality, data.present)).log_probs[final.head].argmax(dim=1)
    assert torch.equal(again, final.labels[final.head])


@torch.no_grad()
def test_an_item_without_a_modality_has_no_cluster_there_and_adds_no_term():
    method, data, _ = made()
    data.present["audio"][:30] = False
    method.relabel(data, torch.Generator())
    clusters = dict(zip(method.rows, method.clusters_MN))
    assert (clusters["video", ("audio",)][:30] == ABSENT).all() and (clusters["audio", ("video",)] >= 0).all()
    rows = torch.arange(60)[:, None]
    views = views_of(**{m: [x[:60].clone()] for m, x in data.by_modality.items()})
    batch = Batch(rows, views, 0.0, {"audio": data.present["audio"][:60]})
    before = method.loss(batch)["cluster"]
    views["audio"][0].pixels[:30] = 100.0
    views["video"][0].pixels[:30] = -100.0  # learns the clusters of the sound, which these lack
    assert torch.equal(method.loss(batch)["cluster"], before) and torch.isfinite(before)
    assert torch.isfinite(concatenate(data.by_modality, data.present)).all()


@torch.no_grad()
def test_items_without_a_modality_have_no_label_in_the_metrics():
    method, data, _ = made()
    data.present["audio"][:30] = False
    method.relabel(data, torch.Generator())
    by_row = dict(zip(method.rows, method.current_labels()))
    by_ear = by_row["video", ("audio",)]
    assert (by_ear[:30] == -1).all() and (by_ear[30:] >= 0).all()
    assert (by_row["audio", ("video",)] >= 0).all()
