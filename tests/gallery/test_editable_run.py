"""A run's labels with edits applied: at once, from any process, and the same as if computed from the first edit on."""

import threading

import numpy as np
import pytest

from selflabel.base.errors import UserError
from selflabel.edits import LOG, LogReader, append, parse, read_edits
from selflabel.gallery.editable_run import EditableRun
from selflabel.gallery.summary import overview
from selflabel.gallery.truth import read_truth_classes, read_truth_columns
from selflabel.runs.run import Run, csv_text
from tests.gallery.conftest import records_of
from tests.run_folders import write_run


def test_edits_show_at_once_and_those_of_another_process_too(editable):
    editable.add_edit({"do": "merge", "clusters": [3, 4], "into": 3})
    editable.add_edit({"do": "name", "cluster": 3, "name": "both"})
    editable.add_edit({"do": "reject", "items": [0, 1]})
    records = records_of(editable)
    assert records[3]["size"] == 60 and records[3]["name"] == "both" and 4 not in records and records[0]["size"] == 28
    progress = overview(editable, editable.state)["progress"]
    assert progress == {"clusters": 5, "named": 1, "items": 180, "covered": 62, "rejected": 2}
    other = EditableRun(Run.open(editable.folder))
    other.add_edit({"do": "undo"})
    other.add_edit({"do": "undo"})
    records = records_of(editable)
    assert records == records_of(other) and records[3]["name"] == "" and records[0]["size"] == 30


def random_edit(rng, clusters, step):
    kinds = ["move", "reject", "restore", "undo", "redo", "name", "split"]
    do = kinds[rng.integers(len(kinds))]
    items = rng.integers(0, 180, 4).tolist()
    values = {
        "move": {"items": items, "to": int(rng.choice(clusters))},
        "reject": {"items": items},
        "restore": {"items": items},
        "name": {"cluster": int(clusters[0]), "name": f"n{step}"},
        "split": {"cluster": int(rng.choice(clusters)), "parts": 2},
    }
    return {"do": do, **values.get(do, {})}


@pytest.mark.slow
def test_states_after_many_edits_undos_and_redos_equal_those_computed_from_the_start(editable):
    rng = np.random.default_rng(0)
    accepted = 0
    for step in range(60):
        try:
            editable.add_edit(random_edit(rng, editable.state.edited.clusters, step))
        except UserError:
            continue
        accepted += 1
        other = EditableRun(Run.open(editable.folder))
        now, anew = editable.state, other.state
        assert (now.labels == anew.labels).all() and (now.order == anew.order).all()
        assert (now.has_decision == anew.has_decision).all()
        assert now.edited.names == anew.edited.names and now.edited.clusters == anew.edited.clusters
        assert editable.used_numbers(now) == other.used_numbers(anew)
    assert accepted > 30


def test_undo_takes_a_cached_state_and_computes_nothing_again(editable):
    before = editable.state
    editable.add_edit({"do": "reject", "items": [0]})
    editable.add_edit({"do": "undo"})
    assert editable.state.order is before.order and editable.state.version > before.version


def test_members_come_most_typical_first_and_rejected_ones_are_no_members(editable):
    editable.add_edit({"do": "reject", "items": [3, 7]})
    now = editable.state
    assert sorted(now.rejected.tolist()) == [3, 7] and now.sizes.tolist() == [28, 27, 33, 30, 30, 30]
    for cluster in range(6):
        members = now.members(cluster)
        assert set(members) == set(np.flatnonzero(now.labels == cluster))
        assert (np.diff(now.typicality[members].astype(int)) <= 0).all()


@pytest.mark.parametrize("parts", [1, 101, "2", None])
def test_a_split_into_too_few_or_too_many_parts_is_refused(editable, parts):
    with pytest.raises(UserError, match="parts cannot be made"):
        editable.add_edit({"do": "split", "cluster": 0, "parts": parts})
    assert editable.state.version == 0


def test_truth_from_a_file_counts_only_the_items_that_it_names(picture_run, tmp_path):
    run = picture_run()
    rows = [(f"{i:04d}.png", "a, b" if i < 20 else "c") for i in range(40)] + [("elsewhere.png", "c")]
    (tmp_path / "t.csv").write_text(csv_text(["path", "label"], rows))
    records = records_of(EditableRun(run, tmp_path / "t.csv"))
    assert records[0]["purity"] == pytest.approx(20 / 30, abs=1e-4) and records[0]["class"] == "a, b"
    assert records[1]["purity"] == 1 and records[5]["purity"] == 0
    (tmp_path / "none.csv").write_text("path,label\nx.png,1\n")
    with pytest.raises(UserError, match="none of its paths"):
        EditableRun(run, tmp_path / "none.csv")
    (tmp_path / "bad.csv").write_text("name,label\nx.png,1\n")
    with pytest.raises(UserError, match="'path' and 'label'"):
        EditableRun(run, tmp_path / "bad.csv")


@pytest.mark.parametrize("name", ["folder.csv", "deep.jsonl", "x" * 300, "bytes.csv", "gone.csv"])
def test_a_truth_file_that_cannot_be_read_is_one_sentence(picture_run, tmp_path, name):
    run = picture_run(each=8)
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "deep.jsonl").write_text("[" * 100_000)
    (tmp_path / "bytes.csv").write_bytes(bytes(range(256)))
    with pytest.raises(UserError) as error:
        EditableRun(run, tmp_path / name)
    assert name in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("column", ["label", "truth", "class"])
def test_the_column_of_classes_may_have_any_of_its_names(tmp_path, column):
    (tmp_path / "t.csv").write_text(f'{column},path\n"a, b",x.png\n1,"y\nz.png"\n')
    paths, classes = read_truth_columns(tmp_path / "t.csv")
    assert paths.to_pylist() == ["x.png", "y\nz.png"] and classes.to_pylist() == ["a, b", "1"]


@pytest.mark.parametrize("name", ["labels.parquet", "top.parquet", "neighbours.npy", "features.npy"])
def test_a_run_folder_that_lacks_a_file_is_refused(picture_run, name):
    run = picture_run(each=8)
    (run.folder / name).unlink()
    with pytest.raises(UserError, match=f"lacks {name}"):
        EditableRun(run)


def test_a_log_that_is_read_as_it_grows_equals_one_that_is_read_whole(tmp_path):
    reader, file = LogReader(tmp_path), tmp_path / LOG
    assert reader.edits() == []
    for step in range(4):
        append(tmp_path, parse({"do": "name", "cluster": step, "name": "x"}))
        append(tmp_path, parse({"do": "undo"}))
        assert reader.edits() == read_edits(tmp_path) and len(reader.edits()) == 2 * step + 2
        file.write_bytes(file.read_bytes() + b'{"torn": ')
        assert reader.edits() == read_edits(tmp_path)
    file.write_bytes(b"")
    assert reader.edits() == []
    append(tmp_path, parse({"do": "undo"}))
    file.unlink()
    assert reader.edits() == []


def test_an_item_whose_cell_is_empty_has_no_class_on_the_page(tmp_path):
    paths = [f"{i:02d}.png" for i in range(20)]
    run = write_run(tmp_path / "run", tmp_path, paths, [i % 2 for i in range(20)], truth=["a", "", "b", "nan", " "] * 4)
    classes, codes = read_truth_classes(run, run.paths, None)
    assert classes == ["a", "b"] and codes.tolist() == [0, -1, 1, -1, -1] * 4
    empty = write_run(tmp_path / "empty", tmp_path, paths, [i % 2 for i in range(20)], truth=[""] * 20)
    assert read_truth_classes(empty, empty.paths, None) == ([], None)


# --------------------------------------------------------------------------------------------------- several at the same time


class Overtaken(EditableRun):
    """A run for which another process makes an edit while a split is being computed."""

    def make_split(self, now, values):
        split = super().make_split(now, values)
        EditableRun(Run.open(self.folder)).add_edit(self.edit_between)
        return split


@pytest.mark.parametrize(
    "between",
    [
        {"do": "split", "cluster": 0, "parts": 3},
        {"do": "merge", "clusters": [0, 1], "into": 1},
        {"do": "reject", "items": [0]},
        {"do": "move", "items": [40], "to": 0},
    ],
)
def test_a_split_that_another_edit_overtook_is_refused_and_leaves_no_trace(picture_run, between):
    run = Overtaken(picture_run())
    run.edit_between = between
    with pytest.raises(UserError, match="another edit changed cluster 0"):
        run.add_edit({"do": "split", "cluster": 0, "parts": 2})
    assert [edit.do for edit in read_edits(run.folder)] == [between["do"]]


def test_a_split_is_made_with_free_numbers_where_another_one_took_those_that_it_had(picture_run):
    run = Overtaken(picture_run())
    run.edit_between = {"do": "split", "cluster": 1, "parts": 2}
    now = run.add_edit({"do": "split", "cluster": 0, "parts": 2})
    assert [edit.parts for edit in read_edits(run.folder)] == [[1, 6], [0, 7]]
    assert now.sizes[0] + now.sizes[7] == 30 and now.sizes[1] + now.sizes[6] == 27


class Waiting(EditableRun):
    """A run that writes no split before every other run has computed its own."""

    def make_split(self, now, values):
        split = super().make_split(now, values)
        self.all_computed.wait()
        return split


def at_once(folder, requests):
    """Make each request from a thread with a run of its own, splits from the same state; those that were accepted."""
    runs, accepted = [Waiting(Run.open(folder)) for _ in requests], []
    start, all_computed = threading.Barrier(len(requests)), threading.Barrier(len(requests))

    def make(run, request):
        run.all_computed = all_computed
        start.wait()
        try:
            run.add_edit(request)
        except UserError:
            return
        accepted.append(request)

    threads = [threading.Thread(target=make, args=pair) for pair in zip(runs, requests)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return accepted


def test_of_edits_that_exclude_each_other_only_one_is_acknowledged(editable):
    editable.add_edit({"do": "name", "cluster": 0, "name": "x"})
    assert len(at_once(editable.folder, [{"do": "undo"}] * 4)) == 1
    assert len(at_once(editable.folder, [{"do": "redo"}] * 4)) == 1
    assert len(at_once(editable.folder, [{"do": "split", "cluster": 0, "parts": 2}] * 4)) == 1
    assert len(at_once(editable.folder, [{"do": "merge", "clusters": [1, c], "into": c} for c in (2, 3, 4, 5)])) == 1
    assert len(read_edits(editable.folder)) == 5


def test_new_clusters_that_are_made_at_once_are_different_ones(editable):
    requests = [{"do": "move", "items": [i], "to": None, "name": f"new {i}"} for i in range(5)]
    assert len(at_once(editable.folder, requests)) == 5
    now = editable.state
    assert sorted(now.edited.names) == [6, 7, 8, 9, 10] and sorted(now.edited.names.values()) == [f"new {i}" for i in range(5)]
    assert all(now.edited.names[int(now.labels[i])] == f"new {i}" for i in range(5))


def test_a_request_that_comes_again_is_made_once_and_answered_the_same(editable):
    requests = [
        {"id": "0" * 15 + "1", "do": "move", "items": [3], "to": None, "name": "new"},
        {"id": "0" * 15 + "2", "do": "split", "cluster": 1, "parts": 2},
        {"id": "0" * 15 + "3", "do": "undo"},
    ]
    answers = [editable.record_edit(request) for request in requests]
    for request in requests:
        editable.record_edit(request)
    assert [edit.do for edit in read_edits(editable.folder)] == ["move", "split", "undo"]
    state, concerned = editable.record_edit(requests[0])
    assert state is answers[-1][0] and concerned == answers[0][1] and concerned.id == requests[0]["id"]
    with pytest.raises(UserError, match="id of another edit"):
        editable.record_edit({**requests[0], "do": "reject"})


def test_a_move_to_a_named_new_cluster_is_one_step_to_undo_and_redo(editable):
    editable.add_edit({"do": "move", "items": [3, 4], "to": None, "name": " new "})
    assert editable.state.edited.names == {6: "new"} and editable.state.sizes[6] == 2
    editable.add_edit({"do": "undo"})
    assert editable.state.edited.names == {} and editable.state.sizes[0] == 30
    editable.add_edit({"do": "redo"})
    assert editable.state.edited.names == {6: "new"}
    with pytest.raises(UserError, match="number of another cluster"):
        editable.add_edit({"do": "move", "items": [5], "to": 6, "name": "other"})
    with pytest.raises(UserError, match="a new one gets the number 7"):
        editable.add_edit({"do": "move", "items": [5], "to": 4000})
