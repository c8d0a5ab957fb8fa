"""The optimisers of the loop: torch's own, without their import of torch's compiler, which takes seconds and is not used here."""

from __future__ import annotations

import inspect
from typing import Any, TypeVar

import torch
from torch import nn

from selflabel.contract import Recipe

Optimiser = TypeVar("Optimiser", bound=torch.optim.Optimizer)


def without_compiler(base: type[Optimiser]) -> type[Optimiser]:
    """The same optimiser, with its methods as they are before torch wraps them to keep the compiler out."""
    names = ("add_param_group", "load_state_dict", "state_dict", "zero_grad")
    methods: dict[str, Any] = {name: inspect.unwrap(getattr(base, name)) for name in names}
    methods["step"] = torch.no_grad()(inspect.unwrap(base.step))
    return type(base.__name__, (base,), methods)


AdamW, SGD = without_compiler(torch.optim.AdamW), without_compiler(torch.optim.SGD)


def make_optimiser(recipe: Recipe, parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
    """AdamW or SGD."""
    if recipe.optimiser == "adamw":
        return AdamW(parameters, lr=recipe.lr, weight_decay=recipe.weight_decay, fused=True)
    return SGD(parameters, lr=recipe.lr, momentum=recipe.momentum, weight_decay=recipe.weight_decay)
