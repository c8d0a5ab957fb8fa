"""What decoding films costs: decode speed over bare PyAV's, and training from the decoded store over training from memory.

Decode speed is of one core: frames and sound as `label` stores them (small squares, mono at one rate), over two loops on the same
stretch of the same two tracks: one that decodes and throws everything away, and one that makes arrays of the frames that are
wanted, at their own size, and of the sound as `label` wants it. Training is an epoch of the loop on films that are read from
the memory-mapped store, over one on the same films in memory, where nothing is decoded or read.

    python -m bench.video FOLDER_OF_FILMS [repeats]
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from itertools import takewhile
from pathlib import Path

import torch

from selflabel.base.settings import make_settings
from selflabel.decode.sound import decode_sound
from selflabel.decode.video import SPAN_S, decode_clip, open_media, seconds_of
from selflabel.items import open_items
from selflabel.jobs.label import make_method, make_task
from selflabel.jobs.prepare import Notices, Prepared, form_of, prepare
from selflabel.methods import find_method
from selflabel.training.data import as_writable
from selflabel.training.distributed import Ranks
from selflabel.training.loop import Place, evenly_split, learn, make_optimiser

RESULTS = Path(__file__).parents[1] / "results"
MOST_FILMS, EPOCHS = 100, 2


def ours(file: str, frames: int, px: int, samples: int, rate: int) -> None:
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


def seconds_for(work) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def decoding(folder: str, prepared: Prepared, repeats: int) -> dict:
    films = [b.file for b in open_items(folder).blobs["video"][:MOST_FILMS] if b is not None]
    clip, sound = (form_of(prepared.parts[m].look, prepared.parts[m].px) for m in ("video", "audio"))
    ways = {
        "ours": lambda f: ours(f, clip.shape[0], clip.shape[2], sound.shape[0], sound.rate),
        "bare": bare,
        "bare to arrays": lambda f: bare(f, clip.shape[0], sound.rate),
    }
    rounds = [{way: seconds_for(lambda w=work: [w(f) for f in films]) for way, work in ways.items()} for _ in range(repeats + 1)]
    rounds = rounds[1:]  # the first reads the disk
    found = {f"milliseconds a film, {w}": round(1000 * statistics.median(r[w] for r in rounds) / len(films), 2) for w in ways}
    ratios = {
        f"decode speed over {w}": round(statistics.median(r[w] / r["ours"] for r in rounds), 3) for w in ways if w != "ours"
    }
    return {"films": len(films), **found, **ratios}


def training(prepared: Prepared, settings, repeats: int) -> dict:
    """Films a second of the loop's steps, from the store and from memory, in turns."""
    device = torch.device("cpu")
    task = make_task(settings, prepared, device)
    method = make_method(find_method("sela-nn").make, settings, task, prepared, device)
    phase = method.phases()[-1]
    stores = {}
    for way in ("store", "memory"):
        data = prepared.data(device, Ranks(), 0)
        data.encoders = method.encoders
        if way == "store":
            data.items = {m: torch.from_numpy(as_writable(p.tensor)) for m, p in prepared.parts.items()}
        else:
            data.items = {m: x.clone() for m, x in data.items.items()}
        stores[way] = data
    optimiser = make_optimiser(phase.recipe, list(method.parameters()))

    def epochs(data) -> None:
        method.train()
        for epoch in range(EPOCHS):
            for rows in evenly_split(torch.randperm(data.n_items)[:, None], phase.batch):
                learn(method, data, phase, optimiser, rows, 0.5, Place(epoch=epoch), 0)

    epochs(stores["memory"])
    pairs = [
        (seconds_for(lambda: epochs(stores["store"])), seconds_for(lambda: epochs(stores["memory"]))) for _ in range(repeats)
    ]
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
    prepared = prepare(settings, torch.device("cpu"), Notices(), most=2)
    found = decoding(sys.argv[1], prepared, repeats) | training(prepared, settings, repeats)
    print(json.dumps(found, indent=1))
    (RESULTS / "video.json").write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
