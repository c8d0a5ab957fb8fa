"""Cells of CSV files that a spreadsheet would run."""

import csv
import io
from types import SimpleNamespace

import numpy as np
import pytest

from selflabel.base.cells import plain_cell
from selflabel.jobs.predictions import predictions_csv


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "＝1", "\t=1", "\r=1"])
def test_what_would_be_run_gets_an_apostrophe(text):
    assert plain_cell(text) == f"'{text}"


@pytest.mark.parametrize("text", ["", "cats", "a=b", "1-2", "'=1", " x"])
def test_everything_else_stays_as_it_is(text):
    assert plain_cell(text) == text


def test_predictions_have_no_name_that_is_run_and_their_paths_as_they_are():
    table = {"paths": ["=a.png"], "labels": np.array([3]), "confidence": np.array([0.5]), "names": ["=1+1"]}
    predicted = SimpleNamespace(**table, outliers=None, pieces=None)
    (row,) = csv.DictReader(io.StringIO(predictions_csv(predicted)))
    assert row == {"path": "=a.png", "label": "3", "confidence": "0.5000", "name": "'=1+1"}
