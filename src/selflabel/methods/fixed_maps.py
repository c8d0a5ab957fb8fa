"""What methods that learn on maps of a fixed encoder have in common: the maps of some views of each photo are computed once.

A fixed encoder takes several times as long as a head on its maps.

Axes: B photos of a batch, M photos with regions, V views of each, D features, h x w places.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from selflabel.base.schedules import epochs_for_budget
from selflabel.contract import Batch, Data, Phase, Recipe, RegionLearner
from selflabel.encoders.base import Layer
from selflabel.views import View, key_of

VIEWS, MOST_KEPT = 4, 1500  # of each photo, whose maps are kept; in all
ENCODED_AT_ONCE = 16  # views
KEPT = 0xD37EC7  # mixed into the keys of views whose maps are kept
BATCH_SIZE = 4


class KeptView(NamedTuple):
    """A view whose map was computed. map_Dhw: half precision. target: what is to be learned in it."""

    map_Dhw: Tensor
    target: Any


class OnFixedMaps(RegionLearner):
    """The base of what learns on maps of a fixed encoder, which is no part of its own state.

    Attributes:
        layer: which map of the encoder it takes.
        shown: how many photos are shown in all, of large and of small sets; and the most epochs of each.
    """

    layer: ClassVar[Layer]
    shown: ClassVar[tuple[tuple[int, int], tuple[int, int]]]

    @abstractmethod
    def targets_in(self, view: View, rows_B: Tensor) -> Sequence[Any] | Tensor:
        """What is to be learned in views of some photos, one for each."""

    def take_encoder(self, encoders: nn.ModuleDict) -> tuple[int, int]:
        """Take the encoder; (D, side of its map in places)."""
        self.fixed = [encoders["image"]]  # in a list, so that torch does not count it as a part of this module
        self.encoders = nn.ModuleDict()
        device = next(encoders["image"].parameters()).device
        _, dim, places, _ = self.map(torch.zeros(1, self.task.channels, self.task.px, self.task.px, device=device)).shape
        return dim, places

    def map(self, pixels: Tensor) -> Tensor:
        """(B, D, h, w) of the encoder, which learns nothing."""
        with torch.no_grad():
            return self.fixed[0].map(pixels, self.layer)  # type: ignore[operator]

    def phase(self, recipe: Recipe, loss: Callable[[Batch], dict[str, Tensor]]) -> Phase:
        """The only phase, on kept views or on new ones."""
        name, epochs = f"training the {self.noun}", self.task.epochs or usual_epochs(max(1, len(self.photos)), *self.shown)
        if self.views:
            return Phase(name, epochs, {}, recipe, loss, BATCH_SIZE, draw=self.draw, precompute=self.keep_maps)
        return Phase(name, epochs, {"image": (self.preset,)}, recipe, loss, BATCH_SIZE, draw=self.draw)

    @property
    def photos(self) -> Tensor:
        """(M,) rows of the photos that have regions."""
        return torch.zeros(0, dtype=torch.int64) if self.known is None else self.known.photos_M

    @property
    def views(self) -> int:
        """V, the views of each photo whose maps are kept; 0 where there is no room for two of each: then views are always new."""
        views = min(VIEWS, MOST_KEPT // max(1, len(self.photos)))
        return views if views > 1 else 0

    @property
    def preset(self) -> str:
        """How random views are drawn: crops and mirroring, of photos without change of colour."""
        return self.task.view_preset("image", "-weak")

    def draw(self, epoch: int, generator: torch.Generator) -> Tensor:
        """The photos that have regions, in random order; where maps are kept, the place of a random one of each photo's."""
        order = torch.randperm(len(self.photos), generator=generator)
        if self.views:
            return (order * self.views + torch.randint(self.views, (len(order),), generator=generator))[:, None]
        return self.photos[order][:, None]

    def keep_maps(self, data: Data) -> None:
        """Compute the maps of V views of every photo, V after V, with the targets in them."""
        self.kept: list[KeptView] = []
        for rows in self.photos.split(ENCODED_AT_ONCE // self.views or 1):
            keys = [key_of(self.task.seed, KEPT, v) for v in range(self.views)]
            shown = [data.view("image", rows, self.preset, key) for key in keys]  # type: ignore[attr-defined]
            with data.autocast():  # type: ignore[attr-defined]
                maps = [self.map(view.pixels).half().cpu() for view in shown]
            targets = [self.targets_in(view, rows) for view in shown]
            self.kept += [KeptView(maps[v][i], targets[v][i]) for i in range(len(rows)) for v in range(self.views)]
            self.progress("encoding photos", len(self.kept), len(self.photos) * self.views)

    def maps_and_targets(self, batch: Batch) -> tuple[Tensor, Sequence[Any] | Tensor]:
        """((B, D, h, w) maps of a batch, the target of each)."""
        if self.views:
            kept = [self.kept[place] for place in batch.rows_BG[:, 0].tolist()]
            return torch.stack([one.map_Dhw.float() for one in kept]).to(batch.rows_BG.device), [one.target for one in kept]
        (view,) = batch.views["image"]
        return self.map(view.pixels), self.targets_in(view, batch.rows_BG[:, 0])


def usual_epochs(n: int, large: tuple[int, int], small: tuple[int, int]) -> int:
    """Epochs over n photos.

    Args:
        n: photos.
        large: how many are shown in all, of larger sets every one once; most epochs.
        small: the same for small sets.

    Example:
        >>> [usual_epochs(n, (8000, 8), (600, 60)) for n in (5, 40, 85, 2000, 9000)]
        [60, 15, 8, 4, 1]
    """
    return max(epochs_for_budget(n, shown, 1, most) for shown, most in (large, small))
