"""docs/tutorial-boxes.md, every line of it, on photos of fruit on a table, with weights that a hub of the test serves."""

import csv
import shutil
from collections import Counter

import numpy as np
import pytest
from PIL import Image, ImageDraw

from selflabel.regions.boxes import box_ious
from selflabel.runs.run import Run
from tests.colour_vit import serve_weights
from tests.gallery.browser import labels_of, names_of, open_cluster, until, wait_for
from tests.gallery.tutorials import Tutorial, browsing, typed
from tests.hub import served_to_processes

TUTORIAL = Tutorial("tutorial-boxes.md")
FIND, SAVE, FIND_OFFLINE, LOOK, LABEL, BROWSE, COCO, YOLO, PREDICT, OWN_TABLE, _ = TUTORIAL.shell
CUT, RUN = "runs/photos-cut", "runs/photos-cut-sela-nn"
COLOURS = {"cherry": "crimson", "plum": "royalblue", "lime": "limegreen"}
SIZE = (320, 240)


def draw(file, kinds, rng):
    """A photo of fruit on grey cloth. Returns the kinds and boxes of the fruit."""
    cloth = 140 + 20 * np.sin(np.arange(SIZE[0]) / 3) + rng.normal(0, 12, SIZE[::-1])
    image = Image.fromarray(np.repeat(cloth.clip(0, 255).astype(np.uint8)[:, :, None], 3, axis=2))
    boxes = []
    for place, kind in enumerate(kinds):
        x, y, side = (int(v) for v in (150 * place + rng.integers(15, 45), rng.integers(30, 90), rng.integers(95, 120)))
        boxes.append((x, y, x + side, y + side))
        ImageDraw.Draw(image).ellipse(boxes[-1], fill=COLOURS[kind])
    image.save(file, quality=95)
    return [(kind, box) for kind, box in zip(kinds, boxes)]


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A folder with photos/, more-photos/, boxes.csv; a hub with both networks."""
    rng, names = np.random.default_rng(0), list(COLOURS)
    fruit = {"photos": {}, "more-photos": {}}
    for folder, n in (("photos", 12), ("more-photos", 3)):
        (tmp_path / folder).mkdir()
        for i in range(n):
            kinds = [names[i % 3], names[(i + 1) % 3]][: 1 + i % 2]
            fruit[folder][f"{i:04d}.jpg"] = draw(tmp_path / folder / f"{i:04d}.jpg", kinds, rng)
    write_own_boxes(tmp_path, fruit["photos"])
    serve_weights(tmp_path / "hub")
    with served_to_processes(monkeypatch, tmp_path / "hub", tmp_path / "hub-cache"):
        yield tmp_path, fruit


def write_own_boxes(home, fruit):
    """The true boxes as a table."""
    header, *_ = TUTORIAL.tables[0].splitlines()
    rows = [(path, box) for path, things in fruit.items() for _, box in things]
    lines = [header, *(f"photos/{path}," + ",".join(map(str, box)) for path, box in rows)]
    (home / "boxes.csv").write_text("\n".join(lines) + "\n")


def kind_at(fruit, path, box):
    """What is in a box: the fruit with which its IoU is above .6; "" for none."""
    overlaps = {kind: box_ious(np.array([box]), np.array([own]))[0, 0] for kind, own in fruit[path]}
    kind = max(overlaps, key=overlaps.get)
    return kind if overlaps[kind] > 0.6 else ""


def kinds_of(run, fruit):
    """What is in the box of each item."""
    return [kind_at(fruit, path, piece.box) for path, piece in zip(run.labels["path"].to_pylist(), run.pieces)]


class Looker:
    """A person who looks at the objects and rejects what is none."""

    def __init__(self, page, run, fruit):
        self.page, self.run, self.kinds = page, run, kinds_of(run, fruit)

    def open_objects(self):
        assert "object" in self.page.eval_on_selector(".card:first-child .name", "field => field.value")
        open_cluster(self.page, 0)
        self.page.wait_for_selector(".part.own")
        until(self.page, "document.querySelector('.photo img')?.naturalWidth === 320")
        path = self.page.inner_text(".details .path")
        assert self.page.locator(".part.other").count() == self.run.labels["path"].to_pylist().count(path) - 1

    def show_the_crop(self):
        width = "document.querySelector('.part.own').getBoundingClientRect().width"
        before = self.page.evaluate(width)
        self.page.keyboard.press("c")
        until(self.page, f"{width} > {before}")
        self.page.keyboard.press("c")
        until(self.page, f"{width} === {before}")
        self.page.keyboard.press("b")
        self.page.keyboard.press("b")

    def hide_below(self):
        self.page.keyboard.press("f")
        self.page.fill(".scorefilter input", f"{self.run.pieces.scores.min() + 0.01:.2f}")
        self.page.wait_for_selector(".itemhead :text('shown')")

    def reject(self):
        self.page.click("button:text-matches('Reject the .* below')")
        wait_for(self.page, lambda: (labels_of(self.run) == -1).any())


class Namer:
    """A person who names the clusters by what they show."""

    def __init__(self, page, run, fruit):
        self.page, self.run, self.kinds = page, run, kinds_of(run, fruit)

    def name_each(self):
        labels = self.run.labels["label"].to_numpy()
        most = {c: Counter(k for k, label in zip(self.kinds, labels) if label == c).most_common(1)[0][0] for c in set(labels)}
        self.page.click(".card:first-child .name")
        for _ in most:
            number = int(self.page.evaluate("document.activeElement.closest('.card').dataset.id"))
            self.page.keyboard.type(most[number])
            self.page.keyboard.press("Enter")
        wait_for(self.page, lambda: names_of(self.run) == most)

    def pick_two(self):
        self.page.keyboard.press("Escape")
        for box in self.page.locator(".card .pick input").all()[:2]:
            box.check()
        self.page.wait_for_selector("#bar :text('Merge')")
        self.page.keyboard.press("Escape")  # these are of two kinds


@pytest.mark.slow
def test_the_whole_way_from_photos_to_boxes_with_names(visit_address, selflabel, home, monkeypatch):
    home, fruit = home
    assert not TUTORIAL.missing_files()
    printed = typed(selflabel, FIND, home)
    assert LOOK in printed and "objects:        18" in printed
    cut = Run.open(home / CUT)
    found = Counter(path for path, kind in zip(cut.labels["path"].to_pylist(), kinds_of(cut, fruit["photos"])) if kind)
    assert found == Counter({path: len(things) for path, things in fruit["photos"].items()})
    with browsing(LOOK, home, visit_address) as page:
        looker = Looker(page, cut, fruit["photos"])
        acts = [
            ("Click the pictures", looker.open_objects), ("Press **c**", looker.show_the_crop),
            ("Press **f**", looker.hide_below), ("Click **Reject", looker.reject),
        ]  # fmt: skip
        done = TUTORIAL.follow(acts)
    typed(selflabel, LABEL, home)
    run = Run.open(home / RUN)
    with browsing(BROWSE, home, visit_address) as page:
        namer = Namer(page, run, fruit["photos"])
        acts = [("Every card", namer.name_each), ("Two cards of one kind", namer.pick_two)]
        assert TUTORIAL.follow(acts, done) == len(TUTORIAL.steps)
    names = Run.open(home / RUN).labels["name"].to_pylist()
    kinds = kinds_of(run, fruit["photos"])
    assert np.mean([name == kind for name, kind in zip(names, kinds)]) > 0.9
    typed(selflabel, COCO, home)
    typed(selflabel, YOLO, home)
    written_boxes_are_those_of_the_run(home, run, names)
    typed(selflabel, PREDICT, home)
    with (home / "found.csv").open(newline="") as lines:
        unseen = list(csv.DictReader(lines))
    seen = [kind_at(fruit["more-photos"], row["path"], [float(row[c]) for c in ("x0", "y0", "x1", "y1")]) for row in unseen]
    assert len(unseen) == 4 and np.mean([row["name"] == kind for row, kind in zip(unseen, seen)]) > 0.9
    own_boxes_get_classes(selflabel, home, fruit["photos"])
    offline_is_said_and_helped(selflabel, home, monkeypatch)


def written_boxes_are_those_of_the_run(home, run, names):
    """What pycocotools and the lines for YOLO say."""
    coco = pytest.importorskip("pycocotools.coco").COCO(str(home / f"{RUN}-coco" / "annotations" / "instances_default.json"))
    by_id = {a["id"] - 1: a for a in coco.dataset["annotations"]}
    categories = {c["id"]: c["name"] for c in coco.dataset["categories"]}
    assert [categories[by_id[row]["category_id"]] for row in range(len(names))] == names
    for row, piece in enumerate(run.pieces):
        x0, y0, x1, y1 = piece.box
        assert by_id[row]["bbox"] == pytest.approx([x0, y0, x1 - x0, y1 - y0])
        np.testing.assert_array_equal(coco.annToMask(by_id[row]), piece.mask.decode())
    lines = [line for file in (home / f"{RUN}-yolo-detect" / "labels").rglob("*.txt") for line in file.read_text().splitlines()]
    assert len(lines) == len(names) and (home / f"{RUN}-yolo-detect" / "data.yaml").exists()


def own_boxes_get_classes(selflabel, home, fruit):
    """A table of the true boxes: a class for each box, which is its kind."""
    typed(selflabel, OWN_TABLE, home)
    table = Run.open(home / "runs/boxes-sela-nn").labels
    assert table["path"].to_pylist() == [f"photos/{path}" for path, own in fruit.items() for _ in own]
    kinds = [kind for own in fruit.values() for kind, _ in own]
    counts = Counter(zip(table["label"].to_pylist(), kinds))
    most = sum(max(n for (label, _), n in counts.items() if label == c) for c in set(table["label"].to_pylist()))
    assert most > 0.9 * len(kinds)


def offline_is_said_and_helped(selflabel, home, monkeypatch):
    """The file that the connected machine saves is what the other one asks for."""
    typed(selflabel, SAVE, home)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HUB_CACHE", str(home / "empty"))
    shutil.rmtree(home / CUT)
    for file in sorted((home / "photos").iterdir())[2:]:
        file.unlink()
    assert SAVE.rsplit(" ", 1)[0] in typed(selflabel, FIND, home, code=2)
    typed(selflabel, FIND_OFFLINE, home)
