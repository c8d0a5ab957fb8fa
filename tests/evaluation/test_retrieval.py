import numpy as np
import pytest

from selflabel.evaluation.retrieval import chance_ndcg, ndcg
from tests.reference.localising import ndcg_at


def test_ndcg_is_the_plain_formula_and_a_query_does_not_find_itself():
    rng = np.random.default_rng(0)
    similarity, relevance = rng.normal(size=(7, 7)), rng.integers(0, 3, (7, 7)).astype(float)
    similarity[np.eye(7, dtype=bool)] = -np.inf
    plain = []
    for q in range(7):
        order = [i for i in np.argsort(-similarity[q]) if i != q]
        plain.append(ndcg_at([relevance[q, i] for i in order], 4))
    assert ndcg(similarity, relevance, 4) == pytest.approx(np.mean(plain))


def test_chance_is_the_mean_over_random_orders():
    rng = np.random.default_rng(1)
    relevance = (rng.random((40, 50)) < 0.2).astype(float)
    drawn = [ndcg(rng.random((40, 50)), relevance) for _ in range(60)]
    assert chance_ndcg(relevance) == pytest.approx(np.mean(drawn), abs=0.01)
