"""The commands that list: methods, encoders, cache."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from selflabel.cli.app import app


@app.command()
def methods() -> None:
    """List the methods, with paper, modalities and cost.

    Example: selflabel methods
    """
    from selflabel.methods import BASELINES, FINDERS, LOCALISERS, METHODS, TEACHABLE

    for name, entry in (METHODS | BASELINES).items():
        modalities = "one modality" if entry.make.max_modalities == 1 else "one modality or several"
        print(f"{name:16} {entry.paper}\n{'':16} {modalities}; {entry.cost}")
    for name, finder in FINDERS.items():
        print(f"{name:16} {finder.paper}\n{'':16} photos, with `selflabel find`; {finder.cost}")
    for name, entry in LOCALISERS.items():
        print(f"{name:16} {entry.paper}\n{'':16} pictures or films with their sounds, with `selflabel find`; {entry.cost}")
    for name, learner in TEACHABLE.items():
        print(f"{name:16} {learner.paper}\n{'':16} photos, with `selflabel teach`; {learner.cost}")


@app.command()
def encoders(
    save: Annotated[
        tuple[str, Path] | None,
        typer.Option(
            "--save",
            help="NAME and FILE.safetensors: save pretrained weights for a machine without network.",
            metavar="NAME FILE",
        ),
    ] = None,
) -> None:
    """List the encoders, and what they suit; or save the pretrained weights of one.

    Example: selflabel encoders --save auto dinov2.safetensors
    """
    from selflabel.encoders import CLIP_ENCODERS, ENCODERS, WAVE_ENCODERS

    if save is not None:
        print(saved(*save))
        return
    for name, entry in (ENCODERS | CLIP_ENCODERS).items():
        print(f"{name:14} {entry.description}; {entry.suits}")
    print(f"{'auto':14} for photographs, films and sounds a fixed pretrained encoder where it can be had, else as scratch")
    print(f"{'scratch':14} the network that suits the items, trained on them alone")
    print(f"{'timm:NAME':14} any timm backbone with its pretrained weights, or --weights FILE.safetensors; trained further")
    print(f"{'frozen':14} feature input as it is")
    print(f"{'frozen:NAME':14} a fixed backbone, e.g. frozen:timm:resnet50: features computed once, then labels in seconds")
    for name, entry in WAVE_ENCODERS.items():
        print(f"{f'frozen:{name}':14} {entry.description}; {entry.suits}")
    print(f"{'frozen:hf:NAME':14} a fixed model of transformers, or a folder with one: pip install 'selflabel[hf]'")
    print("Image encoders take videos frame by frame, and sounds as spectrograms. A plain name is for the images or videos;")
    print("videos with sound may have two: --encoder video=r2plus1d,audio=resnet18 (--weights and --views likewise)")


def saved(name: str, place: Path) -> str:
    """Save pretrained weights, and say how they are used on another machine."""
    from selflabel.cli.terminal import live
    from selflabel.encoders.saving import save_weights

    with live(False) as terminal:
        found, use = save_weights(name, place, terminal.on_progress)
    return f"{place}: {found.describe()}, SHA-256 {found.sha256}\nuse it with: selflabel label SOURCE {use}"


@app.command()
def cache(
    folder: Annotated[str | None, typer.Option("--cache", help="The folder. [default: ~/.cache/selflabel]")] = None,
    clear: Annotated[bool, typer.Option("--clear", help="Delete all decoded items, and what was fetched.")] = False,
) -> None:
    """Print where decoded items are kept and how large they are, or delete them.

    Example: selflabel cache --clear
    """
    from selflabel.decode.cache import clear as clear_stores
    from selflabel.decode.cache import default_cache, stores
    from selflabel.decode.room import fetched_bytes

    place = Path(folder) if folder else default_cache()
    if clear:
        print(f"{place}: freed {clear_stores(place) / 1e6:,.0f} MB")
    else:
        kept = stores(place)
        fetched = fetched_bytes(place)
        more = f", and {fetched / 1e6:,.0f} MB fetched from addresses" if fetched else ""
        print(f"{place}: {len(kept)} sets, {sum(size for _, size, _ in kept) / 1e6:,.0f} MB{more}")
