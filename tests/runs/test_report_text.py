"""Sentences about reports: other numbers of clusters, sizes, and reports that say anything."""

import pytest

from selflabel.runs import report_text as text

NUMBERS = {"found": 20, "candidates": [[20, 1.93], [16, 1.92], [10, 1.41], [6, 1.0], [4, 0.9]]}


def test_the_numbers_of_clusters_that_came_next_are_named_and_how_clear_the_choice_was():
    assert text.numbers_text({"number_of_clusters": NUMBERS}).startswith("next 16, 10, 6; 20 is hardly better than the next")
    clear = NUMBERS | {"candidates": [[20, 2.0], [10, 1.0]]}
    assert text.numbers_text({"number_of_clusters": clear}) == "next 10; 20 is a clear choice (10 has 50 % less merit)"
    assert text.numbers_text({}) == text.numbers_text({"number_of_clusters": {"found": 3, "candidates": [[3, 1.0]]}}) == ""


@pytest.mark.parametrize(
    ("requested", "words"), [(10, "more clusters than the 10"), (40, "fewer clusters"), (18, ""), (None, "")]
)
def test_another_number_of_clusters_than_asked_for_is_said_where_it_is_clear(requested, words):
    report = {"sizes": [9] * (requested or 20), "clusters_requested": requested, "number_of_clusters": NUMBERS}
    found = text.other_number_text(report)
    assert words in found and bool(words) == bool(found)


@pytest.mark.parametrize("strange", [None, "x", -1, 1e400, [], {}, [["a", "b"]], {"value": "0.9"}, {"candidates": [[1]]}, True])
def test_a_strangers_report_is_no_error(strange):
    keys = ("sizes", "estimated_accuracy", "number_of_clusters", "clusters_requested", "no_estimate", "mass", "collapsed")
    for report in ({key: strange} for key in keys):
        for function in (text.estimate_text, text.found_text, text.sizes_text, text.target_text, text.numbers_text):
            assert isinstance(function(report), str)
        assert isinstance(text.other_number_text({"clusters_requested": 3, "sizes": [1, 1, 1]} | report), str)
