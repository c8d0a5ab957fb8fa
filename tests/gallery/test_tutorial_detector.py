"""docs/tutorial-detector.md, every line of it, on photos of fruit on a table, which are shown smaller than by default."""

import csv
import json

import numpy as np
import pytest

from selflabel.runs.run import Run
from tests.colour_vit import serve_weights
from tests.gallery.browser import labels_of, open_cluster, wait_for
from tests.gallery.test_tutorial_boxes import COLOURS, Namer, draw, kind_at, kinds_of
from tests.gallery.tutorials import Tutorial, browsing, typed
from tests.hub import served_to_processes

TUTORIAL = Tutorial("tutorial-detector.md")
FIND, LABEL, BROWSE, TEACH, LOOK, PREDICT, COCO, YOLO = TUTORIAL.shell
CUT, RUN, DETECTOR = "runs/photos-cut", "runs/photos-cut-sela-nn", "runs/photos-cut-sela-nn-detector"
SMALLER = " --set px=224"


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A folder with photos/ and more-photos/; a hub with both networks."""
    rng, names = np.random.default_rng(0), list(COLOURS)
    fruit = {"photos": {}, "more-photos": {}}
    for folder, n in (("photos", 9), ("more-photos", 3)):
        (tmp_path / folder).mkdir()
        for i in range(n):
            fruit[folder][f"{i:04d}.jpg"] = draw(tmp_path / folder / f"{i:04d}.jpg", [names[i % 3], names[(i + 1) % 3]], rng)
    serve_weights(tmp_path / "hub")
    with served_to_processes(monkeypatch, tmp_path / "hub", tmp_path / "hub-cache"):
        yield tmp_path, fruit


class Person(Namer):
    """Somebody who names the clusters, and rejects an item."""

    def reject_one(self):
        self.page.keyboard.press("Escape")
        open_cluster(self.page, 0)
        self.page.keyboard.press("x")
        wait_for(self.page, lambda: (labels_of(self.run) == -1).sum() == 1)
        self.page.keyboard.press("u")
        wait_for(self.page, lambda: not (labels_of(self.run) == -1).any())


@pytest.mark.slow
def test_the_whole_way_from_photos_to_a_detector(visit_address, selflabel, home):
    home, fruit = home
    assert not TUTORIAL.missing_files()
    typed(selflabel, FIND + SMALLER, home)
    typed(selflabel, LABEL, home)
    run = Run.open(home / RUN)
    with browsing(BROWSE, home, visit_address) as page:
        person = Person(page, run, fruit["photos"])
        done = TUTORIAL.follow([("Every card is a cluster", person.name_each), ("Click the pictures", person.reject_one)])
    assert LOOK in typed(selflabel, TEACH, home)
    taught = Run.open(home / DETECTOR)
    with browsing(LOOK, home, visit_address) as page:

        def look():
            names = page.eval_on_selector_all(".card .name", "fields => fields.map(field => field.value)")
            assert set(COLOURS) & set(names)
            open_cluster(page, 0)
            page.wait_for_selector(".part.own")
            page.keyboard.press("f")
            page.wait_for_selector(".scorefilter input")

        assert TUTORIAL.follow([("Every card is a class", look)], done) == len(TUTORIAL.steps)
    good = surest_of(taught.labels.to_pylist(), taught.pieces, fruit["photos"])
    assert np.mean(good) > 0.4  # of three kinds, at an IoU above .6, from nine photos
    typed(selflabel, PREDICT, home)
    with (home / "found.csv").open(newline="") as lines:
        unseen = list(csv.DictReader(lines))
    assert {row["path"] for row in unseen} == set(fruit["more-photos"]) and {row["name"] for row in unseen} <= set(COLOURS)
    typed(selflabel, COCO, home)
    typed(selflabel, YOLO, home)
    coco = json.loads((home / f"{DETECTOR}-coco" / "annotations" / "instances_default.json").read_text())
    assert len(coco["annotations"]) == len(taught.labels) and set(COLOURS) >= {c["name"] for c in coco["categories"]}
    assert (home / f"{DETECTOR}-yolo-detect" / "data.yaml").exists()
    assert len(kinds_of(run, fruit["photos"])) == len(run.labels)


def surest_of(table, pieces, fruit):
    """Whether the surest detection of each photo has the name of the fruit in its box."""
    best = {}
    for row, piece in zip(table, pieces):
        if row["confidence"] > best.get(row["path"], (0,))[0]:
            best[row["path"]] = (row["confidence"], row["name"], kind_at(fruit, row["path"], piece.box))
    return [name == kind for _, name, kind in best.values()]
