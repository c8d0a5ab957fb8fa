"""What a batch shows: the views of its items, of one window in time where modalities are shown together.

Axes: B groups of a batch, G items of a group.
"""

from __future__ import annotations

from torch import Tensor

from selflabel.contract import Batch, Phase
from selflabel.training.data import ResidentData
from selflabel.views import PRESETS, key_of

WINDOWS = 0x717E  # mixed into a batch's key for the windows in time that modalities share


def make_batch(data: ResidentData, phase: Phase, rows_BG: Tensor, progress: float, key: int) -> Batch:
    """Views of the items at these rows."""
    flat = rows_BG.reshape(-1)
    shared = [data.window(phase.together, flat, window_key(phase, i, key)) for i in range(phase.n_windows)]
    views = {
        modality: [
            data.view(modality, flat, preset, key_of(key, m, i), shared[i] if modality in phase.together else None)
            for i, preset in enumerate(presets)
        ]
        for m, (modality, presets) in enumerate(sorted(phase.views.items()))
    }
    lacking = data.lacking.union(phase.together[1:])
    present = {m: is_present[flat.to(is_present.device)] for m, is_present in data.present.items() if m in lacking}
    for m in phase.together[1:]:  # where an item's modalities share no time, the first one counts alone
        present[m] = present[m] & shared[0].is_shared.to(present[m].device)
    return Batch(rows_BG.to(data.device), views, progress, present)


def window_key(phase: Phase, view: int, key: int) -> int | None:
    """The key of the windows that one view of each modality shares; None for the middle, where no such view is random."""
    presets = [PRESETS[phase.views[m][view]] for m in phase.together]
    return None if all(preset.is_identity for preset in presets) else key_of(key, WINDOWS, view)
