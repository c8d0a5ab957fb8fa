"""Several feature spaces of the same items: which backbones compute them, and how much each counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from selflabel.assignment.spaces import sample_rows, space_shares, space_weights
from selflabel.base.errors import UserError
from selflabel.decode.look import MediaInfo
from selflabel.encoders import folder_of, names_of_parts, read_network
from selflabel.jobs.callbacks import Callbacks
from selflabel.jobs.prepare.backbones import Backbones
from selflabel.jobs.prepare.choices import (
    backbone_name,
    choose_encoder,
    choose_px,
    is_of_transformers,
    takes_waves,
    with_frames,
    with_rate,
)
from selflabel.jobs.prepare.prepared import Modality, Prepared

DEFAULT_K = 20  # clusters by which spaces are judged where the user gave no number


@dataclass(frozen=True)
class Wish:
    """What was asked for of one modality, as in `base.settings.Settings`.

    Attributes:
        encoder: as in `--encoder`, for this modality.
        weights: file of its weights, or several with + between.
        preset, px, frames, fps, rate: see there.
    """

    encoder: str
    weights: str | None = None
    preset: str | None = None
    px: int | None = None
    frames: int | None = None
    fps: float | None = None
    rate: int | None = None


def plan_modality(name: str, info: MediaInfo, wish: Wish, backbones: Backbones, device: torch.device) -> Modality:
    """How a modality will be shown, and to which encoder, or to which fixed backbones side by side.

    Args:
        name: "image", "video" or "audio".
        info: what the items are.
        wish: what was asked for.
        backbones: which encoders there are, and their weights.
        device: as in `choose_px`.

    Raises:
        UserError: an encoder does not suit the items, or there are more or fewer files of weights than encoders.
    """
    parts = names_of_parts(backbones.name(name, wish.encoder, info, wish.weights))
    if len(parts) == 1:
        return plan_part(name, info, wish, backbones, device, parts[0], 0)
    check_weights(wish.weights, parts)
    files = wish.weights.split("+") if wish.weights else [""] * len(parts)
    each = [
        plan_part(name, info, replace(wish, encoder=part, weights=file or None), backbones, device, part, i)
        for i, (part, file) in enumerate(zip(parts, files))
    ]
    encoder, sha256 = ("+".join(getattr(plan, key) for plan in each) for key in ("encoder", "sha256"))
    sides = tuple(plan.px for plan in each)
    return replace(each[0], px=max(sides), encoder=encoder, weights=wish.weights, sha256=sha256, sides=sides)


def plan_part(
    name: str, info: MediaInfo, wish: Wish, backbones: Backbones, device: torch.device, encoder: str, place: int
) -> Modality:
    """How a modality is shown to one encoder. place: of the encoder among those that stand side by side."""
    encoder = choose_encoder(encoder, info, wish.preset, device)
    found = backbones.weights(name, encoder, wish.encoder, info, wish.weights, place)
    network = read_network(folder_of(backbone_name(encoder), fetch=False)) if is_of_transformers(encoder) else None
    info = with_rate(with_frames(info, wish.preset, wish.frames, wish.fps, network), wish.rate, network)
    known_px = backbones.recorded_px(name, encoder, place)
    side = choose_px(wish.px or known_px, info, encoder, wish.preset, device, network)
    return Modality(info, side, info.channels, encoder, wish.weights, found.sha256 if found else "")


def check_weights(weights: str | None, names: Sequence[str]) -> None:
    """Raise UserError where there are more or fewer files of weights than encoders side by side."""
    if any(takes_waves(name) for name in names):
        raise UserError(
            f"--encoder {'+'.join(names)}: texture and models of transformers cannot stand side by side with others; label with "
            "one, or save its features and give two .npy files with + between."
        )
    if weights and weights.count("+") != len(names) - 1:
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
    return replace(prepared, modalities=modalities)


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
