from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from selflabel.encoders.tokens import count_prefix_tokens, is_attention, keys_of, patch_grid, tokens_to_map


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 32))
@settings(deadline=None)
def test_the_grid_of_square_patches_is_found_from_their_number(h, w, patch):
    assert patch_grid(h * w, h * patch, w * patch) == (h, w)


@pytest.mark.parametrize("n", [0, -1, 197, 198, 15])
def test_a_number_of_tokens_that_is_no_grid_has_none(n):
    assert patch_grid(n, 224, 224) is None


def test_tokens_stand_row_by_row():
    tokens = torch.arange(6.0).view(1, 6, 1)
    assert tokens_to_map(tokens, (2, 3)).tolist() == [[[[0, 1, 2], [3, 4, 5]]]]


@pytest.mark.parametrize(
    "attributes, n_tokens, expected",
    [
        ({"num_prefix_tokens": 5}, 201, 5),
        ({"cls_token": 1}, 197, 1),
        ({}, 196, 0),
        ({}, 197, 1),
        ({"cls_token": 1}, 1, 1),  # only the class token is left
    ],
)
def test_class_and_register_tokens_are_counted_as_timm_says_or_by_what_is_left(attributes, n_tokens, expected):
    assert count_prefix_tokens(SimpleNamespace(**attributes), n_tokens, 224, 224) == expected


@pytest.mark.parametrize("bias", [True, False])
def test_keys_are_the_second_of_three_parts_or_a_layer_of_their_own(bias):
    x = torch.rand(2, 7, 6)
    joint = nn.Module()
    joint.qkv = nn.Linear(6, 18, bias=bias)
    assert is_attention(joint) and torch.allclose(keys_of(joint, x), joint.qkv(x)[..., 6:12], atol=1e-6)
    separate = nn.Module()
    separate.k_proj = nn.Linear(6, 6, bias=bias)
    assert is_attention(separate) and torch.equal(keys_of(separate, x), separate.k_proj(x))


def test_a_layer_whose_keys_cannot_be_told_from_the_rest_is_no_attention():
    uneven = nn.Module()
    uneven.qkv = nn.Linear(6, 20)
    assert not is_attention(uneven) and not is_attention(nn.Linear(6, 6))
