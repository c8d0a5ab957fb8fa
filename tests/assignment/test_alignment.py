import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from selflabel.assignment.alignment import contingency, hungarian


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 6)), max_size=40))
def test_the_table_counts_every_pair_of_labels(pairs):
    a, b = (np.array([p[i] for p in pairs], int) for i in (0, 1))
    table = contingency(a, b, 5, 7)
    assert table.shape == (5, 7) and table.sum() == len(pairs)
    assert all(table[i, j] == pairs.count((i, j)) for i in range(5) for j in range(7))


def test_the_table_grows_with_the_labels():
    assert contingency(np.array([0, 9]), np.array([0, 0]), 2, 3).shape == (10, 3)


@pytest.mark.parametrize("n", [1, 5, 12])
def test_renamed_labels_are_matched_back(n):
    rng = np.random.default_rng(n)
    a, names = rng.integers(n, size=200 * n), rng.permutation(n)
    rows, columns = hungarian(contingency(a, names[a], n, n))
    assert np.array_equal(columns[np.argsort(rows)], names)


def test_with_fewer_rows_than_columns_every_row_has_a_partner():
    counts = np.array([[0, 5, 1], [3, 9, 0]])
    rows, columns = hungarian(counts)
    assert rows.tolist() == [0, 1] and columns.tolist() == [2, 1] and counts[rows, columns].sum() == 10
