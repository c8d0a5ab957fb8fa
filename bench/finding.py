"""`found` and `cut` with masks beside the encoder alone, on the same photos in one process on one core, and their memory.

The photos are those of ECSSD, over and over; the encoder is EfficientNet-Lite0 at 384 px. A chunk of photos goes through the
encoder, through `found` and through `cut`, and so on, so that what else the machine does meets all three.
Times are seconds of the processor. `found` learns once, from as many photos as it likes; the rate over all photos counts it once.

    OMP_NUM_THREADS=1 python -m bench.finding [photos] [photos that are timed]
"""

from __future__ import annotations

import json
import platform
import sys
import time
from dataclasses import replace
from datetime import date
from itertools import zip_longest

import numpy as np
import torch

from bench.maps import rss_anon_mb
from bench.video import RESULTS
from reproduce.common import unpack_files
from reproduce.lite0 import ENCODER, lite0_weights
from reproduce.objects import PX
from selflabel.base.settings import make_settings
from selflabel.contract import Finder, Region, Shown
from selflabel.items import open_items
from selflabel.jobs.callbacks import Callbacks
from selflabel.jobs.finding import find_objects, learn, shown_photos
from selflabel.jobs.prepare.photos import Photos, decode_photos, photos_of, plan_photos
from selflabel.methods.find.cut import Cut
from selflabel.methods.find.cut import Options as CutOptions
from selflabel.methods.find.found import FOUND
from selflabel.methods.find.found import Options as FoundOptions

CHUNK = 32
DEFAULTS = (10_000, 1_024)
FLOORS = {"found": 0.9, "cut": 0.4}


class Nothing(Finder):
    """Finds nothing: what is left is the encoder."""

    layers = Cut.layers

    def find(self, shown: Shown) -> list[Region]:
        return []


def repeated(photos: Photos, rows: np.ndarray) -> Photos:
    """Photos of these rows, one row as often as it occurs."""
    lengths = None if photos.modality.lengths is None else photos.modality.lengths[rows]
    return Photos(photos.items.take(rows.tolist()), replace(photos.modality, index=rows, lengths=lengths), photos.sizes[rows])


def main() -> None:
    n, timed = (int(given) if given else default for given, default in zip_longest(sys.argv[1:3], DEFAULTS))
    folder, device, quiet = unpack_files("ecssd") / "items", torch.device("cpu"), Callbacks()
    settings = make_settings(source=str(folder), encoder=f"frozen:{ENCODER}", weights=str(lite0_weights()), px=PX)
    items = photos_of(open_items(str(folder)))
    all_photos = decode_photos(items, plan_photos(items, settings, device, quiet), settings, quiet)
    encoder = all_photos.modality.make_encoder().eval()
    rows = np.arange(n) % len(all_photos.items)
    finders: dict[str, Finder] = {"encoder": Nothing(None), "found": FOUND(FoundOptions()), "cut": Cut(CutOptions())}
    seconds, memory = dict.fromkeys(finders, 0.0), []
    began = time.process_time()
    learn(repeated(all_photos, rows), finders["found"], encoder, device, 0, quiet)
    learning = time.process_time() - began
    for start in range(0, timed, CHUNK):
        chunk = repeated(all_photos, rows[start : start + CHUNK])
        for name, finder in finders.items():
            began = time.process_time()
            if name == "encoder":
                for _ in shown_photos(chunk, finder.layers, encoder, device):
                    pass
            else:
                find_objects(chunk, finder, encoder, device, quiet)
            seconds[name] += time.process_time() - began
        memory.append(round(rss_anon_mb()))
        print(f"{start + CHUNK} of {timed}: {memory[-1]} MB, {seconds}", flush=True)
    each = {name: s / timed for name, s in seconds.items()}
    rates = {"found": each["encoder"] / (each["found"] + learning / n), "cut": each["encoder"] / each["cut"]}
    content = {
        "date": str(date.today()),
        "machine": f"one thread, {platform.machine()}, torch {torch.__version__}",
        "photos": n,
        "photos that were timed": timed,
        "milliseconds a photo": {name: round(1000 * s, 1) for name, s in each.items()},
        "seconds to learn": round(learning, 1),
        "share of the encoder's own rate": {name: round(rate, 3) for name, rate in rates.items()},
        "floors": FLOORS,
        "MB of memory of its own, from the first to the last chunk": [memory[0], memory[len(memory) // 2], memory[-1]],
    }
    (RESULTS / "finding.json").write_text(json.dumps(content, indent=1) + "\n")
    print(content)


if __name__ == "__main__":
    main()
