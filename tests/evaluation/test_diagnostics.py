import numpy as np

from selflabel.evaluation.diagnostics import diagnose, histogram
from selflabel.evaluation.metrics import mean_pairwise_nmi


def test_diagnostics_are_one_for_heads_that_agree_and_fall_when_they_do_not():
    labels = np.arange(100) % 4
    near = np.stack([(np.arange(100) + 4 * j) % 100 for j in (1, 2)], axis=1)
    good = diagnose([labels, (labels + 1) % 4], 0, labels, near, np.ones(100))
    assert good.agreement == good.support == good.stability == good.neighbours == good.confidence == 1.0
    bad = diagnose([labels, np.arange(100) // 25], 0, np.roll(labels, 1), near + 1 - 100 * (near == 99), np.full(100, 0.5))
    assert bad.agreement < 0.2 and bad.support < 0.5 and bad.stability == 0 and bad.neighbours < 0.1 and bad.confidence == 0.5
    assert mean_pairwise_nmi([labels]) == 1.0
    assert sum(histogram(np.linspace(0, 1, 50))) == 50


def test_one_head_supports_itself():
    labels = np.arange(10) % 2
    one = diagnose([labels], 0, labels, np.arange(10)[:, None], np.ones(10))
    assert one.agreement == one.support == 1.0


def test_the_histogram_has_twenty_bins_and_takes_rounding_beyond_one():
    counts = histogram(np.array([0.0, 0.04, 0.06, 1.0, 1.0000001]))
    assert len(counts) == 20 and counts[0] == 2 and counts[1] == 1 and counts[-1] == 2
