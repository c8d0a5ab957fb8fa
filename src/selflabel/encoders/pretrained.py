"""Pretrained encoders: which one `auto` takes for which items, where its weights are, how large, and under which licence.

`auto` takes only encoders under Apache-2.0 or MIT that learned without labels; any other is taken where it is named.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from selflabel.base.errors import UserError
from selflabel.encoders import hf
from selflabel.encoders.hub import NoHub, NotOnHub, Progress, hub_file, sha256_of
from selflabel.encoders.timm_encoder import FILES, timm_file, timm_licence, timm_place
from selflabel.encoders.timm_encoder import PREFIX as TIMM
from selflabel.encoders.weights import shapes_in

FROZEN = "frozen"


@dataclass(frozen=True)
class Automatic:
    """An encoder that `auto` takes.

    Attributes:
        encoder: its name, without "frozen:".
        title: for people.
        repo: of the hub.
        shapes: of tensors by which a file of its weights is known.
    """

    encoder: str
    title: str
    repo: str
    shapes: dict[str, tuple[int, ...]]


PICTURES = Automatic(
    "timm:vit_small_patch14_dinov2.lvd142m",
    "DINOv2 small",
    "timm/vit_small_patch14_dinov2.lvd142m",
    {"patch_embed.proj.weight": (384, 3, 14, 14), "blocks.11.ls2.gamma": (384,), "pos_embed": (1, 1370, 384)},
)
SOUNDS = Automatic("hf:laion/clap-htsat-unfused", "CLAP", "laion/clap-htsat-unfused", {})
OBJECTS = Automatic(  # of `find`: keys of DINO cut photos better than those of DINOv2
    "timm:vit_small_patch16_224.dino",
    "DINO small",
    "timm/vit_small_patch16_224.dino",
    {"patch_embed.proj.weight": (384, 3, 16, 16), "blocks.11.attn.qkv.weight": (1152, 384), "pos_embed": (1, 197, 384)},
)
AUTOMATIC = {"photo": PICTURES, "video": PICTURES, "sound": SOUNDS}  # by kind; words and drawn signs are learned from scratch


@dataclass(frozen=True)
class Weights:
    """Weights of a pretrained encoder, on disk.

    Attributes:
        name: of the encoder, without "frozen:".
        size: in bytes.
        sha256: of the file; of several files that of their digests.
        licence: as it is stated; "" where it is not.
    """

    name: str
    size: int
    sha256: str
    licence: str

    def describe(self) -> str:
        """Which, how large, and under which licence, for people."""
        title = next((f"{a.title}, " for a in (*AUTOMATIC.values(), OBJECTS) if a.encoder == self.name), "")
        licence = f"licence {self.licence}" if self.licence else "its licence is not stated here"
        return f"{title}{self.name} ({self.size / 1e6:,.0f} MB, {licence})"


def automatic_for(kind: str) -> Automatic | None:
    """The encoder that `auto` takes for items of a kind; None where a network is trained from scratch."""
    automatic = AUTOMATIC.get(kind)
    if automatic is SOUNDS and find_spec("transformers") is None:  # an extra
        return None
    return automatic


def is_pretrained(name: str) -> bool:
    """Whether an encoder has pretrained weights of its own. name: without "frozen:"."""
    return name.startswith((TIMM, hf.PREFIX))


def weights_of(name: str, file: Path | None, progress: Progress | None = None, fetch: bool = True) -> Weights | None:
    """The weights of an encoder: a user's file, or its own, from the disk or fetched.

    Args:
        name: of the encoder, without "frozen:".
        file: of the user, which replaces its own weights.
        progress: of a download.
        fetch: False takes only what is on the disk.

    Returns:
        None where there are none: they are random, or timm has an address of its own for them.

    Raises:
        UserError: they cannot be had.
    """
    if file is not None:
        files = [file] if file.is_file() else []  # one that is missing is named where it is read
        licence = timm_licence(name.removeprefix(TIMM)) if name.startswith(TIMM) else ""
    elif name.startswith(hf.PREFIX):
        folder = hf.folder_of(name, progress, fetch)
        files, licence = hf.weight_files(folder), hf.licence_in(folder)
    elif name.startswith(TIMM) and timm_place(name.removeprefix(TIMM)) is not None:
        files, licence = [timm_file(name.removeprefix(TIMM), progress, fetch)], timm_licence(name.removeprefix(TIMM))
    else:
        return None
    return Weights(name, sum(f.stat().st_size for f in files), sha256_of(*files), licence) if files else None


def fetch_automatic(automatic: Automatic, progress: Progress | None) -> str:
    """ "" once the weights are on the disk, else why they cannot be had; the answer comes within seconds."""
    try:
        if automatic.encoder.startswith(hf.PREFIX):
            hf.fetch_files(automatic.repo, progress)
        else:
            hub_file(automatic.repo, FILES, progress)
    except (NoHub, NotOnHub) as error:
        return str(error)
    return ""


def is_of(automatic: Automatic, file: Path) -> bool:
    """Whether a user's file holds the weights of this encoder, by the names and shapes of some of its tensors."""
    try:
        shapes = shapes_in(file)
    except UserError:
        return False
    found = {own: shape for own in automatic.shapes for name, shape in shapes.items() if name.endswith(own)}
    return bool(found) and all(found.get(k) == v or (k == "pos_embed" and k in found) for k, v in automatic.shapes.items())
