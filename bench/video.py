"""What decoding films costs: decode speed over bare PyAV's, and training from the decoded store over training from memory.

Decode speed is that of one core: frames and sound as `label` stores them (small squares, mono at one rate), over two loops on the
same seconds of the same two tracks: one decodes and throws everything away, and one makes arrays of the frames that are wanted,
at their own size, and of the sound as `label` wants it. Training is an epoch of the loop on films that are read from the
memory-mapped store, over one on the same films in memory, where nothing is decoded or read.

    python -m bench.video FOLDER_OF_FILMS [repeats]
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import takewhile
from pathlib import Path

import torch

from selflabel.base.settings import Settings, make_settings
from selflabel.contract import split_batches
from selflabel.decode.sound import decode_sound
from selflabel.decode.video import SPAN_S, decode_clip, open_media, seconds_of
from selflabel.items import open_items
from selflabel.jobs.build import make_method, make_task
from selflabel.jobs.prepare import Prepared, prepare
from selflabel.jobs.prepare.choices import storage_format
from selflabel.methods import find_method
from selflabel.training.data import ResidentData
from selflabel.training.distributed import Ranks
from selflabel.training.loop import Loop, LoopCallbacks, LoopState
from selflabel.training.optimisers import make_optimiser
from selflabel.training.stored import writeable

RESULTS = Path(__file__).parents[1] / "results"
MAX_FILMS, EPOCHS = 100, 2
CPU = torch.device("cpu")


def ours(file: str, frames: int, px: int, samples: int, rate: int) -> None:
    """Decode as `label` does."""
    decode_clip(file, frames, px)
    decode_sound(file, samples, rate)


def bare(file: str, frames: int = 0, rate: int = 0) -> None:
    """Decode the middle SPAN_S seconds of the picture, and the sound; `frames` of it to arrays, and the sound at `rate`."""
    import av

    with open_media(file) as container:
        stream = container.streams.video[0]
        length = seconds_of(container, stream)
        first = max(0.0, (length - SPAN_S) / 2)
        if first:
            container.seek(int(first * 1_000_000), backward=True)
        every = min(length, SPAN_S) / max(1, frames)
        due = first
        for frame in takewhile(lambda f: f.time is None or f.time <= first + SPAN_S, container.decode(stream)):
            if frames and (frame.time or 0.0) >= due:
                frame.to_ndarray(format="rgb24")
                due += every
    with open_media(file) as container:
        resampler = av.AudioResampler(format="s16", layout="mono", rate=rate) if rate else None
        for frame in container.decode(container.streams.audio[0]) if container.streams.audio else ():
            for part in resampler.resample(frame) if resampler else ():
                part.to_ndarray()


def seconds_for(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def decoding(folder: str, prepared: Prepared, repeats: int) -> dict:
    """Milliseconds a film of each way, and the ratios."""
    films = [b.file for b in open_items(folder).blobs["video"][:MAX_FILMS] if b is not None]
    parts = prepared.modalities
    clip, sound = (storage_format(parts[m].info, parts[m].px) for m in ("video", "audio"))
    ways = {
        "ours": lambda f: ours(f, clip.shape[0], clip.shape[2], sound.shape[0], int(sound.rate)),
        "bare": bare,
        "bare to arrays": lambda f: bare(f, clip.shape[0], int(sound.rate)),
    }
    rounds = [{way: seconds_for(lambda w=work: [w(f) for f in films]) for way, work in ways.items()} for _ in range(repeats + 1)]
    rounds = rounds[1:]  # the first reads the disk
    times = {f"milliseconds a film, {w}": round(1000 * statistics.median(r[w] for r in rounds) / len(films), 2) for w in ways}
    ratios = {
        f"decode speed over {w}": round(statistics.median(r[w] / r["ours"] for r in rounds), 3) for w in ways if w != "ours"
    }
    return {"films": len(films), **times, **ratios}


def with_items(data: ResidentData, tensors: dict[str, torch.Tensor]) -> ResidentData:
    """The set with other tensors of the same items."""
    for m, x in tensors.items():
        data = data.with_stored(m, replace(data.stored[m], items=x))
    return data


def training(prepared: Prepared, settings: Settings, repeats: int) -> dict:
    """Films a second of the loop's steps, from the store and from memory, in turns."""
    task = make_task(settings, prepared, CPU)
    method = make_method(find_method("sela-nn").make, settings.method, settings.options, task, prepared, CPU)
    phase, data = method.phases()[-1], prepared.dataset(CPU, Ranks(), 0)
    data.encoders = method.encoders
    mapped = {m: torch.from_numpy(writeable(part.tensor)) for m, part in prepared.modalities.items()}
    store, memory = with_items(data, mapped), with_items(data, {m: s.items.clone() for m, s in data.stored.items()})
    optimiser = make_optimiser(phase.recipe, list(method.parameters()))

    def epochs(data: ResidentData) -> None:
        loop = Loop(method, data, None, 0, LoopCallbacks(), LoopState())
        loop.parameters, loop.optimiser = list(method.parameters()), optimiser
        method.train()
        for epoch in range(EPOCHS):
            loop.state.epoch = epoch
            for rows in split_batches(torch.randperm(data.n_items)[:, None], phase.batch_size):
                loop.train_step(phase, rows, progress=0.5)

    epochs(memory)
    pairs = [(seconds_for(lambda: epochs(store)), seconds_for(lambda: epochs(memory))) for _ in range(repeats)]
    n = EPOCHS * task.n_items
    return {
        "films a second from the store": round(n / statistics.median(a for a, _ in pairs), 1),
        "films a second from memory": round(n / statistics.median(b for _, b in pairs), 1),
        "training over decode-free": round(statistics.median(b / a for a, b in pairs), 3),
    }


def main() -> None:
    if len(sys.argv) < 2:
        raise SystemExit(__doc__)
    repeats = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    torch.manual_seed(0)
    settings = make_settings(source=sys.argv[1], clusters=7, device="cpu")
    prepared = prepare(settings.source, CPU, max_modalities=2, encoder="scratch")
    content = decoding(sys.argv[1], prepared, repeats) | training(prepared, settings, repeats)
    print(json.dumps(content, indent=1))
    (RESULTS / "video.json").write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
