"""What methods that learn from pairs of picture and sound have in common: the maps of both, and the phase that shows them.

Axes: B items of a batch, D features, h x w places.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from selflabel.base.schedules import epochs_for_budget, one_cycle, scale_epochs
from selflabel.contract import PRETEXT, Batch, Data, Features, Localiser, Phase, Recipe
from selflabel.encoders import map_dim
from selflabel.pretexts.correspondence import Correspondence

SCENE = "scene"  # preset of the views of pictures: crops that keep most of it, since what sounds may be anywhere
SHOWN, FEWEST, MOST = 160_000, 4, 200  # items shown on a CPU; bounds on the epochs
STRETCH = "stretch"  # of sounds: pitch and tempo tell one from another, so they stay, as in "Objects that Sound"
LR, WEIGHT_DECAY = 1e-3, 1e-4


def map_dims(method: Localiser) -> tuple[int, int]:
    """D of the maps of the pictures' and of the sounds' encoder, measured on blank inputs."""
    pictures = method.encoders[method.pictures]
    frame = (method.task.channels, *((1,) if method.pictures == "video" else ()), pictures.px, pictures.px)
    sounds = method.encoders["audio"]
    return map_dim(pictures, *frame), map_dim(sounds, 1, sounds.px, sounds.px)  # type: ignore[arg-type]


def without_frames(maps: Tensor) -> Tensor:
    """Maps (B, D, h, w) as they are; of one frame of a film, (B, D, 1, h, w), without the axis of frames."""
    return maps[:, :, 0] if maps.ndim == 5 else maps


def loudest(maps_BDhw: Tensor) -> Tensor:
    """(B, D) the highest value of every feature over time and pitch."""
    return maps_BDhw.amax(dim=(2, 3))


def unit_vectors(place_head: nn.Module, sound_head: nn.Module, features: Features, pictures: str) -> tuple[Tensor, Tensor]:
    """((B, D, h, w) of the places of the pictures, (B, D) of the sounds) in the common space of two heads, all of length 1."""
    places = place_head(without_frames(features.maps[pictures]))
    return F.normalize(places.float(), dim=1), F.normalize(sound_head(loudest(features.maps["audio"])).float(), dim=1)


def products(places_BDhw: Tensor, sounds_MD: Tensor) -> Tensor:
    """(B, M, h, w) scalar products of every place with every sound, in full precision: the highest place is chosen by them."""
    with torch.autocast(places_BDhw.device.type, enabled=False):
        return torch.einsum("bdhw,md->bmhw", places_BDhw.float(), sounds_MD.float())


def own_products(places_BDhw: Tensor, sounds_BD: Tensor) -> Tensor:
    """(B, h, w) scalar products of every place with the picture's own sound, in full precision."""
    return (places_BDhw.float() * sounds_BD.float()[:, :, None, None]).sum(dim=1)


def contrast(highest_BB: Tensor, tau: float) -> Tensor:
    """Cross-entropy of every picture's sound among all sounds, and of every sound's picture among all pictures, in the mean.

    Args:
        highest_BB: of picture n with sound m, the cosine of the place that is most like it.
        tau: temperature.
    """
    scores = highest_BB / tau
    own = torch.arange(len(scores), device=scores.device)
    return (
        0.5 * (F.cross_entropy(scores, own, reduction="sum") + F.cross_entropy(scores.T, own, reduction="sum")) / max(1, len(own))
    )


def is_fixed(method: Localiser) -> bool:
    """Whether the tower of the pictures is pretrained: then it is not trained, and is run once."""
    return method.task.pretrained and method.pictures == "image"


def maps_of_batch(method: Localiser, batch: Batch) -> Features:
    """The maps of a batch's pictures (B, D, h, w) and sounds, with gradients; those of a fixed tower as they were kept."""
    if method.kept_maps is not None:
        return with_kept_maps(method, batch, method.kept_maps)
    views = {m: batch.views[m][0].pixels for m in (method.pictures, "audio")}
    return Features({}, batch.present, {m: method.encoders[m].map(x) for m, x in views.items()})  # type: ignore[operator]


def all_but_pictures(method: Localiser) -> tuple[str, ...]:
    """The names of all parameters but those of the pictures' encoder, which stays as it is."""
    return tuple(name for name, _ in method.named_parameters() if not name.startswith(f"encoders.{method.pictures}."))


@torch.no_grad()
def picture_maps(method: Localiser, data: Data) -> Tensor:
    """(N, D, h, w) float16 maps of all pictures, on the CPU, by an encoder that is not trained."""
    kept: Tensor | None = None
    for rows, features in data.blocks(maps=True):
        maps = features.maps[method.pictures].half().cpu()
        if kept is None:
            kept = torch.zeros(data.n_items, *maps.shape[1:], dtype=torch.half)
        kept[rows.cpu()] = maps
    assert kept is not None
    return kept


def keep_maps(method: Localiser, data: Data) -> None:
    """Run the fixed tower of the pictures over all of them, once."""
    if method.kept_maps is None:
        method.kept_maps = picture_maps(method, data)


def fixed_parts(method: Localiser) -> dict[str, Any]:
    """Settings of a phase by which the tower of the pictures stays as it is, where it is pretrained."""
    if not is_fixed(method):
        return {}
    return {"learns": all_but_pictures(method), "precompute": partial(keep_maps, method)}


def with_kept_maps(method: Localiser, batch: Batch, kept_NDhw: Tensor) -> Features:
    """As `maps_of_batch`, with the pictures' maps as `picture_maps` gave them; the batch has views of sounds only."""
    sounds = method.encoders["audio"].map(batch.views["audio"][0].pixels)  # type: ignore[operator]
    kept = kept_NDhw[batch.rows_BG[:, 0].cpu()].to(sounds.device).float()
    return Features({}, batch.present, {method.pictures: kept, "audio": sounds})


def both_present(method: Localiser, features: Features, n: int) -> Tensor:
    """(n,) bool: items whose picture and sound are both there, and of the same seconds of a film."""
    is_there = [features.present[m] for m in (method.pictures, "audio") if m in features.present]
    device = next(iter(features.maps.values())).device
    return torch.stack([torch.ones(n, dtype=torch.bool, device=device), *(x.to(device) for x in is_there)]).all(dim=0)


def phases_of_pairs(
    method: Localiser,
    name: str,
    loss: Callable[[Batch], dict[str, Tensor]],
    pretext: Correspondence | None,
    batch: int,
    lr_scale: float,
) -> list[Phase]:
    """The phase of a method, after that of the pretext where there is one, which takes a third of the epochs.

    Args:
        method: built.
        name: of its phase.
        loss: of its phase.
        pretext: AVE-Net, or None.
        batch: items of a batch.
        lr_scale: factor on the learning rate.
    """
    task = method.task
    total = task.epochs or epochs_for_budget(task.n_items, SHOWN, FEWEST, MOST, task.gpu)
    if pretext is None:
        return [pairs_phase(method, name, loss, total, batch, lr_scale)]
    before, after = scale_epochs([1, 2], max(total, 2))

    def pretext_loss(shown: Batch) -> dict[str, Tensor]:
        features = maps_of_batch(method, shown)
        pictures, sounds = pooled(method, features)
        kept = both_present(method, features, len(pictures))
        return {PRETEXT: pretext.loss(pictures[kept], sounds[kept])}

    return [
        pairs_phase(method, PRETEXT, pretext_loss, before, batch, lr_scale),
        pairs_phase(method, name, loss, after, batch, lr_scale),
    ]


def pooled(method: Localiser, features: Features) -> tuple[Tensor, Tensor]:
    """(B, D) of pictures and of sounds: the highest value of each feature over all places."""
    return loudest(without_frames(features.maps[method.pictures])), loudest(features.maps["audio"])


def pairs_phase(
    method: Localiser,
    name: str,
    loss: Callable[[Batch], dict[str, Tensor]],
    epochs: int,
    batch: int,
    lr_scale: float,
    relabel_at: tuple[float, ...] = (),
) -> Phase:
    """A phase that shows a picture and its sound; of a film a frame and the sound around it."""
    task, m = method.task, method.pictures
    pictures = {} if is_fixed(method) else {m: (task.requested_views(m) or SCENE,)}
    return Phase(
        name=name,
        epochs=epochs,
        views=pictures | {"audio": (task.requested_views("audio") or STRETCH,)},
        recipe=Recipe(LR * lr_scale, one_cycle, "adamw", WEIGHT_DECAY),
        loss=loss,
        batch_size=batch,
        relabel_at=relabel_at,
        together=(m, "audio") if m == "video" else (),
        **fixed_parts(method),
    )
