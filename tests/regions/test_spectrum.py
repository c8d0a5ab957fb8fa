import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import eigh

from selflabel.regions.cut import alike
from selflabel.regions.spectrum import EPSILON, second_vector


def dense_second_vector(graph):
    """(y, D, the two next values of 1 - lambda) by the formula of TokenCut."""
    weights = np.where(graph > 0, 1.0, EPSILON)
    degrees = np.diag(weights.sum(axis=1))
    values, vectors = eigh(degrees - weights, degrees, subset_by_index=[1, 2])
    return vectors[:, 0], degrees, 1 - values


def patches(rng, side, kinds=5, noise=1.6, dim=64):
    """(side, side, dim) features of a picture of some round things."""
    centres, y, x = rng.normal(size=(kinds, dim)), *np.mgrid[:side, :side]
    kind = np.zeros((side, side), int)
    for k in range(1, kinds):
        radius, (cy, cx) = rng.integers(max(1, side // 8), side // 3 + 2), rng.integers(0, side, 2)
        kind[(y - cy) ** 2 + (x - cx) ** 2 < radius**2] = k
    return (centres[kind] + noise * rng.normal(size=(side, side, dim))).astype(np.float32)


@pytest.mark.parametrize("side", [5, 14, 28])
@pytest.mark.parametrize("noise", [0.8, 1.6, 2.4])
def test_the_vector_is_that_of_a_dense_solver(side, noise):
    for seed in range(3):
        graph = alike(patches(np.random.default_rng(seed), side, noise=noise).reshape(side * side, -1), 0.2)
        y, degrees, (value, other) = dense_second_vector(graph)
        found = second_vector(graph)
        assert found.value == pytest.approx(value, abs=2e-6)
        if value - other > 1e-4:  # else the vector is not defined
            z, own = np.sqrt(np.diag(degrees)) * y, np.sqrt(np.diag(degrees)) * found.vector
            assert abs(z @ own) / (np.linalg.norm(z) * np.linalg.norm(own)) > 1 - 1e-5


graphs = st.integers(2, 25).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, 2**31), st.floats(0, 1)))


@given(graphs)
@settings(deadline=None, max_examples=60)
def test_it_is_an_eigenvector_of_any_graph_and_no_constant(drawn):
    n, seed, density = drawn
    upper = np.triu(np.random.default_rng(seed).random((n, n)) < density, 1)
    graph = (upper | upper.T | np.eye(n, dtype=bool)).astype(np.float32)
    weights = np.where(graph > 0, 1.0, EPSILON)
    degrees = weights.sum(axis=1)
    found = second_vector(graph)
    assert np.isfinite(found.vector).all() and abs(degrees @ found.vector) < 1e-4 * np.abs(degrees * found.vector).sum()
    off = (weights @ found.vector - found.value * degrees * found.vector) / np.sqrt(degrees)
    assert np.linalg.norm(off) < 1e-4 * max(1.0, np.linalg.norm(np.sqrt(degrees) * found.vector))


@given(st.integers(0, 2**31))
@settings(deadline=None, max_examples=15)
def test_the_order_of_patches_does_not_matter_and_the_largest_entry_is_positive(seed):
    rng = np.random.default_rng(seed)
    graph = alike(patches(rng, 8, noise=1.2).reshape(64, -1), 0.2)
    _, _, (value, other) = dense_second_vector(graph)
    order, found = rng.permutation(64), second_vector(graph)
    again = second_vector(np.ascontiguousarray(graph[np.ix_(order, order)]))
    assert found.vector[np.abs(found.vector).argmax()] > 0 and again.value == pytest.approx(found.value, abs=1e-6)
    if value - other > 1e-3:
        same = np.abs(np.corrcoef(again.vector, found.vector[order])[0, 1])
        assert same > 0.999
