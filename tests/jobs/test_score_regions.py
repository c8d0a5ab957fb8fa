import json
import shutil

import numpy as np
import pytest
from PIL import Image

from selflabel.base.errors import UserError
from selflabel.base.rle import encode
from selflabel.cli.region_lines import region_lines
from selflabel.edits import Reject, append
from selflabel.items import Piece, Pieces
from selflabel.jobs.score_regions import says_where, score_regions
from selflabel.runs.maps import MapsInfo, write_maps
from selflabel.runs.picture_table import write_pictures
from selflabel.runs.writing import write_report
from tests.run_folders import write_run

SIZE = (100, 80)
#        path, box, score, cluster
FOUND = [
    ("a.jpg", (0, 0, 40, 40), 0.9, 0),
    ("a.jpg", (60, 40, 100, 80), 0.5, 1),
    ("b.jpg", (50, 0, 90, 40), 0.8, 1),
    ("sub/c.jpg", (10, 10, 20, 20), 0.7, 0),
]
TRUE = """path,label,x0,y0,x1,y1,sounding
a.jpg,cat,0,0,40,50,1
a.jpg,dog,60,40,100,80,0
b.jpg,dog,50,0,90,40,1
sub/c.jpg,cat,50,50,100,80,1
none.jpg,dog,0,0,10,10,1
"""


def run_of(folder, found=FOUND, clusters=2, sizes=SIZE):
    """A run of objects, and of a photo none.jpg in which nothing was found."""
    masks = []
    for _, (x0, y0, x1, y1), _, _ in found:
        mask = np.zeros(SIZE[::-1], bool)
        mask[y0:y1, x0:x1] = True
        masks.append(encode(mask))
    pieces = Pieces.of(
        [Piece(box=tuple(map(float, box)), size=SIZE, mask=m) for (_, box, _, _), m in zip(found, masks)],
        np.array([score for _, _, score, _ in found], np.float32),
    )
    labels = [label if clusters > 1 else 0 for *_, label in found]
    run = write_run(folder, folder, [path for path, *_ in found], labels, pieces=pieces)
    text = (folder / "run.toml").read_text()
    (folder / "run.toml").write_text(text.replace('"sela-nn"', '"cut"'))
    write_report(folder, run.report | {"n_clusters": clusters, "piece": "object"})
    write_pictures(folder, ["a.jpg", "b.jpg", "sub/c.jpg", "none.jpg"], np.array([SIZE] * 4))
    return run


@pytest.fixture
def run(tmp_path):
    return run_of(tmp_path / "run")


def table(tmp_path, text=TRUE):
    file = tmp_path / "boxes.csv"
    file.write_text(text)
    return str(file)


def value(scores, name, group="all objects"):
    return scores["groups"][group][name]["value"]


def test_boxes_are_scored_by_picture_and_by_class_and_a_picture_without_a_box_is_missed(run, tmp_path):
    scores = score_regions(run, table(tmp_path))
    assert value(scores, "CorLoc") == 2 / 4 and value(scores, "CorLoc", "objects that are heard") == 2 / 4
    assert value(scores, "AP50") == pytest.approx((41 / 101) * 1 + (20 / 101) * 0.75, abs=1e-6)
    assert scores["n_pictures"] == 4 and scores["n_true"] == 5 and scores["n_without_truth"] == 0
    by_class = scores["classes"]  # cluster 0 stands for cat, cluster 1 for dog
    assert by_class == pytest.approx({"cat": 51 / 101, "dog": 67 / 101})
    assert value(scores, "AP50 by class") == pytest.approx(59 / 101)
    assert scores["labels"]["n_items"] == 3  # the fourth region overlaps nothing


def test_the_middle_and_the_whole_stand_beside_every_number(run, tmp_path):
    middle = "path,label,x0,y0,x1,y1\na.jpg,cat,25,20,75,60\nb.jpg,dog,0,0,100,80\n"
    row = score_regions(run, table(tmp_path, middle))["groups"]["all objects"]["CorLoc"]
    assert row["centre"] == 1 and row["whole"] == 1 / 2  # the box of half the area overlaps both by half
    assert row["value"] == 0 and row["low"] == row["high"] == 0
    both = score_regions(run, table(tmp_path))["groups"]["all objects"]
    assert all(0 <= r["low"] <= r["value"] <= r["high"] <= 1 for r in both.values())


def test_masks_are_scored_whatever_their_png_holds(run, tmp_path):
    masks = tmp_path / "masks"
    (masks / "sub").mkdir(parents=True)
    shade = np.zeros((80, 100), np.uint8)
    shade[:40, :40], shade[:40, 40:] = 255, 90  # grey levels: above 127 is inside
    Image.fromarray(shade).save(masks / "a.png")
    numbers = np.zeros((80, 100), np.uint8)
    numbers[:40, 50:90] = 200
    palette = Image.fromarray(numbers, "P")
    palette.putpalette(list(range(256)) * 3)
    palette.save(masks / "b.png")
    numbers[:] = 0
    numbers[10:20, 10:30] = 2  # numbers of objects
    Image.fromarray(numbers).save(masks / "sub" / "c.png")
    (masks / "none.png").write_bytes(b"broken")
    Image.fromarray(numbers).save(masks / "elsewhere.png")
    scores = score_regions(run, str(masks))
    assert value(scores, "IoU") == pytest.approx((1 + 1 + 0.5) / 3)
    assert value(scores, "IoU together") == pytest.approx((0.5 + 1 + 0.5) / 3)
    assert value(scores, "pixel accuracy") == pytest.approx(1 - 100 / 8000 / 3) and value(scores, "maxF") > 0.7
    assert scores["bad"] == [("none.png", "it is no PNG that can be read")] and scores["not_in_run"] == ["1 masks"]
    whole = scores["groups"]["all objects"]["IoU"]["whole"]
    assert whole == pytest.approx((1600 + 1600 + 200) / 8000 / 3)


def test_a_mask_of_another_shape_or_of_no_picture_is_said(run, tmp_path):
    masks = tmp_path / "masks"
    masks.mkdir()
    Image.fromarray(np.full((100, 80), 255, np.uint8)).save(masks / "a.png")
    with pytest.raises(UserError, match=r"the first, a\.png: it has 80 x 100 pixels, and its picture 100 x 80"):
        score_regions(run, str(masks))
    (masks / "a.png").rename(masks / "z.png")
    with pytest.raises(UserError, match=r"is of none of the run's pictures: its first is z\.png, the run's a\.jpg"):
        score_regions(run, str(masks))


def test_rows_that_cannot_be_used_are_listed_and_files_that_do_not_match_are_said(run, tmp_path):
    bad = "a.jpg,cat,9,9,x,20,1\n,cat,0,0,1,1,1\na.jpg,cat,5,5,5,9,1\nb.jpg,cat,0,0,9,9,perhaps\n"
    scores = score_regions(run, table(tmp_path, TRUE + bad + "other.jpg,cat,0,0,9,9,1\n"))
    assert [where for where, _ in scores["bad"]] == ["row 6", "row 7", "row 8", "row 9"]
    assert scores["not_in_run"] == ["other.jpg"] and value(scores, "CorLoc") == 2 / 4
    lines = region_lines(scores)
    assert "not in the run: other.jpg" in lines and "and 1 more (--json lists all)" in lines and "its x1 is no number" in lines
    with pytest.raises(UserError, match=r"is of none of the run's pictures: its first is other\.jpg"):
        score_regions(run, table(tmp_path, "path,x0,y0,x1,y1\nother.jpg,0,0,9,9\n"))
    with pytest.raises(UserError, match=r"has no row with a path and a box; the first, row 1: its box is reversed"):
        score_regions(run, table(tmp_path, "path,x0,y0,x1,y1\na.jpg,9,0,0,9\n"))


def test_a_picture_that_people_say_is_empty_makes_its_boxes_wrong_and_has_no_best_one(run, tmp_path):
    full = score_regions(run, table(tmp_path, "path,x0,y0,x1,y1\na.jpg,0,0,40,40\n"))
    empty = score_regions(run, table(tmp_path, "path,x0,y0,x1,y1\na.jpg,0,0,40,40\nb.jpg,,,,\nsub/c.jpg,,,,\n"))
    assert value(full, "AP50") == value(empty, "AP50") == 1 and value(empty, "CorLoc") == 1 and empty["n_pictures"] == 3
    rows = [(*FOUND[0][:2], 0.1, 0), *FOUND[1:]]
    worse = score_regions(run_of(tmp_path / "other", rows), table(tmp_path, "path,x0,y0,x1,y1\na.jpg,0,0,40,40\nb.jpg,,,,\n"))
    assert value(worse, "AP50") == pytest.approx(1 / 3)


def test_rejected_objects_do_not_count_unless_raw(run, tmp_path):
    append(run.folder, Reject(items=[0]))
    truth = table(tmp_path)
    assert value(score_regions(run, truth), "CorLoc") == 2 / 4  # the second one of the picture is the best now
    append(run.folder, Reject(items=[1, 2]))
    assert value(score_regions(run, truth), "CorLoc") == 0 and value(score_regions(run, truth, raw=True), "CorLoc") == 2 / 4


def test_a_table_without_boxes_or_a_run_of_whole_files_is_scored_as_before(run, tmp_path):
    (tmp_path / "plain.csv").write_text("path,label\na.jpg,cat\n")
    assert not says_where(run, str(tmp_path / "plain.csv")) and not says_where(run, "folders") and not says_where(run, None)
    whole = write_run(tmp_path / "whole", tmp_path, ["a.jpg", "b.jpg"], [0, 1])
    assert not says_where(whole, table(tmp_path)) and says_where(run, table(tmp_path))


def test_the_report_is_said_in_words_and_one_class_has_no_classes(tmp_path):
    scores = score_regions(run_of(tmp_path / "run", clusters=1), table(tmp_path))
    assert "classes" not in scores and "AP50 by class" not in scores["groups"]["all objects"]
    lines = region_lines(json.loads(json.dumps(scores)))
    assert "objects that are heard" in lines and "pictures whose best box overlaps an object by half or more" in lines
    assert "What is not above both says nothing" in lines and max(map(len, lines.splitlines())) < 160


def with_heatmaps(run, maps, names=()):
    """Heatmaps of the four pictures, (4, C, h, w), in squares as large as the longer side."""
    info = MapsInfo.between(np.zeros(maps.shape[1]), np.ones(maps.shape[1]), geometry="letterbox", names=names)
    write_maps(run.folder, maps.shape, info, [(0, maps)])
    np.save(run.folder / "features.npy", np.zeros((4, 2), np.float16))
    return run


def test_heatmaps_are_scored_by_what_is_heard_and_class_maps_class_by_class(run, tmp_path):
    maps = np.zeros((4, 2, 20, 20))
    maps[0, 0, :10, :8], maps[0, 1, 10:16, 12:] = 0.9, 0.1  # the cat where it is, the silent dog dark
    maps[1, 1, :8, 10:18] = 0.8
    maps[2, 0, :4, :4] = 0.6  # a wrong place
    maps[3, 1] = 0.3  # the same everywhere
    groups = score_regions(with_heatmaps(run, maps), table(tmp_path))["groups"]
    heat, mixed = groups["heatmaps"], groups["heatmaps of classes"]
    assert heat["maximum on it"]["value"] == pytest.approx((1 + 1 + 0 + 100 / 8000) / 4, abs=0.01)
    assert heat["maximum on it"]["whole"] < 0.3
    assert heat["cIoU@.5 of regions"]["value"] == 1 / 4  # the silent dog has a region, too
    assert mixed["CIoU@.3"]["value"] == 1 and mixed["NSA"]["value"] == 1  # one picture has two classes
    assert mixed["NSA"]["whole"] == 0 and mixed["CIoU@.3"]["guessed"] == pytest.approx(0.5, abs=0.15)
    counts = {"n_pictures": 4, "n_true": 5, "n_without_truth": 0, "not_in_run": [], "bad": [], "notes": []}
    lines = region_lines({"groups": groups, **counts})
    assert "how dark the maps of classes that are not heard are" in lines and "what is where guessed" in lines


def test_heatmaps_have_the_same_numbers_by_masks_as_by_boxes_of_the_same_pixels(run, tmp_path):
    (tmp_path / "masks").mkdir()
    rows = ["path,x0,y0,x1,y1"]
    for stem, (x0, y0, x1, y1) in {"a": (0, 0, 40, 50), "b": (50, 0, 90, 40), "none": (60, 40, 80, 80)}.items():
        mask = np.zeros(SIZE[::-1], np.uint8)
        mask[y0:y1, x0:x1] = 255
        Image.fromarray(mask).save(tmp_path / "masks" / f"{stem}.png")
        rows.append(f"{stem}.jpg,{x0},{y0},{x1},{y1}")
    maps = np.random.default_rng(0).random((4, 1, 10, 10))
    by_masks = score_regions(with_heatmaps(run, maps), str(tmp_path / "masks"))["groups"]["heatmaps"]
    by_boxes = score_regions(run, table(tmp_path, "\n".join(rows) + "\n"))["groups"]["heatmaps"]
    assert by_masks == by_boxes
    assert "heatmaps" not in score_regions(with_features(run), str(tmp_path / "masks"))["groups"]


def with_features(run):
    """Maps with values that heatmaps do not have."""
    shutil.rmtree(run.folder / "maps")
    write_maps(run.folder, (4, 1, 4, 4), MapsInfo.between(np.array([-3.0]), np.array([3.0])), [(0, np.full((4, 1, 4, 4), -2.0))])
    return run


def test_maps_that_are_no_heatmaps_are_refused(run, tmp_path):
    write_maps(run.folder, (4, 1, 4, 4), MapsInfo.between(np.array([-3.0]), np.array([3.0])), [(0, np.full((4, 1, 4, 4), -2.0))])
    with pytest.raises(UserError, match="the maps of this run are no heatmaps: a heatmap has values from -2"):
        score_regions(run, table(tmp_path))
