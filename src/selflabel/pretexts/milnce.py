"""MIL-NCE: a picture or film among the sounds of a batch, where several of its own sounds may fit (Miech et al., CVPR 2020).

The claim: what is heard beside a picture often fits another moment than the one that is seen. So a film gets a bag of candidates
that are near in time instead of one partner, and it is enough that some of them fit (multiple-instance learning): the loss
compares the sum over the bag with the sum over all bags of the batch. With vectors v of films, and t of the bag P of each,

    -log sum_P exp(v t)  /  (sum over all t of the batch of exp(v t)  +  sum over all films v' and t of P of exp(v' t))

A film's own bag is in both sums of the denominator, so it counts twice. That is on purpose, as in the authors' code: with `pos`
for the bag's sum and `neg` for all others, the loss is log 2 - log(pos / (pos + neg / 2)), so that it is never below log 2 and
negatives weigh half. Vectors are one linear layer on each encoder's feature; similarity is their plain dot product: no
temperature, nothing is normalised.

What we do otherwise: the paper's second modality is what people say, as text with times. Here it is the sound itself, and the bag
are BAG windows of an item's sound, each drawn anew anywhere in what is stored of it, which is the film's own seconds and those
around them. The sound's layer is linear too, where the paper's text has a hidden one. An item without sound is in no sum.

Unlike other pretexts it teaches two encoders, so that methods which use both modalities begin with it.

Axes: B items of a batch, P windows of a bag, E dimensions of the common space.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from selflabel.base.errors import UserError
from selflabel.contract import Batch, PaperFilms, Pretext, Task

BAG = 4  # windows of an item's sound; of the authors' recipe
DIM = 512  # of the common space, as published
FLOOR = math.log(2)  # of the loss
SOUND = "audio"


def mil_nce(films_BE: Tensor, bags_BPE: Tensor) -> Tensor:
    """The mean loss of films and of their bags of sounds; zero without items. It is above log 2, see the module's docstring.

    Args:
        films_BE: (B, E) a vector of each film.
        bags_BPE: (B, P, E) vectors of its candidates.
    """
    if not len(films_BE):
        return films_BE.sum() + bags_BPE.sum()
    with torch.autocast(films_BE.device.type, enabled=False):
        scores_BBP = torch.einsum("be,cpe->bcp", films_BE.float(), bags_BPE.float())
    own = scores_BBP.diagonal(dim1=0, dim2=1).T.logsumexp(dim=1)
    every = torch.cat([scores_BBP, scores_BBP.transpose(0, 1)], dim=1).flatten(1).logsumexp(dim=1)
    return (every - own).mean()


class MILNCE(Pretext):
    """See the module's docstring.

    Args:
        encoders: modality to encoder: of pictures or films, and of sounds.
        task: of the method.

    Raises:
        UserError: items lack one of the two, or an encoder is fixed.
    """

    projector: nn.ModuleDict
    batch_size = 128
    lr = 1e-3  # as published
    paper_films = PaperFilms("s3dg", px=200, frames=32, fps=10)
    keeps_recipe = True

    def __init__(self, encoders: nn.ModuleDict, task: Task):
        super().__init__()
        if len(task.modalities) < 2:
            raise UserError(
                "--set pretext=milnce: learns from pictures or films together with their sound, and these items have "
                f"{task.modality} only; use simclr or moco."
            )
        if "features" in task.kinds.values():
            raise UserError("--set pretext=milnce: trains the networks of both modalities; name none as frozen, or leave it out.")
        self.projector = nn.ModuleDict({m: nn.Linear(int(encoders[m].dim), DIM) for m in task.modalities})  # type: ignore[arg-type]

    def views(self, task: Task) -> dict[str, tuple[str, ...]]:
        return {m: (task.view_preset(m),) * (BAG if m == SOUND else 1) for m in task.modalities}

    def batch_loss(self, encoders: nn.ModuleDict, task: Task, batch: Batch) -> Tensor:
        (shown,), heard, m = batch.views[task.modality], batch.views[SOUND], task.modality
        films = self.projector[m](encoders[m](shown.pixels))
        sounds = self.projector[SOUND](encoders[SOUND](torch.cat([view.pixels for view in heard])))
        bags = sounds.unflatten(0, (len(heard), -1)).transpose(0, 1)
        present = [batch.present[x] for x in (m, SOUND) if x in batch.present]
        kept = torch.stack([torch.ones(len(films), dtype=torch.bool, device=films.device), *present]).all(dim=0)
        every = batch.gather(kept.float()) > 0
        return mil_nce(batch.gather(films)[every], batch.gather(bags.contiguous())[every])
