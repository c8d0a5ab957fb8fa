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
STILLS = 4  # pictures of a film
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
        pictures, films = prepare(scenes), prepare(solos)
        check_rates(pictures.modalities["audio"], films.modalities["audio"])
        return stacked(pictures, stills(films, rows_of(pictures.modalities["audio"]).shape[1]))
    prefix = PREFIX
    while any(path.startswith(prefix) for path in scenes.paths):
        prefix = f"_{prefix}"
    both = joined(scenes.source, [("", scenes), (prefix.rstrip("/"), solos)])
    prepared = prepare(both)
    return prepared, np.array([path.startswith(prefix) for path in prepared.items.paths], bool)


def stills(films: Prepared, samples: int) -> Prepared:
    """Films as pictures with sounds: up to STILLS stored frames of each, evenly apart, and what is heard around them.

    Args:
        films: with their sounds.
        samples: of a sound.
    """
    video, audio = films.modalities["video"], films.modalities["audio"]
    frames, waves = rows_of(video), rows_of(audio)
    n_frames = np.full(len(frames), frames.shape[1]) if video.lengths is None else np.clip(video.lengths, 1, frames.shape[1])
    rows, shares = moments(n_frames)
    pixels = frames[rows, (shares * n_frames[rows]).astype(int)]
    real = np.full(len(waves), waves.shape[1]) if audio.lengths is None else np.clip(audio.lengths, 1, waves.shape[1])
    cut = np.stack([around(waves[row, : real[row]], share, samples) for row, share in zip(rows.tolist(), shares.tolist())])
    image = replace(video, tensor=pixels, lengths=None, index=None, spans_s=None, sizes=None)
    sound = replace(audio, tensor=cut, lengths=np.minimum(real[rows], samples), index=None, spans_s=None)
    return replace(films, items=films.items.take(rows.tolist()), modalities={"image": image, "audio": sound})


def moments(n_frames_M: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """((P,) numbers of the films, (P,) moments in them as shares of their lengths): the middles of equal parts of each film.

    Example:
        >>> moments(np.array([9, 1]))
        (array([0, 0, 0, 0, 1]), array([0.125, 0.375, 0.625, 0.875, 0.5  ]))
    """
    counts = np.minimum(n_frames_M, STILLS)
    return np.repeat(np.arange(len(counts)), counts), np.concatenate([(np.arange(n) + 0.5) / n for n in counts.tolist()])


def around(wave: np.ndarray, share: float, samples: int) -> np.ndarray:
    """(samples,) of a wave around a moment, inside the wave; a shorter one repeats."""
    first = int(np.clip(share * len(wave) - samples / 2, 0, max(0, len(wave) - samples)))
    return np.resize(wave[first : first + samples], samples)


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


def check_rates(scenes: Modality, solos: Modality) -> None:
    """Raise UserError where two sets of sounds have other numbers of samples a second."""
    if scenes.info.rate != solos.info.rate:
        raise UserError(
            f"--solos: its sounds have {solos.info.rate:g} samples a second, those of the scenes {scenes.info.rate:g}; add "
            f"--set rate={min(scenes.info.rate, solos.info.rate):g}."
        )


def stacked_sounds(scenes: Modality, solos: Modality) -> Modality:
    """The sounds of both, which are equally long."""
    own, other = rows_of(scenes), rows_of(solos)
    known = np.full(len(own), own.shape[1]) if scenes.lengths is None else scenes.lengths
    lengths = np.concatenate([known, solos.lengths])
    return replace(scenes, tensor=np.concatenate([own, other]), lengths=lengths, index=None, spans_s=None)


def rows_of(modality: Modality) -> np.ndarray:
    """The stored items in the order of the rows."""
    assert modality.tensor is not None
    return modality.tensor if modality.index is None else modality.tensor[modality.index]
