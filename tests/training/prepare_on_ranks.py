"""What each rank runs under torchrun, and one process alone: decode and encode a folder, and say how many items this rank did."""

import json
import sys
from pathlib import Path

import numpy as np
import torch

from selflabel.jobs.prepare import decoding, frozen, prepare
from selflabel.training.distributed import join

if __name__ == "__main__":
    source, weights, out = sys.argv[1:]
    counts = {"decoded": 0, "encoded": 0}
    decode, view = decoding.decoded_items, frozen.ResidentData.view

    def counted(*args, **given):
        found = decode(*args, **given)
        counts["decoded"] += found.n_decoded
        return found

    def counted_view(self, modality, rows, *rest):
        counts["encoded"] += len(rows)
        return view(self, modality, rows, *rest)

    decoding.decoded_items, frozen.ResidentData.view = counted, counted_view
    device = torch.device("cpu")
    ranks = join(device)
    cache = str(Path(out) / "cache")
    prepared = prepare(source, device, encoder="frozen:timm:resnet10t", weights=weights, px=64, cache=cache, ranks=ranks)
    np.save(Path(out) / f"features{ranks.rank}.npy", prepared.modalities["image"].tensor)
    said = counts | {
        "skipped": sorted(row.path for row in prepared.items.skipped),
        "stores": len(list(Path(cache).glob("*/items.npy"))),
    }
    (Path(out) / f"rank{ranks.rank}.json").write_text(json.dumps(said))
