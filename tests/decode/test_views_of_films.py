import numpy as np
import torch

from selflabel.decode.video import decode_clip
from selflabel.jobs.prepare import prepare
from selflabel.training.distributed import Ranks
from selflabel.views import PRESETS, key_of, view_clips, view_sounds
from selflabel.views.sound import MELS, log_mel, mel_filters
from tests.films import grey_film, tone, write_set

rng = np.random.default_rng(0)


def test_frames_at_a_chosen_rate_lie_around_the_middle_and_a_view_takes_those_that_follow(tmp_path):
    times = np.arange(0, 4, 0.1)
    file = str(grey_film(tmp_path / "a.mkv", [round(10 + 50 * t) for t in times], times))
    clip, n = decode_clip(file, 10, 16, fps=5)  # two seconds of four
    levels = clip.mean(axis=(1, 2, 3))
    assert n == 10 and np.abs(levels - (10 + 50 * (1 + 0.2 * np.arange(10)))).max() < 8
    assert decode_clip(file, 100, 16, fps=5)[1] in (20, 21)  # then it loops; the last frame is never left out
    clips, rows, lengths = torch.from_numpy(clip)[None].expand(64, -1, -1, -1, -1), torch.arange(64), torch.full((64,), 10)
    still = view_clips(clips, PRESETS["centre"], 0, rows, frames=4, lengths=lengths).pixels
    assert np.abs(255 * still[0].mean(dim=(0, 2, 3)).numpy() - levels[3:7]).max() < 1
    random = view_clips(clips, PRESETS["selavi"], key_of(1), rows, frames=4, lengths=lengths).pixels
    means = 255 * random.mean(dim=(1, 3, 4)).numpy()
    assert np.abs(np.diff(means, axis=1) - 10).max() < 6 and len(np.unique(means[:, 0].round(-1))) > 5  # from any start


def test_a_bad_film_leaves_the_others_where_they_are_in_the_store(tmp_path):
    """No copy of the whole set for the sake of one broken item."""
    cpu, films, cache = torch.device("cpu"), tmp_path / "films", str(tmp_path / "cache")
    write_set(films, n=5, seconds=0.3)
    clean = prepare(str(films), cpu, max_modalities=2, cache=cache)
    wanted = clean.dataset(cpu, Ranks(), 0)
    (films / "0000-bad.mp4").write_bytes(b"junk")
    prepared = prepare(str(films), cpu, max_modalities=2, cache=cache)
    data, rows = prepared.dataset(cpu, Ranks(), 0), torch.tensor([4, 0, 2])
    assert prepared.items.paths == clean.items.paths and data.n_items == 5
    for m in ("video", "audio"):
        tensor, stored = prepared.modalities[m].tensor, data.stored[m]
        assert isinstance(tensor, np.memmap) and len(tensor) == 6
        assert torch.equal(stored.items[stored.index[rows]], wanted.stored[m].items[rows])
        assert torch.equal(stored.lengths, wanted.stored[m].lengths)


def test_a_view_of_a_film_moves_but_its_colours_and_frame_do_not():
    clips = torch.randint(0, 255, (1, 1, 3, 24, 24), dtype=torch.uint8).expand(2, 16, 3, 24, 24)
    views = view_clips(clips, PRESETS["video"], key_of(3), torch.tensor([0, 1]), px=16).pixels
    assert views.shape == (2, 3, 8, 16, 16)
    assert torch.allclose(views[:, :, :1].expand_as(views), views, atol=1e-5)  # a still film stays still
    assert not torch.allclose(views[0], views[1])
    second = view_clips(clips[1:], PRESETS["video"], key_of(3), torch.tensor([1]), px=16).pixels
    assert torch.allclose(second[0], views[1], atol=1e-5)


def test_a_spectrogram_shows_a_tone_where_it_is_whatever_its_loudness():
    low, high = (torch.from_numpy(tone(f, 1.0).copy())[None] for f in (300, 3000))
    a, b = log_mel(low.float() / 32768, 16_000)[0, 0], log_mel(high.float() / 32768, 16_000)[0, 0]
    assert a.shape[0] == MELS and a.mean(1).argmax() > b.mean(1).argmax()  # pitch goes up
    assert torch.allclose(log_mel(low.float() / 40_000, 16_000), log_mel(low.float() / 32768, 16_000), atol=1e-3)
    filters = mel_filters(16_000, 512, MELS)
    assert (filters.sum(dim=1) > 0).all()
    waves = torch.cat([low, low]).to(torch.int16)
    views = view_sounds(waves, PRESETS["sound"], key_of(1), torch.tensor([0, 1]), 16_000).pixels
    assert views.shape[:3] == (2, 1, MELS) and not torch.allclose(views[0], views[1])
    assert views.min() >= 0 and views.max() <= 1
