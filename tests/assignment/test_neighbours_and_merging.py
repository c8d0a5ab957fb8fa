import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from selflabel.assignment import marginals
from selflabel.assignment.alignment import contingency, hungarian
from selflabel.assignment.kmeans import kmeans
from selflabel.assignment.merging import merge_down
from selflabel.assignment.merit import merit_of, mutual_information, neighbour_joint, neighbour_merit
from selflabel.assignment.neighbours import approximate, exact, nearest, nearest_in_each, projected, side_by_side, walked


def plain_information(joint):
    joint = np.asarray(joint)
    outer = joint.sum(1, keepdims=True) * joint.sum(0, keepdims=True)
    there = joint > 0
    return float((joint[there] * np.log(joint[there] / outer[there])).sum())


def random_joint(seed, k):
    joint = torch.rand(k, k, generator=torch.Generator().manual_seed(seed)).double() ** 3
    joint = joint + joint.T + torch.eye(k).double()
    return joint / joint.sum()


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1000), st.integers(2, 9))
def test_each_merge_loses_exactly_what_it_says_and_the_least_there_is(seed, k):
    joint = random_joint(seed, k)
    assert mutual_information(joint) == pytest.approx(plain_information(joint))
    mapping, lost = merge_down(joint, k - 1)
    onto = torch.nn.functional.one_hot(mapping, k - 1).double()
    assert mutual_information(joint) - plain_information(onto.T @ joint @ onto) == pytest.approx(lost[0], abs=1e-9)
    for a in range(k):
        for b in range(a + 1, k):
            other = torch.arange(k)
            other[b] = a
            keep = torch.nn.functional.one_hot(other, k).double()
            assert mutual_information(joint) - plain_information(keep.T @ joint @ keep) >= lost[0] - 1e-9


def test_merging_split_classes_brings_them_back():
    truth = torch.arange(400) % 4
    neighbours = torch.stack([(torch.arange(400) + 4 * j) % 400 for j in range(1, 6)], dim=1)
    fine = truth * 3 + torch.randint(3, (400,), generator=torch.Generator().manual_seed(0))
    mapping, _ = merge_down(neighbour_joint(fine, neighbours, 12), 4)
    assert (
        contingency(truth.numpy(), mapping[fine].numpy())[hungarian(contingency(truth.numpy(), mapping[fine].numpy()))].sum()
        == 400
    )
    assert neighbour_merit(truth, neighbours, 4) == pytest.approx(np.log(4))
    assert neighbour_merit(truth // 2, neighbours, 2) < neighbour_merit(truth, neighbours, 4)
    assert neighbour_merit(torch.zeros(400, dtype=torch.int64), neighbours, 4) == 0
    half = merit_of(torch.tensor([[0.4, 0.1], [0.1, 0.4]]).double())
    information = plain_information([[0.4, 0.1], [0.1, 0.4]])
    assert half == pytest.approx(information * (information / np.log(2)) ** 2)


def test_neighbours_equal_the_plain_formula_and_never_name_the_item_itself():
    x = torch.randn(300, 5, generator=torch.Generator().manual_seed(0))
    unit = torch.nn.functional.normalize(x - x.mean(0), dim=1)
    similarity = unit @ unit.T
    similarity.fill_diagonal_(-9)
    assert torch.equal(nearest(x, 4).rows, similarity.topk(4, dim=1).indices)


def test_faiss_and_the_blocked_product_agree_and_duplicates_leave_the_item_out():
    x = projected(torch.randn(9000, 16, generator=torch.Generator().manual_seed(0)), 16)
    own = torch.arange(9000)
    by_faiss, by_product = exact(x, x, 5, own), exact(x[:2000], x[:2000], 5, own[:2000])
    assert (by_faiss != own[:, None]).all()
    assert (by_product != own[:2000, None]).all()
    same = torch.ones(9000, 3)
    assert (nearest(same, 3).rows != own[:, None]).all()


def test_above_the_limit_the_search_is_approximate_with_its_recall_stated():
    x = torch.randn(6000, 8, generator=torch.Generator().manual_seed(0))
    found = nearest(x, 5, exact_limit=5000)
    assert 0.5 < found.recall <= 1.0
    assert (found.rows != torch.arange(6000)[:, None]).all()
    rows, recall = approximate(projected(x, 8), 5)
    assert rows.shape == (6000, 5) and recall == pytest.approx(found.recall)


@pytest.mark.parametrize("n", [1, 2, 3])
def test_fewer_items_than_neighbours_repeat_the_last(n):
    assert nearest(torch.randn(n, 4), 5).rows.shape == (n, 5)


def test_marginals_are_shares_and_match_in_the_right_direction():
    g = torch.Generator().manual_seed(0)
    for shares in (
        marginals.uniform(7),
        marginals.gaussian(7, g),
        marginals.zipf(7),
        marginals.estimated(torch.tensor([0, 0, 3]), 7),
    ):
        assert shares.sum() == pytest.approx(1) and shares.min() > 0
    current = torch.rand(50, generator=g).double()
    matched = marginals.matched(marginals.gaussian(50, g, 0.3), current)
    assert np.corrcoef(matched.argsort().argsort(), current.argsort().argsort())[0, 1] > 0.999


def test_kmeans_finds_separated_centres_and_copes_with_few_items():
    x = torch.cat([torch.zeros(20, 2), torch.full((20, 2), 9.0)])
    centres, labels = kmeans(x, 2, seed=0)
    assert sorted(centres[:, 0].round().tolist()) == [0, 9]
    assert len(set(labels[:20].tolist())) == 1
    assert kmeans(x[:2], 5, seed=0)[0].shape == (5, 2)


def test_walks_end_where_steps_lead():
    near = torch.tensor([[1, 2], [0, 2], [0, 1], [4, 5], [3, 5], [3, 4]])  # two triangles
    for steps in (0, 1, 7):
        ends = walked(near, steps, torch.Generator().manual_seed(steps))
        assert ends.shape == near.shape and torch.equal(ends // 3, torch.arange(6)[:, None].expand(6, 2) // 3)
    assert torch.equal(walked(near, 0, torch.Generator())[:, 0], torch.arange(6))
    one = walked(near.repeat(1, 20), 1, torch.Generator().manual_seed(0))
    assert [set(row) for row in one.tolist()] == [set(row) for row in near.tolist()]


def test_at_the_end_of_a_long_walk_the_halves_of_a_class_tell_nothing_of_each_other():
    """Two clouds, one of them cut in two: the cut is forgotten, what tells the clouds apart is kept."""
    x = torch.randn(400, 6, generator=torch.Generator().manual_seed(0))
    x[200:, 0] += 9
    whole = (x[:, 0] > 4.5).long()
    cut = torch.where(whole == 1, 2, (x[:, 5] > 0).long())
    near = torch.cdist(x, x).fill_diagonal_(torch.inf).topk(10, largest=False).indices
    gained = []
    for steps in (1, 40):
        ends = walked(near, steps, torch.Generator().manual_seed(0))
        gained.append(mutual_information(neighbour_joint(cut, ends, 3)) - mutual_information(neighbour_joint(whole, ends, 2)))
    assert gained[0] > 0.05 and abs(gained[1]) < 0.01 < mutual_information(neighbour_joint(whole, ends, 2)) - 0.6


def test_neighbours_by_several_modalities_are_some_in_each_and_who_lacks_one_has_others():
    g = torch.Generator().manual_seed(0)
    of = torch.arange(40) % 2
    x = {m: torch.randn(2, 6, generator=g)[of] * 5 + torch.randn(40, 6, generator=g) for m in ("video", "audio")}
    present = {"video": torch.ones(40, dtype=torch.bool), "audio": torch.arange(40) >= 10}
    found = nearest_in_each(x, present, 7)
    assert found.shape == (40, 7) and found.min() >= 0
    assert torch.equal(found[:, 3:5], nearest(x["video"], 2).rows.long())
    assert (found[10:, 5:] >= 10).all()  # heard alike: among those that are heard
    assert (of[found] == of[:, None]).float().mean() > 0.95
    led = nearest_in_each(x, present, 7, leader="audio")
    heard = 10 + nearest(x["audio"][10:], 4).rows.long()
    assert torch.equal(led[:, :3], found[:, :3]) and torch.equal(led[10:, 3:], heard)
    assert led.shape == (40, 7) and led.min() >= 0 and (of[led] == of[:, None]).float().mean() > 0.95
    alone = nearest_in_each({"video": x["video"]}, {"video": present["video"]}, 7)
    assert torch.equal(alone, nearest(x["video"], 7).rows.long())


def test_no_modality_drowns_another_side_by_side():
    """Of a modality with two directions pairs are very like or very unlike, of one with thirty hardly either."""
    g = torch.Generator().manual_seed(1)
    x = {"few": torch.randn(200, 2, generator=g), "many": torch.randn(200, 30, generator=g)}
    present = {m: torch.ones(200, dtype=torch.bool) for m in x}
    present["few"][:20] = False
    joined = side_by_side(x, present)
    pairs = [joined[:, at] @ joined[:, at].T for at in (slice(0, 2), slice(2, 32))]
    shares = [p[20:, 20:].fill_diagonal_(0).square().mean().sqrt() for p in pairs]
    assert shares[0] / shares[1] == pytest.approx(1, abs=0.2)
    assert (joined[:20, :2] == 0).all()
