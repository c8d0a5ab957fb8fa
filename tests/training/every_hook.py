"""A method that no paper has. It uses all that the contract offers: pairs, a head that is drawn anew at each label turn, a
momentum copy, three phases with losses and hooks of their own, two modalities, maps, and state that only JSON holds.
"""

import copy
from types import SimpleNamespace

import torch
import torch.nn.functional as F
from torch import nn

from selflabel.assignment.kmeans import kmeans
from selflabel.base.schedules import cosine
from selflabel.contract import Method, Outcome, Phase, Prediction, Recipe, Relabelling
from selflabel.encoders import Encoder, GivenFeatures

K = 2


class EveryHook(Method):
    options_type = SimpleNamespace
    max_modalities = 2
    per_item = ("labels_N", "partner_N")

    def build(self, encoders):
        self.encoders = encoders
        dim = sum(encoders[m].dim for m in ("image", "audio"))
        self.head = nn.Linear(dim, K)
        self.slow = copy.deepcopy(encoders["image"]).requires_grad_(False)
        self.register_buffer("labels_N", torch.zeros(self.task.n_items, dtype=torch.int64))
        self.register_buffer("partner_N", torch.zeros(0, dtype=torch.int64))
        self.starts, self.pair_steps, self.precomputed = [], 0, 0

    def phases(self):
        both = {"image": ("glyph", "centre"), "audio": ("dropout",)}
        common = {"batch_size": 16, "draw": self.draw, "precompute": self.precompute}
        starts = {name: self.start_of(name) for name in ("pairs", "cluster", "settle")}
        recipe = Recipe(0.05, cosine)
        return [
            Phase(
                "pairs",
                1,
                both,
                recipe,
                self.pair_loss,
                learns=("encoders",),
                start=starts["pairs"],
                after_step=self.count_step,
                **common,
            ),
            Phase(
                "cluster",
                3,
                both,
                recipe,
                self.label_loss,
                relabel_at=(0.0, 1.0, 2.5),
                learns=("encoders", "head"),
                start=starts["cluster"],
                after_step=self.move_copy,
                **common,
            ),
            Phase(
                "settle",
                2,
                both,
                recipe,
                self.label_loss,
                relabel_at=(0.0,),
                learns=("head",),
                start=starts["settle"],
                **common,
            ),
        ]

    def start_of(self, name):
        def start(data, generator):
            self.starts.append(name)
            self.partner_N = torch.randperm(self.task.n_items, generator=generator)

        return start

    def precompute(self, data):
        self.precomputed += 1

    def draw(self, epoch, generator):
        order = torch.randperm(self.task.n_items, generator=generator)
        return torch.stack([order, self.partner_N[order]], dim=1)

    def pair_loss(self, batch):
        weak, plain = (view.pixels for view in batch.views["image"])
        a, b = self.encoders["image"](weak), self.slow(plain)
        pull = (F.normalize(a, dim=1) - F.normalize(b, dim=1)).square().mean()
        return {"pull": pull, "sound": self.encoders["audio"](batch.views["audio"][0].pixels).mean() * 0}

    def label_loss(self, batch):
        features = [self.encoders[m](batch.views[m][0].pixels) for m in ("image", "audio")]
        labels = self.labels_N[batch.rows_BG.reshape(-1)]
        return self.pair_loss(batch) | {"label": F.cross_entropy(self.head(torch.cat(features, dim=1)), labels)}

    def count_step(self):
        self.pair_steps += 1

    def move_copy(self):
        with torch.no_grad():
            for slow, fast in zip(self.slow.parameters(), self.encoders["image"].parameters()):
                slow.lerp_(fast, 0.1)

    def all_features(self, data):
        for rows, block in data.blocks(maps=True):
            assert block.maps["image"].ndim == 4 and len(block.maps["image"]) == len(rows)
        slow = data.features("image", encoder=self.slow)
        assert slow.shape == (self.task.n_items, self.slow.dim)
        return torch.cat([data.features("image"), data.features("audio", view="dropout", draw=3)], dim=1)

    def relabel(self, data, generator):
        _, labels = kmeans(self.all_features(data), K, seed=0)
        self.labels_N = labels
        with torch.no_grad():
            self.head.weight.copy_(0.01 * torch.randn(self.head.weight.shape, generator=generator))
            self.head.bias.zero_()
        return Relabelling([labels], reset=("head",))

    def current_labels(self):
        return [self.labels_N]

    def predict(self, features):
        scores = self.head(torch.cat([features.pooled["image"], features.pooled["audio"]], dim=1))
        return Prediction([F.log_softmax(scores, dim=1)])

    def final(self, data, generator):
        scores = self.head(self.all_features(data))
        return Outcome([scores.argmax(dim=1)], 0, scores.softmax(dim=1))

    def extra_state(self):
        return {"starts": self.starts, "pair_steps": self.pair_steps}

    def load_extra_state(self, state):
        self.starts, self.pair_steps = state["starts"], state["pair_steps"]


def encoders_for(px=16, sound=5):
    from selflabel.encoders import small

    torch.manual_seed(0)
    image = Encoder(small.Conv4(1, px), nn.Flatten(), 1, px)
    return nn.ModuleDict({"image": image, "audio": ImageOfSound(sound)})


class ImageOfSound(GivenFeatures):
    """Given features that have a map of one place, so that blocks with maps can be asked of every encoder."""

    def map(self, x):
        return self(x)[:, :, None, None]
