from hypothesis import given
from hypothesis import strategies as st

from selflabel.base.text import as_utf8, is_utf8, printable


@given(st.binary(max_size=20))
def test_any_bytes_become_a_text_that_can_be_written(data):
    text = data.decode(errors="surrogateescape")
    assert is_utf8(as_utf8(text)) and is_utf8(printable(text))
    assert is_utf8(text) == (as_utf8(text) == text)


@given(st.text(st.characters(), max_size=20))
def test_a_printed_text_is_on_one_line_and_steers_no_terminal(text):
    shown = printable(text)
    assert len(shown.splitlines()) <= 1 and not any(c in shown for c in "\x1b\x07\r\n\t\x9b\u202e")
