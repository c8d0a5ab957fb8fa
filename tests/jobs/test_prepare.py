"""From a source to tensors: what is chosen for which items, what is skipped, and what is kept."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from safetensors.torch import save_file
from scipy.io import wavfile

from selflabel.base import files
from selflabel.base.errors import UserError
from selflabel.decode.look import MediaInfo
from selflabel.encoders import make_encoder
from selflabel.jobs.callbacks import Callbacks
from selflabel.jobs.prepare import prepare
from selflabel.jobs.prepare.choices import choose_encoder, choose_px, storage_format, stored_px, with_frames
from selflabel.jobs.prepare.decoding import array_digest, bounds_of_shares, square_images
from selflabel.training.distributed import Ranks
from tests.films import tone, write_film

CPU, GPU = torch.device("cpu"), torch.device("cuda")
GLYPH, PHOTO, FILM = MediaInfo("glyph", 28, 1), MediaInfo("photo", 300, 3), MediaInfo("video", 200, 3, 6.0)
SOUND = MediaInfo("sound", 0, 1, 4.0, 8000)


def test_the_network_follows_the_items_and_the_device():
    def choices(preset, device):
        return [choose_encoder("auto", info, preset, device) for info in (GLYPH, PHOTO, FILM, SOUND)]

    assert choices(None, CPU) == ["conv4", "resnet9", "clip9", "resnet9"]
    assert choices(None, GPU) == ["conv4", "resnet18", "r2plus1d", "resnet9"]
    assert choices("paper", CPU) == ["alexnet", "alexnet", "r2plus1d", "resnet9-wide"]
    assert choose_encoder("scratch", PHOTO, None, CPU) == "resnet9"
    assert choose_encoder("resnet50", GLYPH, None, CPU) == "resnet50"
    with pytest.raises(UserError, match="need no encoder"):
        choose_encoder("resnet9", MediaInfo("features"), None, CPU)
    with pytest.raises(UserError, match="feature input"):
        choose_encoder("frozen", PHOTO, None, CPU)


def test_the_side_of_a_view_follows_the_items_the_network_and_the_request():
    assert [choose_px(None, info, "resnet9", None, CPU) for info in (GLYPH, PHOTO, FILM, SOUND)] == [28, 128, 64, 64]
    assert choose_px(None, PHOTO, "resnet9", "paper", CPU) == 224 and choose_px(77, PHOTO, "resnet9", None, CPU) == 77
    assert choose_px(None, PHOTO, "frozen:timm:resnet10t", None, CPU) == 176  # its own
    assert choose_px(None, MediaInfo("photo", 3, 3), "resnet9", None, CPU) == 8
    assert stored_px(224, MediaInfo("photo", 90, 3), frozen=True) == 90 and stored_px(224, PHOTO, frozen=False) == 224


def test_films_and_sounds_are_stored_by_their_length():
    film = with_frames(FILM, None, None, None)
    assert film.frames == 8 and storage_format(film, 64).shape == (24, 3, 64, 64)
    paper = with_frames(FILM, "paper", None, None)
    assert (paper.frames, paper.rate) == (30, 30) and storage_format(paper, 112).shape == (180, 3, 112, 112)
    assert with_frames(FILM, None, 5, 2.0).frames == 5 and with_frames(PHOTO, "paper", 5, 2.0) == PHOTO
    assert storage_format(SOUND, 64).shape == (32_000,) and storage_format(GLYPH, 28).shape == (1, 28, 28)


@pytest.mark.parametrize("shape", [(5, 20, 30), (5, 30, 20, 1), (5, 20, 20, 3), (5, 20, 24, 4)])
@pytest.mark.parametrize("channels", [1, 3])
def test_arrays_become_their_middle_squares(shape, channels):
    array = np.random.default_rng(0).integers(0, 255, shape, dtype=np.uint8)
    square = square_images(array, 20, channels)
    assert square.shape == (5, channels, 20, 20) and square.dtype == np.uint8
    top, left = (shape[1] - 20) // 2, (shape[2] - 20) // 2
    first = array.reshape(*shape[:3], -1)[:, top : top + 20, left : left + 20, 0]
    assert np.array_equal(square[:, 0], first)
    assert square_images(array, 7, channels).shape == (5, channels, 7, 7)


def test_a_digest_depends_on_values_and_shape():
    a = np.arange(12, dtype=np.uint8).reshape(3, 4)
    assert array_digest(a) == array_digest(a.copy()) != array_digest(a.reshape(4, 3))
    assert array_digest(a) != array_digest(a + 1)


def test_items_that_cannot_be_decoded_are_skipped_and_said(tmp_path):
    for i in range(4):
        Image.fromarray(np.full((12, 12), 60 * i, np.uint8)).save(tmp_path / f"{i}.png")
    (tmp_path / "bad.png").write_bytes(b"junk")
    lines, progress = [], []
    callbacks = Callbacks(say=lines.append, on_progress=lambda *done: progress.append(done))
    prepared = prepare(str(tmp_path), CPU, callbacks=callbacks)
    assert prepared.items.paths == ["0.png", "1.png", "2.png", "3.png"] and prepared.items.skipped[0][0] == "bad.png"
    assert "skipped 1 of 5 items" in lines[0] and progress[-1] == ("decoding", 5, 5)
    pixels = prepared.dataset(CPU, Ranks(), 0).view("image", torch.arange(4), "centre", 0).pixels
    assert torch.allclose(255 * pixels.mean(dim=(1, 2, 3)), torch.tensor([0.0, 60, 120, 180]), atol=1)


def test_a_method_of_one_modality_gets_one_and_says_so(tmp_path):
    write_film(tmp_path / "a.mp4", np.full((8, 32, 32, 3), 90, np.uint8), tone(400, 0.8))
    lines = []
    prepared = prepare(str(tmp_path), CPU, method="sela", encoder="scratch", callbacks=Callbacks(say=lines.append))
    assert list(prepared.modalities) == ["video"] and lines == ["method sela uses one modality: video; audio is not used."]
    assert list(prepare(str(tmp_path), CPU, max_modalities=2).modalities) == ["video", "audio"]
    assert list(prepare(str(tmp_path), CPU, modality="audio").modalities) == ["audio"]
    with pytest.raises(UserError, match="have video and audio"):
        prepare(str(tmp_path), CPU, modality="image")


def test_a_photo_among_sounds_of_a_manifest_does_not_decide_what_is_labelled(tmp_path):
    for name in "abc":
        wavfile.write(tmp_path / f"{name}.wav", 8000, tone(440, 1.0, rate=8000))
    Image.new("RGB", (20, 20)).save(tmp_path / "photo.png")
    rows = ["photo.png", "a.wav", "b.wav", "c.wav"]
    (tmp_path / "whole.csv").write_text("path\n" + "".join(f"{name}\n" for name in rows))
    (tmp_path / "spans.csv").write_text("path,start_s,end_s\n" + "".join(f"{name},0,.5\n" for name in rows))
    for table in ("whole.csv", "spans.csv"):
        prepared = prepare(str(tmp_path / table), CPU, cache=str(tmp_path / "cache"), workers=1)
        assert prepared.items.paths == rows[1:] and list(prepared.modalities) == ["audio"]
        assert [path for path, _ in prepared.items.skipped] == ["photo.png"]


def test_features_need_no_encoder_and_stay_as_they_are(blobs):
    x, _ = blobs(n=20)
    prepared = prepare(x, CPU)
    assert prepared.first.kind == "features" and prepared.first.encoder == "frozen"
    assert np.array_equal(prepared.dataset(CPU, Ranks(), 0).view("image", torch.arange(20), "centre", 0).pixels.numpy(), x)


def conv4_file(folder):
    """Random weights of conv4 for pictures of 16 px, in a file."""
    torch.manual_seed(0)
    save_file(make_encoder("conv4", 1, 16).state_dict(), folder / "conv4.safetensors")
    return str(folder / "conv4.safetensors")


def test_a_fixed_backbone_leaves_features_that_are_computed_once(signs, tmp_path):
    x, _ = signs(30)
    given = {"encoder": "frozen:conv4", "weights": conv4_file(tmp_path), "cache": str(tmp_path)}
    first = prepare(x, CPU, **given)
    assert first.first.kind == "features" and first.first.tensor.shape == (30, 512) and first.first.backbone is not None
    (file,) = tmp_path.glob("*/features-*.npy")
    stamp = file.stat().st_mtime_ns
    again = prepare(x, CPU, **given)
    assert file.stat().st_mtime_ns == stamp and np.array_equal(first.first.tensor, again.first.tensor)


def test_damaged_features_are_computed_anew_and_those_that_cannot_be_kept_are_used(signs, tmp_path, monkeypatch):
    x, _ = signs(20)
    given = {"encoder": "frozen:conv4", "weights": conv4_file(tmp_path), "cache": str(tmp_path)}
    first = prepare(x, CPU, **given).first.tensor
    (file,) = tmp_path.glob("*/features-*.npy")
    for content in (b"", file.read_bytes()[:300], b"junk"):
        file.write_bytes(content)
        assert np.array_equal(prepare(x, CPU, **given).first.tensor, first)
    file.unlink()
    file.mkdir()  # nothing can be written there
    lines = []
    monkeypatch.setattr(files, "FULL_WORDS", ("Is a directory",))
    again = prepare(x, CPU, **given, callbacks=Callbacks(lines.append)).first.tensor
    assert np.array_equal(again, first) and "not kept for the next run" in lines[-1] and "disk is full" in lines[-1]


@given(st.lists(st.integers(0, 12), min_size=1, max_size=12), st.integers(1, 6))
def test_ranks_share_all_items_and_read_whole_files_where_these_are_even_enough(sizes, world):
    files = [f"{i}.tar" for i, size in enumerate(sizes) for _ in range(size)]
    bounds = bounds_of_shares(files, world)
    assert bounds == sorted(bounds) and bounds[0] == 0 and bounds[-1] == len(files) and len(bounds) == world + 1
    shares = [end - start for start, end in pairwise(bounds)]
    is_even = max(shares) - min(shares) <= 1
    assert is_even or (min(shares) > 0 and all(files[b - 1] != files[b] for b in bounds[1:-1]))
    assert max(shares) <= 1.25 * len(files) / world or is_even


def test_a_tar_is_read_by_one_rank_where_there_are_enough():
    assert bounds_of_shares(["a"] * 90 + ["b"] * 110 + ["c"] * 100 + ["d"] * 105, 2) == [0, 200, 405]
    assert bounds_of_shares(["a"] * 100 + ["b"] * 300, 2) == [0, 200, 400]
    assert bounds_of_shares([str(i) for i in range(10)], 4) == [0, 2, 5, 7, 10]
