"""Masks as run lengths."""

from __future__ import annotations

import hypothesis.extra.numpy as arrays
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pycocotools import mask as coco

from selflabel.base.rle import Rle, checked_rle, encode, encode_inside, write_counts

masks = arrays.arrays(np.bool_, st.tuples(st.integers(1, 12), st.integers(1, 12)))


@given(masks)
def test_a_mask_comes_back_and_is_written_as_coco_writes_it(mask):
    rle = encode(mask)
    theirs = coco.encode(np.asfortranarray(mask.astype(np.uint8)))
    assert rle.counts == theirs["counts"]
    assert np.array_equal(rle.decode(), mask)
    assert rle.area == coco.area(theirs)
    rows, columns = np.nonzero(mask)
    expected = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1) if len(rows) else (0, 0, 0, 0)
    assert rle.box == expected


@given(masks, st.integers(0, 3), st.integers(0, 3), st.integers(0, 3), st.integers(0, 3))
def test_a_mask_in_its_box_is_written_as_the_whole_mask_is(inside, left, right, above, below):
    whole = np.pad(inside, ((above, below), (left, right)))
    assert encode_inside(inside, left, above, whole.shape).counts == encode(whole).counts


def test_a_large_mask_has_a_few_hundred_bytes_and_long_runs_come_back():
    mask = np.zeros((2000, 3000), bool)
    mask[100:1900, 50:2950] = True
    rle = encode(mask)
    assert len(rle.counts) < 20_000
    assert np.array_equal(rle.decode(), mask)


@given(masks)
def test_plain_run_lengths_are_read_too(mask):
    rle = encode(mask)
    assert checked_rle(*mask.shape, rle.runs.tolist()) == rle
    assert checked_rle(*mask.shape, rle.counts.decode()) == rle


@pytest.mark.parametrize(
    ("height", "width", "counts"),
    [
        (2, 2, [1, 2]),
        (2, 2, [5]),
        (2, 2, [-1, 5]),
        (2, 2, []),
        (0, 2, []),
        (1 << 21, 1, [1 << 21]),
        (1 << 18, 1 << 18, [1 << 36]),
        (2, 2, "P"),
        (2, 2, "\x00"),
        (2, 2, "é"),
        (2, 2, "o" * 50),
        (2, 2, b"13" + b"1"),
        (2, 2, [1 << 80]),
    ],
)
def test_run_lengths_that_do_not_fill_the_mask_are_refused(height, width, counts):
    with pytest.raises(ValueError, match=r"run lengths|pixels is none"):
        checked_rle(height, width, counts)


@pytest.mark.parametrize(
    "rle",
    [
        Rle(10, 10, encode(np.ones((1000, 1000), bool)).counts),
        Rle(10, 10, b"0" * 10_000_000),
        Rle(1 << 18, 1 << 18, write_counts([0, 1 << 33, 1 << 33, 1 << 34])),
    ],
)
def test_a_damaged_mask_takes_no_memory(rle):
    with pytest.raises(ValueError, match="do not fill"):
        rle.decode()


def test_run_lengths_whose_sum_leaves_64_bits_and_comes_back_to_the_right_one_are_refused():
    runs = np.arange(1 << 17) // 2 << 33
    rest = (1 << 65) + 1_000_000 - sum(runs.tolist())
    runs += rest // len(runs)
    runs[0] += rest % len(runs)
    assert runs.sum() == 1_000_000
    with pytest.raises(ValueError, match="do not fill"):
        Rle(1000, 1000, write_counts(runs)).decode()
