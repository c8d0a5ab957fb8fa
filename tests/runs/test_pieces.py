"""A run whose items are pieces of files: parts.parquet, labels.csv, and the items' bytes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from selflabel.base.errors import UserError
from selflabel.base.rle import encode
from selflabel.items import Blob, Piece, Pieces
from selflabel.runs.pieces import PiecesOfSource, read_pieces, same_pieces, write_pieces
from selflabel.runs.run import Run
from selflabel.runs.writing import Labelling, write_labelling

MASK = encode(np.eye(30, 40, dtype=bool))
PIECES = Pieces.of(
    [
        Piece(span_s=(0.0, 1.5)),
        Piece(box=(1.25, 0, 40, 30), size=(40, 30), mask=MASK),
        None,
        Piece((3, 4.5), (0, 0, 7, 7), (333, 777)),
    ],
    scores=np.array([1, 0.5, np.nan, 0.25], np.float32),
)
PATHS = ["a.wav", "b.jpg", "c.jpg", "d.mp4"]


def test_pieces_are_read_as_they_were_written(tmp_path):
    write_pieces(tmp_path, PATHS, PIECES)
    read = read_pieces(tmp_path, 4)
    assert list(read) == list(PIECES)
    assert np.array_equal(read.scores, PIECES.scores, equal_nan=True)
    assert same_pieces(read, PIECES)
    assert not same_pieces(read, None)
    assert not same_pieces(read, Pieces.of([*list(PIECES)[:3], Piece((3, 4.6), (0, 0, 7, 7), (333, 777))]))
    table = pq.read_table(tmp_path / "parts.parquet")
    assert table["x0"].to_pylist() == pytest.approx([None, 1.25 / 40, None, 0])
    assert read_pieces(tmp_path / "none") is None


def test_labels_carry_the_piece_in_seconds_and_pixels(tmp_path):
    four = np.arange(4)
    labelling = Labelling(PATHS, four, four[:, None], np.ones((4, 1)), np.ones((4, 2)), np.zeros((4, 1)), [], None, pieces=PIECES)
    write_labelling(tmp_path, labelling)
    lines = (tmp_path / "labels.csv").read_text().splitlines()
    assert lines[0] == "id,path,start_s,end_s,x0,y0,x1,y1,label,confidence"
    assert lines[1:3] == ["0,a.wav,0,1.5,,,,,0,1.0000", "1,b.jpg,,,1.25,0,40,30,1,1.0000"]
    assert pq.read_table(tmp_path / "labels.parquet")["end_s"].to_pylist() == [1.5, None, None, 4.5]
    assert pq.read_table(tmp_path / "top.parquet")["x1"].to_pylist() == [None, 40, None, 7]
    assert Run(tmp_path).raw_labels["label"].to_pylist() == [0, 1, 2, 3]
    write_labelling(tmp_path, replace(labelling, pieces=None))
    assert (tmp_path / "labels.csv").read_text().splitlines()[0] == "id,path,label,confidence"


def test_the_bytes_of_an_item_carry_its_piece():
    class Files:
        def blobs(self, row):
            return {"image": Blob(PATHS[row])}

    source = PiecesOfSource(Files(), PIECES)
    assert [source.blobs(row)["image"].piece for row in range(4)] == list(PIECES)


@pytest.mark.parametrize(
    ("column", "values", "what"),
    [
        ("start_s", [2.0, None, None, 3.0], "end before they begin"),
        ("end_s", [1e12, None, None, 4.5], "end before they begin"),
        ("x1", [None, 1.5, None, 0.02], "outside their pictures"),
        ("y0", [None, -0.1, None, 0.0], "outside their pictures"),
        ("width", [0, 0, 0, 333], "sizes that none has"),
        ("height", [0, 1 << 40, 0, 777], "sizes that none has"),
        ("mask", ["a", "b", "c", "d"], "holds no masks"),
        ("x0", ["a", "b", "c", "d"], "holds no numbers"),
        ("score", None, "lacks the column"),
        ("id", [0, 1, 3, 2], "other ids"),
        ("score", [0.5, 1e30, None, None], "scores outside"),
        ("start_s", [1.0, 1.0, 1.0, 1.0], "numbers are missing"),
        ("y1", [None, None, None, None], "numbers are missing"),
    ],
)
def test_a_damaged_table_of_pieces_is_one_sentence(tmp_path, column, values, what):
    write_pieces(tmp_path, PATHS, PIECES)
    file = tmp_path / "parts.parquet"
    table = pq.read_table(file)
    place = table.schema.get_field_index(column)
    table = table.remove_column(place) if values is None else table.set_column(place, column, pa.array(values))
    pq.write_table(table, file)
    with pytest.raises(UserError, match=what):
        read_pieces(tmp_path, 4)
