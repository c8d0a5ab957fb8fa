import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import normalized_mutual_info_score

from selflabel.evaluation.metrics import (
    accuracy,
    consensus_head,
    encode_labels,
    entropy,
    mean_pairwise_nmi,
    nmi,
    score,
)


def test_nmi_equals_scikit_learns():
    rng = np.random.default_rng(0)
    for _ in range(5):
        a, b = rng.integers(0, 5, 200), rng.integers(0, 7, 200)
        assert nmi(a, b) == pytest.approx(normalized_mutual_info_score(a, b), abs=1e-9)
    assert nmi([0, 0], [1, 1]) == 1.0


def test_accuracy_is_of_the_best_matching_and_copes_with_other_numbers_of_labels():
    truth = np.array(list("aabbcc"))
    assert accuracy(truth, [2, 2, 0, 0, 1, 1]) == 1.0
    assert accuracy(truth, [0, 0, 0, 0, 1, 1]) == pytest.approx(4 / 6)
    assert accuracy(truth, [0, 1, 2, 3, 4, 5]) == pytest.approx(3 / 6)


labels = st.lists(st.integers(0, 4), min_size=1, max_size=30)


@given(labels, st.randoms(use_true_random=False))
@settings(deadline=None)
def test_scores_do_not_depend_on_the_names_of_labels_or_the_order_of_items(values, random):
    truth, names = [v % 3 for v in values], random.sample(range(100), 5)
    order = random.sample(range(len(values)), len(values))
    other = [names[values[i]] for i in order]
    one, two = score(truth, values), score([truth[i] for i in order], other)
    assert all(two[key] == pytest.approx(one[key], abs=1e-9) for key in one)


def test_score_has_the_agreed_names_and_none_without_truth():
    names = ["n_items", "n_clusters", "accuracy", "macro_accuracy", "nmi", "ami", "ari", "mean_entropy", "mean_max_purity"]
    scores = score(["a", "a", "b", "b"], [0, 0, 1, 1])
    assert list(scores) == names and scores["accuracy"] == scores["mean_max_purity"] == 1.0 and scores["mean_entropy"] == 0.0
    assert list(score(None, [0, 1]).values()) == [2, 2] + [None] * 7
    mixed = score(["a", "b", "b", "b"], [0, 0, 1, 1])
    assert mixed["mean_entropy"] == pytest.approx(np.log(2) / 2) and mixed["mean_max_purity"] == 0.75


def test_labels_of_any_type_become_numbers_in_sorted_order():
    assert encode_labels(["dog", "ant", "dog", "cat"]).tolist() == [2, 0, 2, 1]
    assert encode_labels(np.array([[7], [3]])).tolist() == [1, 0]


def test_entropy_is_in_nats_and_skips_empty_classes():
    assert entropy(np.array([3, 3, 0])) == pytest.approx(np.log(2)) and entropy(np.array([5, 0])) == 0


def test_the_mean_over_pairs_of_heads_is_over_all_of_few_and_over_45_of_many():
    rng = np.random.default_rng(0)
    heads = [rng.integers(0, 4, 50) for _ in range(12)]
    three = [nmi(heads[i], heads[j]) for i, j in ((0, 1), (0, 2), (1, 2))]
    assert mean_pairwise_nmi(heads[:3]) == pytest.approx(np.mean(three))
    pairs = [(i, j) for i in range(12) for j in range(i + 1, 12)]
    subset = [pairs[i] for i in np.linspace(0, len(pairs) - 1, 45).astype(int)]
    assert mean_pairwise_nmi(heads) == pytest.approx(np.mean([nmi(heads[i], heads[j]) for i, j in subset]))
    assert mean_pairwise_nmi(heads[:1]) == 1.0


def test_the_consensus_head_agrees_most_with_the_others_and_is_the_first_of_equals():
    a, noise = torch.arange(60) % 3, torch.randperm(60, generator=torch.Generator().manual_seed(0)) % 3
    assert consensus_head([noise, a, (a + 1) % 3]) == 1
    assert consensus_head([a, a, noise]) == 0 and consensus_head([noise]) == 0
