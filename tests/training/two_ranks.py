"""What each rank runs under torchrun, and what one process runs alone: label by each of these methods, a run folder each."""

import sys
from pathlib import Path

import numpy as np

from selflabel.base.settings import make_settings
from selflabel.jobs.label import label
from selflabel.methods import find_method

if __name__ == "__main__":
    source, out, clusters, *methods = sys.argv[1:]
    for method in methods:
        fields = find_method(method).make.options_type.__dataclass_fields__
        options = {name: value for name, value in {"heads": 3, "solves": 6}.items() if name in fields}
        settings = make_settings(source=source, clusters=int(clusters), method=method, epochs=20, options=options, device="cpu")
        label(settings, Path(out) / method, overwrite=True)
        assert np.load(Path(out) / method / "features.npy", allow_pickle=False).ndim == 2
