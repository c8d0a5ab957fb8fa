"""The contact sheet of a finished run."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from selflabel.base.errors import UserError
from selflabel.runs.missing import Missing
from selflabel.runs.sheet import run_sheet


def red(row):
    data = io.BytesIO()
    Image.new("RGB", (8, 8), "red").save(data, "PNG")
    return data.getvalue()


def gone(row):
    raise Missing(f"row {row} is gone")


def test_a_missing_item_is_grey_and_a_sheet_without_any_is_an_error():
    labels, confidence = np.array([0, 0, 1, -1]), np.array([0.9, 0.8, 0.7, 0.6])
    sheet = np.asarray(run_sheet(Path("run"), labels, confidence, {}, lambda row: gone(row) if row == 1 else red(row), 3))
    assert (sheet[10, 80] == (255, 0, 0)).all() and (sheet[10, 130] == 200).all() and (sheet[60, 80] == (255, 0, 0)).all()
    with pytest.raises(UserError, match=r"run: none of its items can be shown; the first: row 0 is gone\."):
        run_sheet(Path("run"), labels, confidence, {}, gone, 3)
