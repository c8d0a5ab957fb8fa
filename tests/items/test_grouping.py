import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from selflabel.items import Blob, group_by_stem
from selflabel.items.grouping import earlier_equals, numbered_by_first
from tests.items.plain_grouping import group_plainly

ENDINGS = (".jpg", ".JPG", ".jpeg", ".png", ".wav", ".mp3", ".mp4", ".mkv")
NAMES = st.tuples(st.sampled_from(["a", "b", "a.b", "x/a", "x/b", "y/a", ".c", "ä"]), st.sampled_from(ENDINGS)).map("".join)


@given(st.lists(NAMES, min_size=1, max_size=40))
@example(["a.jpg", "a.png"])
@example(["a.jpg", "a.jpeg", "a.wav"])
@example(["a.wav", "a.jpg", "a.jpeg", "a.mp3", "b.mp4"])
@example(["a.jpg", "b.wav"])
@example(["a.mp4", "a.mp4", "a.wav", "b.jpg"])
def test_files_are_grouped_as_the_plain_function_does_it(names):
    blobs = [Blob(name, i) for i, name in enumerate(names)]  # a tar may hold a name twice
    items = group_by_stem("source", names, blobs)
    paths, table, skipped = group_plainly(names, blobs)
    assert items.paths == paths and items.skipped == skipped and items.source == "source"
    assert items.modalities == tuple(table)
    assert {m: list(items.blobs[m]) for m in items.modalities} == table


@given(st.lists(st.integers(0, 4), max_size=30))
def test_earlier_equals_and_first_appearances_are_counted(values):
    array = np.array(values, np.int64)
    assert earlier_equals(array).tolist() == [values[:i].count(v) for i, v in enumerate(values)]
    order = list(dict.fromkeys(values))
    assert numbered_by_first(array).tolist() == [order.index(v) for v in values]


def test_a_hundred_thousand_names_with_one_stem_are_grouped_without_a_search_for_each():
    names = ["a.jpg", "a.png"] * 50_000  # a quadratic search would take minutes
    items = group_by_stem("source", names, [Blob(name) for name in names])
    assert items.paths == names and items.modalities == ("image",) and not items.skipped
