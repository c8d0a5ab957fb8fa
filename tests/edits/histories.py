"""Drawn edits and logs of edits for a small labelling, most of which do not fit it."""

import numpy as np
from hypothesis import strategies as st

from selflabel.edits import Merge, Move, Name, Redo, Reject, Restore, Split, Undo

N, K = 24, 4
LABELS = np.arange(N, dtype=np.int32) % K
FEATURES = np.random.default_rng(0).normal(size=(N, 3)).astype(np.float16)


def same(a, b):
    return (
        np.array_equal(a.item_clusters, b.item_clusters)
        and np.array_equal(a.rejected, b.rejected)
        and (a.names, a.clusters, a.used_numbers) == (b.names, b.clusters, b.used_numbers)
    )


rows = st.lists(st.integers(0, N + 1), min_size=1, max_size=5)
some = st.integers(0, K + 4)
splits = st.builds(
    lambda c, new, flat: Split(cluster=c, parts=[c, new], centres=[flat[:3], flat[3:]]),
    st.integers(0, K),
    st.integers(K + 1, K + 5),
    st.lists(st.floats(-2, 2), min_size=6, max_size=6),
)
merges = st.lists(some, min_size=2, max_size=3, unique=True).map(lambda c: Merge(clusters=c, into=c[-1]))
changes = st.one_of(
    st.builds(Name, cluster=some, name=st.sampled_from(["", "cats", "dogs", " x "])),
    merges,
    splits,
    st.builds(Move, items=rows, to=some),
    st.builds(Reject, items=rows),
    st.builds(Restore, items=rows),
)
logs = st.lists(st.one_of(changes, st.builds(Undo), st.builds(Redo)), max_size=14)
