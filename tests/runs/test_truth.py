"""What a table says of items that are pieces of files, several of one path."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from selflabel.base.errors import UserError
from selflabel.evaluation.overlap import most_covering
from selflabel.gallery.truth import read_truth_classes
from selflabel.items import Piece, Pieces
from selflabel.jobs.score import groups_of, match_truth, score_run
from selflabel.runs.run import Run
from selflabel.runs.truth import read_values, values_of_items
from tests.run_folders import write_run

WINDOWS = [Piece(span_s=(float(i), i + 2.0)) for i in range(6)]
BOXES = [Piece(box=box, size=(60, 40)) for box in [(0, 0, 10, 10), (5, 5, 20, 20), (40, 30, 60, 40)]]


def said(tmp_path, text, paths, pieces):
    (tmp_path / "t.csv").write_text(text)
    return values_of_items(read_values(tmp_path / "t.csv", ("label",)), paths, pieces and Pieces.of(pieces))


def test_a_window_has_the_class_that_covers_most_of_it_and_none_where_nothing_does(tmp_path):
    text = (
        "path,start_s,end_s,label\na.wav,0.1,0.6,x\na.wav,1.1,1.5,y\na.wav,1.5,2.9,y\na.wav,0,9,\na.wav,4.9,5.2,x\nb.wav,0,9,z\n"
    )
    plain = text.replace("a.wav,0,9,\n", "")
    assert said(tmp_path, plain, ["a.wav"] * 6, WINDOWS) == ["y", "y", "y", "x", "x", "x"]
    assert said(tmp_path, plain, ["c.wav"] * 6, WINDOWS) == [None] * 6
    assert said(tmp_path, plain, ["a.wav", "b.wav"], None) == ["y", "z"]  # whole files have what covers most of them
    assert said(tmp_path, text, ["a.wav"], WINDOWS[:1]) == [""]  # two seconds of no class, half a second of x


def test_a_box_has_the_class_of_the_box_that_it_overlaps_most(tmp_path):
    rows = ["a.jpg,0,0,12,12,x", "a.jpg,6,6,90,90,big", "a.jpg,5,5,21,21,y", "b.jpg,,,,,whole", "b.jpg,0,0,5,5,small"]
    text = "\n".join(["path,x0,y0,x1,y1,label", *rows])
    assert said(tmp_path, text, ["a.jpg"] * 3, BOXES) == ["x", "y", "big"]
    assert said(tmp_path, text, ["b.jpg"] * 3 + ["b.jpg"], [*BOXES, None]) == ["small", "whole", "whole", "whole"]
    assert said(tmp_path, "path,label\na.jpg,x\nb.jpg,y\n", ["a.jpg", "b.jpg", "a.jpg"], BOXES) == ["x", "y", "x"]


def test_spans_and_boxes_count_together(tmp_path):
    text = (
        "path,start_s,end_s,x0,y0,x1,y1,label\nf.mp4,0,1,0,0,10,10,early\nf.mp4,1,3,0,0,10,10,late\nf.mp4,0,3,30,30,40,40,other\n"
    )
    pieces = [
        Piece((0.0, 1.2), (0, 0, 9, 9), (60, 40)),
        Piece((0.8, 2), (0, 0, 9, 9), (60, 40)),
        Piece((0, 1), (50, 0, 60, 9), (60, 40)),
    ]
    assert said(tmp_path, text, ["f.mp4"] * 3, pieces) == ["early", "late", None]


spans = st.lists(st.tuples(st.integers(0, 20), st.integers(1, 9), st.sampled_from("xyz")), min_size=1, max_size=8)


@given(spans, st.integers(0, 25), st.integers(1, 9))
def test_the_class_that_covers_most_is_that_of_counting_moments(spans, start, length):
    counts = {name: set() for _, _, name in spans}
    for first, seconds, name in spans:
        counts[name] |= set(range(first, first + seconds)) & set(range(start, start + length))
    best = max(map(len, counts.values()))
    found = most_covering(
        np.array([[a, a + n] for a, n, _ in spans], float), [c for _, _, c in spans], np.array([start, start + length])
    )
    assert (found is None) == (best == 0) and (found is None or len(counts[found]) == best)


@pytest.fixture
def run(tmp_path):
    """Ten items that are two pieces of each of five files, of different classes."""
    paths = [f"{i // 2}.jpg" for i in range(10)]
    pieces = Pieces.of([Piece(box=(30 * (i % 2), 0, 30 * (i % 2) + 30, 40), size=(60, 40)) for i in range(10)])
    return write_run(
        tmp_path / "run", tmp_path, paths, [i % 2 for i in range(10)], truth=["ab"[i % 2] for i in range(10)], pieces=pieces
    )


def test_the_truth_of_a_run_is_that_of_its_rows_where_paths_repeat(run):
    assert run.classes == list("ababababab") and score_run(run, None)["accuracy"] == 1
    assert match_truth(run, None).by_row[3] == "b"
    names, codes = read_truth_classes(run, run.paths, None)
    assert [names[code] for code in codes] == list("ababababab")
    assert groups_of(run, None) == [f"{i // 2}.jpg" for i in range(10)]  # pieces of a file stay in one fold


def test_a_table_of_truth_matches_the_pieces_of_a_run_on_the_page_and_in_scores(run, tmp_path):
    lines = [f"{i}.jpg,{x},0,{x + 25},40,{name}" for i in range(5) for x, name in ((2, "b"), (33, "a"))]
    (tmp_path / "t.csv").write_text("\n".join(["path,x0,y0,x1,y1,label", *lines]))
    assert score_run(run, str(tmp_path / "t.csv"))["accuracy"] == 1
    names, codes = read_truth_classes(run, run.paths, tmp_path / "t.csv")
    assert [names[code] for code in codes] == list("bababababa")
    (tmp_path / "t.csv").write_text("path,label\n0.jpg,a\n1.jpg,b\n")
    assert match_truth(run, str(tmp_path / "t.csv")).classes == ["a", "a", "b", "b"]
    (tmp_path / "t.csv").write_text("path,x0,y0,x1,y1,label\n0.jpg,60,0,70,9,a\n")
    with pytest.raises(UserError, match="nothing in it overlaps an item"):
        match_truth(run, str(tmp_path / "t.csv"))
    (tmp_path / "t.csv").write_text("path,x0,y0,x1,y1,label\n0.jpg,9,0,7,9,a\n")
    with pytest.raises(UserError, match=r"row 1 of t\.csv cannot be used, its box is reversed"):
        match_truth(run, str(tmp_path / "t.csv"))


def test_whole_files_that_are_named_twice_have_the_classes_of_their_rows(tmp_path):
    run = write_run(tmp_path / "run", tmp_path, ["a.jpg", "a.jpg", "b.jpg"], [0, 1, 1], truth=["x", "y", "y"])
    assert Run.open(run.folder).classes == ["x", "y", "y"] and score_run(run, None)["accuracy"] == 1
    names, codes = read_truth_classes(run, run.paths, None)
    assert [names[code] for code in codes] == ["x", "y", "y"]
    (tmp_path / "t.jsonl").write_text('{"path": "a.jpg", "label": "x"}\n{"path": "a.jpg", "label": "z"}\n{"path": "b.jpg"}')
    names, codes = read_truth_classes(run, run.paths, tmp_path / "t.jsonl")
    assert [code >= 0 and names[code] for code in codes] == ["x", "z", False]
    (tmp_path / "t.csv").write_text("path,label\na.jpg,x\na.jpg,z\n")  # not the rows of the run: the last counts
    names, codes = read_truth_classes(run, run.paths, tmp_path / "t.csv")
    assert [code >= 0 and names[code] for code in codes] == ["z", "z", False]
    assert match_truth(run, str(tmp_path / "t.csv")).classes == ["z", "z"]
