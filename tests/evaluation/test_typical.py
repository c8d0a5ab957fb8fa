import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from selflabel.evaluation import typical
from selflabel.evaluation.typical import neighbour_agreement, rows_by_label, typicality


def test_agreement_is_the_share_of_neighbours_with_the_same_label_whatever_the_block(monkeypatch):
    rng = np.random.default_rng(0)
    labels, neighbours = rng.integers(-1, 3, 50).astype(np.int32), rng.integers(0, 50, (50, 7))
    shares = (labels[neighbours] == labels[:, None]).sum(axis=1) * 255 // 7
    for block in (50, 8):
        monkeypatch.setattr(typical, "BLOCK", block)
        assert neighbour_agreement(labels, neighbours).tolist() == shares.tolist()
    assert neighbour_agreement(labels + 40_000, neighbours).tolist() == shares.tolist()


def test_typicality_is_half_confidence_and_half_agreement():
    values = typicality(np.array([0.0, 1.0, 0.0, 1.0, 0.5], np.float32), np.array([0, 0, 255, 255, 255], np.uint8))
    assert values.dtype == np.uint16 and np.allclose(values, [0, 32767, 32767, 65534, 49150], atol=1)


@given(st.lists(st.tuples(st.integers(-1, 5), st.integers(0, 3)), min_size=1, max_size=40), st.sampled_from([5, 70_000]))
@settings(deadline=None)
def test_rows_are_ordered_by_label_then_from_the_most_typical_on_then_by_row(items, max_label):
    labels, values = (np.array(column) for column in zip(*items))
    order, starts = rows_by_label(labels.astype(np.int32), values.astype(np.uint16), max_label)
    assert order.tolist() == sorted(range(len(items)), key=lambda i: (labels[i], -values[i], i))
    assert len(starts) == max_label + 3
    for label in range(-1, 6):
        members = order[starts[label + 1] : starts[label + 2]]
        assert set(members.tolist()) == set(np.flatnonzero(labels == label).tolist())
