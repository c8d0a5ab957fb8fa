"""DPC: what a film shows next, place by place (Han, Xie & Zisserman, ICCV workshops 2019).

The claim: a network that predicts the features of the next moments of a film has to learn what the film shows and how it moves;
predicting features rather than pixels leaves out what nobody could know. A film's frames are cut into blocks, and the encoder's
map of every block is averaged over its time. A convolutional GRU with 1 x 1 kernels sums up the first blocks; from its state two
1 x 1 convolutions predict the map of the next one, which goes into the GRU in turn. The loss is noise-contrastive
over every place of every predicted map: the prediction has to be more like the map of its own film, step and place
than like all others of the batch. These are of three kinds:

    spatial    another place of the same film, at the same step or another one
    temporal   the same place of the same film, at another step
    easy       another film

Similarity is the plain dot product: no temperature, nothing is normalised.

What we do otherwise: width, number and length of the blocks follow from the encoder's map and from the frames of a view;
published are 8 blocks of 5 frames, of which 3 are predicted (`split_frames`). Batch norm uses running statistics where it is not
trained, and a view keeps one colour change for all its frames, where the paper changes every frame. Under torchrun the other
films are those of all ranks, where the authors' are those of one.

Axes: B films of a batch, F frames, N blocks, P predicted blocks, D features, h x w places.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from selflabel.base.errors import UserError
from selflabel.contract import Gather, PaperFilms, SinglePretext, no_gather
from selflabel.encoders import map_dim
from selflabel.encoders.clip import ClipEncoder, Framewise

BLOCKS, BLOCK_FRAMES, PREDICTED = 8, 5, 3  # as published
FEWEST_BLOCKS = 4  # where there are few frames, blocks get shorter before they get fewer
DROPOUT = 0.1


class Blocks(NamedTuple):
    """How a view's frames are cut: `n` blocks of `frames` frames, of which the last `predicted` are predicted."""

    n: int
    frames: int
    predicted: int


def split_frames(n_frames: int) -> Blocks:
    """The blocks of a view. Frames that are left over at its end are not used.

    Raises:
        UserError: a single frame has nothing that comes next.

    Example:
        >>> [tuple(split_frames(n)) for n in (40, 30, 16, 8, 2)]
        [(8, 5, 3), (6, 5, 2), (4, 4, 1), (4, 2, 1), (2, 1, 1)]
    """
    if n_frames < 2:
        raise UserError("--set pretext=dpc: predicts frames from those before, and a view has one frame; use --set frames=8.")
    frames = max(1, min(BLOCK_FRAMES, n_frames // FEWEST_BLOCKS))
    n = min(BLOCKS, n_frames // frames)
    return Blocks(n, frames, max(1, n * PREDICTED // BLOCKS))


def dense_nce(predicted_BPDhw: Tensor, seen_BPDhw: Tensor) -> Tensor:
    """Noise-contrastive loss of every predicted place against all places of all films and steps.

    Args:
        predicted_BPDhw: (B, P, D, h, w) predictions.
        seen_BPDhw: (B, P, D, h, w) the maps that were there. Place i is the positive of prediction i, all others are negatives.
    """
    with torch.autocast(predicted_BPDhw.device.type, enabled=False):
        predicted, seen = (x.float().movedim(2, -1).flatten(0, 3) for x in (predicted_BPDhw, seen_BPDhw))
        return F.cross_entropy(predicted @ seen.T, torch.arange(len(seen), device=seen.device))


class ConvGRU(nn.Module):
    """A gated recurrent unit on maps, with 1 x 1 kernels.

        u = sigmoid(U [x, h])    r = sigmoid(R [x, h])    h' = (1 - u) h + u tanh(O [x, r h])

    Args:
        dim: D of the inputs x and of the state h.
    """

    def __init__(self, dim: int):
        super().__init__()
        self.update, self.reset, self.out = (pointwise(2 * dim, dim) for _ in range(3))
        self.dropout = nn.Dropout(DROPOUT)

    def forward(self, x: Tensor, state: Tensor | None) -> Tensor:
        """The next state (B, D, h, w) after an input (B, D, h, w); before the first one the state is zero."""
        h = torch.zeros_like(x) if state is None else state
        u, r = (torch.sigmoid(gate(torch.cat([x, h], dim=1))) for gate in (self.update, self.reset))
        proposed = torch.tanh(self.out(torch.cat([x, r * h], dim=1)))
        return self.dropout((1 - u) * h + u * proposed)


class Predictor(nn.Module):
    """The maps of blocks to those of the blocks that follow.

    Args:
        dim: D of the maps.
    """

    def __init__(self, dim: int):
        super().__init__()
        self.gru = ConvGRU(dim)
        self.next = nn.Sequential(pointwise(dim, dim), nn.ReLU(), pointwise(dim, dim))

    def forward(self, maps_BNDhw: Tensor, predicted: int) -> Tensor:
        """(B, predicted, D, h, w) the maps that follow on maps (B, N, D, h, w)."""
        state: Tensor | None = None
        for z in maps_BNDhw.unbind(dim=1):
            state = self.gru(F.relu(z), state)
        found = [self.next(state)]
        while len(found) < predicted:
            state = self.gru(F.relu(found[-1]), state)
            found.append(self.next(state))
        return torch.stack(found, dim=1)


def pointwise(d_in: int, d_out: int) -> nn.Conv2d:
    """A 1 x 1 convolution, orthogonal at first, without offset."""
    conv = nn.Conv2d(d_in, d_out, 1)
    nn.init.orthogonal_(conv.weight)
    nn.init.zeros_(conv.bias)  # type: ignore[arg-type]
    return conv


class DPC(SinglePretext):
    """See the module's docstring.

    Raises:
        UserError: the encoder is not one of films that learns.
    """

    views_per_item = 1
    batch_size = 64  # the places of all films of a batch are compared with one another
    lr = 1e-3  # as published
    keeps_recipe = True
    paper_epochs = 300  # on Kinetics-400
    paper_films = PaperFilms("resnet18-2d3d", px=128, frames=BLOCKS * BLOCK_FRAMES, fps=10)

    def __init__(self, encoder: nn.Module, n_items: int = 0, temperature: float = 0.0):
        super().__init__()
        if not isinstance(encoder, ClipEncoder | Framewise):
            raise UserError(
                "--set pretext=dpc: predicts what a film shows next, and these items are no films; use simclr or moco."
            )
        self.projector = Predictor(map_dim(encoder, 3, 1, encoder.px, encoder.px))

    def loss(self, encoder: nn.Module, views: list[Tensor], gather: Gather = no_gather) -> Tensor:
        blocks = split_frames(views[0].shape[2])
        maps = block_maps(encoder, views[0], blocks)
        predicted = self.projector(maps[:, : -blocks.predicted], blocks.predicted)
        return dense_nce(gather(predicted), gather(maps[:, -blocks.predicted :].contiguous()))


def block_maps(encoder: nn.Module, films: Tensor, blocks: Blocks) -> Tensor:
    """(B, N, D, h, w) the encoder's map of every block of films (B, 3, F, px, px), averaged over the block's time."""
    used = films[:, :, : blocks.n * blocks.frames].unflatten(2, (blocks.n, blocks.frames))
    maps = encoder.map(used.transpose(1, 2).flatten(0, 1)).mean(dim=2)  # type: ignore[operator]
    return maps.unflatten(0, (len(films), blocks.n))
