"""Score sources: shapes, products, rows, subsamples."""

import gc

import numpy as np
import pytest
import torch

from selflabel.assignment import LinearScores
from selflabel.assignment.scores import (
    BLOCK_ENTRIES,
    SharedFeatures,
    allocate,
    as_source,
    memory_key,
    row_blocks,
    sample_rows,
    select_rows,
)
from tests.assignment.problems import clustered_scores, random_scores


def test_products_are_float32_and_leave_torchs_setting_as_it_was():
    source = clustered_scores(n=900, k=300, d=64)
    matmul = getattr(torch.backends.mkldnn, "matmul", None)
    before = getattr(matmul, "fp32_precision", None)
    exact = source.features.double() @ source.weight.double().T + source.bias.double()
    assert float((source.product() - exact).abs().max()) < 2e-6 * float(exact.abs().max())
    assert getattr(matmul, "fp32_precision", None) == before


def test_rows_of_linear_scores_are_those_of_their_matrix():
    source = clustered_scores(n=900, k=6)
    matrix, rows = source.product(), torch.tensor([5, 0, 899])
    assert torch.allclose(select_rows(source, rows), matrix[rows], atol=1e-5)
    assert torch.equal(select_rows(matrix.double(), rows), matrix[rows])
    assert 300 <= len(sample_rows(source, 300)) < 600 and len(sample_rows(source, 5000)) == 900


def test_wrong_shapes_are_named_and_gradients_are_not_followed():
    with pytest.raises(ValueError, match="N x K, found 1 axes"):
        as_source(torch.zeros(3))
    with pytest.raises(ValueError, match="features have 4 columns and the weight has 5"):
        as_source(LinearScores(torch.zeros(3, 4), torch.zeros(2, 5)))
    weight = torch.zeros(2, 4, requires_grad=True)
    assert not as_source(LinearScores(np.zeros((3, 4), np.float32), weight)).weight.requires_grad
    assert as_source(np.zeros((3, 4))).dtype == torch.float64


def test_blocks_cover_all_rows_and_have_one_row_at_least():
    assert [b.stop - b.start for b in row_blocks(5, BLOCK_ENTRIES // 2)] == [2, 2, 1]
    assert len(row_blocks(3, 10 * BLOCK_ENTRIES)) == 3 and row_blocks(0, 4) == []


def test_heads_over_the_same_features_share_a_subsample_until_none_uses_it():
    source, features = clustered_scores(n=100, k=6), SharedFeatures()
    other = LinearScores(source.features, random_scores(3, 16))
    a, b = (features.subsample(head, 10) for head in (source, other))
    assert a.features is b.features and torch.equal(a.features, source.features[::10]) and b.weight is other.weight
    assert memory_key(a) == memory_key(b) != memory_key(source)
    assert features.subsample(source, 1) is source
    matrix = random_scores(30, 2)
    assert features.subsample(matrix, 3).data_ptr() == matrix.data_ptr()
    del a, b
    gc.collect()
    assert len(features.copies) == 0


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.int16])
def test_allocated_memory_has_the_shape_and_type_that_was_requested(dtype):
    x = allocate((3, 5), torch.device("cpu"), dtype)
    assert x.shape == (3, 5) and x.dtype == dtype and x.is_contiguous()
