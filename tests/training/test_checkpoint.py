"""A checkpoint gives back the method and the optimiser as they were."""

import pytest
import torch
from torch import nn

from selflabel.training import checkpoint


class Small(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 2)
        self.register_buffer("memory", torch.zeros(1))
        self.count = 0

    def extra_state(self):
        return {"count": self.count}

    def load_extra_state(self, state):
        self.count = state["count"]


def step(module, optimiser):
    optimiser.zero_grad()
    module.layer(torch.ones(4, 3)).square().sum().backward()
    optimiser.step()


@pytest.mark.parametrize("kind", ["adamw", "sgd"])
def test_a_restored_method_continues_as_the_saved_one(kind, tmp_path):
    def make():
        torch.manual_seed(0)
        module = Small()
        optimisers = {"adamw": torch.optim.AdamW(module.parameters()), "sgd": torch.optim.SGD(module.parameters(), 0.1, 0.9)}
        return module, optimisers[kind]

    module, optimiser = make()
    step(module, optimiser)
    module.memory, module.count = torch.arange(5.0), 3
    checkpoint.save(tmp_path, module, optimiser, {"epoch": 1})
    tensors, state = checkpoint.load(tmp_path)
    other, its_optimiser = make()
    checkpoint.restore_method(other, tensors, state["method"])
    checkpoint.restore_optimiser(its_optimiser, tensors, state["optimiser"])
    assert state["loop"] == {"epoch": 1} and other.count == 3 and torch.equal(other.memory, module.memory)
    step(module, optimiser)
    step(other, its_optimiser)
    assert torch.equal(module.layer.weight, other.layer.weight)


def test_without_a_checkpoint_there_is_none(tmp_path):
    assert checkpoint.load(tmp_path) is None
