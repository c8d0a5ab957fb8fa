"""Everything that is claimed of a GPU, in one call of less than nine minutes on one H100, into results/gpu.json.

    python -m bench.gpu               # on a machine with a GPU
    python -m bench.gpu --small       # a few seconds of each part, on any machine, to try the script; nothing is written

Each part has a floor, and its number beside it:
- solver: 1,281,167 items to 3,000 labels to a mass error of 1e-2, features on the GPU; under 2 s.
- training: items a second with everything (views, heads, logging, checkpoints) over a bare loop on the same network; at least .9.
- encoding: photos a second through a fixed ViT-S with everything over plain timm in the same precision; at least .9.
- photos: CIFAR-10 from scratch, in the minutes that are left; needs SELFLABEL_DATA.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch
from safetensors.torch import save_file

from bench.assignment import RESULTS, trained
from bench.training import bare_loop, whole_loop
from selflabel.assignment import LinearScores, sinkhorn
from selflabel.encoders import to_channels_last
from selflabel.jobs.prepare import prepare
from selflabel.training.distributed import fast_bfloat16, pick_device

MINUTES = 8.8  # of the whole call
VIT, VIT_PX = "vit_small_patch16_224", 224
FLOORS = {"solver seconds": 2.0, "training ratio": 0.9, "encoding ratio": 0.9}


@dataclass(frozen=True)
class Size:
    """How much of everything.

    Attributes:
        items, labels: of the solver.
        photos, px, epochs, networks: of training.
        encoded, batch: photos through the ViT, and how many of them at once in the plain loop.
        repeats: of whatever is compared in turns.
    """

    items: int
    labels: int
    photos: int
    px: int
    epochs: int
    networks: tuple[str, ...]
    encoded: int
    batch: int
    repeats: int


FULL = Size(1_281_167, 3_000, 20_000, 64, 3, ("resnet18", "resnet50"), 8_192, 64, 3)
SMALL = Size(2_000, 20, 48, 32, 1, ("resnet18",), 4, 4, 1)


def synchronised(device: torch.device, work: Callable[[], Any]) -> tuple[float, Any]:
    """(seconds until the device has done it, what it returned)."""
    if device.type == "cuda":
        torch.cuda.synchronize()
    began = time.perf_counter()
    result = work()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - began, result


def solver(size: Size, device: torch.device) -> dict[str, Any]:
    """The label step of ImageNet, after a small one for which kernels are compiled."""
    source = trained(size.items, size.labels, 12.0, 0, 256)
    on_device = LinearScores(*(x.to(device) for x in (source.features, source.weight, source.bias)))
    sinkhorn(LinearScores(on_device.features[:20_000], on_device.weight, on_device.bias), 1 / 25)
    seconds, found = synchronised(device, lambda: sinkhorn(on_device, 1 / 25))
    return {"seconds": round(seconds, 2), "converged": found.converged, "error": round(found.error, 4), "items": size.items}


def training(size: Size) -> dict[str, Any]:
    """The package's loop over the bare one, in turns, for each network."""
    photos = np.random.default_rng(0).integers(0, 256, (size.photos, size.px, size.px, 3), np.uint8)
    rows = {}
    for network in size.networks:
        bare_loop(photos, network, 1)  # warm: code, caches, clocks
        pairs = [(whole_loop(photos, network, size.epochs), bare_loop(photos, network, size.epochs)) for _ in range(size.repeats)]
        rows[network] = {
            "items a second": round(statistics.median(a for a, _ in pairs), 1),
            "ratio": round(statistics.median(a / b for a, b in pairs), 3),
        }
    return rows


def encoding(size: Size, device: torch.device) -> dict[str, Any]:
    """A fixed ViT-S with random weights: `prepare` without its cache over a plain loop on tensors in memory."""
    photos = np.random.default_rng(1).integers(0, 256, (size.encoded, VIT_PX, VIT_PX, 3), np.uint8)
    with tempfile.TemporaryDirectory() as folder:
        network = timm.create_model(VIT, pretrained=False, num_classes=0).eval()
        save_file(network.state_dict(), Path(folder) / "vit.safetensors")
        network = network.to(device)
        to_channels_last(network)
        pairs = []
        for turn in range(size.repeats + 1):  # the first one is warm-up
            own = {"cache": str(Path(folder) / f"cache{turn}"), "weights": str(Path(folder) / "vit.safetensors"), "px": VIT_PX}
            whole, _ = synchronised(device, lambda own=own: prepare(photos, device, encoder=f"frozen:timm:{VIT}", **own))
            plain, _ = synchronised(device, lambda: plain_features(network, photos, size.batch, device))
            pairs.append((whole, plain))
    pairs = pairs[1:] if len(pairs) > 1 else pairs
    return {
        "photos a second": round(size.encoded / statistics.median(a for a, _ in pairs), 1),
        "ratio": round(statistics.median(b / a for a, b in pairs), 3),
    }


@torch.no_grad()
def plain_features(network: torch.nn.Module, photos: np.ndarray, batch: int, device: torch.device) -> np.ndarray:
    """(N, D) float32: copy, scale, normalise, forward."""
    mean, std = (torch.tensor(network.default_cfg[k], device=device)[:, None, None] for k in ("mean", "std"))
    found = []
    for block in torch.from_numpy(photos).split(batch):
        x = (block.to(device).permute(0, 3, 1, 2).float() / 255 - mean) / std
        with torch.autocast(device.type, torch.bfloat16, enabled=fast_bfloat16(device)):
            found.append(network(x).float().cpu())
    return torch.cat(found).numpy()


def photos_from_scratch(minutes: float, small: bool) -> dict[str, Any]:
    """CIFAR-10 in what is left of the time, in a process of its own."""
    if not os.environ.get("SELFLABEL_DATA"):
        return {"not run": "SELFLABEL_DATA is not set"}
    with tempfile.TemporaryDirectory() as folder:
        words = [sys.executable, "-m", "reproduce.photos", "cifar10", "--runs", folder]
        words += ["--limit", "300", "--epochs", "1"] if small else ["--minutes", f"{minutes:.2f}"]
        done = subprocess.run(words, capture_output=True, text=True)
    lines = [*done.stdout.splitlines(), ""]
    return {"said": lines[-2:], "minutes": round(minutes, 2)} if done.returncode == 0 else {"failed": done.stderr[-500:]}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--small", action="store_true", help="a few seconds of each part; nothing is written")
    parser.add_argument("--minutes", type=float, default=MINUTES, help="of the whole call")
    own = parser.parse_args()
    began, device, size = time.perf_counter(), pick_device("auto"), SMALL if own.small else FULL
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    result: dict[str, Any] = {"device": name, "torch": torch.__version__, "floors": FLOORS}
    parts = {
        "solver": lambda: solver(size, device),
        "training": lambda: training(size),
        "encoding": lambda: encoding(size, device),
    }
    for part, work in parts.items():
        seconds, result[part] = synchronised(device, work)
        result[part]["seconds of the part"] = round(seconds, 1)
        print(part, json.dumps(result[part]), flush=True)
    left = own.minutes - (time.perf_counter() - began) / 60
    result["photos"] = photos_from_scratch(left, own.small) if left > 1 or own.small else {"not run": "no time is left"}
    result["minutes"] = round((time.perf_counter() - began) / 60, 2)
    print(json.dumps(result), flush=True)
    if not own.small:
        (RESULTS / "gpu.json").write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
