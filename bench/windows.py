"""What it costs to cut a long file into windows: beside one plain pass of PyAV over it, to the same rate or the same frames.

Recordings (FLAC and MP3, 44.1 kHz) become windows of 3 s at 16 kHz, once side by side and once with half overlap; films (H.264,
640 x 480) become windows of 3 s with 12 frames of 64 px. Figures are seconds of processor time of one worker process, without its
start, and medians over runs in turns with the plain pass. Memory is the peak of anonymous memory in the worker, for short and
for long files. What it costs to measure the file's length before is given by itself.

    python -m bench.windows [repeats]
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

import av
import numpy as np

from selflabel.decode.formats import DecodedFormat
from selflabel.decode.lengths import track_seconds
from selflabel.decode.limits import DEFAULT_LIMITS
from selflabel.decode.processes import run_tasks
from selflabel.decode.store import make_arrays
from selflabel.decode.workers import Decode, tasks_of
from selflabel.items import Blob, Piece
from selflabel.items.windows import windows_of

RESULTS = Path(__file__).parents[1] / "results"
OWN_RATE, RATE, WINDOW_S = 44_100, 16_000, 3.0
FRAMES, PX, FPS, SIZE = 12, 64, 25, (480, 640)
SOUNDS = {".flac": "flac", ".mp3": "libmp3lame"}


class Measured(Decode):
    """Decodes a row, and returns its worker's processor time in seconds and anonymous memory in MB."""

    def __call__(self, row: int, item) -> tuple[float, float]:
        began = time.process_time()
        super().__call__(row, item)
        cost = time.process_time() - began
        status = Path("/proc/self/status").read_text(encoding="ascii")
        return cost, int(status.split("RssAnon:")[1].split()[0]) / 1024


def write_recording(file: Path, minutes: int) -> Path:
    """Tones and noise that change, ten seconds at a time."""
    rng, n = np.random.default_rng(0), OWN_RATE * 10
    t = np.arange(n) / OWN_RATE
    blocks = [0.3 * np.sin(2 * np.pi * (200 + 150 * i + 20 * t) * t) + 0.02 * rng.standard_normal(n) for i in range(6)]
    samples = [(block * 32767).astype(np.int16)[None] for block in blocks]
    with av.open(str(file), "w") as out:
        stream = out.add_stream(SOUNDS[file.suffix], rate=OWN_RATE)
        stream.layout = "mono"
        for i in range(minutes * 6):
            frame = av.AudioFrame.from_ndarray(samples[i % 6], format="s16", layout="mono")
            frame.sample_rate, frame.pts = OWN_RATE, i * n
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return file


def write_film(file: Path, minutes: int) -> Path:
    """A picture that wanders, at FPS frames a second."""
    rng, (h, w) = np.random.default_rng(0), SIZE
    wide = np.kron(rng.integers(0, 255, (h // 8, w // 4, 3)), np.ones((8, 8, 1))).astype(np.uint8)
    frames = [np.ascontiguousarray(wide[:, x : x + w]) for x in range(0, w, 2)]
    with av.open(str(file), "w") as out:
        stream = out.add_stream("libx264", rate=FPS, options={"preset": "ultrafast"})
        stream.height, stream.width, stream.pix_fmt = h, w, "yuv420p"
        for i in range(minutes * 60 * FPS):
            out.mux(stream.encode(av.VideoFrame.from_ndarray(frames[i % len(frames)], format="rgb24")))
        out.mux(stream.encode(None))
    return file


def plain_sound(file: Path) -> float:
    """Processor seconds of one pass over a sound, mixed and resampled."""
    began = time.process_time()
    with av.open(str(file)) as container:
        resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE)
        for frame in container.decode(audio=0):
            for part in resampler.resample(frame):
                part.to_ndarray()
    return time.process_time() - began


def plain_film(file: Path) -> float:
    """Processor seconds of one pass over a film, the same frames made small."""
    began, due = time.process_time(), 0.0
    resizer = av.video.reformatter.VideoReformatter()
    with av.open(str(file)) as container:
        for frame in container.decode(video=0):
            if frame.time + 1e-6 >= due:
                due += WINDOW_S / FRAMES
                resizer.reformat(frame, width=round(PX * SIZE[1] / SIZE[0]), height=PX, format="gbrp", interpolation="AREA")
    return time.process_time() - began


def cut(file: Path, target: DecodedFormat, seconds: float, hop: float) -> tuple[float, float]:
    """(processor seconds, peak anonymous MB) of a worker that decodes all windows of a file."""
    from bench.windows import Measured  # by its own name, for workers; this module may be the main script

    rows = {i: Blob(str(file), piece=Piece(span_s=span)) for i, span in enumerate(windows_of(seconds, WINDOW_S, hop))}
    with tempfile.TemporaryDirectory() as folder:
        make_arrays(Path(folder), len(rows), target)
        found = run_tasks(Measured(target, Path(folder)), tasks_of(rows, target, 1), 1, DEFAULT_LIMITS)
    return sum(cost for cost, _ in found.values()), max(peak for _, peak in found.values())


def measured(file: Path, repeats: int) -> dict[str, float]:
    """The figures of one file."""
    is_film = file.suffix == ".mp4"
    target = DecodedFormat("clip", (FRAMES, 3, PX, PX)) if is_film else DecodedFormat("sound", (round(WINDOW_S * RATE),), RATE)
    began = time.process_time()
    seconds = track_seconds("video" if is_film else "audio", Blob(str(file)))
    row = {"minutes": round(seconds / 60, 2), "seconds to measure the length": round(time.process_time() - began, 3)}
    plain, whole, overlapping = [], [], []
    for _ in range(repeats):
        plain.append((plain_film if is_film else plain_sound)(file))
        whole.append(cut(file, target, seconds, WINDOW_S))
        overlapping.append(cut(file, target, seconds, WINDOW_S / 2))
    row |= {"seconds of a plain pass": round(statistics.median(plain), 2)}
    for name, runs in {"windows side by side": whole, "windows with half overlap": overlapping}.items():
        row[f"{name}, seconds"] = round(statistics.median(cost for cost, _ in runs), 2)
        row[f"{name}, times a plain pass"] = round(statistics.median(c / p for (c, _), p in zip(runs, plain)), 3)
        row[f"{name}, peak MB"] = round(max(peak for _, peak in runs), 1)
    print(file.name, row, flush=True)
    return row


def main() -> None:
    repeats = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    with tempfile.TemporaryDirectory() as place:
        files = {f"sound, {ending[1:]}, {m} min": (f"{m}{ending}", write_recording, m) for ending in SOUNDS for m in (10, 60)}
        files |= {f"film, h264, {m} min": (f"{m}.mp4", write_film, m) for m in (2, 10)}
        content = {name: measured(write(Path(place) / file, m), repeats) for name, (file, write, m) in files.items()}
    (RESULTS / "windows.json").write_text(json.dumps({"repeats": repeats} | content, indent=1) + "\n")


if __name__ == "__main__":
    main()
