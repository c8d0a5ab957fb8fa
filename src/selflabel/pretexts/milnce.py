"""MIL-NCE: a film among the sentences or sounds of a batch, where several of its own may fit (Miech et al., CVPR 2020).

The claim: what is heard beside a picture often fits another moment than the one that is seen. So a film gets a bag of candidates
that are near in time instead of one partner, and it is enough that some of them fit (multiple-instance learning): the loss
compares the sum over the bag with the sum over all bags of the batch. With vectors v of films, and t of the bag P of each,

    -log sum_P exp(v t)  /  (sum over all t of the batch of exp(v t)  +  sum over all films v' and t of P of exp(v' t))

A film's own bag is in both sums of the denominator, so it counts twice. That is on purpose, as in the authors' code: with `pos`
for the bag's sum and `neg` for all others, the loss is log 2 - log(pos / (pos + neg / 2)), so that it is never below log 2 and
negatives weigh half. Vectors are one linear layer on each encoder's feature; similarity is their plain dot product: no
temperature, nothing is normalised.

The second modality is what people say, as text with times, where an encoder of text is named (`Task.text_dim`): the bag are up
to SENTENCES of the item's captions, those nearest in time to the view. Without one it is the sound itself, and the bag are BAG
windows of it, each drawn anew anywhere in what is stored of it, which is the film's own seconds and those around them. An item
without captions or sound is in no sum.

What we do otherwise: the layer of the second modality is linear, too, where the paper's text has a hidden one on fixed vectors of
words. Here sentences have fixed features, which a model of text gives.

Unlike other pretexts it teaches two encoders with sound, so that methods which use both modalities begin with it. With text it
teaches the encoder of the first modality, whatever that is.

Axes: B items of a batch, P candidates of a bag, D features of a sentence, E dimensions of the common space.
"""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor, nn

from selflabel.base.errors import UserError
from selflabel.contract import PRETEXT, Batch, Data, PaperFilms, Phase, Pretext, Task, Texts

BAG = 4  # windows of an item's sound; of the authors' recipe
DIM = 512  # of the common space, as published
FLOOR = math.log(2)  # of the loss
SENTENCES = 5  # of an item's captions, at most
SOUND, TEXT = "audio", "text"


def mil_nce(films_BE: Tensor, bags_BPE: Tensor, is_there_BP: Tensor | None = None) -> Tensor:
    """The mean loss of films and of their bags; zero without items. It is above log 2, see the module's docstring.

    Args:
        films_BE: (B, E) a vector of each film.
        bags_BPE: (B, P, E) vectors of its candidates.
        is_there_BP: (B, P) bool, the candidates that a bag has, one at least; None where it has all.
    """
    if not len(films_BE):
        return films_BE.sum() + bags_BPE.sum()
    with torch.autocast(films_BE.device.type, enabled=False):
        scores_BBP = torch.einsum("be,cpe->bcp", films_BE.float(), bags_BPE.float())
    if is_there_BP is not None:
        scores_BBP = scores_BBP.masked_fill(~is_there_BP, -torch.inf)
    own = scores_BBP.diagonal(dim1=0, dim2=1).T.logsumexp(dim=1)
    every = torch.cat([scores_BBP, scores_BBP.transpose(0, 1)], dim=1).flatten(1).logsumexp(dim=1)
    return (every - own).mean()


class MILNCE(Pretext):
    """See the module's docstring.

    Args:
        encoders: modality to encoder: of pictures or films, and of sounds.
        task: of the method.

    Attributes:
        texts: what is said in the items, once the phase has begun; None with sound.

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
        self.texts: Texts | None = None
        if len(task.modalities) < 2 and not task.text_dim:
            raise UserError(
                "--set pretext=milnce: learns from pictures or films together with their sound, and these items have "
                f"{task.modality} only; use simclr or moco, or name an encoder of their captions (--set text=hf:FOLDER)."
            )
        if "features" in task.kinds.values():
            raise UserError("--set pretext=milnce: trains the networks of both modalities; name none as frozen, or leave it out.")
        learned = (task.modality,) if task.text_dim else task.modalities
        self.projector = nn.ModuleDict({m: nn.Linear(int(encoders[m].dim), DIM) for m in learned})  # type: ignore[arg-type]
        if task.text_dim:
            self.projector[TEXT] = nn.Linear(task.text_dim, DIM)

    def phase(self, encoders: nn.ModuleDict, task: Task, epochs: int, lr_scale: float = 1.0) -> Phase:
        phase = super().phase(encoders, task, epochs, lr_scale)
        if not task.text_dim:
            return phase
        return replace(phase, learns=(f"encoders.{task.modality}.", f"{PRETEXT}.projector"), precompute=self.keep_texts)

    def keep_texts(self, data: Data) -> None:
        """Keep what is said in the items: it is too large for a checkpoint."""
        self.texts = data.texts

    def views(self, task: Task) -> dict[str, tuple[str, ...]]:
        if task.text_dim:
            return {task.modality: (task.view_preset(task.modality),)}
        return {m: (task.view_preset(m),) * (BAG if m == SOUND else 1) for m in task.modalities}

    def batch_loss(self, encoders: nn.ModuleDict, task: Task, batch: Batch) -> Tensor:
        (shown,), m = batch.views[task.modality], task.modality
        films = self.projector[m](encoders[m](shown.pixels))
        bags, is_there = self.bags_of_text(batch, m) if task.text_dim else self.bags_of_sound(encoders, batch)
        needed = (m,) if task.text_dim else (m, SOUND)
        present = [batch.present[x] for x in needed if x in batch.present]
        kept = torch.stack([is_there.any(dim=1), *present]).all(dim=0)
        every = batch.gather(kept.float()) > 0
        films, bags, is_there = (batch.gather(x.contiguous())[every] for x in (films, bags, is_there.float()))
        return mil_nce(films, bags, is_there > 0)

    def bags_of_sound(self, encoders: nn.ModuleDict, batch: Batch) -> tuple[Tensor, Tensor]:
        """((B, P, E) vectors of the windows of each sound, (B, P) bool that all are there)."""
        heard = batch.views[SOUND]
        sounds = self.projector[SOUND](encoders[SOUND](torch.cat([view.pixels for view in heard])))
        bags = sounds.unflatten(0, (len(heard), -1)).transpose(0, 1)
        return bags, torch.ones(bags.shape[:2], dtype=torch.bool, device=bags.device)

    def bags_of_text(self, batch: Batch, modality: str) -> tuple[Tensor, Tensor]:
        """((B, P, E) vectors of the sentences that are nearest in time to each view, (B, P) bool which of them are there)."""
        (shown,) = batch.views[modality]
        assert self.texts is not None
        rows_BP, is_there_BP = self.texts.near(batch.rows_BG.flatten(), shown.span, SENTENCES)
        device = shown.pixels.device
        features_BPD = self.texts.features_MD[rows_BP.flatten()].to(device).unflatten(0, rows_BP.shape)
        return self.projector[TEXT](features_BPD), is_there_BP.to(device)
