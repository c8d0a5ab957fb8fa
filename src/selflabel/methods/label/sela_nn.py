"""sela-nn: SeLa with neighbours, this project's own method and its default.

As in SeLa, training on labels alternates with solving for the labels as optimal transport. Four things are added.

1. **Neighbours.** Before the transport step an item's posterior is averaged with those of its nearest neighbours, in
   the input at first and in the learned features later. Neighbours mostly share a class, so noise averages out and a
   random network's first labels already follow the data.
2. **A label-free merit.** A head is judged by the mutual information between an item's label and its neighbour's
   (`assignment.merit`). Over heads it ranks as accuracy does. It chooses the reported head, by the posteriors of
   items that are many neighbours apart: at the end of a walk a class that was cut in two tells nothing of its halves.
3. **Exchange.** Heads get stuck with one class split and two merged, and gradient steps do not free them. Over-clustering
   heads do not get stuck so; merged down at least loss of that same information they propose labellings, and the worst
   head takes a proposal that beats it.
4. **Masses.** Each head relaxes equipartition by its own strength, from fixed to nearly free, and a head that takes a
   proposal takes its sizes as the target. The merit then chooses the strength, equal sizes first: unequal ones count .9.
   At the end masses are freed further. With `--mass uniform` all stay fixed.

Items seen and heard have one label: each modality has its encoder and its heads, an item's posterior is the product of those of
the modalities it has. Its neighbours are some in either, and at the end in the one whose neighbours tell the labels best.

First neighbours are those of what patterns an item is made of (`views.first`). On a GPU, where there is time for it,
photographs without pretrained features pass a contrastive phase before (SimCLR's loss; Chen et al., 2020). With `clusters`
unknown, K is where merging the over-clustering heads starts to cost.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from pydantic import ConfigDict
from pydantic.dataclasses import dataclass as checked
from torch import Tensor, nn

from selflabel.assignment import Assignment, marginals, sinkhorn
from selflabel.assignment.kmeans import kmeans
from selflabel.assignment.merging import merge_down, merged, where_merging_costs
from selflabel.assignment.merit import best_head, judged, mutual_information, neighbour_joint, neighbour_merit
from selflabel.assignment.neighbours import nearest, nearest_in_each, side_by_side, smoothed, walk_directions, walked
from selflabel.contract import (
    Batch,
    Data,
    Final,
    Method,
    Phase,
    Prediction,
    Recipe,
    Relabelling,
    Task,
    one_cycle,
    scaled_epochs,
)
from selflabel.heads import LinearHeads, MLPHeads
from selflabel.pretexts import PRETEXT, Name, Pretext, pretext_views

MOST_FINE = 256  # labels of an over-clustering head
UNKNOWN_FINE = (40, 60, 80)  # over-clustering heads when K is to be found
FEWEST_NEAR = 10  # neighbours of an item
MOST_TURNS = 60  # of one transport solve
FIRST_GAP = 5_000  # items between the first label turns
ABSENT = -100  # the label of an item that lacks the modality
EXCHANGED_FOR = 0.6  # of the label turns; then every head has time to learn its labels under their last names
STEPS = 40  # of the walks by whose ends the reported head is chosen
FREED, NEARLY_EQUAL = 0.6, 0.02  # relaxation of labels read off at the end, of heads that were relaxed and of those that were not
TOLERANCE = 5e-2  # of its masses: labels between solves move by more


@checked(frozen=True, config=ConfigDict(extra="forbid"))
class Options:
    """heads: heads of K labels; fine: the over-clustering heads, in multiples of K; None is by the kind of data.
    neighbours, smooth: how many are averaged and how often. epsilon: transport temperature on log-posteriors.
    relax: relaxation of each head in turn, 0 fixed to 1 free, None by the kind of data. remine: label turns between searches for
    neighbours, 0: only at the end. pretext: what an encoder learns beforehand, None by the data; pretext_epochs: for how
    long, None by the kind of data; temperature: its own. lr_scale: a factor on the learning rates.
    """

    heads: int | None = None
    fine: tuple[float, ...] | None = None
    neighbours: int | None = None
    smooth: int = 3
    epsilon: float = 0.2
    relax: tuple[float, ...] | None = None
    remine: int | None = None
    pretext: Name | None = None
    pretext_epochs: int | None = None
    temperature: float = 0.2
    lr_scale: float = 1.0


@dataclass(frozen=True)
class Plan:
    """What a kind of data gets. budget: items shown in all, from which the epochs follow, between least and most.
    remine: label turns between searches for neighbours; 0: only at the end. longest_gap: between label turns, in epochs.
    """

    heads: int
    fine: tuple[float, ...]
    neighbours: int
    recipe: Recipe
    batch: int
    budget: int
    least: int
    most: int
    remine: int = 2
    longest_gap: int = 1000
    relax: tuple[float, ...] = (0.0, 0.1, 0.3, 0.6)


GLYPH = Plan(4, (5, 10), 10, Recipe(2e-3, one_cycle, "adamw", 1e-2), 128, 100_000, 8, 60)
PHOTO = Plan(6, (3, 5), 20, Recipe(1e-3, one_cycle, "adamw", 1e-2), 128, 150_000, 6, 40)
FEATURES = Plan(16, (2, 3, 5), 40, Recipe(2e-2, one_cycle, "adamw", 1e-4), 256, 100_000, 6, 60)
# few signs have noisy neighbours: more heads to choose among, and neighbours found anew when features are good
FEW_GLYPHS = replace(GLYPH, heads=8, remine=5, longest_gap=3)
SPOKEN = replace(GLYPH, heads=8, neighbours=50, remine=0, longest_gap=3, budget=60_000, relax=(0.0, 0.1))
VIDEO = replace(GLYPH, heads=8, remine=0, longest_gap=3, batch=32, budget=12_000, least=10, most=40, relax=(0.0,))
SOUND = replace(VIDEO, budget=30_000)
FEW = 4_000
# without a pretext a network knows less of photographs than their patterns say
PATTERNED = replace(PHOTO, budget=300_000, most=60, remine=0)
PLANS = {"glyph": GLYPH, "photo": PHOTO, "features": FEATURES, "sound": SOUND, "spoken": SPOKEN, "video": VIDEO}


def has_pretext(task: Task, options: Options) -> bool:
    """Whether an encoder that starts from nothing learns something beforehand: where asked, and of photographs on a GPU."""
    if options.pretext_epochs is not None:
        return options.pretext_epochs > 0
    return task.starts_from_nothing and (options.pretext is not None or (task.kind == "photo" and task.gpu))


def plan_of(task: Task, options: Options) -> Plan:
    if task.kind == "photo" and task.starts_from_nothing and not has_pretext(task, options):
        return PATTERNED
    return FEW_GLYPHS if task.kind == "glyph" and task.n_items < FEW else PLANS[task.kind]


class SeLaNN(Method):
    """See the module's docstring."""

    most_modalities = 2
    options_type = Options
    per_item = ("labels_HN", "neighbours_Nk")
    labels_HN: Tensor
    neighbours_Nk: Tensor
    mass_HK: Tensor
    potentials_HK: Tensor

    def __init__(self, task, options: Options):
        super().__init__(task, options)
        self.plan = plan_of(task, options)
        self.n_main = options.heads or self.plan.heads
        self.clusters = task.clusters or min(10, task.n_items)
        self.head_sizes = [self.clusters] * self.n_main + self.fine_sizes()
        self.turn = 0
        self.chosen = task.clusters is not None
        self.merits = [0.0] * self.n_main

    def fine_sizes(self) -> list[int]:
        """Sizes of the over-clustering heads: no more than one label for every five items."""
        wanted = self.options.fine if self.options.fine is not None else self.plan.fine
        sizes = [round(f * self.clusters) for f in wanted] if self.task.clusters else list(UNKNOWN_FINE)
        most = min(MOST_FINE, self.task.n_items // 5)
        return [s for s in (min(s, most) for s in sizes) if s > self.clusters]

    def neighbours(self) -> int:
        """Of an item: where classes of given features are small, no more than an eighth of one is taken for near."""
        most = max(FEWEST_NEAR, self.task.n_items // (8 * self.clusters)) if self.task.kind == "features" else self.task.n_items
        return self.options.neighbours or min(self.plan.neighbours, most)

    def relaxations(self) -> list[float]:
        """One a head: 0 for fixed masses. Over-clustering heads stay near-fixed, so that large classes get many labels."""
        if self.task.mass in marginals.TITLES:
            return [0.0] * len(self.head_sizes)
        ladder = self.plan.relax if self.options.relax is None else self.options.relax
        return [ladder[h % len(ladder)] for h in range(self.n_main)] + [0.1] * (len(self.head_sizes) - self.n_main)

    def build(self, encoders: nn.ModuleDict) -> None:
        self.encoders = encoders
        most = self.head_sizes if self.chosen else [max(*self.head_sizes, *UNKNOWN_FINE)] * len(self.head_sizes)
        self.heads = nn.ModuleDict({m: self.make_heads(m, most) for m in self.task.modalities})
        if self.pretext_epochs():
            encoder = encoders[self.task.modality]
            self.pretext = Pretext(self.pretext_name, encoder, self.options.temperature, self.task.n_items)
        n, H = self.task.n_items, len(self.head_sizes)
        self.register_buffer("labels_HN", torch.zeros(H, n, dtype=torch.int32))
        self.register_buffer("neighbours_Nk", torch.zeros(n, self.neighbours(), dtype=torch.int32))
        self.register_buffer("potentials_HK", torch.zeros(H, max(most)))
        self.register_buffer("mass_HK", torch.ones(H, max(most)))

    def make_heads(self, modality: str, most: list[int]) -> LinearHeads | MLPHeads:
        if self.task.kind_of(modality) == "features":
            return LinearHeads(self.dim(modality), self.head_sizes, most)
        return MLPHeads(self.dim(modality), self.head_sizes, most=most)

    # ------------------------------------------------------------------------------------------------------- phases

    @property
    def pretext_name(self) -> Name:
        return self.options.pretext or "simclr"

    def pretext_epochs(self) -> int:
        """Of what the encoder learns beforehand."""
        if self.options.pretext_epochs is not None:
            return self.options.pretext_epochs
        return self.epochs() if has_pretext(self.task, self.options) else 0

    def epochs(self) -> int:
        p = self.plan
        budget = p.budget * (20 if self.task.gpu else 1)
        return min(p.most, max(p.least, round(budget / self.task.n_items)))

    def phases(self) -> list[Phase]:
        o, p = self.options, self.plan
        pretext = self.pretext_epochs()
        lengths = scaled_epochs([*([pretext] if pretext else []), self.epochs()], self.task.epochs)
        views = {m: (self.view_of(m),) for m in self.task.modalities}
        recipe = Recipe(p.recipe.lr * o.lr_scale, p.recipe.shape, p.recipe.kind, p.recipe.weight_decay)
        turns = label_turns(lengths[-1], self.task.n_items, p.longest_gap, dense=self.task.kind == "features")
        batch = min(p.batch, max(16, self.task.n_items // 8))  # a small set needs steps too
        last = Phase("self-label", lengths[-1], views, recipe, batch, turns, ("encoders", "heads"))
        if not pretext:
            return [last]
        seen = {self.task.modality: pretext_views(self.pretext_name, self.view_of(self.task.modality))}
        first = Phase(PRETEXT, lengths[0], seen, recipe, 2 * p.batch, (), ("encoders", "pretext.projector"))
        return [first, last]

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        if batch.phase == PRETEXT:
            m = self.task.modality
            return {"contrast": self.pretext.loss(self.encoders[m], batch.views[m], batch.every)}
        labels = self.labels_HN[:, batch.rows_BG[:, 0]].long()
        terms = []
        for m, (view,) in batch.views.items():
            scores, has = self.heads[m](self.encoders[m](view)), batch.present.get(m)
            for s, y in zip(scores, labels):
                each = F.cross_entropy(s.float(), y if has is None else y.masked_fill(~has, ABSENT), ignore_index=ABSENT)
                terms.append(each if has is None or has.any() else each.nan_to_num(0.0))
        return {"label": torch.stack(terms).mean()}

    def after_step(self) -> None:
        if self.pretext_epochs():
            self.pretext.after_step(self.encoders[self.task.modality])

    # ----------------------------------------------------------------------------------------------- the label turn

    def start(self, phase: Phase, data: Data, generator: torch.Generator) -> None:
        """Mine neighbours and give first labels: k-means of the smoothed input, or of the pretext's features; heads on given
        features start from the directions of walks.
        """
        if phase.name != "self-label":
            return
        features = {m: self.first_features(data, m) for m in self.task.modalities}
        self.mine(features, data.present)
        x = coarse = self.smoothed(side_by_side(features, data.present))
        if self.task.kind == "features":  # what is not learned has no neighbours to come, and first labels decide more
            coarse = walk_directions(self.neighbours_Nk, self.clusters, self.task.seed)
        for h, k in enumerate(self.head_sizes):
            seen = coarse if h < self.n_main else x
            self.labels_HN[h] = kmeans(seen, k, seed=self.task.seed * 1009 + h, turns=10)[1].to(self.labels_HN)

    def first_features(self, data: Data, modality: str) -> Tensor:
        """(N, D) at unit length."""
        return F.normalize(data.features(modality, layer=self.first_layer(modality)), dim=1)

    def first_layer(self, modality: str) -> str:
        """Where an encoder has learned nothing yet, what it is shown says more than what it makes of it."""
        learned = modality == self.task.modality and (self.pretext_epochs() > 0 or self.task.pretrained)
        return "pooled" if learned or self.task.kind_of(modality) == "features" else "input"

    def relabel(self, data: Data, generator: torch.Generator) -> Relabelling:
        if self.turn == 0:  # the network knows nothing yet: the first labels stand
            self.turn += 1
            return Relabelling(self.current_labels())
        features = {m: data.features(m) for m in self.task.modalities}
        remine = self.plan.remine if self.options.remine is None else self.options.remine
        if remine and self.turn % remine == 0 and self.task.kind != "features":
            self.mine(features, data.present)
        relaxed = self.relaxations()
        solved = [self.solve(log_p, h, relaxed[h]) for h, log_p in enumerate(self.log_posteriors(features, data.present))]
        for h, a in enumerate(solved):
            self.labels_HN[h] = a.labels.to(self.labels_HN)
        self.judge(self.neighbours_Nk.long())
        turns = len(self.phases()[-1].relabel_at)
        if not self.chosen and self.turn >= 0.5 * turns:
            self.choose_clusters()
        if 2 < self.turn < EXCHANGED_FOR * turns:
            self.exchange()
        self.turn += 1
        worst = max(solved, key=lambda a: a.error)
        return Relabelling(self.current_labels(), worst.error, max(a.n_iter for a in solved), worst.converged)

    def mine(self, features: dict[str, Tensor], present: dict[str, Tensor], leader: str | None = None) -> None:
        self.neighbours_Nk = nearest_in_each(features, present, self.neighbours_Nk.shape[1], leader).to(self.neighbours_Nk)

    def leader(self, features: dict[str, Tensor], present: dict[str, Tensor]) -> str:
        """The modality whose neighbours tell the labels best: the sum over main heads of the information between them."""
        if len(features) == 1:
            return self.task.modality

        def told(modality: str) -> float:
            has = present[modality]
            near = nearest(features[modality][has], self.neighbours_Nk.shape[1]).rows
            labels = [row[has.to(row.device)] for row in self.current_labels()]
            return sum(mutual_information(neighbour_joint(y, near.to(y.device), self.clusters)) for y in labels)

        return max((m for m in features if bool(present[m].any())), key=told)

    def log_posteriors(self, features: dict[str, Tensor], present: dict[str, Tensor]) -> list[Tensor]:
        """log of every head's posterior (N, K), each averaged over neighbours."""
        return [self.log_smoothed(p) for p in self.posteriors(features, present)]

    def log_smoothed(self, posterior: Tensor) -> Tensor:
        return (self.smoothed(posterior) + 1e-8).log()

    def posteriors(self, features: dict[str, Tensor], present: dict[str, Tensor]) -> list[Tensor]:
        """Every head's posterior (N, K)."""
        parts = []
        for start in range(0, self.task.n_items, 4096):
            rows = slice(start, start + 4096)
            block, has = ({m: x[rows] for m, x in part.items()} for part in (features, present))
            parts.append([p.exp() for p in self.joint(block, has)])
        return [torch.cat(p) for p in zip(*parts)]

    def joint(self, block: dict[str, Tensor], present: dict[str, Tensor] | None) -> list[Tensor]:
        """log of every head's posterior: the product of those of the modalities that an item has."""
        if len(block) == 1:
            ((m, x),) = block.items()
            return [F.log_softmax(s.float(), dim=1) for s in self.heads[m](x)]
        each = []
        for m, x in block.items():
            scores = [F.log_softmax(s.float(), dim=1) for s in self.heads[m](x)]
            each.append(scores if present is None else [s * present[m][:, None] for s in scores])
        return [F.log_softmax(torch.stack(logs).sum(dim=0), dim=1) for logs in zip(*each)]

    def smoothed(self, x: Tensor) -> Tensor:
        return smoothed(x, self.neighbours_Nk, self.options.smooth)

    def solve(self, log_p: Tensor, head: int, relax: float) -> Assignment:
        k = self.head_sizes[head]
        mass, start = self.mass_HK[head, :k], self.potentials_HK[head, :k]
        if self.task.mass in marginals.TITLES:
            mass = marginals.asked(self.task.mass, log_p, self.options.epsilon, self.task.seed)
        solved = sinkhorn(log_p, self.options.epsilon, mass / mass.sum(), relax, TOLERANCE, MOST_TURNS, start)
        self.potentials_HK[head, :k] = solved.potentials.to(start)
        return solved

    def judge(self, rows: Tensor) -> None:
        """The merit of every main head, by these neighbours."""
        labels, sizes = self.current_labels(), self.head_sizes
        self.merits = [neighbour_merit(x, rows, k) for x, k in zip(labels, sizes)]

    def proposals(self) -> list[tuple[float, Tensor]]:
        """(merit, labels) of every over-clustering head merged down to K, best first."""
        rows, fine = self.neighbours_Nk.long(), range(self.n_main, len(self.head_sizes))
        found = [merged(self.labels_HN[h].long(), rows, self.head_sizes[h], self.clusters) for h in fine]
        return sorted(found, key=lambda pair: -pair[0])

    def exchange(self) -> None:
        """The worst heads take proposals that beat them."""
        worst_first = sorted(range(self.n_main), key=lambda h: self.merits[h])
        for (merit, labels), h in zip(self.proposals(), worst_first):
            if merit > self.merits[h]:
                self.take(h, labels, merit)

    def take(self, head: int, labels: Tensor, merit: float) -> None:
        self.labels_HN[head] = labels.to(self.labels_HN)
        self.potentials_HK[head] = 0
        self.merits[head] = merit
        if self.relaxations()[head] > 0:
            self.mass_HK[head, : self.clusters] = marginals.estimated(labels, self.clusters).to(self.mass_HK)

    def choose_clusters(self) -> None:
        """Find K, and give every main head K labels merged from an over-clustering head."""
        rows, losses = self.neighbours_Nk.long(), []
        for h in range(self.n_main, len(self.head_sizes)):
            joint = neighbour_joint(self.labels_HN[h].long(), rows, self.head_sizes[h])
            losses.append(merge_down(joint, 1)[1])
        self.clusters, self.chosen = (where_merging_costs(losses) if losses else self.clusters), True
        self.resize()
        for h, (merit, labels) in zip(range(self.n_main), self.proposals() * self.n_main):
            self.take(h, labels, merit)

    def resize(self) -> None:
        self.head_sizes[: self.n_main] = [self.clusters] * self.n_main
        for heads in self.heads.values():
            heads.head_sizes = list(self.head_sizes)  # type: ignore[assignment]

    # ------------------------------------------------------------------------------------------------------- the end

    def predict(self, block: dict[str, Tensor], present: dict[str, Tensor] | None = None) -> Prediction:
        return Prediction(self.joint(block, present)[: self.n_main])

    def final(self, data: Data, generator: torch.Generator) -> Final:
        """The head is chosen by what its posteriors tell at the ends of walks over the finished features' neighbours. Labels
        are read off by a last solve with freer masses, unless some were asked for: what has been learned needs no balance.
        """
        features = {m: data.features(m) for m in self.task.modalities}
        if self.task.kind != "features":
            self.mine(features, data.present, self.leader(features, data.present))
        found = self.posteriors(features, data.present)[: self.n_main]
        ends = walked(self.neighbours_Nk, STEPS, generator).to(self.neighbours_Nk)
        trained = relaxed = self.relaxations()
        if self.task.mass in ("auto", "relaxed"):
            relaxed = [max(r, FREED) if r else NEARLY_EQUAL for r in relaxed]
        solved = [self.solve(self.log_smoothed(p), h, relaxed[h]) for h, p in enumerate(found)]
        heads = [judged(p, ends, a.labels, loosened=r > 0) for p, a, r in zip(found, solved, trained)]
        head = best_head(heads, fewest=self.task.clusters or 0)  # none of the labels asked for is lost
        self.merits = [of.merit for of in heads]
        log_p = self.log_smoothed(found[head])
        rows = torch.softmax(log_p + solved[head].potentials.to(log_p), dim=1).half()
        fixed = marginals.TITLES.get(self.task.mass, marginals.TITLES["uniform"])
        kind = f"nearly {fixed}" if relaxed[head] == NEARLY_EQUAL else "KL-relaxed"
        mass = f"{kind}, strength {relaxed[head]:g} of 0 (fixed) to 1 (free)" if relaxed[head] else fixed
        notes = {
            "mass": mass,
            "merits": self.merits,
            "pointwise": [of.pointwise for of in heads],
            "mass_error": solved[head].error,
            "converged": solved[head].converged,
        }
        return Final([a.labels for a in solved], head, rows, notes)

    def current_labels(self) -> list[Tensor]:
        return [row.long() for row in self.labels_HN[: self.n_main]]

    def extra_state(self) -> dict:
        return {"turn": self.turn, "clusters": self.clusters, "chosen": self.chosen, "merits": self.merits}

    def load_extra_state(self, state: dict) -> None:
        self.turn, self.clusters, self.chosen = state["turn"], state["clusters"], state["chosen"]
        self.merits = state["merits"]
        self.resize()


def label_turns(epochs: int, n_items: int, longest_gap: int = 1000, dense: bool = False) -> tuple[float, ...]:
    """When labels are solved, in epochs: at gaps that grow like Fibonacci's, as labels settle.

    The first gap is 5,000 items, or an epoch where that is shorter: a network left for long on first labels learns their
    mistakes by heart. With `dense`, where features cost nothing, every epoch.

    Example:
        >>> label_turns(20, 5_000)
        (0.0, 1.0, 2.0, 3.0, 5.0, 8.0, 13.0)
        >>> label_turns(4, 50_000)
        (0.0, 0.1, 0.2, 0.3, 0.5, 0.8, 1.3, 2.1)
    """
    if dense:
        return tuple(float(t) for t in range(epochs))
    gap = min(1.0, FIRST_GAP / n_items)
    turns = [0, 1, 2, 3]
    while (turns[-1] + min(turns[-2], longest_gap)) * gap < epochs - 1:
        turns.append(turns[-1] + min(turns[-2], longest_gap))
    return tuple(round(t * gap, 4) for t in turns if t * gap < max(1, epochs))
