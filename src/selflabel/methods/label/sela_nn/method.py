"""The method sela-nn: its phases, its loss and its label turn; see the package's docstring.

Axes: B items of a batch, K labels.
"""

from __future__ import annotations

from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from selflabel.base.schedules import scale_epochs
from selflabel.contract import Batch, Data, Features, Phase, Prediction, Relabelling
from selflabel.methods.label.sela_nn.exchange import swaps
from selflabel.methods.label.sela_nn.final_labels import FinalLabels
from selflabel.methods.label.sela_nn.first_labels import FirstLabels
from selflabel.methods.label.sela_nn.plans import label_turns

ABSENT = -100  # the label of an item that lacks the modality
CHOOSE_K_FROM = 0.5  # share of the label turns after which K is found, if it is unknown
EXCHANGE_AFTER = 2  # label turn, counted from 0, after which heads take proposals
EXCHANGE_UNTIL = 0.6  # share of the label turns; afterwards heads have time to learn their last labels


class SeLaNN(FirstLabels, FinalLabels):
    """See the package's docstring."""

    def phases(self) -> list[Phase]:
        pretext = self.pretext_epochs()
        lengths = scale_epochs([*([pretext] if pretext else []), self.default_epochs()], self.task.epochs)
        phases = [self.label_phase(lengths[-1])]
        if pretext:
            first = self.pretext.phase(self.encoders, self.task, lengths[0])
            if not self.pretext.keeps_recipe:
                first = replace(first, recipe=phases[0].recipe, batch_size=2 * self.plan.batch_size)
            phases.insert(0, first)
        return phases

    def label_phase(self, epochs: int) -> Phase:
        p, n = self.plan, self.task.n_items
        return Phase(
            name="self-label",
            epochs=epochs,
            views={m: (self.task.view_preset(m),) for m in self.task.modalities},
            recipe=replace(p.recipe, lr=p.recipe.lr * self.options.lr_scale),
            loss=self.loss,
            batch_size=min(p.batch_size, max(16, n // 8)),  # a small set needs steps, too
            relabel_at=label_turns(epochs, n, p.longest_gap, every_epoch=self.on_features),
            learns=("encoders", "heads"),
            start=self.first_labels,
        )

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Cross-entropy to the current labels, averaged over modalities and heads."""
        labels = self.labels_HN[:, batch.rows_BG[:, 0]].long()
        terms = []
        for m, (view,) in batch.views.items():
            scores, is_present = self.heads[m](self.encoders[m](view.pixels)), batch.present.get(m)
            targets = labels if is_present is None else labels.masked_fill(~is_present, ABSENT)
            for s, y in zip(scores, targets):
                term = F.cross_entropy(s.float(), y, ignore_index=ABSENT)
                terms.append(term if is_present is None or is_present.any() else term.nan_to_num(0.0))
        return {"label": torch.stack(terms).mean()}

    def relabel(self, data: Data, generator: torch.Generator) -> Relabelling:
        """Solve all heads, judge those of K labels, and exchange the worst."""
        if self.turn == 0:  # the network is still random: the first labels stand
            self.turn += 1
            return Relabelling(self.current_labels())
        features = Features({m: data.features(m) for m in self.task.modalities}, data.present)
        remine = self.plan.remine if self.options.remine is None else self.options.remine
        if remine and self.turn % remine == 0 and not self.on_features and not self.is_small:
            self.mine_neighbours(features)
        relax = self.relaxations()
        solutions = [self.solve(self.log_smooth(p), h, relax[h]) for h, p in enumerate(self.posteriors(features))]
        for h, solution in enumerate(solutions):
            if h != self.anchor:
                self.labels_HN[h] = solution.labels.to(self.labels_HN)
        self.judge_heads()
        turns = len(self.phases()[-1].relabel_at)
        if not self.knows_k and self.turn >= CHOOSE_K_FROM * turns:
            self.choose_n_clusters()
        if EXCHANGE_AFTER < self.turn < EXCHANGE_UNTIL * turns:
            for swap in swaps(self.merits[: self.anchor], self.proposals()):
                self.replace_labels(*swap)
        self.turn += 1
        worst = max(solutions, key=lambda a: a.error)
        n_iter = max(a.n_iter for a in solutions)
        return Relabelling(self.current_labels(), error=worst.error, n_iter=n_iter, converged=worst.converged)

    def predict(self, features: Features) -> Prediction:
        return Prediction(self.joint_log_probs(features)[: self.n_main])
