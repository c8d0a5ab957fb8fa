"""What a run has seen: items of other kinds and of another scale are unlike it, in whatever order the run's items came."""

import pytest
import torch

from selflabel.evaluation.seen import Seen


@pytest.fixture
def features():
    """(400, 16) features of ten classes that take turns, as burst pictures or sorted pairs do."""
    generator = torch.Generator().manual_seed(0)
    centres = 4 * torch.randn(10, 16, generator=generator)
    return centres[torch.arange(400) % 10] + torch.randn(400, 16, generator=generator)


@pytest.mark.parametrize(
    "change", [lambda x: -x, lambda x: 100 * x, lambda x: x / 100, lambda x: x.roll(3, dims=1), torch.ones_like]
)
def test_what_is_unlike_every_class_is_found_where_classes_take_turns(features, change):
    seen = Seen.fit(features[:300])
    assert seen.is_unlike(features[300:]).float().mean() < 0.05
    assert seen.is_unlike(change(features[300:])).float().mean() > 0.95
