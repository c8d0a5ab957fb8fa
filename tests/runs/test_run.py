"""A run folder read with what people changed: labels, names, scores and predictions."""

import csv
import json

import numpy as np
import pytest

from selflabel import Run, edits
from selflabel.base.errors import UserError
from selflabel.edits import Merge, Move, Name, Reject, Undo
from selflabel.runs.run import csv_text, read_column, read_truth
from tests.run_folders import write_run


@pytest.fixture
def blob_run(here, blobs, tmp_path):
    """A real run of 90 features in three blobs, and its truth.csv."""
    x, truth = blobs()
    np.savez(tmp_path / "blobs.npz", x=x, y=truth)
    folder = tmp_path / "run"
    done = here("label", tmp_path / "blobs.npz", "-k", 3, "--epochs", 5, "--out", folder, "--device", "cpu")
    assert done.returncode == 0, done.stderr
    return Run.open(folder)


def scored(here, run, *words):
    return json.loads(here("score", run.folder, "--json", *words).stdout)


def test_labels_have_edits_applied_and_raw_labels_have_not(blob_run):
    written = (blob_run.folder / "labels.csv").read_bytes(), (blob_run.folder / "labels.parquet").read_bytes()
    raw = blob_run.raw_labels
    assert blob_run.labels.drop_columns("name").equals(raw) and blob_run.labels["name"].null_count == 90
    was = raw["label"].to_numpy()
    for edit in (Name(cluster=0, name="zeros"), Merge(clusters=[0, 1], into=0), Reject(items=[3, 4])):
        edits.append(blob_run.folder, edit)
    now = blob_run.labels
    assert now.column_names == ["id", "path", "label", "confidence", "name"]
    expected = np.where(was == 1, 0, was)
    expected[[3, 4]] = -1
    assert (now["label"].to_numpy() == expected).all()
    assert now["name"].to_pylist() == ["zeros" if label == 0 else None for label in expected]
    assert blob_run.edited().clusters == [0, 2] and len(blob_run.edits()) == 3
    assert blob_run.raw_labels.equals(raw)
    assert ((blob_run.folder / "labels.csv").read_bytes(), (blob_run.folder / "labels.parquet").read_bytes()) == written


def test_score_applies_edits_leaves_rejected_items_out_and_raw_ignores_both(here, blob_run):
    before = scored(here, blob_run)
    assert before["n_clusters"] == 3 and before["accuracy"] == 1
    keys = list(before)
    edits.append(blob_run.folder, Merge(clusters=[0, 1], into=1))
    edits.append(blob_run.folder, Reject(items=list(range(9))))
    after = scored(here, blob_run)
    assert list(after) == keys
    assert (after["n_items"], after["n_clusters"]) == (81, 2) and after["accuracy"] == pytest.approx(2 / 3, abs=0.02)
    assert after["mean_max_purity"] == pytest.approx(0.75)  # 27 items a class are left: half of one cluster, all of the other
    assert scored(here, blob_run, "--raw") == before
    edits.append(blob_run.folder, Undo())
    edits.append(blob_run.folder, Undo())
    assert scored(here, blob_run) == before
    edits.append(blob_run.folder, Reject(items=list(range(90))))
    done = here("score", blob_run.folder)
    assert done.returncode == 2 and "every item is rejected" in done.stderr


def test_predict_merges_splits_and_names_as_the_edits_do(here, blob_run, tmp_path):
    def predicted(*words):
        done = here("predict", blob_run.folder, tmp_path / "blobs.npz", "--device", "cpu", *words)
        assert done.returncode == 0, done.stderr
        return list(csv.DictReader(done.stdout.splitlines()))

    before = predicted()
    raw = blob_run.raw_labels["label"].to_numpy()
    rows = np.flatnonzero(raw == 2)
    split = edits.make_split(2, blob_run.features, rows, 2, used={0, 1, 2})
    for edit in (split, Name(cluster=3, name="new"), Merge(clusters=[0, 1], into=1), Move(items=[0], to=3), Reject(items=[1])):
        edits.append(blob_run.folder, edit)
    after, now = predicted(), blob_run.labels
    assert predicted("--raw") == before
    untouched = [i for i in range(2, 90) if before[i]["label"] == str(raw[i])]
    assert len(untouched) > 60
    assert [after[i]["label"] for i in untouched] == [str(now["label"][i]) for i in untouched]
    assert {row["label"] for row in after} == {"1", "2", "3"}  # what was moved or rejected is predicted as any other
    assert all(row["name"] == ("new" if row["label"] == "3" else "") for row in after)
    assert [row["confidence"] for row in after] == [row["confidence"] for row in before]


def test_a_contact_sheet_shows_the_clusters_as_they_are_now(sign_folder, tmp_path):
    paths, labels = [f"{i:04d}.png" for i in range(120)], np.arange(120) % 3
    run = write_run(tmp_path / "run", sign_folder, paths, labels)
    assert "show" in dir(Run) and run.show()._repr_png_().startswith(b"\x89PNG")
    first = np.asarray(run.show(across=3))
    edits.append(run.folder, Name(cluster=0, name="a name too long for its place"))
    named = np.asarray(run.show(across=3))
    assert named.shape == first.shape and (named != first)[:30, :72].any() and (named == first)[:, 72:].all()
    edits.append(run.folder, Merge(clusters=[1, 2], into=2))
    edits.append(run.folder, Reject(items=[int(np.flatnonzero(labels == 0)[run_order(run, labels, 0)[0]])]))
    assert len(run.show(across=3)._repr_png_()) and run.show(across=3).size[1] == first.shape[0] - 50
    moved = np.asarray(run.show(across=3))[:50, 72 : 72 + 100]
    assert (moved == first[:50, 72 + 50 : 72 + 150]).all()  # what was rejected went, the next ones moved up
    assert (np.asarray(run.show(across=3, raw=True)) == first).all()


def run_order(run, labels, cluster):
    """Its items' places by falling confidence."""
    return np.argsort(-run.raw_labels["confidence"].to_numpy()[labels == cluster], kind="stable")


def test_a_contact_sheet_without_its_source_says_so_and_one_missing_item_is_a_grey_tile(sign_folder, tmp_path):
    run = write_run(tmp_path / "run", sign_folder, [f"{i:04d}.png" for i in range(120)], np.arange(120) % 2)
    whole = np.asarray(run.show())
    surest = int(np.flatnonzero(np.arange(120) % 2 == 0)[run_order(run, np.arange(120) % 2, 0)[0]])
    (sign_folder / f"{surest:04d}.png").unlink()
    changed = np.argwhere((np.asarray(run.show()) != whole).any(axis=2))
    assert changed.min(axis=0).tolist() >= [2, 72] and changed.max(axis=0)[1] < 72 + 48
    (tmp_path / "elsewhere.png").write_bytes((sign_folder / "0001.png").read_bytes())
    (sign_folder / f"{surest:04d}.png").symlink_to(tmp_path / "elsewhere.png")
    linked = [np.asarray(run.show(follow_links=follow)) for follow in (False, True)]
    assert (linked[0] != linked[1]).any()
    sign_folder.rename(tmp_path / "moved")
    with pytest.raises(UserError, match="none of its items can be shown"):
        run.show()
    assert run.show(source=str(tmp_path / "moved")).size == (whole.shape[1], whole.shape[0])


def test_a_damaged_log_is_one_sentence(here, blob_run):
    (blob_run.folder / edits.LOG).write_text("{}\n")
    done = here("score", blob_run.folder)
    assert done.returncode == 2 and "line 1" in done.stderr and "Traceback" not in done.stderr
    with pytest.raises(UserError, match="line 1"):
        _ = blob_run.labels


def test_a_model_of_another_version_is_refused_in_a_sentence(here, blob_run):
    from safetensors import safe_open
    from safetensors.torch import save_file

    file = blob_run.folder / "model.safetensors"
    with safe_open(file, "pt") as f:
        tensors, about = {k: f.get_tensor(k) for k in f.keys()}, f.metadata()  # noqa: SIM118
    tensors.pop("method.mass_HK")
    save_file(tensors, file, metadata=about)
    done = here("predict", blob_run.folder, blob_run.recorded["settings"]["source"])
    assert done.returncode == 2 and "label the source again" in done.stderr


def test_a_folder_without_a_finished_run_is_refused_with_its_state(tmp_path):
    with pytest.raises(UserError, match="holds no run"):
        Run.open(tmp_path)
    (tmp_path / "run.toml").write_text("")
    with pytest.raises(UserError, match="is not finished"):
        Run.open(tmp_path)
    assert Run(tmp_path).exists and Run(tmp_path).settings == {} == Run(tmp_path).modalities


def test_a_runs_settings_modalities_and_paths_are_those_written(tmp_path):
    run = write_run(
        tmp_path / "run", "films", [f"é{i}.mp4" for i in range(12)], np.arange(12) % 2, {"video": "video", "audio": "sound"}
    )
    assert run.settings["source"] == "films" and list(run.modalities) == ["video", "audio"]
    assert run.modalities["audio"]["kind"] == "sound" and run.labels_by_modality == {}
    assert len(run.paths) == 12 and run.paths[np.int64(3)] == "é3.mp4" and list(run.paths)[-1] == "é11.mp4"


def test_a_truth_table_names_a_class_for_every_path(tmp_path):
    (tmp_path / "t.csv").write_text(csv_text(["path", "group", "class"], [("a,b.png", 1, "x"), ("c.png", 2, "y")]))
    assert read_truth(tmp_path / "t.csv") == {"a,b.png": "x", "c.png": "y"}
    assert read_column(tmp_path / "t.csv", ("fold", "group")) == {"a,b.png": "1", "c.png": "2"}
    assert read_column(tmp_path / "t.csv", ("fold",)) is None
    (tmp_path / "u.csv").write_text("name,class\na,x\n")
    with pytest.raises(UserError, match="needs the columns"):
        read_truth(tmp_path / "u.csv")
    with pytest.raises(UserError, match="no such truth file"):
        read_truth(tmp_path / "gone.csv")
