"""The method sela-nn; see the package's docstring.

Axes: N items, B items of a batch or block, D features, H heads, K labels (of the widest head), k neighbours.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from selflabel.assignment import Assignment, marginals, sinkhorn
from selflabel.assignment.kmeans import kmeans
from selflabel.assignment.mass import Mass
from selflabel.assignment.merit import best_head, mutual_information, neighbour_joint, neighbour_merit, score_head
from selflabel.assignment.neighbours import (
    PROJECT_TO,
    concatenate_modalities,
    multimodal_neighbours,
    nearest,
    project,
    random_walk_ends,
    smooth_over_neighbours,
)
from selflabel.base.sampling import drawn_rows
from selflabel.base.schedules import epochs_for_budget, scale_epochs
from selflabel.contract import Batch, Data, Features, Method, Outcome, Phase, Prediction, Relabelling
from selflabel.heads import LinearHeads, MLPHeads
from selflabel.methods.label.sela_nn import candidates, numbers, small
from selflabel.methods.label.sela_nn.exchange import find_n_clusters, proposals, swaps
from selflabel.methods.label.sela_nn.plans import Options, has_pretext, label_turns, plan_for
from selflabel.methods.label.sela_nn.posteriors import BLOCK, OnDemand, in_blocks, towards_labels
from selflabel.pretexts import make_pretext

MAX_FINE = 256  # labels of an over-clustering head
FINE_IF_UNKNOWN = (40, 60, 80)  # labels of the over-clustering heads when K is to be found
MIN_NEIGHBOURS = 10
MAX_SOLVER_ITERATIONS = 60  # of one transport solve
TOLERANCE = 5e-2  # largest relative error of the label masses that is accepted: labels move by more between two solves
ABSENT = -100  # the label of an item that lacks the modality
CHOOSE_K_FROM = 0.5  # share of the label turns after which K is found, if it is unknown
EXCHANGE_AFTER = 2  # label turn, counted from 0, after which heads take proposals
EXCHANGE_UNTIL = 0.6  # share of the label turns; afterwards heads have time to learn their last labels
FINE_RELAX = 0.1  # relaxation of the masses of over-clustering heads: nearly fixed, so that large classes get many labels
WALK_STEPS = 40  # of the random walks from which the reported head is chosen
FINAL_RELAX, NEARLY_EQUAL = 0.6, 0.02  # relaxation of the final solve, of heads with relaxed masses and of those with fixed ones
LARGE_SET, LARGE_POSTERIORS = 10_000, 1 << 26  # items and posteriors above which those of one head are held at a time
FIT_ROWS, FIT_ITEMS = 20_000, 200  # items that a head is fitted to, at most: so many, or so many for a label
DEFAULT_CLUSTERS = 10  # until K is found
RUNNERS_UP = 3  # numbers of clusters that are reported beside the one found


class SeLaNN(Method):
    """See the package's docstring."""

    max_modalities = 2
    chooses_k = True
    options_type = Options
    per_item: tuple[str, ...] = ("labels_HN", "neighbours_Nk")
    labels_HN: Tensor
    starts_SN: Tensor
    neighbours_Nk: Tensor
    mass_HK: Tensor
    potentials_HK: Tensor

    def __init__(self, task, options: Options):
        super().__init__(task, options)
        self.plan = plan_for(task, options)
        # heads of K labels; the over-clustering heads follow them
        self.n_main = self.plan.heads if options.heads is None else options.heads
        self.clusters = task.n_clusters(DEFAULT_CLUSTERS)
        self.head_sizes = [self.clusters] * self.n_main + self.fine_sizes()
        self.turn = 0
        self.is_small = False  # set when the phase begins: half-trained runs of older versions go on as they began
        self.knows_k = task.clusters is not None
        self.merits = [0.0] * self.n_main
        self.ranked_numbers: list[tuple[int, float]] = []  # of clusters, with their merits, where K was found
        self.judges_labellings = False  # set when the phase begins, as above

    def build(self, encoders: nn.ModuleDict) -> None:
        self.encoders = encoders
        widest = max(*self.head_sizes, *FINE_IF_UNKNOWN, numbers.MOST_CLUSTERS if self.on_features else 0)
        max_sizes = self.head_sizes if self.knows_k else [widest] * len(self.head_sizes)
        self.heads = nn.ModuleDict({m: self.make_heads(m, max_sizes) for m in self.task.modalities})
        n, H, m = self.task.n_items, len(self.head_sizes), self.task.modality
        if self.pretext_epochs():
            self.pretext = make_pretext(self.options.pretext or "simclr", encoders[m], n, self.options.temperature)
        self.register_buffer("labels_HN", torch.zeros(H, n, dtype=torch.int32))
        self.register_buffer("neighbours_Nk", torch.zeros(n, self.n_neighbours(), dtype=torch.int32))
        if self.on_features:
            self.per_item = (*self.per_item, "starts_SN")
            self.register_buffer("starts_SN", torch.zeros(candidates.N_STARTS, n, dtype=torch.int32))
        self.register_buffer("potentials_HK", torch.zeros(H, max(max_sizes)))
        self.register_buffer("mass_HK", torch.ones(H, max(max_sizes)))

    def make_heads(self, modality: str, max_sizes: list[int]) -> LinearHeads | MLPHeads:
        if self.task.kind_of(modality) == "features":
            return LinearHeads(self.dim(modality), self.head_sizes, max_sizes)
        return MLPHeads(self.dim(modality), self.head_sizes, max_sizes=max_sizes)

    def load_state_dict(self, state_dict, strict: bool = True, assign: bool = False):
        """Load a state. Those of 0.3.0 and older have more heads on features, without K narrower ones, and no starts."""
        if self.on_features and "starts_SN" not in state_dict:
            state_dict = {**state_dict, "starts_SN": self.starts_SN}
        H, width = state_dict["mass_HK"].shape
        n_main = H - (len(self.head_sizes) - self.n_main)
        if (n_main, width) != (self.n_main, max(heads.widest for heads in self.heads.values())):  # type: ignore[type-var]
            self.head_sizes, self.n_main = [self.clusters] * n_main + self.head_sizes[self.n_main :], n_main
            max_sizes, device = self.head_sizes if self.knows_k else [width] * H, self.mass_HK.device
            self.heads = nn.ModuleDict({m: self.make_heads(m, max_sizes).to(device) for m in self.task.modalities})
        return super().load_state_dict(state_dict, strict, assign)

    @property
    def on_features(self) -> bool:
        """Whether all modalities are given or frozen features, which stay as they are."""
        return all(self.task.kind_of(m) == "features" for m in self.task.modalities)

    @property
    def is_large(self) -> bool:
        """Whether these are so many given features that posteriors of all heads at once would fill the memory."""
        n = self.task.n_items
        return self.on_features and n > LARGE_SET and n * sum(self.head_sizes) > LARGE_POSTERIORS

    # -------------------------------------------------------------------------------------------- sizes and strengths

    def fine_sizes(self) -> list[int]:
        """Labels of the over-clustering heads: at most one label for every five items."""
        multiples = self.options.fine if self.options.fine is not None else self.plan.fine
        known = self.task.clusters is not None
        sizes = [round(f * self.clusters) for f in multiples] if known else list(FINE_IF_UNKNOWN)
        return [s for s in (min(s, self.finest()) for s in sizes) if s > self.clusters]

    def finest(self) -> int:
        """Labels of an over-clustering head, at most."""
        return min(MAX_FINE, self.task.n_items // 5)

    def n_neighbours(self) -> int:
        """Neighbours of an item; in given features at most an eighth of an average class."""
        if self.options.neighbours is not None:
            return self.options.neighbours
        n = self.task.n_items
        limit = max(MIN_NEIGHBOURS, n // (8 * self.clusters)) if self.on_features else n
        return min(self.plan.neighbours, limit)

    def relaxations(self) -> list[float]:
        """The relaxation of each head's masses, 0 for fixed."""
        if self.task.mass in marginals.TITLES:
            return [0.0] * len(self.head_sizes)
        ladder = self.plan.relax if self.options.relax is None else self.options.relax
        return [ladder[h % len(ladder)] for h in range(self.n_main)] + [FINE_RELAX] * (len(self.head_sizes) - self.n_main)

    # ------------------------------------------------------------------------------------------------------- phases

    def phases(self) -> list[Phase]:
        pretext = self.pretext_epochs()
        lengths = scale_epochs([*([pretext] if pretext else []), self.default_epochs()], self.task.epochs)
        phases = [self.label_phase(lengths[-1])]
        if pretext:
            m, recipe = self.task.modality, phases[0].recipe
            first = self.pretext.phase(self.encoders[m], m, self.task.view_preset(m), lengths[0], self.task.n_items)
            phases.insert(0, replace(first, recipe=recipe, batch_size=2 * self.plan.batch_size))
        return phases

    def pretext_epochs(self) -> int:
        """Epochs of the pretext; 0 for none."""
        if self.options.pretext_epochs is not None:
            return self.options.pretext_epochs
        return self.plan.pretext_factor * self.default_epochs() if has_pretext(self.task, self.options) else 0

    def default_epochs(self) -> int:
        p = self.plan
        return epochs_for_budget(self.task.n_items, p.items_shown, p.min_epochs, p.max_epochs, self.task.gpu)

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

    # ------------------------------------------------------------------------------------------------- first labels

    def first_labels(self, data: Data, generator: torch.Generator) -> None:
        """Find neighbours, and give first labels: k-means of smoothed features. On given features the heads of K labels start
        from k-means of walk directions, because fixed features get no better neighbours later.
        """
        x = self.first_neighbours(data)
        coarse = None
        if self.on_features and not self.is_small:
            directions = self.find_directions(x)
            if self.judges_labellings:
                self.start_relaxed_heads(x, directions)
            coarse = torch.from_numpy(directions)
            F.normalize(coarse, dim=1, out=coarse)
        smooth = self.smooth(x)
        started = {*self.relaxed_heads()} if self.judges_labellings else {self.anchor}
        for h, k in enumerate(self.head_sizes):
            start = smooth if coarse is None or h >= self.n_main else coarse.to(smooth)
            if h not in started:
                seed, most = self.task.seed * 1009 + h, LARGE_SET if self.is_large else None
                self.labels_HN[h] = kmeans(start, k, seed=seed, max_iter=10, max_rows=most)[1].to(self.labels_HN)

    def first_neighbours(self, data: Data) -> Tensor:
        """Find neighbours. Returns (N, D) features of all modalities, of unit length each; of large sets few directions only."""
        first = {m: self.initial_features(data, m) for m in self.task.modalities}
        pooled = {m: F.normalize(x, dim=1) for m, x in first.items()}
        if small.is_small(self.task.n_items, self.clusters):
            self.start_small(next(iter(first.values())) if len(first) == 1 else concatenate_modalities(pooled, data.present))
        else:
            del first
            self.mine_neighbours(Features(pooled, data.present))
            self.judges_labellings = self.on_features and self.task.mass not in marginals.TITLES
        x = concatenate_modalities(pooled, data.present)
        return project(x, PROJECT_TO) if self.is_large else x

    def find_directions(self, x_ND: Tensor) -> np.ndarray:
        """(N, K) leading eigenvectors of the neighbour graph; where K is unknown, it is found before."""
        if self.judges_labellings and not self.knows_k:
            self.ranked_numbers = numbers.rank_numbers_of_clusters(x_ND, self.task.seed)
            self.set_n_clusters(self.ranked_numbers[0][0])
        return candidates.graph_directions(self.neighbours_Nk, self.clusters, self.task.seed)

    def start_relaxed_heads(self, x_ND: Tensor, directions_NK: np.ndarray) -> None:
        """Let the heads with relaxed masses start from labellings of any sizes, each with those sizes as its target."""
        starts = candidates.start_labellings(x_ND, self.neighbours_Nk, directions_NK, self.task.seed)
        self.starts_SN = torch.stack(starts).to(self.starts_SN)
        for i, h in enumerate(self.relaxed_heads()):
            self.replace_labels(h, 0.0, starts[i % len(starts)])

    def relaxed_heads(self) -> list[int]:
        """The heads of K labels whose masses are relaxed."""
        return [h for h, relax in enumerate(self.relaxations()[: self.n_main]) if relax > 0]

    def initial_features(self, data: Data, modality: str) -> Tensor:
        """(N, D): of the encoder where it knows something already, else first features."""
        pretrained = modality == self.task.modality and (self.pretext_epochs() > 0 or self.task.pretrained)
        layer = "pooled" if pretrained or self.task.kind_of(modality) == "features" else "input"
        return data.features(modality, layer=layer)

    def start_small(self, x_ND: Tensor) -> None:
        """Find K if it is unknown, the neighbours, and the labels that the last head keeps."""
        self.is_small = True
        if not self.knows_k:
            self.set_n_clusters(small.number_of_clusters(x_ND, self.task.seed))
        most = self.options.neighbours or small.neighbours_within_class(self.task.n_items, self.clusters, self.plan.neighbours)
        self.neighbours_Nk = small.nearest_by_distance(x_ND, most).to(self.neighbours_Nk)
        if self.anchor is not None:
            self.labels_HN[self.anchor] = small.best_kmeans(x_ND, self.clusters, self.task.seed).to(self.labels_HN)

    @property
    def anchor(self) -> int | None:
        """The head of a small set that keeps the labels of k-means; None where there is none, or where sizes were asked for."""
        has_one = self.is_small and self.n_main > 1 and self.task.mass not in marginals.TITLES
        return self.n_main - 1 if has_one else None

    # ------------------------------------------------------------------------------------------------ the label turn

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

    def mine_neighbours(self, features: Features, leader: str | None = None) -> None:
        """Find every item's neighbours. leader: the modality that most of them are found in; None finds some in each."""
        rows = multimodal_neighbours(features.pooled, features.present, self.neighbours_Nk.shape[1], leader)
        self.neighbours_Nk = rows.to(self.neighbours_Nk)

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

    def posteriors(self, features: Features) -> Sequence[Tensor]:
        """(N, K) posteriors of every head; of large sets float16, each computed when it is asked for, and not kept."""
        if self.is_large:
            return OnDemand(range(len(self.head_sizes)), lambda h: self.posterior(features, h))
        parts = [[p.exp() for p in self.joint_log_probs(block)] for block in self.blocks(features)]
        return [torch.cat(p) for p in zip(*parts)]

    def posterior(self, features: Features, head: int) -> Tensor:
        """(N, K) float16 posteriors of one head."""
        result = torch.empty(self.task.n_items, self.head_sizes[head], dtype=torch.float16, device=self.labels_HN.device)
        for out, block in zip(result.split(BLOCK), self.blocks(features)):
            out.copy_(self.joint_log_probs(block, [head])[0].detach().exp())
        return result

    def blocks(self, features: Features) -> Iterator[Features]:
        """The features of some items at a time."""
        for start in range(0, self.task.n_items, BLOCK):
            rows = slice(start, start + BLOCK)
            yield Features(*({m: x[rows] for m, x in of.items()} for of in (features.pooled, features.present)))

    def joint_log_probs(self, features: Features, heads: Sequence[int] | None = None) -> list[Tensor]:
        """(B, K) log-posteriors of some heads, None for all: the product of the posteriors of the modalities that an item has."""
        by_modality = []
        for m, x in features.pooled.items():
            logs = [F.log_softmax(s.float(), dim=1) for s in self.scores(m, x, heads)]
            is_present = features.present.get(m) if len(features.pooled) > 1 else None
            by_modality.append(logs if is_present is None else [s * is_present[:, None] for s in logs])
        if len(by_modality) == 1:
            return by_modality[0]
        return [F.log_softmax(torch.stack(logs).sum(dim=0), dim=1) for logs in zip(*by_modality)]

    def scores(self, modality: str, x: Tensor, heads: Sequence[int] | None) -> list[Tensor]:
        """(B, K) scores of some heads, None for all."""
        module = self.heads[modality]
        if heads is None or not isinstance(module, LinearHeads):
            every = module(x)
            return every if heads is None else [every[h] for h in heads]
        return [F.linear(x, *module.weight_and_bias(h)) for h in heads]

    def smooth(self, x: Tensor) -> Tensor:
        """(N, D) rows averaged with their neighbours', several times."""
        return smooth_over_neighbours(x, self.neighbours_Nk, self.options.smooth)

    def log_smooth(self, posterior: Tensor) -> Tensor:
        """(N, K) float32 logarithms of smoothed posteriors."""
        return in_blocks(lambda block: (block.float() + 1e-8).log(), self.smooth(posterior))

    def solve(self, log_p: Tensor, head: int, relax: float, rounding: str = "argmax") -> Assignment:
        """Labels of one head by transport, from its last potentials. rounding: as in `sinkhorn`."""
        k = self.head_sizes[head]
        mass, start = self.mass_HK[head, :k], self.potentials_HK[head, :k]
        if self.task.mass in marginals.TITLES:
            mass = marginals.target_shares(self.task.mass, log_p, self.options.epsilon, self.task.seed)
        shares, epsilon = mass / mass.sum(), self.options.epsilon
        solution = sinkhorn(log_p, epsilon, shares, relax, TOLERANCE, MAX_SOLVER_ITERATIONS, start, rounding)
        self.potentials_HK[head, :k] = solution.potentials.to(start)
        return solution

    # ------------------------------------------------------------------------------------------------------ exchange

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

    def set_n_clusters(self, K: int) -> None:
        """Go on with K labels in each main head."""
        self.clusters, self.knows_k = K, True
        self.resize_heads()

    def resize_heads(self) -> None:
        """Give the main heads K labels each and, where K was found before training, the over-clustering heads more."""
        self.head_sizes[: self.n_main] = [self.clusters] * self.n_main
        if self.ranked_numbers:
            finer = [max(self.clusters, min(round(f * self.clusters), self.finest())) for f in self.plan.fine]
            self.head_sizes[self.n_main :] = finer
        for heads in self.heads.values():
            heads.head_sizes = list(self.head_sizes)  # type: ignore[assignment]

    # ------------------------------------------------------------------------------------------------------- the end

    def predict(self, features: Features) -> Prediction:
        return Prediction(self.joint_log_probs(features)[: self.n_main])

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
            return Outcome(labels, head, rows, {"mass": "as found"} | notes)
        log_p = self.log_smooth(posteriors[head])
        potentials = solutions[head].potentials.to(log_p)
        rows = in_blocks(lambda block: torch.softmax(block + potentials, dim=1).half(), log_p)
        mass = Mass(self.task.mass if self.task.mass in marginals.TITLES else "uniform", relax[head])
        return Outcome(labels, head, rows, mass.notes(solutions[head]) | notes)

    def judge_labellings(self, features: Features, labels: list[Tensor]) -> tuple[int, bool]:
        """Choose among the heads' labels, those that heads started from, and what all of them agree on.

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
            x = concatenate_modalities({m: F.normalize(x, dim=1) for m, x in features.pooled.items()}, features.present)
            ranked = numbers.clearly_shown(x, self.clusters, self.task.seed)
        if not ranked:
            return {}
        found = self.clusters if ranked is self.ranked_numbers else ranked[0][0]
        near = [[number, round(merit, 4)] for number, merit in ranked[: RUNNERS_UP + 1]]
        return {"n_clusters": {"found": found, "candidates": near}}

    def current_labels(self) -> list[Tensor]:
        return [row.long() for row in self.labels_HN[: self.n_main]]

    def extra_state(self) -> dict:
        state = {"turn": self.turn, "clusters": self.clusters, "chosen": self.knows_k, "merits": self.merits}
        ranked = {"ranked_numbers": [list(pair) for pair in self.ranked_numbers]} if self.ranked_numbers else {}
        flags = {"small": self.is_small, "judges": self.judges_labellings}
        return state | ranked | {name: True for name, is_set in flags.items() if is_set}

    def load_extra_state(self, state: dict) -> None:
        self.turn, self.clusters, self.knows_k = state["turn"], state["clusters"], state["chosen"]
        self.merits, self.is_small = state["merits"], state.get("small", False)
        self.judges_labellings = state.get("judges", False)
        self.ranked_numbers = [(number, merit) for number, merit in state.get("ranked_numbers", [])]
        self.resize_heads()
