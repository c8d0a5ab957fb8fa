import numpy as np

from selflabel.evaluation.sound_swap import peaks, sound_swap


def blob(y, x, value=0.9):
    heat = np.full((12, 12), 0.1)
    heat[y, x] = value
    return heat


def test_maps_that_do_not_follow_the_sound_are_told_from_those_that_do():
    own = np.stack([blob(2, 3), blob(8, 8)])
    deaf = sound_swap(own, own, own)
    assert (deaf.moved, deaf.correlation, deaf.other_peak, deaf.silent_peak) == (0, 1, 1, 1)
    hearing = sound_swap(own, np.stack([blob(9, 3, 0.6), blob(8, 1, 0.6)]), np.full_like(own, 0.1))
    assert hearing.moved == 1 and hearing.correlation < 0.1 and round(hearing.other_peak, 2) == 0.67 and hearing.silent_peak < 0.2
    np.testing.assert_allclose(peaks(own), [[3.5 / 12, 2.5 / 12], [8.5 / 12, 8.5 / 12]])
