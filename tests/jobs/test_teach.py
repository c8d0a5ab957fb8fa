"""`selflabel teach`: a detector or segmenter learns the regions of a run, with what people changed, and is a run of its own."""

import json

import numpy as np
import pytest
import timm
import torch
from PIL import Image, ImageDraw
from safetensors.torch import save_file

from selflabel.base.errors import Interrupted, UserError
from selflabel.base.rle import encode
from selflabel.base.settings import make_settings
from selflabel.cli.teach_command import taught_lines
from selflabel.edits import Merge, Move, Name, Reject, append
from selflabel.exports import export
from selflabel.items import Piece, Pieces, open_items
from selflabel.jobs.callbacks import Callbacks
from selflabel.jobs.known_regions import regions_of_run
from selflabel.jobs.predict import predict
from selflabel.jobs.score_regions import says_where, score_regions
from selflabel.jobs.teach import teach
from selflabel.methods import TEACHABLE
from selflabel.regions.boxes import box_ious
from selflabel.runs.opening import record_source
from selflabel.runs.run import Run
from selflabel.runs.writing import Labelling, write_labelling, write_report, write_start
from selflabel.training.loop import LoopCallbacks

SIZE, PX = (96, 72), 96
COLOURS = {3: "crimson", 5: "royalblue"}  # label of the run that is learned from to colour
NET = "test_resnet"


def draw_photo(file, rng):
    """A photo of noise with a disc of each colour. Returns their boxes."""
    noise = rng.normal(150, 6, (SIZE[1], SIZE[0], 3)).clip(0, 255).astype(np.uint8)
    image, boxes = Image.fromarray(noise), []
    for place, colour in enumerate(COLOURS.values()):
        x, y, side = (int(v) for v in (48 * place + rng.integers(2, 10), rng.integers(5, 30), rng.integers(28, 36)))
        boxes.append((x, y, x + side, y + side))
        ImageDraw.Draw(image).ellipse(boxes[-1], fill=colour)
    image.save(file)
    return boxes


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A small convolutional network with random weights."""
    torch.manual_seed(0)
    file = tmp_path_factory.mktemp("weights") / "net.safetensors"
    save_file({k: v.contiguous() for k, v in timm.create_model(NET, pretrained=False, num_classes=0).state_dict().items()}, file)
    return str(file)


@pytest.fixture
def labelled(tmp_path):
    """(run folder as `label` writes it for the boxes of eight photos, path to boxes); labels are 3 and 5."""
    return labelled_boxes(tmp_path)


HALVES = [(0, 0, SIZE[0] // 2, SIZE[1]), (SIZE[0] // 2, 0, *SIZE)]


def disc(box):
    """The piece of a photo that a disc in this box is."""
    picture = Image.new("1", SIZE)
    ImageDraw.Draw(picture).ellipse(box, fill=1)
    mask = encode(np.asarray(picture))
    return Piece(box=tuple(map(float, mask.box)), size=SIZE, mask=mask)


def labelled_boxes(home, n=8, as_piece=lambda box: Piece(box=box, size=SIZE), halves=False):
    """as_piece: the piece in the box of a disc. halves: the regions are the halves of the photos, not the discs."""
    photos, rng = home / "photos", np.random.default_rng(0)
    photos.mkdir(parents=True)
    truth = {f"{i}.png": draw_photo(photos / f"{i}.png", rng) for i in range(n)}
    rows = np.repeat(np.arange(n), 2).tolist()
    items = open_items(str(photos)).take(rows)
    items = items.with_pieces(Pieces.of([as_piece(box) for boxes in truth.values() for box in (HALVES if halves else boxes)]))
    labels, features = np.tile(list(COLOURS), n), np.random.default_rng(0).normal(size=(2 * n, 4)).astype(np.float32)
    run = home / "boxes"
    write_start(
        run, {"settings": {"source": str(photos), "method": "sela-nn"}, "worked_out": {}}, (), (), items.paths, items.pieces
    )
    record_source(run, items, str(photos))
    near, probs = np.zeros((2 * n, 10), np.int64), np.ones((2 * n, 1), np.float32)
    write_labelling(run, Labelling(items.paths, labels, labels[:, None], probs, features, near, [], None, pieces=items.pieces))
    write_report(run, {"n_items": 2 * n, "n_clusters": 2})
    return run, truth


def settings_for(run, weights, **given):
    common = {"method": "fcos", "encoder": f"frozen:timm:{NET}", "px": PX, "device": "cpu"}
    return make_settings(source=str(run), weights=weights, **common | given)


def best_overlaps(table, pieces, truth):
    """(IoU of the surest detection of each class with its disc, over all photos)."""
    found = []
    for path, boxes in truth.items():
        for box, label in zip(boxes, COLOURS):
            rows = [i for i, row in enumerate(table) if row["path"] == path and row["label"] == label]
            best = max(rows, key=lambda i: table[i]["confidence"], default=None)
            found.append(0.0 if best is None else float(box_ious(pieces.boxes[best : best + 1], np.array([box]))[0, 0]))
    return np.array(found)


@pytest.mark.slow
def test_a_detector_learns_boxes_and_classes_and_is_a_run_that_predicts_and_exports(labelled, weights, tmp_path):
    source, truth = labelled
    append(source, Name(cluster=3, name="cherry"))
    said, out = [], tmp_path / "detector"
    taught = teach(settings_for(source, weights, epochs=80), out, callbacks=Callbacks(said.append))
    run = Run.open(out)
    table = run.labels.to_pylist()
    assert best_overlaps(table, run.pieces, truth).mean() > 0.7
    assert {row["name"] for row in table if row["label"] == 3} == {"cherry"} and {row["label"] for row in table} == {3, 5}
    assert any("training will take about" in text for text in said) and "16 boxes" in taught_lines(taught.report, out)
    unseen, rng = tmp_path / "unseen", np.random.default_rng(9)
    unseen.mkdir()
    new = {f"{i}.png": draw_photo(unseen / f"{i}.png", rng) for i in range(3)}
    predicted = predict(run, str(unseen), "cpu")
    rows = [{"path": p, "label": k, "confidence": c} for p, k, c in zip(predicted.paths, predicted.labels, predicted.confidence)]
    assert best_overlaps(rows, predicted.pieces, new).mean() > 0.5 and "cherry" in predicted.names
    coco = json.loads((export(run, "coco", tmp_path / "coco").place / "annotations" / "instances_default.json").read_text())
    assert len(coco["annotations"]) == len(table) and "cherry" in {c["name"] for c in coco["categories"]}
    assert (export(run, "yolo-detect", tmp_path / "yolo").place / "data.yaml").exists()
    once = settings_for(out, None, encoder="auto", epochs=1, options={"least_score": 0.0})
    again = teach(once, None)  # its own detections, by its own encoder
    assert again.report["n_regions_learned"] == len(table)


def test_what_people_moved_merged_and_rejected_counts(labelled):
    source, _ = labelled
    append(source, Reject(items=[0, 1]))
    append(source, Move(items=[2], to=5))
    regions = regions_of_run(Run(source))
    assert len(regions.photos) == 8 and regions.kept.tolist() == list(range(2, 16)) and regions.rows[2] == 1
    assert regions.labels[:4].tolist() == [-1, -1, 5, 5] and regions.classes.tolist() == [3, 5]
    before = regions.digest(False)
    append(source, Merge(clusters=[3, 5], into=5))
    assert regions_of_run(Run(source)).classes.tolist() == [5] and regions_of_run(Run(source)).digest(False) != before


def overlap(masks, box):
    """The IoU of the union of some masks with a disc."""
    true, found = disc(box).mask.decode(), np.zeros(SIZE[::-1], bool)
    for mask in masks:
        found |= mask.decode()
    return (true & found).sum() / (true | found).sum()


def mean_overlap(paths, labels, pieces, truth):
    """The IoU of what was segmented as a class with its disc, over classes and photos."""
    pairs = [(path, label, box) for path, boxes in truth.items() for box, label in zip(boxes, COLOURS)]
    own = lambda path, label: [pieces.masks[i] for i in range(len(paths)) if paths[i] == path and labels[i] == label]  # noqa: E731
    return np.mean([overlap(own(path, label), box) for path, label, box in pairs])


@pytest.mark.slow
def test_a_segmenter_learns_masks_and_is_a_run_that_predicts_exports_and_is_scored(weights, tmp_path):
    source, truth = labelled_boxes(tmp_path, as_piece=disc)
    append(source, Name(cluster=3, name="cherry"))
    out = tmp_path / "segmenter"
    taught = teach(settings_for(source, weights, method="fcn", epochs=40), out)
    run = Run.open(out)
    table = run.labels.to_pydict()
    assert mean_overlap(table["path"], table["label"], run.pieces, truth) > 0.5
    assert {n for n, k in zip(table["name"], table["label"]) if k == 3} == {"cherry"} and set(table["label"]) == {3, 5}
    assert "16 regions" in taught_lines(taught.report, out) and "segmented" in taught_lines(taught.report, out)
    unseen, rng = tmp_path / "unseen", np.random.default_rng(9)
    unseen.mkdir()
    new = {f"{i}.png": draw_photo(unseen / f"{i}.png", rng) for i in range(3)}
    predicted = predict(run, str(unseen), "cpu")
    assert mean_overlap(predicted.paths, predicted.labels, predicted.pieces, new) > 0.4 and "cherry" in predicted.names
    coco = json.loads((export(run, "coco", tmp_path / "coco").place / "annotations" / "instances_default.json").read_text())
    assert len(coco["annotations"]) == len(table["path"]) and all(a["segmentation"] for a in coco["annotations"])
    maps = export(run, "class-maps", tmp_path / "maps").place / "maps"
    assert {*np.unique(np.asarray(Image.open(maps / "0.png")))} == {0, 1, 255}
    masks = tmp_path / "masks"
    masks.mkdir()
    for path, boxes in truth.items():
        Image.fromarray((sum(disc(box).mask.decode() for box in boxes) > 0).astype(np.uint8) * 255).save(masks / path)
    assert says_where(run, str(masks)) and score_regions(run, str(masks))["n_pictures"] == 8


LESSONS = {"fcos": ({"options": {"least_score": 0.0}}, {}), "fcn": ({}, {"halves": True})}  # settings, regions


@pytest.mark.slow
@pytest.mark.parametrize("method", TEACHABLE)
def test_a_killed_training_goes_on_to_the_same_regions_unless_its_run_was_edited(method, weights, tmp_path):
    given, regions = LESSONS[method]
    source, _ = labelled_boxes(tmp_path / "source", **regions)
    settings, out = settings_for(source, weights, method=method, epochs=6, **given), tmp_path / "cut"
    whole = teach(settings, tmp_path / "whole")
    stops = iter([False] * 3)
    stopping = Callbacks(loop=LoopCallbacks(should_stop=lambda: next(stops, True)))
    with pytest.raises(Interrupted):
        teach(settings, out, callbacks=stopping)
    resumed = teach(settings, out, resume=True)
    np.testing.assert_array_equal(resumed.items.pieces.boxes, whole.items.pieces.boxes)
    assert [*resumed.items.pieces.masks] == [*whole.items.pieces.masks]
    assert whole.report.get("piece") == ("region" if method == "fcn" else "object")  # halves leave no background
    assert teach(settings, out, resume=True).report == json.loads((out / "report.json").read_text())
    (out / "report.json").unlink()
    append(source, Reject(items=[0]))
    with pytest.raises(UserError, match="was begun with other regions or classes than"):
        teach(settings, out, resume=True)


def test_what_cannot_be_learned_from_is_said_in_a_sentence(labelled, weights, tmp_path, demo_like_run):
    source, _ = labelled
    with pytest.raises(UserError, match="holds no encoder that makes maps of photos; name a pretrained one with --encoder"):
        teach(settings_for(source, None, encoder="auto"), None)
    with pytest.raises(UserError, match="its items are no boxes in photos; give a run of `selflabel find`"):
        teach(settings_for(demo_like_run, weights), None)
    append(source, Reject(items=list(range(2, 16))))
    with pytest.raises(UserError, match="teach learns from regions in 2 photos at least"):
        teach(settings_for(source, weights), None)
    append(source, Reject(items=[0, 1]))
    with pytest.raises(UserError, match="teach learns from regions in 2 photos at least"):
        teach(settings_for(source, weights), None)


@pytest.fixture
def demo_like_run(tmp_path):
    """A run whose items are whole files."""
    run = tmp_path / "whole-files"
    write_start(run, {"settings": {"source": "photos", "method": "sela-nn"}, "worked_out": {}})
    one = np.ones((1, 1), np.float32)
    write_labelling(
        run, Labelling(["a.png"], np.zeros(1, int), np.zeros((1, 1), int), one, one, np.zeros((1, 10), int), [], None)
    )
    write_report(run, {"n_items": 1, "n_clusters": 1})
    return run
