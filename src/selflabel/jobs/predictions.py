"""Labels of unseen items as CSV and as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from selflabel.base.cells import plain_cell
from selflabel.items import Piece, Pieces
from selflabel.items.skipped import as_skipped
from selflabel.jobs.model import Predicted
from selflabel.runs.run import csv_text
from selflabel.runs.writing import piece_cells


def predictions_dict(predicted: Predicted) -> dict[str, Any]:
    """What `--json` prints: "items", each with the columns of the CSV, and "skipped", each with path, reason and its piece.

    What an item's piece does not have is null.
    """
    columns: dict[str, Sequence[Any]] = {
        "path": predicted.paths,
        **{name: [None if v != v else v for v in column.tolist()] for name, column in piece_columns(predicted).items()},
        "label": predicted.labels.tolist(),
        "confidence": [round(c, 4) for c in predicted.confidence.tolist()],
        "name": predicted.names,
    }
    if predicted.outliers is not None:
        columns["outlier"] = predicted.outliers.tolist()
    items = [dict(zip(columns, row)) for row in zip(*columns.values())]
    entries = map(as_skipped, predicted.skipped)
    return {"items": items, "skipped": [{"path": e.path, "reason": e.text} | piece_dict(e.piece) for e in entries]}


def piece_dict(piece: Piece | None) -> dict[str, float]:
    """The numbers of a piece by the names of their columns, of those that it has; NaN, which is no JSON, is left out."""
    values = {} if piece is None else {name: float(column[0]) for name, column in Pieces.of([piece]).columns().items()}
    return {name: value for name, value in values.items() if value == value}


def predictions_csv(predicted: Predicted) -> str:
    """CSV text with the columns path, label, confidence, name and, where the run says it, outlier (1 or 0).

    Pieces of files have start_s and end_s in seconds, or x0 to y1 in pixels, after the path.
    """
    columns: dict[str, Iterable[Any]] = {
        "path": predicted.paths,
        **{name: piece_cells(column) for name, column in piece_columns(predicted).items()},
        "label": predicted.labels.tolist(),
        "confidence": (f"{c:.4f}" for c in predicted.confidence),
        "name": map(plain_cell, predicted.names),
    }
    if predicted.outliers is not None:
        columns["outlier"] = predicted.outliers.astype(int).tolist()
    return csv_text(list(columns), zip(*columns.values()))


def piece_columns(predicted: Predicted) -> dict[str, np.ndarray]:
    """The columns of the items' pieces by name; none for whole files."""
    return {} if predicted.pieces is None else predicted.pieces.columns()
