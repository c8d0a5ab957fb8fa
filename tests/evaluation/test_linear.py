import numpy as np
import pytest

from selflabel.evaluation.linear import SCHEDULES, linear_accuracy
from tests.evaluation.test_probes import blobs


def test_a_schedules_batch_norm_makes_it_indifferent_to_the_features_scale():
    x, y = blobs(noise=2.0)
    classes = np.unique(y, return_inverse=True)[1]
    plain, large = (
        linear_accuracy(s * x[:80], classes[:80], s * x[80:], classes[80:], SCHEDULES["sela-alexnet"]) for s in (1.0, 1e3)
    )
    assert plain == pytest.approx(large, abs=0.05)


@pytest.mark.parametrize("name", SCHEDULES)
def test_the_same_seed_gives_the_same_accuracy_and_test_classes_may_be_unknown(name):
    x, y = blobs(noise=2.0)
    classes = np.unique(y, return_inverse=True)[1]
    known = classes < 3
    args = (x[known], classes[known], x, classes, SCHEDULES[name])
    assert linear_accuracy(*args, seed=1) == linear_accuracy(*args, seed=1) <= 0.75


@pytest.mark.filterwarnings("ignore:Detected call of `lr_scheduler.step")
def test_a_batch_of_one_item_which_batch_norm_cannot_take_is_skipped():
    x = np.eye(2, dtype=np.float32)[:1]
    assert linear_accuracy(x, np.array([0]), x, np.array([0]), SCHEDULES["sela-alexnet"]) == 1.0
