"""Which labels are reported at the end: of which head, by which masses, or of a better labelling that was found beside them.

Axes: N items, D features, K labels.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from selflabel.assignment import marginals
from selflabel.assignment.mass import Mass
from selflabel.assignment.merit import best_head, mutual_information, neighbour_joint, score_head
from selflabel.assignment.neighbours import concatenate_modalities, nearest, random_walk_ends
from selflabel.base.sampling import drawn_rows
from selflabel.contract import Data, Features, LinearSolve, Outcome
from selflabel.methods.label.sela_nn import candidates, numbers, small
from selflabel.methods.label.sela_nn.dense import dense_labellings
from selflabel.methods.label.sela_nn.posteriors import in_blocks, towards_labels
from selflabel.methods.label.sela_nn.solving import SolvedHeads

WALK_STEPS = 40  # of the random walks from which the reported head is chosen
FINAL_RELAX, NEARLY_EQUAL = 0.6, 0.02  # relaxation of the final solve, of heads with relaxed masses and of those with fixed ones
FIT_ROWS, FIT_ITEMS = 20_000, 200  # items that a head is fitted to, at most: so many, or so many for a label
RUNNERS_UP = 3  # numbers of clusters that are reported beside the one found


class FinalLabels(SolvedHeads):
    """Heads of which one is reported."""

    def final(self, data: Data, generator: torch.Generator) -> Outcome:
        """Choose the head by its posteriors at the ends of random walks among the final neighbours. Labels come from a last solve
        with freer masses, unless the user asked for some: features that were learned need no balance.
        """
        features = Features({m: data.features(m) for m in self.task.modalities}, data.present)
        if not self.on_features and not self.is_small:
            self.mine_neighbours(features, self.leading_modality(features))
        posteriors = self.posteriors(features)[: self.n_main]
        ends = random_walk_ends(self.neighbours_Nk, WALK_STEPS, generator).to(self.neighbours_Nk)
        trained = relax = self.relaxations()
        if self.task.mass in ("auto", "relaxed"):
            relax = [max(r, FINAL_RELAX) if r else NEARLY_EQUAL for r in relax]
        # sizes that were asked for: a few dozen items that are alike would else all go to one of the labels that share them
        rounding = "exact" if self.is_small and self.task.mass in marginals.TITLES else "argmax"
        solutions = [self.solve(self.log_smooth(p), h, relax[h], rounding) for h, p in enumerate(posteriors)]
        scores = [score_head(p, ends, a.labels, r > 0) for p, a, r in zip(posteriors, solutions, trained)]
        labels = [a.labels for a in solutions]
        if self.judges_labellings:
            head, is_solved = self.judge_labellings(features, labels)
        else:  # where K was asked for, no label is lost
            head, is_solved = best_head(scores, min_labels=self.task.clusters or 0), True
        self.merits = [score.merit for score in scores]
        notes = {"merits": self.merits, "pointwise": [score.pointwise for score in scores], **self.numbers_note(features)}
        if self.anchor is not None:
            labels[self.anchor] = self.labels_HN[self.anchor].long()
            head = small.best_labelling(labels, self.neighbours_Nk.long(), self.clusters, self.anchor)
            is_solved = head != self.anchor
            if self.on_features:
                self.fit_head(head, features, labels[head])
        if not is_solved:
            rows = in_blocks(towards_labels, self.smooth(posteriors[head]), labels[head])
            found = marginals.empirical_shares(labels[head].cpu(), self.clusters)
            return Outcome(labels, head, rows, {"mass": "as found"} | notes, solve=self.linear_solve(head, found, FINAL_RELAX))
        log_p = self.log_smooth(posteriors[head])
        potentials = solutions[head].potentials.to(log_p)
        rows = in_blocks(lambda block: torch.softmax(block + potentials, dim=1).half(), log_p)
        mass = Mass(self.task.mass if self.task.mass in marginals.TITLES else "uniform", relax[head])
        linear = self.linear_solve(head, self.shares(log_p, head), relax[head], solutions[head].potentials)
        return Outcome(labels, head, rows, mass.notes(solutions[head]) | notes, solve=linear)

    def linear_solve(self, head: int, shares_K: Tensor, relax: float, potentials_K: Tensor | None = None) -> LinearSolve | None:
        """How more items get labels by a head on given features; None where items have several modalities, or learned features.

        They have no neighbours that their posteriors could be averaged with.

        Args:
            head: the reported one.
            shares_K: target shares.
            relax: of the masses.
            potentials_K: to start from; None is zeros.
        """
        if not self.on_features or len(self.heads) > 1:
            return None
        weight, bias = (x.detach().clone() for x in self.heads[self.task.modality].weight_and_bias(head))  # type: ignore[operator]
        start = torch.zeros(len(bias), dtype=torch.float64) if potentials_K is None else potentials_K
        name = self.task.mass if self.task.mass in marginals.TITLES else "uniform"
        return LinearSolve(weight, bias, shares_K, relax, self.options.epsilon, 1.0, start, name)

    def judge_labellings(self, features: Features, labels: list[Tensor]) -> tuple[int, bool]:
        """Choose among the heads' labels, those that heads started from, what all of them agree on, and cuts of dense items.

        Args:
            features: of all items.
            labels: (N,) of each main head. Where another labelling is better, it takes the place of the most similar head, which
                is trained on it.

        Returns:
            The head, and whether its labels are those of the transport solve.
        """
        K, rows, seed = self.clusters, self.neighbours_Nk, self.task.seed
        others = [*(x.cpu() for x in labels), *self.starts_SN.cpu().long()]
        consensus = candidates.consensus_labellings(others, rows, K)
        others += dense_labellings(unit_features(features).cpu(), K, seed)
        found = candidates.best_labelling(others, consensus, rows, K, seed)
        own = next((h for h, x in enumerate(labels) if torch.equal(found, x.cpu())), None)
        if own is not None:
            return own, True
        head, matched = candidates.match_head(found, labels, K)
        labels[head] = matched.to(rows.device)
        self.fit_head(head, features, labels[head])
        return head, False

    def fit_head(self, head: int, features: Features, labels_N: Tensor) -> None:
        """Fit a head on given features to the labels that are reported, so that unseen items get labels by them."""
        for m, x in features.pooled.items():
            weight_KD, bias_K = self.heads[m].weight_and_bias(head)  # type: ignore[operator]
            is_present = features.present[m].to(x.device) if m in features.present else torch.ones(len(x), dtype=torch.bool)
            rows = is_present.nonzero()[:, 0]
            rows = rows[drawn_rows(len(rows), max(FIT_ROWS, FIT_ITEMS * self.clusters))]
            candidates.fit_linear_head(weight_KD, bias_K, x[rows], labels_N[rows.to(labels_N.device)])

    def numbers_note(self, features: Features) -> dict:
        """What the report says of the number of clusters: of one that was found, or where another than was asked for is clear."""
        ranked = self.ranked_numbers
        if self.task.clusters and self.on_features and not self.is_small:
            ranked = numbers.clearly_shown(unit_features(features), self.clusters, self.task.seed)
        if not ranked:
            return {}
        found = self.clusters if ranked is self.ranked_numbers else ranked[0][0]
        near = [[number, round(merit, 4)] for number, merit in ranked[: RUNNERS_UP + 1]]
        return {"n_clusters": {"found": found, "candidates": near}}

    def leading_modality(self, features: Features) -> str:
        """The modality whose neighbours have most information about the labels, summed over the heads of K labels."""
        if len(features.pooled) == 1:
            return self.task.modality

        def information(modality: str) -> float:
            is_present = features.present[modality]
            rows = nearest(features.pooled[modality][is_present], self.neighbours_Nk.shape[1]).rows
            labels = [row[is_present.to(row.device)] for row in self.current_labels()]
            return sum(mutual_information(neighbour_joint(y, rows.to(y.device), self.clusters)) for y in labels)

        return max((m for m in features.pooled if bool(features.present[m].any())), key=information)


def unit_features(features: Features) -> Tensor:
    """(N, D) features of all modalities, of unit length each."""
    return concatenate_modalities({m: F.normalize(x, dim=1) for m, x in features.pooled.items()}, features.present)
