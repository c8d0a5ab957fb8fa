"""Tensor files with a checksum: safetensors, which run no code, and a digest that shows a flipped bit."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from torch import Tensor

from selflabel.base.errors import UserError
from selflabel.base.files import open_regular, write_atomically

Tensors = dict[str, Tensor]


def write_tensors(file: Path, tensors: Tensors, state: dict[str, Any]) -> None:
    """Write tensors and a state that survives JSON, whole or not at all.

    Args:
        file: the .safetensors file.
        tensors: by name; copied to the CPU.
        state: written beside them.

    Raises:
        OSError: the file cannot be written.
    """
    from safetensors.torch import save_file

    stored = {k: v.detach().cpu().contiguous().clone() for k, v in tensors.items()}
    text = json.dumps(state)
    metadata = {"state": text, "digest": digest_of(stored, text)}
    write_atomically(file, lambda p: save_file(stored, p, metadata=metadata))


def read_tensors(file: Path, remedy: str) -> tuple[Tensors, dict[str, Any]]:
    """Tensors and state as they were written.

    Args:
        file: the .safetensors file; no link. Files of version 0.2 and before have no digest and are not checked.
        remedy: what to do if it is damaged, as the end of a sentence.

    Raises:
        UserError: it cannot be read, or its bytes are not those that were written.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with open_regular(file, follow=False), safe_open(file, "pt") as f:
            tensors, metadata = {k: f.get_tensor(k) for k in f.keys()}, f.metadata()  # noqa: SIM118
        state = json.loads(metadata["state"])
    except (OSError, MemoryError, SafetensorError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise UserError(f"{file}: cannot be read ({error}); {remedy}.") from error
    if metadata.get("digest") not in (None, digest_of(tensors, metadata["state"])):
        raise UserError(f"{file}: is damaged, its checksum does not fit its bytes; {remedy}.")
    return tensors, state


def digest_of(tensors: Tensors, text: str) -> str:
    """A digest of the names, types, shapes and bytes of tensors, and of a text."""
    import torch

    digest = hashlib.blake2b(text.encode(), digest_size=16)
    for name, tensor in sorted(tensors.items()):
        digest.update(f"|{name}|{tensor.dtype}|{tuple(tensor.shape)}|".encode())
        digest.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy())  # type: ignore[arg-type]
    return digest.hexdigest()
