"""Neighbour search, walks among neighbours, and neighbours by several modalities."""

import pytest
import torch

from selflabel.assignment.merit import mutual_information, neighbour_joint
from selflabel.assignment.neighbours import (
    approximate_search,
    concatenate_modalities,
    exact_search,
    multimodal_neighbours,
    nearest,
    neighbours_by_modality,
    project,
    random_walk_ends,
    smooth_over_neighbours,
)
from tests.assignment.problems import random_scores

TRIANGLES = torch.tensor([[1, 2], [0, 2], [0, 1], [4, 5], [3, 5], [3, 4]])


# ----------------------------------------------------------------------------------------------------------- search


def test_neighbours_equal_the_plain_formula_and_never_name_the_item_itself():
    x = random_scores(300, 5)
    unit = torch.nn.functional.normalize(x - x.mean(0), dim=1)
    similarity = unit @ unit.T
    similarity.fill_diagonal_(-9)
    assert torch.equal(nearest(x, 4).rows, similarity.topk(4, dim=1).indices)


def test_neighbours_in_other_groups_equal_the_plain_formula_and_groups_do_not_count_where_too_few_items_are_outside():
    x, groups = random_scores(60, 5), torch.arange(60) // 12
    unit = torch.nn.functional.normalize(x - x.mean(0), dim=1)
    similarity = (unit @ unit.T).masked_fill(groups[:, None] == groups, -9)
    rows = nearest(x, 4, groups_N=groups).rows
    assert torch.equal(rows, similarity.topk(4, dim=1).indices) and (groups[rows] != groups[:, None]).all()
    one = torch.zeros(60, dtype=torch.int64)
    one[:3] = 1
    assert torch.equal(nearest(x, 4, groups_N=one).rows, nearest(x, 4).rows)


def test_projection_keeps_the_leading_directions():
    x = torch.cat([10 * random_scores(400, 2), random_scores(400, 30, seed=1)], dim=1)
    y, plain = project(x, 2), torch.nn.functional.normalize(x[:, :2] - x[:, :2].mean(dim=0), dim=1)
    assert y.shape == (400, 2) and torch.allclose(y.norm(dim=1), torch.ones(400), atol=1e-5)
    assert float((y @ y.T - plain @ plain.T).abs().mean()) < 0.05


def test_faiss_and_the_blocked_product_agree_and_duplicates_leave_the_item_out():
    x = project(random_scores(9000, 16), 16)
    own = torch.arange(9000)
    by_faiss, by_product = exact_search(x, x, 5, own), exact_search(x[:2000], x[:2000], 5, own[:2000])
    assert (by_faiss != own[:, None]).all()
    assert (by_product != own[:2000, None]).all()
    similarity = (x[:50] @ x.T).index_put((torch.arange(50), own[:50]), torch.tensor(-9.0))
    assert torch.equal(by_faiss[:50], similarity.topk(5, dim=1).indices)
    same = torch.ones(9000, 3)
    assert (nearest(same, 3).rows != own[:, None]).all()


def test_above_the_limit_the_search_is_approximate_with_its_recall_stated():
    x = random_scores(6000, 8)
    result = nearest(x, 5, exact_limit=5000)
    assert 0.5 < result.recall <= 1.0
    assert (result.rows != torch.arange(6000)[:, None]).all()
    rows, recall = approximate_search(project(x, 8), 5)
    assert rows.shape == (6000, 5) and recall == pytest.approx(result.recall)
    exact = nearest(x, 5).rows
    overlap = (result.rows[:, :, None] == exact[:, None, :]).any(dim=2).float().mean()
    assert float(overlap) == pytest.approx(recall, abs=0.03)


@pytest.mark.parametrize("n", [1, 2, 3])
def test_fewer_items_than_neighbours_repeat_the_last(n):
    assert nearest(torch.randn(n, 4), 5).rows.shape == (n, 5)


# ------------------------------------------------------------------------------------------------------------ walks


def test_walks_end_where_steps_lead():
    for steps in (0, 1, 7):
        ends = random_walk_ends(TRIANGLES, steps, torch.Generator().manual_seed(steps))
        assert ends.shape == TRIANGLES.shape and torch.equal(ends // 3, torch.arange(6)[:, None].expand(6, 2) // 3)
    assert torch.equal(random_walk_ends(TRIANGLES, 0, torch.Generator())[:, 0], torch.arange(6))
    one = random_walk_ends(TRIANGLES.repeat(1, 20), 1, torch.Generator().manual_seed(0))
    assert [set(row) for row in one.tolist()] == [set(row) for row in TRIANGLES.tolist()]


def test_at_the_end_of_a_long_walk_the_halves_of_a_class_tell_nothing_about_each_other():
    """Two clouds, one of them split in two: the split is forgotten, what distinguishes the clouds is kept."""
    x = random_scores(400, 6)
    x[200:, 0] += 9
    whole = (x[:, 0] > 4.5).long()
    split = torch.where(whole == 1, 2, (x[:, 5] > 0).long())
    near = torch.cdist(x, x).fill_diagonal_(torch.inf).topk(10, largest=False).indices
    gains = []
    for steps in (1, 40):
        ends = random_walk_ends(near, steps, torch.Generator().manual_seed(0))
        gains.append(mutual_information(neighbour_joint(split, ends, 3)) - mutual_information(neighbour_joint(whole, ends, 2)))
    assert gains[0] > 0.05 and abs(gains[1]) < 0.01 < mutual_information(neighbour_joint(whole, ends, 2)) - 0.6


def test_smoothing_averages_each_row_with_its_neighbours():
    x, rows = torch.arange(6.0)[:, None], TRIANGLES.int()
    assert torch.allclose(smooth_over_neighbours(x, rows, 1)[:, 0], torch.tensor([1.0, 1, 1, 4, 4, 4]))
    chain, ends = torch.tensor([[1], [2], [2]], dtype=torch.int32), torch.tensor([[0.0], [0.0], [4.0]])
    assert smooth_over_neighbours(ends, chain, 2)[:, 0].tolist() == [1, 3, 4]
    assert smooth_over_neighbours(ends, chain, 0) is ends


def test_neighbours_by_several_modalities_are_some_by_each_and_an_item_that_lacks_one_has_others():
    g = torch.Generator().manual_seed(0)
    of = torch.arange(40) % 2
    x = {m: torch.randn(2, 6, generator=g)[of] * 5 + torch.randn(40, 6, generator=g) for m in ("video", "audio")}
    present = {"video": torch.ones(40, dtype=torch.bool), "audio": torch.arange(40) >= 10}
    rows = multimodal_neighbours(x, present, 7)
    assert rows.shape == (40, 7) and rows.min() >= 0
    assert torch.equal(rows[:, 3:5], nearest(x["video"], 2).rows.long())
    assert (rows[10:, 5:] >= 10).all()  # by sound: among the items that have sound
    assert (of[rows] == of[:, None]).float().mean() > 0.95
    led = multimodal_neighbours(x, present, 7, leader="audio")
    by_sound = 10 + nearest(x["audio"][10:], 4).rows.long()
    assert torch.equal(led[:, :3], rows[:, :3]) and torch.equal(led[10:, 3:], by_sound)
    assert led.shape == (40, 7) and led.min() >= 0 and (of[led] == of[:, None]).float().mean() > 0.95
    single = multimodal_neighbours({"video": x["video"]}, {"video": present["video"]}, 7)
    assert torch.equal(single, nearest(x["video"], 7).rows.long())


def test_an_item_without_the_modality_has_no_neighbours_by_it():
    x, present = random_scores(20, 3), torch.arange(20) % 4 > 0
    rows = neighbours_by_modality(x, present, 2)
    assert (rows[~present] == -1).all() and present[rows[present]].all()
    assert (neighbours_by_modality(x, torch.arange(20) == 3, 2) == -1).all()  # a single item has no other


def test_no_modality_dominates_another_when_they_are_concatenated():
    """With two directions pairs are very similar or very dissimilar, with thirty hardly either."""
    g = torch.Generator().manual_seed(1)
    x = {"few": torch.randn(200, 2, generator=g), "many": torch.randn(200, 30, generator=g)}
    present = {m: torch.ones(200, dtype=torch.bool) for m in x}
    present["few"][:20] = False
    joined = concatenate_modalities(x, present)
    pairs = [joined[:, at] @ joined[:, at].T for at in (slice(0, 2), slice(2, 32))]
    shares = [p[20:, 20:].fill_diagonal_(0).square().mean().sqrt() for p in pairs]
    assert shares[0] / shares[1] == pytest.approx(1, abs=0.2)
    assert (joined[:20, :2] == 0).all()
