"""A checkpoint: one safetensors file with the method, the optimiser and the state of the loop. No pickle, no code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from selflabel.base.tensor_files import read_tensors, write_tensors

NAME = "last.safetensors"


def save(folder: Path, method: nn.Module, optimiser: torch.optim.Optimizer | None, state: dict[str, Any]) -> None:
    """Write the checkpoint whole. `state` must survive JSON."""
    tensors = {f"method.{k}": v for k, v in method.state_dict().items()}
    numbers: dict[str, Any] = {}
    if optimiser is not None:
        for i, entry in optimiser.state_dict()["state"].items():
            for name, value in entry.items():
                if isinstance(value, Tensor):
                    tensors[f"optimiser.{i}.{name}"] = value
                elif value is not None:
                    numbers[f"{i}.{name}"] = value
    everything = {"loop": state, "method": method.extra_state(), "optimiser": numbers}  # type: ignore[operator]
    write_tensors(folder / NAME, tensors, everything)


def load(folder: Path) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    """(tensors, state) of the last checkpoint, or None where there is none. Raises UserError where it is damaged."""
    if not (folder / NAME).exists():
        return None
    return read_tensors(folder / NAME, "label the source again with --overwrite")


def restore_method(method: nn.Module, tensors: dict[str, Tensor], extra: dict[str, Any], prefix: str = "method.") -> None:
    """Load saved tensors into a method. A buffer takes the saved shape, which may differ from its own.

    Args:
        method: a built one.
        tensors: by their names in the file.
        extra: its `extra_state`.
        prefix: of the method's tensors in the file.
    """
    own = dict(method.named_buffers())
    modules = dict(method.named_modules())
    state = {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
    for name, value in state.items():
        if name in own and own[name].shape != value.shape:
            owner, _, leaf = name.rpartition(".")
            setattr(modules[owner], leaf, value.to(own[name].device))
    method.load_state_dict(state)
    method.load_extra_state(extra)  # type: ignore[operator]


def restore_optimiser(optimiser: torch.optim.Optimizer, tensors: dict[str, Tensor], numbers: dict[str, Any]) -> None:
    """Load an optimiser's saved state, each tensor in the memory layout of its parameter."""
    parameters = [p for group in optimiser.param_groups for p in group["params"]]
    entries: dict[int, dict[str, Any]] = {}
    for key, value in [*((k, v) for k, v in tensors.items() if k.startswith("optimiser.")), *numbers.items()]:
        i, name = key.removeprefix("optimiser.").split(".", 1)
        p = parameters[int(i)]
        if isinstance(value, Tensor) and value.shape == p.shape:
            value = torch.empty_like(p, dtype=value.dtype).copy_(value)
        entries.setdefault(int(i), {})[name] = value
    state = optimiser.state_dict()
    state["state"] = entries
    optimiser.load_state_dict(state)
