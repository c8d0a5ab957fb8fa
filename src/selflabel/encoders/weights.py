"""Pretrained weights from .safetensors files, which cannot run code."""

from __future__ import annotations

import re
from pathlib import Path

from torch import Tensor, nn

from selflabel.base.errors import UserError

ENCODER_IN_RUN = re.compile(r"(method\.encoders|backbone)\.\w+\.")  # prefixes of encoders in a run's model.safetensors
CLASSIFIERS = ("fc.", "classifier.", "head.")  # of backbones; an encoder has none
State = dict[str, Tensor]


def load_weights(net: nn.Module, file: Path, name: str) -> None:
    """Load weights into a network, in place.

    Args:
        net: an encoder, or a bare backbone.
        file: a .safetensors state dict of the network, of its backbone by its own names (such as torchvision's), or a run's
            model.safetensors that holds the same encoder. Tensors that the network does not have are ignored.
        name: of the network, for the error.

    Raises:
        UserError: the file is not safetensors, or lacks a tensor that the network needs.
    """
    own = net.state_dict()
    state = with_prefix_of(own, encoder_in_run(own, read_safetensors(file)))
    fitting = {k: v for k, v in state.items() if k in own and own[k].shape == v.shape}
    missing = [k for k in own if k not in fitting and not k.endswith("num_batches_tracked") and not k.startswith(CLASSIFIERS)]
    if missing:
        raise UserError(
            f"--weights {file}: these are no weights of {name}; {len(missing)} tensors do not fit, the first {missing[0]}."
        )
    net.load_state_dict(fitting, strict=False)


def read_safetensors(file: Path) -> State:
    from safetensors.torch import load_file

    if file.suffix != ".safetensors":
        raise UserError(f"--weights {file}: only .safetensors files are loaded, because other formats can run code.")
    try:
        return load_file(file)
    except Exception as error:  # safetensors raises its own family and OSError
        raise UserError(f"--weights {file}: cannot be read as safetensors ({error}).") from error


def encoder_in_run(own: State, state: State) -> State:
    """The first encoder in a run's model that has all of the network's tensors; the state as it is where there is none."""
    for prefix in sorted({m[0] for k in state if (m := ENCODER_IN_RUN.match(k))}):
        inner = {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
        if own.keys() <= inner.keys():
            state = inner
    return state


def with_prefix_of(own: State, state: State) -> State:
    """A backbone's state under the names that it has inside an encoder, such as `trunk.net.conv1.weight`."""
    if any(k in own for k in state):
        return state
    first = next(iter(state), "")
    prefix = next((k.removesuffix(first) for k in own if k.endswith(f".{first}")), "")
    return {f"{prefix}{k}": v for k, v in state.items()}
