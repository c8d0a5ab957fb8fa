"""Pieces of files as items."""

from __future__ import annotations

import numpy as np

from selflabel.base.rle import encode
from selflabel.items import Blob, Piece, Pieces
from selflabel.items.piece import joined_pieces
from selflabel.items.table import Items, JoinedBlobs

MASK = encode(np.eye(4, dtype=bool))
PIECES = [
    Piece(span_s=(1.5, 3.0)),
    None,
    Piece(box=(0, 1, 4, 3), size=(4, 4), mask=MASK),
    Piece((0.0, 1.0), (0, 0, 2, 2), (4, 4)),
]


def test_pieces_come_back_from_their_columns_and_in_any_order():
    pieces = Pieces.of(PIECES)
    assert list(pieces) == PIECES
    assert list(pieces.take([3, 1])) == [PIECES[3], None]
    assert (pieces.has_spans, pieces.has_boxes, pieces.has_masks) == (True, True, True)
    assert list(pieces.columns()) == ["start_s", "end_s", "x0", "y0", "x1", "y1"]
    assert list(Pieces.of(PIECES[:2]).columns()) == ["start_s", "end_s"]
    assert joined_pieces([(1, None), (4, pieces)])[3] == PIECES[2]
    assert joined_pieces([(1, None), (2, None)]) is None


def test_every_piece_of_a_file_has_a_stamp_of_its_own(tmp_path):
    file = tmp_path / "a.jpg"
    file.write_bytes(b"x")
    stamps = {Blob(str(file), piece=piece).stamp() for piece in PIECES}
    assert len(stamps) == len(PIECES)
    assert Blob(str(file)).stamp() == Blob(str(file), piece=None).stamp()


def test_pieces_that_lie_close_together_are_told_apart_however_far_they_are_from_the_start():
    spans = [Piece(span_s=(start, start + 0.1)) for start in (12345.67, 12345.68, 100000.0, 100000.5)]
    boxes = [Piece(box=(12345.25 + x, 0, 12400, 9), size=(20000, 10)) for x in (0, 0.25)]
    assert len({piece.name for piece in [*spans, *boxes]}) == 6


def test_items_without_masks_have_none_when_they_are_taken_from_items_with_masks():
    assert not Pieces.of(PIECES).take([0, 3]).has_masks


def test_a_table_of_pieces_keeps_them_when_rows_are_taken():
    items = Items("s", ["a.jpg"] * 4, {"image": [Blob("a.jpg")] * 4}).with_pieces(Pieces.of(PIECES))
    taken = items.take([2, 0])
    assert [blob.piece for blob in taken.blobs["image"]] == [PIECES[2], PIECES[0]]
    assert list(taken.pieces) == [PIECES[2], PIECES[0]]
    joined = JoinedBlobs([taken.blobs["image"], items.blobs["image"]])
    assert joined[3].piece == PIECES[1] is None
    assert joined[4].piece == PIECES[2]
