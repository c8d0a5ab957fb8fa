"""From a table of pieces to a run: its tables, its items, its continuation, and unseen pieces."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from selflabel.api import SelfLabeler
from selflabel.base.errors import UserError
from selflabel.base.settings import make_settings
from selflabel.items import open_items
from selflabel.jobs.build import read_fixed_labels
from selflabel.jobs.label import label
from selflabel.jobs.predict import predict
from selflabel.jobs.predictions import predictions_csv, predictions_dict
from selflabel.jobs.score import score_run
from selflabel.runs.run import Run

GIVEN = {"clusters": 2, "method": "kmeans", "device": "cpu", "encoder": "scratch", "epochs": 1}


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Six photos, bright on the left and dark on the right; and a COCO file of both halves of each, the last one broken."""
    place = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    (place / "pictures").mkdir()
    for i in range(6):
        pixels = rng.integers(0, 60, (40, 80, 3), np.uint8)
        pixels[:, :40] += 180
        Image.fromarray(pixels).save(place / "pictures" / f"{i}.png")
    (place / "pictures" / "5.png").write_bytes((place / "pictures" / "5.png").read_bytes()[:400])
    images = [{"id": i, "file_name": f"{i}.png", "width": 80, "height": 40} for i in range(6)]
    halves = [(i, x) for i in range(6) for x in (0, 40)]
    annotations = [{"image_id": i, "bbox": [x, 0, 40, 40], "category_id": x} for i, x in halves]
    annotations.append({"image_id": 0, "bbox": [0, 0, 0, 9], "category_id": 0})
    categories = [{"id": 0, "name": "bright"}, {"id": 40, "name": "dark"}]
    (place / "set.json").write_text(json.dumps({"images": images, "annotations": annotations, "categories": categories}))
    return place


@pytest.fixture(scope="module")
def run(photos, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "set-kmeans"
    label(make_settings(source=str(photos / "set.json"), images=str(photos / "pictures"), **GIVEN), folder)
    return Run.open(folder)


def table(file):
    with Path(file).open(newline="") as f:
        return list(csv.reader(f))


def test_the_tables_of_a_run_say_which_pieces_its_rows_are(run):
    header, *rows = table(run.folder / "labels.csv")
    assert header == ["id", "path", "x0", "y0", "x1", "y1", "label", "confidence"]
    assert len(rows) == 10 and rows[1][:6] == ["1", "0.png", "40", "0", "80", "40"]
    assert table(run.folder / "truth.csv")[:3][1:] == [
        ["0.png", "0", "0", "40", "40", "bright"],
        ["0.png", "40", "0", "80", "40", "dark"],
    ]
    skipped = table(run.folder / "skipped.csv")
    assert skipped[0] == ["path", "reason", "x0", "y0", "x1", "y1"]
    assert skipped[1] == ["0.png", "annotation 13 of set.json: its box is empty", "0", "0", "0", "9"]
    assert [row[0] for row in skipped[2:]] == ["5.png"] * 2 and skipped[3][2:] == ["40", "0", "80", "40"]
    assert skipped[2][1].startswith("annotation 11 of set.json: ")
    assert run.settings["images"].endswith("pictures")


def test_the_pieces_of_a_file_are_scored_and_found_again_by_their_rows(run, photos):
    assert score_run(run, None)["accuracy"] == 1
    blob = run.source().source.blobs(3)["image"]
    assert blob.file == str((photos / "pictures" / "1.png").resolve()) and blob.piece.box == (40, 0, 80, 40)
    for moved in ("set.json", "pictures"):
        if moved == "pictures":
            assert run.source(str(photos / moved)).source.blobs(3)["image"].piece.box == (40, 0, 80, 40)
        else:
            assert "give their folder as --source" in run.source(str(photos / moved)).error
    assert (run.place, run.images) == (str(photos / "set.json"), str(photos / "pictures"))


def test_unseen_pieces_are_labelled_and_skipped_ones_listed(run, photos):
    predicted = predict(run, str(photos / "set.json"), device="cpu", images=str(photos / "pictures"))
    assert predicted.labels.tolist() == run.raw_labels["label"].to_pylist()
    assert predictions_csv(predicted).splitlines()[0].startswith("path,x0,y0,x1,y1,label,confidence")
    spoken = json.loads(json.dumps(predictions_dict(predicted)))
    assert spoken["items"][1] | {"x0": 40.0, "x1": 80.0} == spoken["items"][1]
    reason = "annotation 13 of set.json: its box is empty"
    assert spoken["skipped"][0] == {"path": "0.png", "reason": reason, "x0": 0, "y0": 0, "x1": 0, "y1": 9}


def test_the_labels_of_a_run_are_a_manifest_and_labels_to_train_on(run, photos, tmp_path):
    copied = photos / "pictures" / "labels.csv"
    copied.write_text((run.folder / "labels.csv").read_text())
    items = open_items(str(copied))
    assert list(items.pieces.boxes[3]) == [40, 0, 80, 40] and items.truth is None
    shuffled = [copied.read_text().splitlines()[i] for i in (0, *np.random.default_rng(1).permutation(10) + 1)]
    (tmp_path / "shuffled.csv").write_text("\n".join(shuffled))
    for file in (copied, tmp_path / "shuffled.csv"):
        assert read_fixed_labels(file, items).tolist() == run.raw_labels["label"].to_pylist()


def test_an_unfinished_run_goes_on_with_the_same_pieces_only(run, photos):
    (run.folder / "report.json").rename(run.folder / "kept.json")
    try:
        settings = make_settings(source=str(photos / "set.json"), images=str(photos / "pictures"), **GIVEN)
        before = run.raw_labels["label"].to_pylist()
        label(settings, run.folder, resume=True)
        assert Run.open(run.folder).raw_labels["label"].to_pylist() == before
        (run.folder / "report.json").unlink()
        other = json.loads((photos / "set.json").read_text())
        other["annotations"][1]["bbox"][2] = 30
        text = (photos / "set.json").read_text()
        (photos / "set.json").write_text(json.dumps(other))
        with pytest.raises(UserError, match="its items are other pieces of the files"):
            label(settings, run.folder, resume=True)
        (photos / "set.json").write_text(text)
    finally:
        (run.folder / "kept.json").rename(run.folder / "report.json")


def test_the_estimator_takes_a_coco_file_with_the_folder_of_its_pictures(photos):
    model = SelfLabeler(2, method="kmeans", device="cpu", encoder="scratch", epochs=1, images=photos / "pictures")
    with pytest.warns(UserWarning, match="3 of 13 items could not be used"):
        model.fit(str(photos / "set.json"))
    assert model.pieces_[1].box == (40, 0, 80, 40) and model.skipped_[0].row == "annotation 13 of set.json"
    with pytest.warns(UserWarning, match="have no row"):
        assert model.predict(str(photos / "set.json")).tolist() == model.labels_.tolist()
