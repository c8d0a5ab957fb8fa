"""A transformer's tokens as a map, and the keys of an attention layer. Pure tensor functions, written for timm's transformers.

Axes: B images, T tokens, N patch tokens, D features, h x w patches.
"""

from __future__ import annotations

import math

import torch.nn.functional as F
from torch import Tensor, nn

MAX_UNDECLARED_PREFIX = 2  # a class token and a distillation token


def patch_grid(n_patches: int, height: int, width: int) -> tuple[int, int] | None:
    """Rows and columns of square patches over an image of height x width pixels; None where no such grid has `n_patches`.

    Example:
        >>> patch_grid(196, 224, 224), patch_grid(197, 224, 224), patch_grid(8, 32, 64)
        ((14, 14), None, (2, 4))
    """
    if n_patches < 1:
        return None
    h, w = round(math.sqrt(n_patches * height / width)), round(math.sqrt(n_patches * width / height))
    return (h, w) if h * w == n_patches else None


def count_prefix_tokens(net: nn.Module, n_tokens: int, height: int, width: int) -> int:
    """How many of a timm network's tokens are class and register tokens, which come first.

    Where timm does not say, it is the smallest possible number that leaves a full grid of patches.
    """
    declared = getattr(net, "num_prefix_tokens", None)
    if declared is not None:
        return int(declared)
    at_least = int(getattr(net, "cls_token", None) is not None)
    possible = range(at_least, MAX_UNDECLARED_PREFIX + 1)
    return next((p for p in possible if patch_grid(n_tokens - p, height, width)), at_least)


def tokens_to_map(patches_BND: Tensor, grid: tuple[int, int]) -> Tensor:
    """Patch tokens, row by row, as (B, D, h, w)."""
    return patches_BND.transpose(1, 2).unflatten(2, grid)


def is_attention(module: nn.Module) -> bool:
    """Whether `keys_of` can compute a layer's keys: it has a `k_proj`, or one `qkv` of three equal parts."""
    joint = getattr(module, "qkv", None)
    is_joint = isinstance(joint, nn.Linear) and joint.out_features == 3 * joint.in_features
    return is_joint or isinstance(getattr(module, "k_proj", None), nn.Linear)


def class_attention(attention: nn.Module, tokens_BTD: Tensor) -> Tensor | None:
    """(B, M, T) how much the first token attends to each token, by head; each sums to 1.

    None of a layer that compares them otherwise than by products of plain queries and keys, such as with relative positions.

    Args:
        attention: a layer for which `is_attention` holds.
        tokens_BTD: its input.
    """
    joint, heads = getattr(attention, "qkv", None), getattr(attention, "num_heads", None)
    is_plain = type(attention).__name__ == "Attention" and not hasattr(attention, "q_bias")  # timm's, and not BEiT's
    if not (is_plain and isinstance(joint, nn.Linear) and isinstance(heads, int)):
        return None
    rows, bias = joint.in_features, joint.bias
    query = F.linear(tokens_BTD[:, :1], joint.weight[:rows], None if bias is None else bias[:rows])
    q, k = (x.unflatten(2, (heads, -1)).transpose(1, 2) for x in (query, keys_of(attention, tokens_BTD)))
    if isinstance(attention.q_norm, nn.Module) and isinstance(attention.k_norm, nn.Module):
        q, k = attention.q_norm(q), attention.k_norm(k)
    return (q @ k.transpose(2, 3) / math.sqrt(q.shape[3])).softmax(dim=3)[:, :, 0]


def keys_of(attention: nn.Module, tokens_BTD: Tensor) -> Tensor:
    """The keys (B, T, D) of an attention layer, all heads side by side, before any norm or rotation.

    Args:
        attention: a layer for which `is_attention` holds.
        tokens_BTD: its input.
    """
    separate = getattr(attention, "k_proj", None)
    if isinstance(separate, nn.Linear):
        return separate(tokens_BTD)
    joint: nn.Linear = attention.qkv  # type: ignore[assignment]
    rows = slice(joint.in_features, 2 * joint.in_features)  # queries, keys, values
    return F.linear(tokens_BTD, joint.weight[rows], None if joint.bias is None else joint.bias[rows])
