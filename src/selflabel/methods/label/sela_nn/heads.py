"""Which heads sela-nn has, on which items' neighbours they rest, and what they say of items.

Axes: N items, B items of a block, D features, H heads, K labels (of the widest head), k neighbours.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from selflabel.assignment import marginals
from selflabel.assignment.neighbours import smooth_over_neighbours
from selflabel.base.schedules import epochs_for_budget
from selflabel.contract import Features, Method
from selflabel.heads import LinearHeads, MLPHeads
from selflabel.methods.label.sela_nn import candidates, numbers
from selflabel.methods.label.sela_nn.plans import Options, has_pretext, plan_for
from selflabel.methods.label.sela_nn.posteriors import BLOCK, OnDemand, in_blocks
from selflabel.pretexts import make_pretext

MAX_FINE = 256  # labels of an over-clustering head
FINE_IF_UNKNOWN = (40, 60, 80)  # labels of the over-clustering heads when K is to be found
MIN_NEIGHBOURS = 10
FINE_RELAX = 0.1  # relaxation of the masses of over-clustering heads: nearly fixed, so that large classes get many labels
LARGE_SET, LARGE_POSTERIORS = 10_000, 1 << 26  # items and posteriors above which those of one head are held at a time
DEFAULT_CLUSTERS = 10  # until K is found


class SeLaNNHeads(Method):
    """The heads of sela-nn, their labels and masses, and the neighbours of items. Classes that follow solve and report labels."""

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
        n, H = self.task.n_items, len(self.head_sizes)
        if self.pretext_epochs():
            self.pretext = make_pretext(self.options.pretext or "simclr", encoders, self.task, self.options.temperature)
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

    @property
    def most_rows(self) -> int | None:
        """The items to which k-means is fitted, at most; None for all."""
        return LARGE_SET if self.is_large else None

    def pretext_epochs(self) -> int:
        """Epochs of the pretext; 0 for none."""
        if self.options.pretext_epochs is not None:
            return self.options.pretext_epochs
        return self.plan.pretext_factor * self.default_epochs() if has_pretext(self.task, self.options) else 0

    @property
    def taught(self) -> tuple[str, ...]:
        """The modalities whose encoders a pretext teaches."""
        return tuple(self.pretext.views(self.task)) if self.pretext_epochs() else ()

    def default_epochs(self) -> int:
        p = self.plan
        return epochs_for_budget(self.task.n_items, p.items_shown, p.min_epochs, p.max_epochs, self.task.gpu)

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

    def relaxed_heads(self) -> list[int]:
        """The heads of K labels whose masses are relaxed."""
        return [h for h, relax in enumerate(self.relaxations()[: self.n_main]) if relax > 0]

    @property
    def anchor(self) -> int | None:
        """The head of a small set that keeps the labels of k-means; None where there is none, or where sizes were asked for."""
        has_one = self.is_small and self.n_main > 1 and self.task.mass not in marginals.TITLES
        return self.n_main - 1 if has_one else None

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
        """(B, K) log-posteriors of some heads, None for all: the product of the posteriors of the modalities that an item has,
        each to the power of its weight.
        """
        by_modality = []
        for m, x in features.pooled.items():
            logs = [F.log_softmax(s.float(), dim=1) for s in self.scores(m, x, heads)]
            is_present = features.present.get(m) if len(features.pooled) > 1 else None
            by_modality.append(logs if is_present is None else [s * features.counts(m, is_present)[:, None] for s in logs])
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
