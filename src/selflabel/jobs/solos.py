"""`selflabel find SCENES --solos SOLOS`: two sets that are trained on as one; in each item of the second one thing sounds.

Axes: N scenes, M solos.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F

from selflabel.base.errors import UserError
from selflabel.items import Items
from selflabel.items.several import joined
from selflabel.jobs.prepare import Modality, Prepared

PREFIX = "solos/"  # before the paths of solos, which are never shown
Prepare = Callable[[Items], Prepared]


def joined_sets(scenes: Items, solos: Items, prepare: Prepare) -> tuple[Prepared, np.ndarray]:
    """(both sets as one, (N + M,) bool which items are solos).

    Args:
        scenes, solos: pairs of picture and sound, or films.
        prepare: decodes items and leaves out those that lack a picture or a sound.

    Raises:
        UserError: scenes are films, and solos are pictures.
    """
    if "video" in scenes.modalities and "video" not in solos.modalities:
        raise UserError(f"--solos {solos.source}: holds pictures, and {scenes.source} films; give films as solos, too.")
    if "video" in solos.modalities and "video" not in scenes.modalities:
        return stacked(prepare(scenes), stills(prepare(solos)))
    prefix = PREFIX
    while any(path.startswith(prefix) for path in scenes.paths):
        prefix = f"_{prefix}"
    both = joined(scenes.source, [("", scenes), (prefix.rstrip("/"), solos)])
    prepared = prepare(both)
    return prepared, np.array([path.startswith(prefix) for path in prepared.items.paths], bool)


def stills(films: Prepared) -> Prepared:
    """Films as pictures: the stored frame in the middle of each."""
    video, audio = films.modalities["video"], films.modalities["audio"]
    frames = rows_of(video)
    lengths = np.full(len(frames), frames.shape[1]) if video.lengths is None else np.clip(video.lengths, 1, frames.shape[1])
    middle = frames[np.arange(len(frames)), lengths // 2]
    image = replace(video, tensor=middle, lengths=None, index=None, spans_s=None, sizes=None)
    return replace(films, modalities={"image": image, "audio": audio})


def stacked(scenes: Prepared, solos: Prepared) -> tuple[Prepared, np.ndarray]:
    """Scenes and then solos, decoded: pictures as large as those of the scenes, sounds as long as theirs."""
    picture = scenes.modalities["image"]
    side = (int(rows_of(picture).shape[2]),) * 2
    shown = F.interpolate(torch.from_numpy(rows_of(solos.modalities["image"])).float(), side, mode="bilinear", antialias=True)
    pixels = np.concatenate([rows_of(picture), shown.round().to(torch.uint8).numpy()])
    sizes = None if picture.sizes is None else np.concatenate([picture.sizes, np.tile(side, (len(shown), 1))])
    image = replace(picture, tensor=pixels, lengths=None, index=None, sizes=sizes)
    items = joined(scenes.items.source, [("", scenes.items), (PREFIX.rstrip("/"), solos.items)])
    sounds = stacked_sounds(scenes.modalities["audio"], solos.modalities["audio"])
    is_solo = np.arange(len(items)) >= len(scenes.items)
    return replace(scenes, items=items, modalities={"image": image, "audio": sounds}), is_solo


def stacked_sounds(scenes: Modality, solos: Modality) -> Modality:
    """The sounds of both, of solos the middle that is as long as a scene's; shorter ones repeat.

    Raises:
        UserError: they have other rates.
    """
    if scenes.info.rate != solos.info.rate:
        raise UserError(
            f"--solos: its sounds have {solos.info.rate:g} samples a second, those of the scenes {scenes.info.rate:g}; add "
            f"--set rate={min(scenes.info.rate, solos.info.rate):g}."
        )
    own, other = rows_of(scenes), rows_of(solos)
    n = own.shape[1]
    real = np.full(len(other), other.shape[1]) if solos.lengths is None else np.clip(solos.lengths, 1, other.shape[1])
    first = np.maximum(0, (real - n) // 2)
    cut = np.stack([np.resize(wave[f : min(f + n, r)], n) for wave, f, r in zip(other, first.tolist(), real.tolist())])
    known = np.full(len(own), n) if scenes.lengths is None else scenes.lengths
    lengths = np.concatenate([known, np.minimum(real, n)])
    return replace(scenes, tensor=np.concatenate([own, cut]), lengths=lengths, index=None, spans_s=None)


def rows_of(modality: Modality) -> np.ndarray:
    """The stored items in the order of the rows."""
    assert modality.tensor is not None
    return modality.tensor if modality.index is None else modality.tensor[modality.index]
