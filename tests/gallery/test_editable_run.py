"""A run's labels with edits applied: at once, from any process, and the same as if computed from the first edit on."""

import numpy as np
import pytest

from selflabel.base.errors import UserError
from selflabel.edits import LOG, LogReader, append, parse, read_edits
from selflabel.gallery.editable_run import EditableRun
from selflabel.gallery.summary import overview
from selflabel.gallery.truth import read_truth_columns
from selflabel.runs.run import Run, csv_text
from tests.gallery.conftest import records_of


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
