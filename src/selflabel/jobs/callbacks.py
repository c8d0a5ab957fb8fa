"""Functions that jobs call on the way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from selflabel.training.loop import LoopCallbacks


@dataclass(frozen=True)
class Callbacks:
    """Functions that a job calls; all do nothing by default.

    Attributes:
        say: with a sentence for the user.
        on_progress: with (name of the step, items done, items in all); of a step whose length is unknown with two zeros, once.
        loop: those of the training loop.
    """

    say: Callable[[str], None] = lambda text: None
    on_progress: Callable[[str, int, int], None] = lambda step, done, total: None
    loop: LoopCallbacks = field(default_factory=LoopCallbacks)
