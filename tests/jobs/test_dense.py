"""Class maps of photos that are made of three colours, by a small transformer whose patch tokens tell colours apart."""

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
from selflabel.cli.wording import report_lines
from selflabel.edits import Merge, Reject, append
from selflabel.evaluation.class_maps import class_map_scores, pixel_table
from selflabel.exports import export
from selflabel.jobs import dense
from selflabel.jobs.callbacks import Callbacks
from selflabel.jobs.label import label
from selflabel.jobs.predict import predict
from selflabel.jobs.score_class_maps import score_class_maps
from selflabel.runs.run import Run
from selflabel.training.loop import LoopCallbacks

VIT = "vit_tiny_patch16_224"
COLOURS = ("skyblue", "saddlebrown", "crimson")


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    file = tmp_path_factory.mktemp("weights") / "vit.safetensors"
    torch.manual_seed(0)
    net = timm.create_model(VIT, pretrained=False, num_classes=0)
    with torch.no_grad():
        net.pos_embed.zero_()
    save_file({k: v.contiguous() for k, v in net.state_dict().items()}, file)
    return file


def draw(file, size, horizon, box, seed):
    """A photo of sky above earth with a disc, with noise. Returns its true class map."""
    width, height = size
    truth = Image.new("L", size, 0)
    pen = ImageDraw.Draw(truth)
    pen.rectangle((0, horizon, width, height), fill=1)
    pen.ellipse(box, fill=2)
    classes = np.asarray(truth)
    colours = np.array([Image.new("RGB", (1, 1), c).getpixel((0, 0)) for c in COLOURS])
    noise = np.random.default_rng(seed).normal(0, 6, (height, width, 3))
    Image.fromarray((colours[classes] + noise).clip(0, 255).astype(np.uint8)).save(file)
    return classes


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """(folder, path to its true class map): six photos, and one that is broken."""
    folder, rng = tmp_path_factory.mktemp("dense") / "photos", np.random.default_rng(0)
    folder.mkdir()
    truth = {}
    for i in range(6):
        size = (240, 180) if i % 2 else (180, 240)
        x, y = (int(v) for v in rng.integers(20, 80, 2))
        truth[f"{i}.png"] = draw(folder / f"{i}.png", size, int(rng.integers(80, 120)), (x, y, x + 80, y + 80), i)
    (folder / "broken.png").write_bytes(b"no picture")
    return folder, truth


def settings_for(source, weights, **given):
    common = {"method": "kmeans", "clusters": 3, "encoder": f"frozen:timm:{VIT}", "px": 224, "device": "cpu", "parts": "patches"}
    return make_settings(source=str(source), weights=weights and str(weights), **common | given)


@pytest.fixture(scope="module")
def labelled(photos, weights, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "run"
    label(settings_for(photos[0], weights), out)
    return out


def maps_in(folder):
    """Path to its class map, from an export."""
    rows = csv.DictReader((folder / "maps.csv").open())
    return {row["path"]: np.asarray(Image.open(folder / row["map"])) for row in rows}


def test_every_pixel_of_every_photo_is_in_a_region_with_a_class_that_follows_the_colours(labelled, photos, tmp_path):
    _, truth = photos
    run = Run.open(labelled)
    table, pieces = run.labels, run.pieces
    paths = np.array(table["path"].to_pylist())
    for path, classes in truth.items():
        covered = sum(pieces[int(row)].mask.decode().astype(int) for row in np.flatnonzero(paths == path))
        assert covered.shape == classes.shape and (covered == 1).all()
    assert all(piece.mask.box == tuple(map(int, piece.box)) for piece in pieces)
    export(run, "class-maps", tmp_path / "maps")
    maps = maps_in(tmp_path / "maps")
    scores = class_map_scores(sum(pixel_table(truth[path], found, 3, 3) for path, found in maps.items()))
    assert maps.keys() == truth.keys() and scores["miou"] > 0.85
    report = run.report
    assert report["piece"] == "region" and report["n_photos"] == 6 and report["n_items"] == len(paths) == len(run.features)
    assert "broken.png" in (labelled / "skipped.csv").read_text()
    assert "regions (1 skipped" in report_lines(report, labelled)


def test_unseen_photos_get_class_maps_and_seen_ones_get_the_same_again(labelled, photos, tmp_path):
    run = Run.open(labelled)
    again = predict(run, str(photos[0]), "cpu")
    assert again.paths == run.labels["path"].to_pylist() and again.labels.tolist() == run.labels["label"].to_pylist()
    assert [mask.counts for mask in again.pieces.masks] == [mask.counts for mask in run.pieces.masks]
    np.testing.assert_allclose(again.confidence, run.labels["confidence"].to_numpy(), atol=1e-3)
    (tmp_path / "new").mkdir()
    classes = draw(tmp_path / "new" / "new.png", (240, 180), 90, (100, 60, 180, 140), 99)
    unseen = predict(run, str(tmp_path / "new"), "cpu")
    found = np.zeros(classes.shape, int)
    for mask, one in zip(unseen.pieces.masks, unseen.labels):
        found[mask.decode()] = one
    assert class_map_scores(pixel_table(classes, found, 3, 3))["miou"] > 0.85


def test_what_a_person_merged_or_rejected_is_so_in_the_exported_maps_and_their_palette_is_that_of_the_page(labelled, tmp_path):
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(labelled, copy)
    labels = Run.open(copy).labels["label"].to_numpy()
    append(copy, Merge(clusters=[0, 1], into=0))
    append(copy, Reject(items=[int(np.flatnonzero(labels == 2)[0])]))
    export(Run.open(copy), "class-maps", tmp_path / "maps")
    values = np.unique(np.concatenate([m.reshape(-1) for m in maps_in(tmp_path / "maps").values()]))
    assert values.tolist() == [0, 1, 255]
    classes = list(csv.DictReader((tmp_path / "maps" / "classes.csv").open()))
    assert [row["cluster"] for row in classes] == ["0", "2"]
    assert Image.open(next((tmp_path / "maps" / "maps").iterdir())).getpalette()[:3] == [49, 113, 185]


def test_score_compares_the_maps_with_masks_of_classes_and_lists_those_that_cannot_be_used(labelled, photos, tmp_path, here):
    _, truth = photos
    (tmp_path / "masks").mkdir()
    for path, classes in [*truth.items()][:4]:
        Image.fromarray(classes).save(tmp_path / "masks" / path)
    Image.new("L", (5, 5)).save(tmp_path / "masks" / "4.png")
    scores = score_class_maps(Run.open(labelled), str(tmp_path / "masks"))
    assert scores["miou"] > 0.85 and scores["accuracy"] > scores["one_class"]["accuracy"] and scores["n_photos"] == 4
    assert scores["n_without_truth"] == 2 and scores["bad"] == [("4.png", "it has 5 x 5 pixels, and its photo 180 x 240")]
    done = here("score", labelled, "--truth", tmp_path / "masks")
    assert "pixel accuracy" in done.stdout and "4 of 6 photos have a map" in done.stdout and "4.png: it has" in done.stdout
    for path in truth:
        (tmp_path / "masks" / path).unlink(missing_ok=True)
    with pytest.raises(UserError, match="none of its PNGs is a class map of a photo of"):
        score_class_maps(Run.open(labelled), str(tmp_path / "masks"))


def stop_after(epochs):
    """Callbacks that stop training once so many epochs are done."""
    done = []
    return Callbacks(loop=LoopCallbacks(on_epoch=done.append, should_stop=lambda: len(done) >= epochs))


@pytest.mark.slow
def test_a_run_that_was_stopped_goes_on_and_ends_as_one_that_was_not(photos, weights, tmp_path, monkeypatch):
    given = settings_for(photos[0], weights, method="sela-nn", epochs=3)
    whole = label(given, tmp_path / "whole").labelling
    with pytest.raises(Interrupted):
        label(given, tmp_path / "stopped", callbacks=stop_after(1))
    with monkeypatch.context() as patch:  # killed as it writes its regions
        patch.setattr(dense, "record_files", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        patch.setattr(dense, "begin", lambda *_: None)
        with pytest.raises(KeyboardInterrupt):
            label(given, tmp_path / "stopped", resume=True)
    resumed = label(given, tmp_path / "stopped", resume=True).labelling
    assert resumed.labels.tolist() == whole.labels.tolist() and resumed.paths == whole.paths
    run = Run.open(tmp_path / "stopped")
    assert len(run.pieces) == len(whole.labels) and not run.source().error
    assert run.source().source.blobs(len(whole.labels) - 1)["image"].piece == whole.pieces[len(whole.labels) - 1]
    (photos[0] / "later.png").write_bytes((photos[0] / "0.png").read_bytes())
    with pytest.raises(Interrupted):
        label(given, tmp_path / "other", callbacks=stop_after(1))
    (photos[0] / "later.png").unlink()
    with pytest.raises(UserError, match="the source is not as it was when this run was begun"):
        label(given, tmp_path / "other", resume=True)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"windows": 3.0}, r"windows = 3.0: is for whole items, and --parts patches labels patches of photos; leave it out"),
        ({"outliers": "auto"}, "outliers = auto: is for whole items"),
        ({"encoder": "scratch", "weights": None}, "--encoder scratch: patches are labelled by a pretrained encoder"),
        (
            {"encoder": "auto", "weights": None},
            r"patches are labelled by a pretrained encoder, and none can be had \(.*encoders --save",
        ),
        ({"clusters": 5000}, "the source has only 840 items"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(photos, weights, given, sentence):
    with pytest.raises(UserError, match=sentence):
        label(settings_for(photos[0], **{"weights": weights} | given), None)


def test_sounds_arrays_and_pieces_have_no_patches(labelled, weights, tmp_path):
    import soundfile

    soundfile.write(tmp_path / "a.wav", np.zeros(8000, np.float32), 8000)
    np.save(tmp_path / "x.npy", np.zeros((9, 8, 8), np.uint8))
    for source, reason in (
        (tmp_path / "a.wav", "holds no photos, and patches are labelled in photos only"),
        (tmp_path / "x.npy", "is an array, and patches are labelled in files of photos"),
        (labelled, "its items are pieces of files, and patches are labelled in whole photos"),
    ):
        with pytest.raises(UserError, match=reason):
            label(settings_for(source, weights), None)


def test_a_strangers_model_that_does_not_fit_is_one_sentence(labelled, photos, tmp_path):
    import shutil

    from selflabel.base.tensor_files import read_tensors, write_tensors

    copy = tmp_path / "copy"
    shutil.copytree(labelled, copy)
    tensors, state = read_tensors(copy / "model.safetensors", "")
    write_tensors(copy / "model.safetensors", tensors | {"patches.basis": torch.zeros(3, 3)}, state)
    with pytest.raises(UserError, match=r"does not fit run.toml \(ValueError: it holds no space of patches\)"):
        predict(Run.open(copy), str(photos[0]), "cpu")


def test_on_the_command_line_maps_are_written_beside_the_table(labelled, photos, tmp_path, here):
    done = here("predict", labelled, photos[0], "--out", tmp_path / "new.csv", "--maps", tmp_path / "maps", "--json")
    assert done.returncode == 0 and len(json.loads(done.stdout)["items"]) == Run.open(labelled).report["n_items"]
    export(Run.open(labelled), "class-maps", tmp_path / "own")
    own, new = maps_in(tmp_path / "own"), maps_in(tmp_path / "maps")
    assert own.keys() == new.keys() and all((own[path] == new[path]).all() for path in own)
    again = here("predict", labelled, photos[0], "--maps", tmp_path / "maps")
    assert again.returncode == 2 and "is there already; give a new folder with --maps" in again.stderr
