"""Pretrained weights from .safetensors files, which cannot run code."""

from __future__ import annotations

import re
from pathlib import Path

from torch import Tensor, nn

from selflabel.base.errors import UserError

ENCODER_IN_RUN = re.compile(r"(method\.encoders|backbone)\.\w+\.")  # prefixes of encoders in a run's model.safetensors
CLASSIFIERS = ("fc.", "classifier.", "head.")  # of backbones; an encoder has none
TRUNK = "trunk.net."  # before the names of a backbone inside an encoder
State = dict[str, Tensor]
MODEL = "model.safetensors"  # of a run folder


def load_weights(net: nn.Module, file: Path, name: str) -> None:
    """Load weights into a network, in place.

    Args:
        net: an encoder, or a bare backbone.
        file: a .safetensors state dict of the network, of its backbone by its own names (such as torchvision's), or a run's
            model.safetensors that holds the same encoder. Tensors that the network does not have are ignored.
        name: of the network, for the error.

    Raises:
        UserError: the file is not safetensors, lacks a tensor that the network needs, or holds values that are no numbers.
    """
    state = state_for(net, file, name)
    check_shapes(net, state, file, name)
    net.load_state_dict(state, strict=False)
    check_finite(net, f"--weights {file}")


def state_for(net: nn.Module, file: Path, name: str) -> State:
    """The tensors of a file that a network has, under its names and in the shapes of the file. See `load_weights`.

    Raises:
        UserError: the file is not safetensors, or lacks a tensor that the network needs.
    """
    own = net.state_dict()
    state = with_prefix_of(own, encoder_in_run(own, read_safetensors(file)))
    missing = [k for k in needed(own) if k not in state]
    if missing:
        raise UserError(
            f"--weights {file}: these are no weights of {name}: the names differ, {len(missing)} tensors are missing, the first "
            f"{missing[0]}; name their network with --encoder."
        )
    return {k: v for k, v in state.items() if k in own}


def check_shapes(net: nn.Module, state: State, file: Path, name: str) -> None:
    """Raise UserError where a tensor has another shape than the network's; of a classifier it is left out."""
    own = net.state_dict()
    others = [k for k in state if state[k].shape != own[k].shape]
    for k in others:
        if k.startswith(CLASSIFIERS):
            del state[k]
    wrong = [k for k in others if k in state]
    if wrong:
        theirs, ours = (tuple(x[wrong[0]].shape) for x in (state, own))
        raise UserError(
            f"--weights {file}: these are no weights of {name}: the shapes differ, of {len(wrong)} tensors, the first "
            f"{wrong[0]}, which has {theirs} and needs {ours}; name their network with --encoder."
        )


def needed(own: State) -> list[str]:
    """The names of the tensors without which a network is not pretrained."""
    return [k for k in own if not k.endswith("num_batches_tracked") and not k.startswith(CLASSIFIERS)]


def check_finite(net: nn.Module, place: str) -> None:
    """Raise UserError where a network's weights are no numbers. place: where they come from, for the error."""
    wrong = [k for k, v in net.state_dict().items() if v.is_floating_point() and not bool(v.isfinite().all())]
    if wrong:
        raise UserError(
            f"{place}: {len(wrong)} tensors hold values that are no finite numbers, the first {wrong[0]}; get the weights again."
        )


def read_safetensors(file: Path) -> State:
    from safetensors.torch import load_file

    if file.suffix != ".safetensors":
        raise UserError(f"--weights {file}: only .safetensors files are loaded, because other formats can run code.")
    try:
        return load_file(file)
    except Exception as error:  # safetensors raises its own family and OSError
        raise unreadable(file, error) from error


def unreadable(file: Path, error: Exception) -> UserError:
    return UserError(f"--weights {file}: cannot be read as safetensors ({error}).")


def shapes_in(file: Path) -> dict[str, tuple[int, ...]]:
    """Name to shape of every tensor in a file, of which only the head is read.

    Raises:
        UserError: the file is not safetensors.
    """
    from safetensors import safe_open

    try:
        with safe_open(file, "pt") as opened:
            return {k: tuple(opened.get_slice(k).get_shape()) for k in opened.keys()}  # noqa: SIM118
    except Exception as error:  # safetensors raises its own family and OSError
        raise unreadable(file, error) from error


def encoder_in_run(own: State, state: State) -> State:
    """The encoder in a run's model that has all of the network's tensors; the state as it is where there is none.

    Of several, as of a picture and a sound that one network serves, it is the one whose shapes fit.
    """
    prefixes = sorted({m[0] for k in state if (m := ENCODER_IN_RUN.match(k))})
    inside = [{k.removeprefix(p): v for k, v in state.items() if k.startswith(p)} for p in prefixes]
    named = [inner for inner in inside if own.keys() <= inner.keys()]
    fitting = [inner for inner in named if all(inner[k].shape == v.shape for k, v in own.items())]
    return next(iter([*fitting, *named]), state)


def weights_file(weights: str) -> str:
    """The file of weights that was named: of a run folder its model.

    Example:
        >>> weights_file("backbone.safetensors")
        'backbone.safetensors'
    """
    model = Path(weights) / MODEL
    return str(model) if model.is_file() else weights


def with_prefix_of(own: State, state: State) -> State:
    """A state under the names that an encoder or its backbone has: with or without a prefix such as `trunk.net.`."""
    if any(k in own for k in state):
        return state
    first = next(iter(state), "")
    prefix = next((k.removesuffix(first) for k in own if k.endswith(f".{first}")), "")
    if not prefix and TRUNK in first:
        return {k.partition(TRUNK)[2]: v for k, v in state.items() if TRUNK in k}
    return {f"{prefix}{k}": v for k, v in state.items()}
