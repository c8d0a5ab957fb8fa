import csv
import json

import numpy as np
import pytest
import timm
import torch
from PIL import Image, ImageDraw
from safetensors.torch import save_file

from selflabel.base.errors import Interrupted, UserError
from selflabel.base.settings import make_settings
from selflabel.base.tensor_files import read_tensors, write_tensors
from selflabel.cli.find_command import found_lines
from selflabel.edits import Reject, append
from selflabel.exports import export
from selflabel.jobs.callbacks import Callbacks
from selflabel.jobs.find import find
from selflabel.jobs.label import label
from selflabel.jobs.predict import predict
from selflabel.jobs.predictions import predictions_csv
from selflabel.jobs.run_source import open_source
from selflabel.regions.boxes import box_ious
from selflabel.runs.run import Run

VIT = "vit_tiny_patch16_224"
COLOURS = ("crimson", "royalblue")


def draw(file, box, colour, size, seed):
    """A photo of noise with a disc in a box."""
    rng = np.random.default_rng(seed)
    image = Image.fromarray(rng.normal(150, 6, (size[1], size[0], 3)).clip(0, 255).astype(np.uint8))
    ImageDraw.Draw(image).ellipse(box, fill=colour)
    image.save(file)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A small transformer with random weights, whose keys tell colours apart, as a file of weights."""
    file = tmp_path_factory.mktemp("weights") / "vit.safetensors"
    torch.manual_seed(0)
    net = timm.create_model(VIT, pretrained=False, num_classes=0)
    save_file({k: v.contiguous() for k, v in net.state_dict().items()}, file)
    return file


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """(folder, path to the true box): eight photos with a disc each, one that is broken, and one in which there is nothing."""
    folder, truth, rng = tmp_path_factory.mktemp("find") / "photos", {}, np.random.default_rng(0)
    folder.mkdir()
    for i in range(8):
        size = (160, 120) if i % 2 else (120, 160)
        x, y, side = (int(v) for v in (rng.integers(20, 50), rng.integers(20, 50), rng.integers(40, 60)))
        truth[f"{i}.png"] = (x, y, x + side, y + side)
        draw(folder / f"{i}.png", truth[f"{i}.png"], COLOURS[i // 4], size, i)
    (folder / "broken.png").write_bytes(b"no picture")
    Image.new("RGB", (160, 120), "gray").save(folder / "nothing.png")
    return folder, truth


def settings_for(source, weights, **given):
    common = {"method": "cut", "encoder": f"frozen:timm:{VIT}", "px": 224, "device": "cpu", "options": {"most": 1, "tau": 0.7}}
    return make_settings(source=str(source), weights=weights and str(weights), **common | given)


@pytest.fixture(scope="module")
def found(photos, weights, tmp_path_factory):
    """The run folder of `find`."""
    out = tmp_path_factory.mktemp("runs") / "cut"
    find(settings_for(photos[0], weights), out)
    return out


def test_a_box_and_a_mask_for_every_object_in_a_run_folder_like_any_other(found, photos):
    _, truth = photos
    run = Run.open(found)
    table, pieces = run.labels, run.pieces
    assert table["path"].to_pylist() == sorted(truth) and set(table["name"].to_pylist()) == {"object"}
    true_boxes = np.array([truth[path] for path in table["path"].to_pylist()])
    assert np.diag(box_ious(pieces.boxes, true_boxes)).min() > 0.7
    for piece, score in zip(pieces, pieces.scores):
        assert piece.mask.box == tuple(map(int, piece.box)) and (piece.mask.width, piece.mask.height) == piece.size
        assert 0 < score <= 1
    np.testing.assert_allclose(table["confidence"].to_numpy(), pieces.scores)
    rows = list(csv.DictReader((found / "labels.csv").open()))
    assert list(rows[0]) == ["id", "path", "x0", "y0", "x1", "y1", "label", "confidence"]
    skipped = {row["path"]: row["reason"] for row in csv.DictReader((found / "skipped.csv").open())}
    assert skipped["nothing.png"] == "nothing was found in it" and "not an image" in skipped["broken.png"]
    assert run.report["n_photos"] == 9 and run.report["n_items"] == 8 and run.report["n_skipped"] == 2
    assert run.features.shape[0] == 8 and (found / "clusters.png").exists()


def test_label_gives_every_object_a_class_and_predict_finds_and_labels_in_unseen_photos(found, photos, weights, tmp_path):
    _, truth = photos
    out = tmp_path / "labelled"
    labels_of = {"method": "kmeans", "clusters": 2}
    label(settings_for(found, weights, **labels_of, options={}), out)
    run = Run.open(out)
    labels = run.labels["label"].to_numpy()
    assert run.labels["path"].to_pylist() == sorted(truth)
    assert len({*labels[:4]}) == len({*labels[4:]}) == 1 and labels[0] != labels[4]  # the discs of one colour are a class
    assert not run.source().error and run.source().source.blobs(0)["image"].piece == Run.open(found).pieces[0]
    new = tmp_path / "new"
    new.mkdir()
    for i, colour in enumerate(COLOURS):
        draw(new / f"{i}.png", (40, 30, 100, 90), colour, (160, 120), 100 + i)
    unseen = predict(run, str(new), "cpu")
    assert unseen.labels.tolist() == [labels[0], labels[4]]
    assert box_ious(unseen.pieces.boxes, np.array([[40, 30, 100, 90]])).min() > 0.7
    objects = predict(Run.open(found), str(new), "cpu")
    assert objects.names == ["object", "object"] and (objects.confidence > 0).all()
    assert predictions_csv(objects).splitlines()[0] == "path,x0,y0,x1,y1,label,confidence,name"
    known = predict(run, str(found), "cpu")  # objects that were found before are only labelled
    assert known.labels.tolist() == labels.tolist()
    found.rename(found.with_name("away"))
    with pytest.raises(UserError, match=r"its objects were found by the run .*cut, which is not there any more"):
        predict(run, str(new), "cpu")
    found.with_name("away").rename(found)


def test_objects_are_exported_and_those_that_people_rejected_are_no_source(found, tmp_path):
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(found, copy)
    append(copy, Reject(items=[0, 3]))
    items = open_source(str(copy))
    assert len(items) == 6 and "2 items of" in items.notes[0] and len(items.pieces) == 6
    export(Run.open(found), "coco", tmp_path / "coco")
    assert [*(tmp_path / "coco").iterdir()]


def test_what_a_stopped_find_leaves_is_no_run_and_the_next_one_works(weights, tmp_path):
    out, given = tmp_path / "runs" / "run", settings_for(tmp_path / "photos", weights)
    (tmp_path / "photos").mkdir()
    for i in range(2):
        draw(tmp_path / "photos" / f"{i}.png", (40, 30, 100, 90), COLOURS[i], (160, 120), i)

    def stop(step, done, total):
        if step == "finding objects" and done == 1:
            raise Interrupted

    with pytest.raises(Interrupted):
        find(given, out, callbacks=Callbacks(on_progress=stop))
    assert not out.exists()
    first = find(given, out)
    (out / "report.json").unlink()  # killed between its first and its last file
    again = find(given, out)
    np.testing.assert_array_equal(first.found.regions.pieces.boxes, again.found.regions.pieces.boxes)
    with pytest.raises(UserError, match="holds a finished run; add --overwrite to replace it"):
        find(given, out)
    find(given, out, overwrite=True)
    assert {place.name for place in out.parent.iterdir()} == {"run"}  # no log of edits, since nobody edited


def test_what_found_learned_is_in_the_model_file_and_is_what_predict_finds_by(photos, weights, tmp_path):
    folder, _ = photos
    given = settings_for(folder, weights, method="found", options={"tau": 0.7, "objects": 0.12})
    find(given, tmp_path / "run")
    run = Run.open(tmp_path / "run")
    tensors, state = read_tensors(run.file("model.safetensors"), "")
    assert tensors["finder.weight"].shape == (192,) and run.report["method"] == "found" and "learn" in run.report["seconds"]
    again = predict(run, str(folder), "cpu")  # one photo alone would teach it something else
    np.testing.assert_array_equal(again.pieces.boxes, run.pieces.boxes)
    find(given, tmp_path / "again")
    np.testing.assert_array_equal(Run.open(tmp_path / "again").pieces.boxes, run.pieces.boxes)
    write_tensors(run.file("model.safetensors"), tensors | {"finder.weight": torch.full((192,), torch.nan)}, state)
    with pytest.raises(UserError, match=r"does not fit run.toml \(ValueError: its layer is no row of finite numbers\)"):
        predict(run, str(folder), "cpu")
    write_tensors(run.file("model.safetensors"), tensors | {"finder.weight": torch.ones(3)}, state)
    with pytest.raises(UserError, match="from background is for 3 features, and the encoder gives 192; copy the run"):
        predict(run, str(folder), "cpu")


def test_objects_are_labelled_by_the_embeddings_that_maskcontrast_learned_of_their_masks(photos, weights, tmp_path):
    options = {"masks": "cut", "steps": 60}
    find(settings_for(photos[0], weights, method="maskcontrast", options=options), tmp_path / "run")
    run = Run.open(tmp_path / "run")
    assert run.features.shape == (len(run.labels), 32)
    np.testing.assert_allclose(np.linalg.norm(run.features, axis=1), 1, rtol=1e-3)
    again = predict(run, str(photos[0]), "cpu")
    np.testing.assert_allclose(again.features.numpy(), run.features, atol=1e-3)
    append(run.folder, Reject(items=[0]))
    given = {"method": "kmeans", "clusters": 2, "encoder": "frozen", "options": {}}
    label(settings_for(run.folder, None, **given), tmp_path / "labelled")
    labelled = Run.open(tmp_path / "labelled")
    assert len(labelled.labels) == len(run.raw_labels) - 1 and labelled.features.shape[1] == 32
    np.testing.assert_array_equal(labelled.pieces.boxes, run.pieces.boxes[1:])
    unseen = predict(labelled, str(photos[0]), "cpu")  # objects and their embeddings are found by the run that it was made from
    assert unseen.labels[1:].tolist() == labelled.labels["label"].to_pylist()


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"encoder": "scratch"}, "objects are found by a pretrained encoder; leave it out"),
        ({"encoder": "frozen:conv4", "weights": None}, "has no pretrained weights of its own"),
        (
            {"encoder": "auto", "weights": None},
            "none can be had .*encoders --save timm:vit_small_patch16_224.dino FILE.safetensors",
        ),
        ({"encoder": "auto"}, "these are not those of DINO small; name their network with --encoder"),
        ({"encoder": "frozen:hf:x/y", "weights": None}, "gives no map of a photo"),
        ({"options": {"tau": 2}}, "tau"),
        ({"method": "sela-nn"}, "use it with `selflabel label`"),
        ({"source": "digits"}, "is an array"),
    ],
)
def test_what_cannot_be_is_said_in_one_sentence(given, sentence, photos, weights, tmp_path):
    with pytest.raises(UserError, match=sentence):
        find(settings_for(**{"source": photos[0], "weights": weights} | given), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_nothing_found_in_any_photo_is_an_error_and_writes_no_run(weights, tmp_path):
    (tmp_path / "photos").mkdir()
    Image.new("RGB", (64, 64), "gray").save(tmp_path / "photos" / "a.png")
    with pytest.raises(UserError, match="nothing was found in any of its 1 photos"):
        find(settings_for(tmp_path / "photos", weights), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_find_from_the_command_line_prints_its_report_and_refuses_in_one_sentence(selflabel, photos, weights, tmp_path):
    words = (
        "find",
        photos[0],
        "--encoder",
        f"frozen:timm:{VIT}",
        "--weights",
        weights,
        "--set",
        "px=224",
        "--set",
        "tau=0.7",
        "--out",
        tmp_path / "run",
    )
    report = json.loads(selflabel(*words, "--json").stdout)
    assert report["n_photos"] == 9 and report["method"] == "cut"
    lines = found_lines(report, tmp_path / "run")
    assert f"selflabel label {tmp_path / 'run'} -k 20" in lines and "objects:" in lines and "without an object" in lines
    refused = selflabel(*words)
    assert refused.returncode == 2 and refused.stderr.count("\n") == 1 and "--overwrite" in refused.stderr
