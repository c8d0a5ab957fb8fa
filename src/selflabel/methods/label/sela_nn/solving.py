"""How the labels of a head are solved, and exchanged for better ones.

Axes: N items, H heads, K labels, k neighbours.
"""

from __future__ import annotations

from torch import Tensor

from selflabel.assignment import Assignment, marginals, sinkhorn
from selflabel.assignment.merit import neighbour_merit
from selflabel.assignment.neighbours import multimodal_neighbours
from selflabel.contract import Features
from selflabel.methods.label.sela_nn.exchange import find_n_clusters, proposals
from selflabel.methods.label.sela_nn.heads import SeLaNNHeads

MAX_SOLVER_ITERATIONS = 60  # of one transport solve
TOLERANCE = 5e-2  # largest relative error of the label masses that is accepted: labels move by more between two solves


class SolvedHeads(SeLaNNHeads):
    """Heads whose labels are solved as optimal transport, judged, and exchanged."""

    def mine_neighbours(self, features: Features, leader: str | None = None, groups_N: Tensor | None = None) -> None:
        """Find every item's neighbours.

        Args:
            features: of all items.
            leader: the modality that most of them are found in; None finds some in each.
            groups_N: as in `Data.groups_N`.
        """
        k = self.neighbours_Nk.shape[1]
        rows = multimodal_neighbours(features.pooled, features.present, k, leader, groups_N)
        self.neighbours_Nk = rows.to(self.neighbours_Nk)

    def solve(self, log_p: Tensor, head: int, relax: float, rounding: str = "argmax") -> Assignment:
        """Labels of one head by transport, from its last potentials. rounding: as in `sinkhorn`."""
        start, epsilon = self.potentials_HK[head, : self.head_sizes[head]], self.options.epsilon
        solution = sinkhorn(log_p, epsilon, self.shares(log_p, head), relax, TOLERANCE, MAX_SOLVER_ITERATIONS, start, rounding)
        self.potentials_HK[head, : len(start)] = solution.potentials.to(start)
        return solution

    def shares(self, log_p: Tensor, head: int) -> Tensor:
        """(K,) target shares of a head's labels: those that were asked for, or the head's own."""
        mass = self.mass_HK[head, : self.head_sizes[head]]
        if self.task.mass in marginals.TITLES:
            mass = marginals.target_shares(self.task.mass, log_p, self.options.epsilon, self.task.seed)
        return mass / mass.sum()

    def judge_heads(self) -> None:
        """The merit of every head of K labels, by the present neighbours."""
        rows = self.neighbours_Nk
        self.merits = [neighbour_merit(x, rows, k) for x, k in zip(self.current_labels(), self.head_sizes)]

    def fine_labels(self) -> list[Tensor]:
        return [row.long() for row in self.labels_HN[self.n_main :]]

    def proposals(self) -> list[tuple[float, Tensor]]:
        """See `exchange.proposals`."""
        return proposals(self.fine_labels(), self.neighbours_Nk, self.head_sizes[self.n_main :], self.clusters)

    def replace_labels(self, head: int, merit: float, labels: Tensor) -> None:
        """Give a head a proposal's labels, and its sizes as the target where the head's masses are relaxed."""
        self.labels_HN[head] = labels.to(self.labels_HN)
        self.potentials_HK[head] = 0
        self.merits[head] = merit
        if self.relaxations()[head] > 0:
            self.mass_HK[head, : self.clusters] = marginals.empirical_shares(labels, self.clusters).to(self.mass_HK)

    def choose_n_clusters(self) -> None:
        """Find K, and give every main head K labels merged from an over-clustering head."""
        sizes = self.head_sizes[self.n_main :]
        self.set_n_clusters(find_n_clusters(self.fine_labels(), self.neighbours_Nk.long(), sizes, self.clusters))
        for h, (merit, labels) in zip(range(self.n_main), self.proposals() * self.n_main):
            self.replace_labels(h, merit, labels)
