"""What each rank runs under torchrun, and what one process runs alone: label blobs and write the labels."""

import sys
from pathlib import Path

import numpy as np

from selflabel.labelling import label
from selflabel.settings import make_settings

if __name__ == "__main__":
    source, out, method, clusters = sys.argv[1:5]
    options = {"heads": 3} if method == "sela-nn" else {"heads": 3, "solves": 6}
    settings = make_settings(source=source, clusters=int(clusters), method=method, epochs=6, options=options, device="cpu")
    label(settings, Path(out), overwrite=True)
    assert np.load(Path(out) / "features.npy", allow_pickle=False).ndim == 2
