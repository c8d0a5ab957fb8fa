"""A bad item is skipped and listed, whatever its decoder does and whatever stands at its place."""

import os
import socket
import struct

import numpy as np
import pytest
import torch
from PIL import Image

from selflabel.evaluation.sheet import contact_sheet
from selflabel.jobs.callbacks import Callbacks
from selflabel.jobs.prepare import prepare
from selflabel.runs.pictures import tile_reader
from tests.films import bars, tone, write_film

CPU = torch.device("cpu")


def wav(rate, channels, samples):
    """A WAV file of any header."""
    data = tone(400, 1, samples).tobytes()
    head = struct.pack("<IHHIIHH", 16, 1, channels, rate, (rate * 2 * channels) % 2**32, (2 * channels) % 2**16, 16)
    return b"RIFF" + struct.pack("<I", 36 + len(data)) + b"WAVEfmt " + head + b"data" + struct.pack("<I", len(data)) + data


@pytest.mark.slow
def test_sounds_of_impossible_headers_are_skipped_or_read_and_never_end_the_run(tmp_path):
    for i in range(4):
        (tmp_path / f"{i}.wav").write_bytes(wav(8000, 1, 8000))
    headers = {"rate1": (1, 1, 6), "ch60": (16_000, 60, 9000), "ch255": (16_000, 255, 100_000), "rate0": (0, 1, 99)}
    for name, (rate, channels, samples) in headers.items():
        (tmp_path / f"z{name}.wav").write_bytes(wav(rate, channels, samples))
    items = prepare(str(tmp_path), CPU, cache=str(tmp_path / "cache")).items
    assert [name for name in items.paths if not name.startswith("z")] == [f"{i}.wav" for i in range(4)]
    reasons = dict(items.skipped)
    assert {*items.paths, *reasons} == {p.name for p in tmp_path.glob("*.wav")}
    assert all(reason and "\n" not in reason for reason in reasons.values())


@pytest.mark.slow
def test_a_film_of_an_unknown_codec_is_skipped(tmp_path):
    rng = np.random.default_rng(0)
    for i in range(4):
        write_film(tmp_path / f"{i}.mp4", bars(10, i % 2, rng))
    data = (tmp_path / "0.mp4").read_bytes().replace(b"mp4v", b"zzzz")
    kind = data.index(b"\x20\x11", data.index(b"esds"))  # MPEG-4 video, a visual stream
    (tmp_path / "z.mp4").write_bytes(data[:kind] + b"\xfe" + data[kind + 1 :])
    items = prepare(str(tmp_path), CPU, cache=str(tmp_path / "cache")).items
    assert items.paths == [f"{i}.mp4" for i in range(4)] and [name for name, _ in items.skipped] == ["z.mp4"]


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no named pipes")
def test_what_is_no_regular_file_is_skipped(tmp_path):
    for i in range(4):
        Image.new("RGB", (20, 20), (60 * i, 0, 0)).save(tmp_path / f"{i}.png")
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "folder.jpg").mkdir()
    (tmp_path / "zero.jpg").symlink_to("/dev/zero")
    (tmp_path / "gone.jpg").symlink_to(tmp_path / "nowhere")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(os.path.relpath(tmp_path / "socket.jpg"))
        lines = []
        items = prepare(str(tmp_path), CPU, cache=str(tmp_path / "cache"), callbacks=Callbacks(lines.append)).items
    assert items.paths == [f"{i}.png" for i in range(4)]
    assert {name for name, _ in items.skipped} >= {"pipe.jpg", "zero.jpg", "gone.jpg", "socket.jpg"}


def test_an_item_that_breaks_after_it_was_labelled_is_a_grey_tile(tmp_path):
    for i in range(3):
        Image.new("RGB", (20, 20), "red").save(tmp_path / f"{i}.png")
    items = prepare(str(tmp_path), CPU, cache=str(tmp_path / "cache")).items
    (tmp_path / "1.png").unlink()
    sheet = np.asarray(contact_sheet(np.zeros(3, int), np.array([0.9, 0.8, 0.7]), tile_reader(items)))
    assert [tuple(sheet[20, x]) for x in (90, 140, 190)] == [(255, 0, 0), (200, 200, 200), (255, 0, 0)]
