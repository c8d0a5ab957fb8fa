from pathlib import PurePosixPath

from hypothesis import given
from hypothesis import strategies as st

from selflabel.items.endings import ending_of, stem_of

PARTS = st.text(st.sampled_from("aB._- é"), min_size=1, max_size=6).filter(lambda part: part not in (".", ".."))


@given(st.lists(PARTS, min_size=1, max_size=3).map("/".join))
def test_ending_and_stem_are_those_of_pathlib(name):
    suffix = PurePosixPath(name).suffix
    assert ending_of(name) == suffix.lower()
    assert stem_of(name) == name[: len(name) - len(suffix)]
