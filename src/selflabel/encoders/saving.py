"""Pretrained weights in a file, or a model of transformers in a folder, for machines without network: `encoders --save`."""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path

from selflabel.base.errors import UserError
from selflabel.base.files import write_atomically
from selflabel.encoders import hf
from selflabel.encoders.hub import Progress, sha256_of
from selflabel.encoders.pretrained import FROZEN, PICTURES, Weights, is_pretrained, weights_of
from selflabel.encoders.timm_encoder import PREFIX as TIMM
from selflabel.encoders.timm_encoder import make_timm, timm_file, timm_place, timm_px


def save_weights(name: str, place: Path, progress: Progress | None = None) -> tuple[Weights, str]:
    """Save the pretrained weights of an encoder.

    Args:
        name: as in `--encoder`; "auto" is the one for photographs and films.
        place: a .safetensors file; a new folder for a model of transformers.
        progress: of the download.

    Returns:
        (what was saved, the options of `label` that use it).

    Raises:
        UserError: the encoder has no pretrained weights, they cannot be fetched, or the place does not suit.
    """
    backbone = PICTURES.encoder if name == "auto" else name.removeprefix(f"{FROZEN}:")
    if not is_pretrained(backbone):
        raise UserError(f"--save {name}: has no pretrained weights; name a backbone such as timm:resnet50, hf:NAME or auto.")
    if backbone.startswith(hf.PREFIX):
        return save_folder(backbone, place, progress), f"--encoder {shlex.quote(f'{FROZEN}:{hf.PREFIX}{place}')}"
    if place.suffix != ".safetensors":
        raise UserError(f"--save {name}: {place} must end in .safetensors.")
    weights = weights_of(backbone, None, progress)
    timm_name = backbone.removeprefix(TIMM)
    source = timm_file(timm_name) if timm_place(timm_name) is not None else None
    if source is not None and source.suffix == ".safetensors":
        write_atomically(place, lambda p: shutil.copyfile(source, p))
    else:
        save_state(timm_name, place)
    saved = Weights(backbone, place.stat().st_size, sha256_of(place), weights.licence if weights else "")
    return saved, f"--encoder {FROZEN}:{backbone} --weights {shlex.quote(str(place))}"


def save_state(name: str, place: Path) -> None:
    """Write a backbone's weights by timm's names, where its own file is no .safetensors."""
    from safetensors.torch import save_file

    net = make_timm(name, 3, timm_px(f"{TIMM}{name}"), None, fetch=True).trunk.net
    state = {k: v.contiguous().clone() for k, v in net.state_dict().items()}
    write_atomically(place, lambda p: save_file(state, p))


def save_folder(name: str, place: Path, progress: Progress | None) -> Weights:
    """Copy the files of a model of transformers into a new folder."""
    if place.exists() and (not place.is_dir() or any(place.iterdir())):
        raise UserError(f"--save {name}: {place} is there already; name a new folder.")
    weights = weights_of(name, None, progress)
    assert weights is not None
    folder = hf.folder_of(name, progress, fetch=False)
    place.mkdir(parents=True, exist_ok=True)
    names = {"config.json", "README.md", *hf.PROCESSORS, *hf.WEIGHTS, *(file.name for file in hf.weight_files(folder))}
    for file in folder.iterdir():
        if file.name in names:
            shutil.copyfile(file, place / file.name)
    return weights
