"""Passes read every row once, and solves over the same items share them."""

import torch

from selflabel.assignment import LinearScores
from selflabel.assignment.passes import Pass, run_concurrently, run_passes
from selflabel.assignment.scores import BLOCK_ENTRIES
from tests.assignment.problems import random_scores


def collect(source, one_block=False):
    """The blocks of one pass: (rows, a copy of the scores)."""
    blocks = []
    run_passes([Pass(source, lambda rows, block: blocks.append((rows, block.clone())), one_block)])
    return blocks


def test_a_pass_gives_every_row_once_in_blocks():
    scores = random_scores(BLOCK_ENTRIES // 1000 * 2 + 5, 1000)
    blocks = collect(scores)
    assert len(blocks) == 3 and [rows.stop for rows, _ in blocks][:-1] == [rows.start for rows, _ in blocks][1:]
    assert torch.equal(torch.cat([block for _, block in blocks]), scores)
    assert len(collect(scores, one_block=True)) == 1


def test_other_types_are_shifted_before_they_become_float32():
    scores = random_scores(20, 4).double() + 1e9
    ((_, block),) = collect(scores, one_block=True)
    assert block.dtype == torch.float32
    assert torch.allclose(block.double() - block.amax(dim=1, keepdim=True), scores - scores.amax(dim=1, keepdim=True), atol=1e-6)


def test_heads_over_the_same_features_get_products_of_the_same_blocks():
    x, weights = random_scores(30, 6), [random_scores(k, 6, seed=k) for k in (3, 5)]
    results = [torch.empty(30, 3), torch.empty(30, 5)]
    heads = [LinearScores(x, w) for w in weights]
    run_passes([Pass(h, lambda rows, block, out=out: out[rows].copy_(block)) for h, out in zip(heads, results)])
    assert all(torch.allclose(out, x @ w.T, atol=1e-5) for out, w in zip(results, weights))


def test_solves_resume_when_their_pass_is_made_and_smaller_sets_come_first():
    small, large, log = torch.zeros(10, 2), torch.zeros(100, 2), []

    def solve(name, sources):
        for source in sources:
            yield Pass(source, lambda rows, block: log.append((name, len(block))))
        return name.upper()

    results = run_concurrently([solve("a", [large]), solve("b", [small, small, large]), solve("c", [])])
    assert results == ["A", "B", "C"]
    assert log == [("b", 10), ("b", 10), ("a", 100), ("b", 100)]
