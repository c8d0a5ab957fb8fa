"""Windows of files as items."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from selflabel.items import Blob, Items, Piece, Pieces
from selflabel.items.windows import MOST_WINDOWS, into_windows, windows_of


@given(st.floats(0.01, 500.0), st.floats(0.05, 60.0), st.floats(0.1, 1.0))
def test_windows_cover_a_file_but_for_less_than_half_a_window_at_its_end(seconds, windows, share):
    hop = share * windows
    spans = np.array(windows_of(seconds, windows, hop))
    lengths = spans[:, 1] - spans[:, 0]
    assert spans[0, 0] == 0 and (spans[:, 1] <= seconds + 1e-9).all()
    assert np.allclose(np.diff(spans[:, 0]), hop)
    assert np.allclose(lengths[:-1], windows)
    assert lengths[-1] <= windows + 1e-6 and (len(spans) == 1 or lengths[-1] >= windows / 2 - 1e-6)
    assert seconds - spans[-1, 1] < windows / 2 + 1e-6
    assert (spans[:-1, 1] < seconds).all()  # none after the one that reaches the end


def test_every_window_is_a_row_of_its_file_with_its_truth_and_a_span_is_cut_like_a_file():
    blobs = {"audio": [Blob("/a.wav"), Blob("/b.wav"), Blob("/a.wav")]}
    items = Items("x", ["a.wav", "b.wav", "a.wav"], blobs, truth=["cat", "dog", "cat"])
    spans = items.with_pieces(Pieces.of([None, None, Piece(span_s=(100.0, 104.0))]))
    cut = into_windows(spans, [7.0, 1.0, 4.0], 3.0, 3.0)
    assert cut.paths == ["a.wav", "a.wav", "b.wav", "a.wav"] and cut.truth == ["cat", "cat", "dog", "cat"]
    assert [blob.piece.span_s for blob in cut.blobs["audio"]] == [(0, 3), (3, 6), (0, 1), (100, 103)]
    assert len(cut) == len(cut.pieces) == 4


def test_a_file_of_absurd_length_is_skipped_and_listed():
    items = Items("x", ["a.wav", "b.wav"], {"audio": [Blob("/a.wav"), Blob("/b.wav")]})
    cut = into_windows(items, [1e15, 3.0], 3.0, 3.0)
    assert cut.paths == ["b.wav"]
    assert cut.skipped[0][0] == "a.wav" and f"more than {MOST_WINDOWS:,} of a file" in cut.skipped[0][1]


@pytest.mark.parametrize("seconds", [3.0, 3.0000001, 2.0])
def test_a_file_of_one_window_or_less_is_one_part(seconds):
    assert windows_of(seconds, 3.0, 1.0) == [(0.0, pytest.approx(seconds))]
