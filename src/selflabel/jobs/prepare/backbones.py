"""Which encoder each modality has, and its weights: as asked for, as `auto` finds it, or as an unfinished run has it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from selflabel.base.errors import UserError
from selflabel.decode.look import MediaInfo
from selflabel.encoders import (
    HF,
    WAVE_ENCODERS,
    Automatic,
    Weights,
    automatic_for,
    fetch_automatic,
    is_of,
    is_pretrained,
    weights_of,
)
from selflabel.jobs.callbacks import Callbacks
from selflabel.jobs.prepare.choices import SCRATCH, backbone_name, is_frozen
from selflabel.training.distributed import Ranks

NAMES = {"photo": "photographs", "video": "films", "sound": "sounds"}


@dataclass
class Backbones:
    """The encoders of one set.

    Args:
        trains: whether something else that was asked for needs a network that is trained: then `auto` is from scratch.
        recorded: modality to its section of run.toml, of an unfinished run that goes on; its encoders are taken, and nothing is
            fetched.
        ranks: of this process; the first one asks the hub for all.
        callbacks: progress and sentences.
    """

    trains: bool = False
    recorded: dict[str, dict[str, Any]] = field(default_factory=dict)
    ranks: Ranks = field(default_factory=Ranks)
    callbacks: Callbacks = field(default_factory=Callbacks)
    problem: str = ""  # why the first encoder could not be had; said once

    def name(self, modality: str, requested: str, info: MediaInfo, file: str | None) -> str:
        """The encoder of a modality by its name, or "scratch".

        Args:
            modality: "image", "video" or "audio".
            requested: as in `--encoder`.
            info: what the items are.
            file: of `--weights`.
        """
        if modality in self.recorded:
            return str(self.recorded[modality].get("encoder", requested))
        automatic = automatic_for(info.kind)
        if requested != "auto":
            return requested
        if automatic is None or self.trains or info.is_guess:  # nothing is fetched for items that cannot be decoded
            return SCRATCH
        if file is not None:
            return f"frozen:{automatic.encoder}" if is_of(automatic, Path(file)) else SCRATCH
        return f"frozen:{automatic.encoder}" if self.had(automatic, info) else SCRATCH

    def had(self, automatic: Automatic, info: MediaInfo) -> bool:
        """Whether the weights are on the disk, after a download where that is possible; else one sentence says why not."""
        problem = fetch_automatic(automatic, self.callbacks.on_progress) if self.ranks.is_first else ""
        problem = self.ranks.from_first(problem)
        if problem and not self.problem:
            self.callbacks.say(without(automatic, info, problem))
        self.problem = self.problem or problem
        return not problem

    def recorded_px(self, modality: str, encoder: str, place: int = 0) -> int | None:
        """The side at which an unfinished run shows items to a pretrained encoder; None where it follows from the items."""
        before = self.recorded.get(modality)
        if before is None or not is_pretrained(backbone_name(encoder)):
            return None
        sides = before.get("sides") or [before.get("px")]
        return sides[place] if place < len(sides) else None

    def weights(
        self, modality: str, encoder: str, requested: str, info: MediaInfo, file: str | None, place: int = 0
    ) -> Weights | None:
        """The pretrained weights of an encoder, on disk; None where it has none. place: among encoders side by side.

        Raises:
            UserError: they cannot be had, are not those of the unfinished run, or a fixed encoder would be a random network.
        """
        before, name = self.recorded.get(modality), backbone_name(encoder)
        if file is not None and name.startswith(HF):
            raise UserError(
                f"--weights {file}: models of transformers come with their own; leave it out or name another encoder."
            )
        if name in WAVE_ENCODERS and file is not None:
            raise UserError(f"--weights {file}: the encoder {name} has no weights; leave it out or name another encoder.")
        if name in WAVE_ENCODERS:
            return None
        if is_frozen(encoder) and before is None and file is None and not is_pretrained(name):
            raise UserError(
                f"--encoder {encoder}: has no pretrained weights of its own, and a random network describes nothing; add "
                "--weights FILE.safetensors, or name a pretrained one, e.g. frozen:timm:resnet18."
            )
        if not is_pretrained(name) and file is None:
            return None
        found = weights_of(name, None if file is None else Path(file), self.callbacks.on_progress, fetch=before is None)
        known = (before or {}).get("weights_sha256", "").split("+")
        begun = known[place] if place < len(known) else ""
        if found is not None and begun and begun != found.sha256:
            raise UserError(
                f"{name}: its weights are not those with which this run was begun (SHA-256 {begun}); give "
                "those with --weights FILE.safetensors, or use --overwrite."
            )
        if found is not None:
            self.callbacks.say(what(found, requested, info))
        return found


def what(found: Weights, requested: str, info: MediaInfo) -> str:
    """Which pretrained encoder is used, how large it is, under which licence, and how to do without; a sentence."""
    if requested != "auto":
        return f"pretrained encoder: {found.describe()}."
    items = NAMES.get(info.kind, "items")
    return f"{items} are described by a pretrained encoder, {found.describe()}; --encoder scratch does without it."


def without(automatic: Automatic, info: MediaInfo, problem: str) -> str:
    """Why there is no pretrained encoder, what is done instead, and what would help; a sentence."""
    is_folder = automatic.encoder.startswith(HF)
    place, use = ("FOLDER", "--encoder frozen:hf:FOLDER") if is_folder else ("FILE.safetensors", "--weights FILE.safetensors")
    return (
        f"no pretrained encoder can be had ({problem}), so a network is trained from scratch on these {NAMES[info.kind]}; for "
        f"better labels run `selflabel encoders --save {automatic.encoder} {place}` on a connected machine and add {use} here."
    )
