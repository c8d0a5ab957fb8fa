"""What a method sees of the set: features of all items, or of a block of them.

Axes: N items, B items of a block, D features.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor, nn

from selflabel.contract.texts import Texts


@dataclass(frozen=True)
class Features:
    """Encoder outputs of a block of items, from one forward pass in eval mode.

    Attributes:
        pooled: modality to (B, D).
        present: modality to (B,) bool, whether the item has it; a modality that is left out is present in every item of `pooled`.
        maps: modality to (B, D, h, w), for films (B, D, F, h, w); empty unless they were asked for.
        weights: modality to (B,) in [0, 1], how much it counts beside the item's others; one that is left out counts in full.
    """

    pooled: dict[str, Tensor]
    present: dict[str, Tensor] = field(default_factory=dict)
    maps: dict[str, Tensor] = field(default_factory=dict)
    weights: dict[str, Tensor] = field(default_factory=dict)

    def counts(self, modality: str, is_present_B: Tensor) -> Tensor:
        """(B,) what a modality's log-posteriors are multiplied with: 0 where an item lacks it, else its weight."""
        return is_present_B * self.weights[modality] if modality in self.weights else is_present_B

    def filled(self, dims: dict[str, int]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """All modalities in `dims` (modality to D), with zeros for those that the block lacks.

        Returns:
            (features, present): modality to (B, D), and modality to (B,) bool.
        """
        any_features = next(iter(self.pooled.values()))
        n, absent = len(any_features), torch.zeros(len(any_features), dtype=torch.bool, device=any_features.device)
        features = {m: self.pooled[m] if m in self.pooled else any_features.new_zeros(n, dim) for m, dim in dims.items()}
        return features, {m: self.present.get(m, ~absent) if m in self.pooled else absent for m in dims}


class Data(Protocol):
    """The set as a method sees it."""

    n_items: int
    present: dict[str, Tensor]  # modality to (N,) bool: which items have it
    groups_N: Tensor | None  # (N,) what an item is a piece of: its neighbours are sought in other groups; None where it is whole
    texts: Texts | None  # what is said in the items; None where no text encoder was named

    def features(
        self,
        modality: str,
        *,
        layer: str = "pooled",
        view: str = "centre",
        draw: int = 0,
        encoder: nn.Module | None = None,
    ) -> Tensor:
        """(N, D) features of all items in order, in eval mode. Each rank computes its shard; the result is gathered.

        Args:
            modality: "image", "video" or "audio".
            layer: "pooled", the encoder's output, or "input", features that need no network (`views.first`).
            view: preset of the view.
            draw: key of the view's random numbers.
            encoder: another encoder than the method's own, such as a momentum copy.
        """
        ...

    def blocks(self, maps: bool = False) -> Iterator[tuple[Tensor, Features]]:
        """This rank's items in order, a block at a time: (rows (B,), their features of centre views)."""
        ...
