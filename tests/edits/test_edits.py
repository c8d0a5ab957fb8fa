"""Edits: the log on disk, undo and redo, and what they make of a labelling."""

import json
import subprocess
import sys
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from selflabel import edits
from selflabel.base.errors import UserError
from selflabel.edits import Merge, Move, Name, Redo, Reject, Restore, Split, Undo

N, K = 24, 4
LABELS = np.arange(N, dtype=np.int32) % K
FEATURES = np.random.default_rng(0).normal(size=(N, 3)).astype(np.float16)


def same(a, b):
    return (
        np.array_equal(a.under, b.under)
        and np.array_equal(a.rejected, b.rejected)
        and (a.names, a.clusters, a.used) == (b.names, b.clusters, b.used)
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
anything = st.lists(st.one_of(changes, st.builds(Undo), st.builds(Redo)), max_size=14)


@given(anything)
@settings(deadline=None)
def test_undo_then_redo_changes_nothing(done):
    once = edits.apply(LABELS, FEATURES, done)
    if edits.effective(done):
        assert same(edits.apply(LABELS, FEATURES, [*done, Undo(), Redo()]), once)


@given(anything, changes)
@settings(deadline=None)
def test_an_edit_and_its_undo_change_nothing(done, change):
    assert same(edits.apply(LABELS, FEATURES, [*done, change, Undo()]), edits.apply(LABELS, FEATURES, done))


@given(st.lists(changes, max_size=8))
def test_as_many_undos_as_edits_give_the_runs_own_labels_and_as_many_redos_the_edits(done):
    back = [*done, *[Undo()] * (len(done) + 2)]
    assert same(edits.apply(LABELS, FEATURES, back), edits.unedited(LABELS))
    assert edits.effective([*back, *[Redo()] * len(done)]) == done


@given(anything)
@settings(deadline=None)
def test_edits_read_back_from_disk_give_the_same_labelling_whole_or_step_by_step(tmp_path_factory, done):
    folder = tmp_path_factory.mktemp("log")
    for edit in done:
        edits.append(folder, edit)
    read = edits.read_edits(folder)
    assert read == done
    whole = edits.apply(LABELS, FEATURES, read)
    now = edits.unedited(LABELS)
    for edit in edits.effective(read):
        now = edits.continued(now, FEATURES, [edit])
    assert same(now, whole)


@given(anything)
@settings(deadline=None)
def test_no_item_is_lost_and_every_label_is_of_a_cluster_that_there_is(done):
    before = LABELS.copy()
    after = edits.apply(LABELS, FEATURES, done)
    assert len(after.labels) == N and np.array_equal(LABELS, before)
    assert set(after.labels.tolist()) - {-1} <= set(after.clusters) <= after.used
    assert set(after.names) <= set(after.clusters) and after.clusters == sorted(set(after.clusters))


@given(anything, changes)
@settings(deadline=None)
def test_what_check_refuses_changes_nothing(done, change):
    now = edits.apply(LABELS, FEATURES, done)
    try:
        edits.check(change, now, N)
    except UserError:
        assert same(edits.continued(now, FEATURES, [change]), now)


def test_each_kind_of_edit_does_what_it_says():
    done = edits.apply(LABELS, FEATURES, [Name(cluster=1, name=" cats "), Merge(clusters=[0, 1], into=0)])
    assert done.clusters == [0, 2, 3] and (done.labels[LABELS < 2] == 0).all() and done.names == {0: "cats"}
    done = edits.continued(done, FEATURES, [Reject(items=[2, 3]), Merge(clusters=[2, 3], into=3)])
    assert done.labels[2] == done.labels[3] == -1 and done.labels[6] == 3
    done = edits.continued(done, FEATURES, [Restore(items=[2])])
    assert done.labels[2] == 3 and done.labels[3] == -1  # its cluster was merged while it was out
    done = edits.continued(done, FEATURES, [Move(items=[3, 4], to=9)])
    assert done.clusters == [0, 3, 9] and done.labels[3] == done.labels[4] == 9
    assert edits.continued(done, FEATURES, [Move(items=[0], to=2)]).labels[0] == 0  # 2 was merged away
    assert edits.continued(done, FEATURES, [Name(cluster=0, name="")]).names == {}


def test_a_split_finds_two_blobs_and_places_unseen_items_by_the_nearest_centre():
    rng = np.random.default_rng(1)
    kind = np.arange(90) % 3 == 0
    features = (kind[:, None] * 8 + rng.normal(size=(90, 5))).astype(np.float16)
    labels = np.full(90, 5, np.int32)
    split = edits.make_split(5, features, np.arange(90), 2, used={5, 7})
    assert split.parts == [5, 8] and split == edits.make_split(5, features, np.arange(90), 2, {5, 7}).model_copy(
        update={"id": split.id, "at": split.at}
    )
    done = edits.apply(labels, features, [split])
    assert (done.labels == np.where(kind, 8, 5)).all()  # the larger part keeps the number
    unseen = np.array([[8.0] * 5, [0.0] * 5], np.float32)
    later = [split, Move(items=[80], to=5), Reject(items=[1]), Merge(clusters=[5, 2], into=2)]
    found = edits.apply_to_unseen(np.array([5, 5]), unseen, later, clusters=[2, 5])
    assert found.labels.tolist() == [8, 2]
    with pytest.raises(UserError, match="too alike"):
        edits.make_split(5, np.ones((9, 2), np.float16), np.arange(9), 2, {5})
    with pytest.raises(UserError, match="2 to 3 parts"):
        edits.make_split(5, features, np.arange(3), 4, {5})


@pytest.mark.parametrize(
    "values, word",
    [
        ({"do": "name", "cluster": 99, "name": "x"}, "no cluster 99"),
        ({"do": "name", "cluster": 1, "name": "a\nb"}, "cannot be shown"),
        ({"do": "merge", "clusters": [1, 99], "into": 1}, "no cluster 99"),
        ({"do": "split", "cluster": 1, "parts": [1, 2], "centres": [[0.0], [1.0]]}, "number of another"),
        ({"do": "move", "items": [N], "to": 1}, "rows are 0 to 23"),
        ({"do": "reject", "items": [0, 99]}, "no item 99"),
    ],
)
def test_check_names_what_does_not_fit(values, word):
    with pytest.raises(UserError, match=word):
        edits.check(edits.parse(values), edits.unedited(LABELS), N)


@pytest.mark.parametrize(
    "values",
    [
        {"do": "explode"},
        {},
        {"do": "name", "cluster": "1", "name": "x"},
        {"do": "name", "cluster": -1, "name": "x"},
        {"do": "name", "cluster": 1, "name": "x" * 201},
        {"do": "name", "cluster": 1, "name": "x", "colour": "red"},
        {"do": "merge", "clusters": [1], "into": 1},
        {"do": "merge", "clusters": [1, 1], "into": 1},
        {"do": "merge", "clusters": [1, 2], "into": 3},
        {"do": "split", "cluster": 1, "parts": [2, 1], "centres": [[0.0], [1.0]]},
        {"do": "split", "cluster": 1, "parts": [1, 2], "centres": [[0.0], [1.0, 2.0]]},
        {"do": "reject", "items": []},
        {"do": "reject", "items": [True]},
    ],
)
def test_what_is_no_edit_is_refused_in_one_sentence(values):
    with pytest.raises(UserError, match="not an edit") as error:
        edits.parse(values)
    assert "\n" not in str(error.value)


def test_a_torn_last_line_is_no_edit_and_the_next_append_mends_it(tmp_path):
    first, second = Name(cluster=1, name="é"), Reject(items=list(range(30_000)))  # longer than a block
    edits.append(tmp_path, first)
    whole = (tmp_path / edits.LOG).read_bytes()
    torn = second.model_dump_json().encode()
    for cut in (1, len(torn) // 2, len(torn)):
        (tmp_path / edits.LOG).write_bytes(whole + torn[:cut])
        assert edits.read_edits(tmp_path) == [first]
        edits.append(tmp_path, second)
        assert edits.read_edits(tmp_path) == [first, second]
    (tmp_path / edits.LOG).write_bytes(torn[:9])  # torn before there was any line
    edits.append(tmp_path, first)
    assert edits.read_edits(tmp_path) == [first]


def test_a_damaged_line_in_the_middle_is_named(tmp_path):
    edits.append(tmp_path, Undo())
    with (tmp_path / edits.LOG).open("a") as f:
        f.write("{nonsense}\n")
    edits.append(tmp_path, Redo())
    with pytest.raises(UserError, match="line 2"):
        edits.read_edits(tmp_path)


def test_a_run_without_edits_has_none_and_a_folder_that_is_gone_is_an_error(tmp_path):
    assert edits.read_edits(tmp_path) == []
    with pytest.raises(UserError, match="cannot be written"):
        edits.append(tmp_path / "gone", Undo())


WRITER = """
import sys
from pathlib import Path
from selflabel.edits import Reject, append
for i in range(60):
    append(Path(sys.argv[1]), Reject(items=[int(sys.argv[2]) * 1000 + i] * (1 + 400 * (i % 9))))
"""


def test_processes_that_append_at_once_lose_nothing(tmp_path):
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path), str(w)]) for w in range(4)]
    assert [w.wait(timeout=120) for w in writers] == [0] * 4
    found = [e.items[0] for e in edits.read_edits(tmp_path)]
    assert sorted(found) == sorted(w * 1000 + i for w in range(4) for i in range(60))
    for w in range(4):  # each one's own edits lie in the order they were made
        assert [i for i in found if i // 1000 == w] == [w * 1000 + i for i in range(60)]


def test_a_line_holds_who_what_and_when(tmp_path):
    edits.append(tmp_path, edits.parse({"do": "merge", "clusters": [1, 2], "into": 2}))
    line = json.loads((tmp_path / edits.LOG).read_text())
    assert list(line) == ["id", "at", "do", "clusters", "into"]
    assert len(line["id"]) == 16 and line["at"].endswith("+00:00")


def test_hundreds_of_edits_of_a_million_items_take_seconds():
    n, k = 1_000_000, 100
    rng = np.random.default_rng(0)
    labels, features = rng.integers(0, k, n).astype(np.int32), rng.normal(size=(n, 16)).astype(np.float16)
    done = [Name(cluster=c, name=f"n{c}") for c in range(k)]
    done += [Merge(clusters=[c, c + 1], into=c) for c in range(0, k, 2)]
    done += [Split(cluster=c, parts=[c, k + c], centres=rng.normal(size=(2, 16)).tolist()) for c in range(0, k, 2)]
    done += [Move(items=rng.integers(0, n, 50).tolist(), to=0) for _ in range(100)]
    started = time.process_time()  # the machine may be busy with other things
    after = edits.apply(labels, features, done)
    assert len(after.clusters) == 100
    assert time.process_time() - started < 5
