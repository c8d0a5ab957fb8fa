"""Modalities that are shown together show the same seconds of a film."""

import numpy as np
import pytest
import torch

from selflabel.base.errors import UserError
from selflabel.contract import Phase, Recipe
from selflabel.decode.formats import DecodedFormat
from selflabel.items import Blob
from selflabel.jobs.prepare import prepare
from selflabel.training.batches import make_batch
from selflabel.training.data import ResidentData
from selflabel.training.distributed import Ranks
from selflabel.training.stored import StoredClips, StoredFeatures, StoredImages, StoredSounds
from selflabel.views import draw_windows, key_of
from tests.decode.test_seconds import flashing_film, pulses
from tests.films import RATE

CPU, N = torch.device("cpu"), 4
NAN = torch.tensor([[torch.nan, torch.nan]])


def phase(together=(), video=("selavi",), audio=("dropout",)):
    """One that shows films and sounds without a change of colour or of time but for the window."""
    return Phase("x", 1, {"video": video, "audio": audio}, Recipe(0.1, lambda t: 1.0), lambda batch: {}, together=together)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Films of 12 s that are white and sound at the same times, each at its own."""
    folder = tmp_path_factory.mktemp("films")
    for i in range(N):
        flashing_film(folder / f"{i}.mp4", pulses(12, seed=i, step=0.5)[:24])
    return folder


def prepared(folder, **given):
    with_defaults = {"encoder": "scratch", "px": 16, "max_modalities": 2, "cache": str(folder.parent / "cache")} | given
    return prepare(str(folder), CPU, workers=1, **with_defaults).dataset(CPU, Ranks(), 0)


def agreement(batch, view=0):
    """The correlation between how bright the frames of a view are and how loud the sound is at the same share of its view."""
    bright = batch.views["video"][view].pixels.mean(dim=(1, 3, 4))
    loud = batch.views["audio"][view].pixels.amax(dim=2, keepdim=True)
    loud = torch.nn.functional.interpolate(loud[:, 0], size=bright.shape[1], mode="area")[:, 0]
    bright, loud = (x - x.mean(dim=1, keepdim=True) for x in (bright, loud))
    return float((bright * loud).sum() / (bright.norm() * loud.norm()))


def seconds_of(view, stored, rows):
    """(B, 2) seconds of the file that a view's span is."""
    own, real = stored.known_spans(rows), stored.real_shares(rows)
    return own[:, :1] + view.span / real * (own[:, 1:] - own[:, :1])


@pytest.mark.parametrize("given", [{}, {"fps": 10.0, "frames": 24}, {"rate": 8000}], ids=["spread", "consecutive", "8 kHz"])
def test_a_flash_and_its_tone_coincide_in_views_that_are_drawn_together_and_not_in_others(folder, given):
    data, rows = prepared(folder, **given), torch.arange(N).repeat(4)[:, None]
    together = make_batch(data, phase(("video", "audio"), ("selavi",) * 2, ("centre",) * 2), rows, 0.0, key=3)
    apart = make_batch(data, phase(), rows, 0.0, key=3)
    assert min(agreement(together, 0), agreement(together, 1)) > 0.7 > 0.5 > agreement(apart)
    for i in range(2):
        spans = [seconds_of(together.views[m][i], data.stored[m], rows[:, 0]) for m in ("video", "audio")]
        assert torch.allclose(*spans, atol=1e-3) and len(set(spans[0][:, 0].tolist())) == N  # a window belongs to the item
    first, second = (together.views["video"][i].span for i in range(2))
    assert not torch.equal(first, second)
    assert together.present["audio"].all() and "audio" not in apart.present


def test_one_frame_and_the_sound_around_it(folder):
    data, rows = prepared(folder, frames=1), torch.arange(N)[:, None]
    right = []
    for key in range(8):
        batch = make_batch(data, phase(("video", "audio"), ("selavi",), ("centre",)), rows, 0.0, key)
        bright = batch.views["video"][0].pixels.mean(dim=(1, 2, 3, 4)) > 0.5
        loud = batch.views["audio"][0].pixels.amax(dim=2)[:, 0]
        middle = loud.shape[1] // 2
        right += ((loud[:, middle - 2 : middle + 3].mean(dim=1) > 0.7) == bright).tolist()
    assert len(right) == 8 * N and np.mean(right) > 0.8


def test_views_in_the_middle_of_both_are_shown_where_no_view_is_random(folder):
    data, rows = prepared(folder), torch.arange(N)[:, None]
    batches = [make_batch(data, phase(("video", "audio"), ("centre",), ("centre",)), rows, 0.0, key) for key in (1, 2)]
    assert torch.equal(batches[0].views["audio"][0].pixels, batches[1].views["audio"][0].pixels) and agreement(batches[0]) > 0.75


def test_without_together_each_view_is_drawn_by_its_own_key(folder):
    data, rows = prepared(folder), torch.arange(N)
    apart = make_batch(data, phase(), rows[:, None], 0.0, key=5)
    for place, (m, preset) in enumerate((("audio", "dropout"), ("video", "selavi"))):
        assert torch.equal(apart.views[m][0].pixels, data.view(m, rows, preset, key_of(5, place, 0)).pixels)


def test_an_item_whose_modalities_share_no_time_is_shown_by_the_first(tmp_path):
    clip, n, span = DecodedFormat("clip", (8, 3, 16, 16)).decode(Blob(str(flashing_film(tmp_path / "a.mp4", pulses(6)))))
    clips = torch.from_numpy(np.stack([clip] * 4))
    waves = torch.randint(-9000, 9000, (4, 4 * RATE), dtype=torch.int16)
    lengths = torch.tensor([4 * RATE, 4 * RATE, 0, RATE])  # the third lacks it, and the last is short
    spans = torch.tensor([[1.0, 5.0], [40.0, 44.0], [torch.nan, torch.nan], [2.0, 3.0]], dtype=torch.float64)
    stored = {
        "video": StoredClips(clips, "video", torch.full((4,), n), None, torch.tensor([span] * 4, dtype=torch.float64), frames=4),
        "audio": StoredSounds(waves, "sound", lengths, None, spans, rate=RATE),
    }
    batch = make_batch(ResidentData(stored, CPU, Ranks(), 0), phase(("video", "audio")), torch.arange(4)[:, None], 0.0, key=1)
    assert batch.present["audio"].tolist() == [True, False, False, True]
    assert all(torch.isfinite(view.pixels).all() for views in batch.views.values() for view in views)
    assert batch.views["audio"][0].pixels.shape[0] == 4
    shown = seconds_of(batch.views["audio"][0], stored["audio"], torch.arange(4))
    assert torch.allclose(shown[3], torch.tensor([2.0, 3.0], dtype=torch.float64))  # all that there is, repeated


def test_pictures_and_features_have_no_time_to_share():
    for stored in (StoredImages(torch.zeros(2, 3, 8, 8), "photo", px=8), StoredFeatures(torch.zeros(2, 5), "features")):
        sound = StoredSounds(torch.zeros(2, 8000, dtype=torch.int16), "sound", rate=4000)
        data = ResidentData({"video": stored, "audio": sound}, CPU, Ranks(), 0)
        with pytest.raises(UserError, match="video: is stored as"):
            data.window(("video", "audio"), torch.arange(2), 1)
    with pytest.raises(UserError, match="audio: which seconds"):
        data.window(("audio", "audio"), torch.arange(2), 1)


@pytest.mark.parametrize("together", [("video",), ("video", "image"), ("video", "video")])
def test_a_phase_names_modalities_with_equally_many_views(together):
    with pytest.raises(ValueError, match="together"):
        phase(together)
    with pytest.raises(ValueError, match="together"):
        phase(("video", "audio"), ("centre",) * 2)


def test_windows_lie_in_what_is_shared_and_belong_to_the_item():
    spans = [torch.tensor([[0.0, 10.0], [0.0, 3.0], [0.0, 10.0]]), torch.tensor([[4.0, 14.0], [2.9, 8.0], [torch.nan] * 2])]
    present = [torch.ones(3, dtype=torch.bool), torch.tensor([True, True, False])]
    rows = torch.tensor([5, 6, 7])
    window = draw_windows(spans, present, 2.0, 9, rows)
    assert window.is_shared.tolist() == [True, False, True]  # a tenth of a second is too little
    assert window.span_s[0, 0] >= 4 and window.span_s[0, 1] <= 10 and 0 <= window.span_s[2, 0] <= 8
    assert torch.allclose((window.span_s[:, 1] - window.span_s[:, 0])[[0, 2]], torch.full((2,), 2.0, dtype=torch.float64))
    again = draw_windows([s[[2, 0]] for s in spans], [p[[2, 0]] for p in present], 2.0, 9, rows[[2, 0]])
    assert torch.equal(again.span_s, window.span_s[[2, 0]])
    unknown = draw_windows([spans[0][:1], NAN], [present[0][:1]] * 2, 2.0, 9, rows[:1])
    assert not unknown.is_shared.any()  # seconds that are not known may be any


def test_random_windows_start_when_a_frame_does(folder):
    """Else where its sound was cut would tell a film from others: the shortcut that "Objects that Sound" warns of."""
    data, rows = prepared(folder), torch.arange(N).repeat(8)[:, None]
    batch = make_batch(data, phase(("video", "audio")), rows, 0.0, key=5)
    starts = seconds_of(batch.views["audio"][0], data.stored["audio"], rows[:, 0])[:, 0]
    frame_s, step_s = data.stored["video"].frame_grid(rows[:, 0])
    steps = (starts - frame_s) / step_s
    assert (steps - steps.round()).abs().max() < 0.01 and len(set(steps.round().tolist())) > 2
    off_grid = draw_windows(
        [s.known_spans(rows[:, 0]) for s in data.stored.values()], [torch.ones(8 * N).bool()] * 2, 2.0, 5, rows[:, 0]
    )
    assert ((off_grid.span_s[:, 0] - frame_s) / step_s % 1 - 0.5).abs().min() < 0.25  # without the grid they start anywhere
