"""A method that no paper has, made of all that later ones need: pairs, a fresh head each relabelling, a momentum copy,
three phases, two modalities, a map output and an element that only JSON holds."""

import copy
from types import SimpleNamespace

import torch
import torch.nn.functional as F
from torch import nn

from selflabel.assignment.kmeans import kmeans
from selflabel.contract import Final, Method, Phase, Prediction, Recipe, Relabelling, cosine
from selflabel.encoders import Encoder, GivenFeatures

K = 2


class Throwaway(Method):
    options_type = SimpleNamespace
    modalities = frozenset({"image", "audio"})
    per_item = ("labels_N", "partner_N")

    def build(self, encoders):
        self.encoders = encoders
        dim = sum(encoders[m].dim for m in ("image", "audio"))
        self.head = nn.Linear(dim, K)
        self.slow = copy.deepcopy(encoders["image"]).requires_grad_(False)
        self.register_buffer("labels_N", torch.zeros(self.task.n_items, dtype=torch.int64))
        self.register_buffer("partner_N", torch.zeros(0, dtype=torch.int64))
        self.starts, self.seen = [], []

    def phases(self):
        recipe = Recipe(0.05, cosine)
        both = {"image": ("glyph", "centre"), "audio": ("dropout",)}
        return [
            Phase("pairs", 1, both, recipe, batch=16, learns=("encoders",)),
            Phase("cluster", 3, both, recipe, batch=16, relabel_at=(0.0, 1.0, 2.5), learns=("encoders", "head")),
            Phase("settle", 2, both, recipe, batch=16, relabel_at=(0.0,), learns=("head",)),
        ]

    def start(self, phase, data, generator):
        self.starts.append(phase.name)
        self.partner_N = torch.randperm(self.task.n_items, generator=generator)

    def draw(self, phase, epoch, generator):
        order = torch.randperm(self.task.n_items, generator=generator)
        return torch.stack([order, self.partner_N[order]], dim=1)

    def loss(self, batch):
        weak, plain = batch.views["image"]
        (sound,) = batch.views["audio"]
        a, b = self.encoders["image"](weak), self.slow(plain)
        joint = torch.cat([a, self.encoders["audio"](sound)], dim=1)
        labels = self.labels_N[batch.rows_BG.reshape(-1)]
        return {
            "pull": (F.normalize(a, dim=1) - F.normalize(b, dim=1)).square().mean(),
            "label": F.cross_entropy(self.head(joint), labels),
        }

    def after_step(self):
        with torch.no_grad():
            for slow, fast in zip(self.slow.parameters(), self.encoders["image"].parameters()):
                slow.lerp_(fast, 0.1)

    def joint(self, data):
        assert data.features("image", layer="map", encoder=self.slow).ndim == 4
        return torch.cat([data.features("image"), data.features("audio", view="dropout", draw=3)], dim=1)

    def relabel(self, data, generator):
        _, labels = kmeans(self.joint(data), K, seed=0)
        self.labels_N = labels
        with torch.no_grad():
            self.head.weight.copy_(0.01 * torch.randn(self.head.weight.shape, generator=generator))
            self.head.bias.zero_()
        return Relabelling([labels], renewed=("head",))

    def current_labels(self):
        return [self.labels_N]

    def predict(self, block):
        scores = self.head(torch.cat([block["image"], block["audio"]], dim=1))
        return Prediction([F.log_softmax(scores, dim=1)], maps=[torch.zeros(len(scores), 2, 2)])

    def final(self, data, generator):
        scores = self.head(self.joint(data))
        return Final([scores.argmax(dim=1)], 0, scores.softmax(dim=1))

    def extra_state(self):
        return {"starts": self.starts}

    def load_extra_state(self, state):
        self.starts = state["starts"]


def encoders_for(px=16, sound=5):
    from selflabel.encoders import small

    torch.manual_seed(0)
    image = Encoder(small.Conv4(1, px), nn.Flatten(), 1, px)
    return nn.ModuleDict({"image": image, "audio": GivenFeatures(sound)})
