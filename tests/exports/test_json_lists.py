"""JSON written entry by entry."""

import io
import json

from hypothesis import given, settings
from hypothesis import strategies as st

from selflabel.exports.json_lists import write_list, write_object

text = st.text(max_size=8)
values = st.none() | st.integers() | text | st.lists(text, max_size=3)


@given(st.lists(values, max_size=5))
@settings(deadline=None)
def test_a_list_reads_back_as_its_entries_one_a_line(entries):
    out = io.StringIO()
    write_list(out, iter(entries))
    assert json.loads(out.getvalue()) == entries and out.getvalue().count("\n") == len(entries) + 1


@given(st.dictionaries(text, values, max_size=5))
@settings(deadline=None)
def test_an_object_reads_back_as_its_keys_and_values_in_order(entries):
    out = io.StringIO()
    write_object(out, iter(entries.items()))
    assert list(json.loads(out.getvalue()).items()) == list(entries.items())


def test_letters_beyond_ascii_stay_letters():
    out = io.StringIO()
    write_object(out, [("é", "日")])
    assert "é" in out.getvalue() and "日" in out.getvalue()
