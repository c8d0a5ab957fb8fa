"""The loop's optimisers are torch's, but for what they import."""

import pytest
import torch

from selflabel.base.schedules import constant
from selflabel.contract import Recipe
from selflabel.training.optimisers import make_optimiser

TORCHS = {
    "adamw": lambda p: torch.optim.AdamW(p, 0.1, weight_decay=0.2),
    "sgd": lambda p: torch.optim.SGD(p, 0.1, 0.9, weight_decay=0.2),
}


@pytest.mark.parametrize("name", TORCHS)
def test_they_step_as_torchs_own_and_their_state_goes_from_one_to_the_other(name):
    recipe = Recipe(0.1, constant, name, 0.2)
    own, other = (torch.nn.Parameter(torch.arange(6.0).view(2, 3)) for _ in range(2))
    mine, torchs = make_optimiser(recipe, [own]), TORCHS[name]([other])
    for turn in range(4):
        for p, optimiser in ((own, mine), (other, torchs)):
            optimiser.zero_grad(set_to_none=True)
            (p.square().sum() * (turn + 1)).backward()
            optimiser.step()
        if turn == 1:
            state = torchs.state_dict()
            torchs.load_state_dict(mine.state_dict())
            mine.load_state_dict(state)
    assert torch.allclose(own, other) and not own.equal(torch.arange(6.0).view(2, 3)) and isinstance(mine, type(torchs))


SCRIPT = """
import sys
import numpy as np
from selflabel.base.settings import make_settings
from selflabel.jobs.label import label
x = np.random.default_rng(0).normal(size=(40, 4)).astype(np.float32)
label(make_settings(source="array", clusters=2, epochs=1, device="cpu"), None, data=x)
print([name for name in ("torch._dynamo", "sympy", "matplotlib", "umap") if name in sys.modules])
"""


def test_training_imports_no_compiler_and_nothing_else_that_takes_seconds(fork_server, tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    done = fork_server.run(file=tmp_path / "script.py")
    assert done.stdout == "[]\n", done
