"""A run folder read with what people changed: labels, names, scores and predictions."""

import csv
import json

import numpy as np
import pytest

from selflabel import Run, edits
from selflabel.edits import Merge, Move, Name, Reject, Undo
from selflabel.base.errors import UserError
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
    for edit in (Name(cluster=0, name="noughts"), Merge(clusters=[0, 1], into=0), Reject(items=[3, 4])):
        edits.append(blob_run.folder, edit)
    now = blob_run.labels
    assert now.column_names == ["id", "path", "label", "confidence", "name"]
    expected = np.where(was == 1, 0, was)
    expected[[3, 4]] = -1
    assert (now["label"].to_numpy() == expected).all()
    assert now["name"].to_pylist() == ["noughts" if label == 0 else None for label in expected]
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


def test_a_run_labelled_anew_leaves_the_edits_beside_it(blob_run):
    for name in ("first", "second"):
        edits.append(blob_run.folder, Name(cluster=0, name=name))
        kept = (blob_run.folder / "edits.jsonl").read_bytes()
        blob_run.keep_edits()
        aside = sorted(blob_run.folder.parent.glob("run-edits-*.jsonl"))
        assert aside[-1].read_bytes() == kept and not (blob_run.folder / "edits.jsonl").exists()
    assert [file.name for file in aside] == ["run-edits-1.jsonl", "run-edits-2.jsonl"]
    edits.append(blob_run.folder, Name(cluster=0, name="third"))
    blob_run.clear()
    assert not any(blob_run.folder.iterdir()) and len(list(blob_run.folder.parent.glob("run-edits-*.jsonl"))) == 3


def test_a_model_of_another_version_is_told_in_a_sentence(here, blob_run):
    from safetensors import safe_open
    from safetensors.torch import save_file

    file = blob_run.folder / "model.safetensors"
    with safe_open(file, "pt") as f:
        tensors, about = {k: f.get_tensor(k) for k in f.keys()}, f.metadata()  # noqa: SIM118
    tensors.pop("method.mass_HK")
    save_file(tensors, file, metadata=about)
    done = here("predict", blob_run.folder, blob_run.recorded["settings"]["source"])
    assert done.returncode == 2 and "label the source again" in done.stderr
