"""Spectral clustering of the graph of nearest neighbours (Ng, Jordan & Weiss, 2002), rounded by a QR decomposition.

Axes: N items, D features, K labels, k neighbours.
"""

from __future__ import annotations

from pydantic import ConfigDict
from pydantic.dataclasses import dataclass as checked
from torch import Tensor

from selflabel.assignment.neighbours import nearest
from selflabel.assignment.spectral import cluster_qr, leading_eigenvectors, neighbour_graph
from selflabel.methods.label.baselines.voted import Voted
from selflabel.methods.option_types import PositiveInt
from selflabel.pretexts import AnyPretextName


@checked(frozen=True, config=ConfigDict(extra="forbid"))
class SpectralOptions:
    """Options of spectral clustering.

    Attributes:
        neighbours: of each item in the graph, by cosine.
        pretext: what an encoder learns first; None uses first features. Given or pretrained features are used as they are.
        text: encoder of captions for pretext=milnce, as hf:FOLDER; None takes the sound.
    """

    neighbours: PositiveInt = 10
    pretext: AnyPretextName | None = None
    text: str | None = None


class Spectral(Voted):
    """Spectral clusters of the graph of nearest neighbours. The graph is sparse, so that large sets can be labelled."""

    options_type = SpectralOptions

    def cluster(self, x_ND: Tensor) -> Tensor:
        rows = nearest(x_ND, self.options.neighbours, project_to=x_ND.shape[1]).rows
        _, vectors_NK = leading_eigenvectors(neighbour_graph(rows), self.clusters, self.task.seed)
        return cluster_qr(vectors_NK)
