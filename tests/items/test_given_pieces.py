"""Rows of a table that are time spans and boxes of their files."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from selflabel.base.errors import UserError
from selflabel.items import Piece, open_items
from tests.items.pictures import png

ROWS = [
    {"path": "a.png", "x0": 1, "y0": 0, "x1": 3.5, "y1": 6, "start_s": None, "end_s": None, "label": "cat"},
    {"path": "a.png", "x0": 2, "y0": 2, "x1": 6, "y1": 4, "start_s": None, "end_s": None, "label": "dog"},
    {"path": "a.png", "x0": None, "y0": None, "x1": None, "y1": None, "start_s": None, "end_s": None, "label": "dog"},
    {"path": "b.wav", "x0": None, "y0": None, "x1": None, "y1": None, "start_s": 0.5, "end_s": 2, "label": ""},
]
PIECES = [Piece(box=(1, 0, 3.5, 6)), Piece(box=(2, 2, 6, 4)), None, Piece(span_s=(0.5, 2))]


def write_table(file, rows):
    """A table of rows in the format of its ending."""
    if file.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), file)
    elif file.suffix == ".json":
        file.write_text(json.dumps(rows))
    elif file.suffix == ".jsonl":
        file.write_text("\n".join(json.dumps({k: v for k, v in row.items() if v is not None}) for row in rows))
    else:
        mark = "\t" if file.suffix == ".tsv" else ","
        lines = [[("" if v is None else str(v)) for v in row.values()] for row in rows]
        file.write_text("\n".join(mark.join(line) for line in [list(rows[0]), *lines]))
    return file


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "a.png").write_bytes(png())
    (tmp_path / "b.wav").write_bytes(b"RIFF")
    return tmp_path


@pytest.mark.parametrize("ending", [".csv", ".tsv", ".json", ".jsonl", ".parquet"])
def test_rows_with_spans_and_boxes_are_pieces_and_those_without_are_whole_files(folder, ending):
    items = open_items(str(write_table(folder / f"pieces{ending}", ROWS)))
    assert list(items.pieces) == PIECES
    assert items.paths == ["a.png", "a.png", "a.png", "b.wav"] and items.truth == ["cat", "dog", "dog", ""]
    assert [blob.piece for blob in items.blobs["image"] if blob] == PIECES[:3]


BAD = [
    ("a.png,3,0,1,6", "its box is reversed"),
    ("a.png,3,0,3,6", "its box is empty"),
    ("a.png,-3,0,0,6", "its box lies outside the picture"),
    ("a.png,nan,0,1,6", "its x0 is no finite number"),
    ("a.png,1,0,1e999,6", "its x1 is no finite number"),
    ("a.png,1,,3,6", "its y0 is empty"),
    ("a.png,1,0,x,6", "its x1 is no number ('x')"),
    ("gone.png,1,0,3,6", "no such file"),
]


def test_a_row_that_is_no_piece_is_listed_by_its_number(folder):
    lines = ["path,x0,y0,x1,y1", "a.png,0,0,2,2", *(line for line, _ in BAD)]
    (folder / "boxes.csv").write_text("\n".join(lines))
    items = open_items(str(folder / "boxes.csv"))
    assert len(items) == 1
    assert [entry.text for entry in items.skipped] == [f"row {i} of boxes.csv: {why}" for i, (_, why) in enumerate(BAD, 2)]
    assert items.skipped[0].piece.box == (3, 0, 1, 6) and items.skipped[0] == ("a.png", "its box is reversed")
    assert any("its box is empty (the first: a.png, row 3 of boxes.csv)" in note for note in items.notes)


def test_spans_that_are_none_are_listed(folder):
    lines = ["path,start_s,end_s", "b.wav,1,2", "b.wav,2,1", "b.wav,1,1", "b.wav,-2,-1", "b.wav,2,"]
    (folder / "spans.csv").write_text("\n".join(lines))
    reasons = [reason for _, reason in open_items(str(folder / "spans.csv")).skipped]
    first = ["its span ends before it begins", "its span is empty", "its span lies outside the file"]
    assert reasons == [*first, "its end_s is empty"]


def test_half_a_box_and_the_fractions_of_a_run_are_refused_in_a_sentence(folder):
    (folder / "boxes.csv").write_text("path,x0,y0,x1\na.png,1,2,3\n")
    with pytest.raises(UserError, match="has the column x0 and not y1; it needs x0, y0, x1, y1 together"):
        open_items(str(folder / "boxes.csv"))
    row = {"id": 0, "path": "a.png", "start_s": None, "end_s": None, "x0": 0.1, "y0": 0.1, "x1": 0.5, "y1": 0.5}
    write_table(folder / "parts.parquet", [row | {"width": 6, "height": 6, "mask": None, "score": None}])
    with pytest.raises(UserError, match=r"parts\.parquet: holds the pieces of a run as fractions"):
        open_items(str(folder / "parts.parquet"))


def test_the_labels_of_a_run_of_pieces_are_a_manifest_whose_label_is_no_truth(folder):
    (folder / "labels.csv").write_text("id,path,x0,y0,x1,y1,label,confidence\n0,a.png,1,0,3,6,4,0.5\n1,a.png,,,,,4,0.5\n")
    items = open_items(str(folder / "labels.csv"))
    assert items.truth is None and list(items.pieces) == [Piece(box=(1, 0, 3, 6)), None]


def test_cells_of_a_table_and_rows_of_features_are_pieces_too(folder):
    cells = [{"bytes": png(i), "path": f"{i}.png"} for i in range(3)]
    boxes = {"x0": [0.0, 2.0, 1.0], "y0": [0.0] * 3, "x1": [2.0, 1.0, 3.0], "y1": [4.0] * 3}
    pq.write_table(pa.table({"image": cells, **boxes}), folder / "cells.parquet")
    items = open_items(str(folder / "cells.parquet"))
    assert items.paths == ["0.png", "2.png"] and items.blobs["image"][1].piece == Piece(box=(1, 0, 3, 4))
    assert items.skipped[0].text == "row 2 of cells.parquet: its box is reversed"
    (folder / "vectors.csv").write_text("path,x0,y0,x1,y1,embedding\na.png,0,0,2,2,1 2\na.png,2,0,2,2,3 4\na.png,1,1,2,2,5 6\n")
    items = open_items(str(folder / "vectors.csv"))
    assert items.array.tolist() == [[1, 2], [5, 6]] and items.pieces[1] == Piece(box=(1, 1, 2, 2))
    np.save(folder / "f.npy", np.eye(3, dtype=np.float32))
    (folder / "list.csv").write_text("path,x0,y0,x1,y1\na.png,0,0,2,2\na.png,2,0,2,2\na.png,1,1,2,2\n")
    items = open_items(str(folder / "f.npy"), files=str(folder / "list.csv"))
    assert len(items) == 3 and items.pieces[1] is None and items.blobs["image"][1] is None
    assert items.missing == [("a.png", "row 2 of list.csv: its box is empty")]


def test_several_tables_keep_the_names_of_their_rows(folder):
    for name in ("one", "two"):
        (folder / name).mkdir()
        Image.new("L", (6, 6)).save(folder / name / "a.png")
        (folder / name / "boxes.csv").write_text("path,x0,y0,x1,y1\na.png,0,0,2,2\na.png,2,0,2,2\n")
    items = open_items([str(folder / name / "boxes.csv") for name in ("one", "two")])
    assert [entry[0] for entry in items.skipped] == ["one/boxes.csv/a.png", "two/boxes.csv/a.png"]
    assert pickle.loads(pickle.dumps(items.skipped))[1].row == "row 2 of boxes.csv"
    assert items.row_names == ["row 1 of boxes.csv"] * 2 and items.skipped[1].row == "row 2 of boxes.csv"
