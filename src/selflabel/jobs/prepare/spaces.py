"""Several feature spaces of the same items: which backbones compute them, and how much each counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from selflabel.assignment.spaces import sample_rows, space_shares, space_weights
from selflabel.base.errors import UserError
from selflabel.decode.look import MediaInfo
from selflabel.encoders import names_of_parts
from selflabel.jobs.callbacks import Callbacks
from selflabel.jobs.prepare.choices import choose_encoder, choose_px
from selflabel.jobs.prepare.prepared import Modality, Prepared

DEFAULT_K = 20  # clusters by which spaces are judged where the user gave no number


def plan_modality(
    info: MediaInfo, requested: str, weights: str | None, px: int | None, preset: str | None, device: torch.device
) -> Modality:
    """How a modality will be shown, and to which encoder, or to which fixed backbones side by side.

    Args:
        info: what the items are.
        requested: encoder as in `--encoder`, for this modality.
        weights: file of its weights, or several with + between.
        px, preset, device: as in `choose_px`.

    Raises:
        UserError: an encoder does not suit the items, or there are more or fewer files of weights than encoders.
    """
    names = [choose_encoder(name, info, preset, device) for name in names_of_parts(requested)]
    check_weights(weights, names)
    sides = [choose_px(px, info, name, preset, device) for name in names]
    several = tuple(sides) if len(names) > 1 else ()
    return Modality(info, max(sides), info.channels, "+".join(names), weights, sides=several)


def check_weights(weights: str | None, names: Sequence[str]) -> None:
    """Raise UserError where there are more or fewer files of weights than encoders side by side."""
    if weights and len(names) > 1 and weights.count("+") != len(names) - 1:
        raise UserError(
            f"--weights {weights}: there are {len(names)} encoders; name a file for each with + between, and nothing where an "
            "encoder has weights of its own."
        )


def weigh_spaces(prepared: Prepared, clusters: int | None, seed: int, callbacks: Callbacks) -> Prepared:
    """The set with the weight of each feature space, decided without truth, where there are several.

    Args:
        prepared: the set.
        clusters: K as asked for; None where it was left to the method.
        seed: of the clusterings by which spaces are judged.
        callbacks: progress, and a sentence on the shares.
    """
    modalities = dict(prepared.modalities)
    for m, modality in prepared.modalities.items():
        if modality.space_dims:
            callbacks.on_progress("weighing the feature spaces", 0, 0)
            spaces = spaces_of(modality)
            shares = space_shares(spaces, clusters or DEFAULT_K, seed)
            modalities[m] = replace(modality, space_weights=tuple(space_weights(spaces, shares)))
            callbacks.say(shares_text(shares))
    return Prepared(prepared.items, modalities)


def spaces_of(modality: Modality) -> list[torch.Tensor]:
    """(M, D) features of each space, of a sample of the items that have the modality."""
    assert modality.tensor is not None
    n, lengths = len(modality.tensor), modality.lengths
    present = np.arange(n) if lengths is None else np.flatnonzero(lengths > 0)
    rows = present[sample_rows(len(present)).numpy()]
    sample = torch.from_numpy(np.asarray(modality.tensor[rows], np.float32))
    return list(sample.split(modality.space_dims, dim=1))


def shares_text(shares: Sequence[float]) -> str:
    """A sentence on how much each space counts.

    Example:
        >>> shares_text([0.75, 0.25]), shares_text([0.0, 1.0])
        ('feature spaces count .75 and .25', 'feature spaces count 0 and 1: space 1 does not help, and is left out')
    """
    left_out = [str(i) for i, share in enumerate(shares, 1) if share == 0]
    numbers = " and ".join(f"{share:.2f}".rstrip("0").rstrip(".").removeprefix("0") or "0" for share in shares)
    few = f": space {' and '.join(left_out)} does not help, and is left out" if left_out else ""
    return f"feature spaces count {numbers}{few}"
