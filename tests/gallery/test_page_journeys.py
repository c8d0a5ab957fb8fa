"""The page as a whole, in a real browser: the keyboard, the map, a moved source, every view on wide and narrow screens."""

import json
import re

import numpy as np
import pytest

from selflabel.edits import append, parse, read_edits
from tests.gallery.browser import FOCUSED_ITEM, labels_of, names_of, open_cluster, until, wait_for, wait_for_items

LOADED = {
    "#/": "document.querySelector('.card') !== null",
    "#/cluster/1": f"{FOCUSED_ITEM}.includes(' of ')",
    "#/map": "document.body.dataset.map === 'ready'",
    "#/look": f"{FOCUSED_ITEM}.includes(' of ')",
}


def test_everything_can_be_done_with_the_keyboard(visit, picture_run):
    run = picture_run()
    page = visit(run)
    press = page.keyboard.press
    press("?")
    assert page.is_visible("dialog :text('merge the picked clusters')")
    press("Escape")
    press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    press("Enter")
    press("ArrowRight")
    first = int(page.evaluate("document.activeElement.dataset.id"))
    press("n")
    page.keyboard.type("by hand")
    press("Escape")  # drops what was typed
    press("n")
    page.keyboard.type("by key")
    press("Enter")
    wait_for(page, lambda: names_of(run) == {first: "by key"})
    press("Escape")
    press("ArrowLeft")
    press(" ")
    press("ArrowRight")
    press(" ")
    press("m")
    wait_for(page, lambda: len(set(labels_of(run))) == 5)
    press("u")
    wait_for(page, lambda: len(set(labels_of(run))) == 6)
    press("ArrowRight")
    press("s")
    press("3")
    press("Enter")
    wait_for(page, lambda: len(set(labels_of(run))) == 8, "the split")
    press("Enter")
    wait_for_items(page)
    press("ArrowRight")
    press("Shift+ArrowRight")
    press("Shift+ArrowRight")
    page.wait_for_selector("#bar :text('3 selected')")
    press("v")
    page.keyboard.type("by key")
    press("Enter")
    wait_for(page, lambda: read_edits(run.folder)[-1].do == "move", "the move")
    assert read_edits(run.folder)[-1].to == first and len(read_edits(run.folder)[-1].items) == 3
    press("x")
    wait_for(page, lambda: (labels_of(run) == -1).sum() == 1)
    press("U")
    press("2")
    page.wait_for_selector(".map canvas")
    press("1")
    page.wait_for_selector(".cards")
    press("e")
    page.wait_for_selector("dialog :text('csv')")
    press("Escape")
    press("t")
    assert page.evaluate("document.documentElement.style.colorScheme") == "light"


def test_a_moved_source_is_reported_and_found_where_the_user_says(visit, picture_run, tmp_path):
    run = picture_run()
    (tmp_path / "items").rename(tmp_path / "elsewhere")
    page = visit(run)
    assert "--source" in page.inner_text(".banner")
    page = visit(run, moved_to=str(tmp_path / "elsewhere"))
    assert page.query_selector(".banner") is None
    until(page, "document.querySelector('.card canvas').getContext('2d').getImageData(2, 2, 1, 1).data[3] === 255")


class Map:
    """The map of 48 items that lie far apart, and where each of them is on the screen."""

    def __init__(self, page, run):
        i = np.arange(48)
        self.positions = np.stack([(i % 8 + 0.5) / 8, (i // 8 + 0.5) / 6], axis=1).astype(np.float32)
        np.save(run.folder / "map.npy", self.positions)
        self.page = page
        page.keyboard.press("2")
        until(page, "document.body.dataset.map === 'ready'")
        box = page.locator(".mapbox > canvas").bounding_box()
        self.centre = np.array([box["x"] + box["width"] / 2, box["y"] + box["height"] / 2])
        self.step = box["width"] / 8
        self.scale = 0.96 * min(box["width"], box["height"])

    def pixel(self, row, zoom=1.0, shift=(0, 0)):
        return (self.centre + (self.positions[row] - 0.5) * self.scale * zoom + shift).tolist()

    def click(self, x, y):
        """Click at a pixel; the path of the item that is selected then."""
        self.page.mouse.click(x, y)
        self.page.wait_for_selector("#bar :text('1 selected')")
        path = self.page.inner_text(".mapside .details .path")
        self.page.keyboard.press("Escape")
        self.page.wait_for_selector(".legend")
        return path


def test_the_map_zooms_and_moves_and_a_click_selects_the_item_at_that_place(visit, picture_run):
    run = picture_run(each=8)
    page = visit(run)
    map_ = Map(page, run)
    assert map_.click(*map_.pixel(20)) == "0020.png"
    page.keyboard.press("+")
    assert map_.click(*map_.pixel(20, 1 / 0.7)) == "0020.png"
    page.keyboard.press("ArrowRight")
    assert map_.click(*map_.pixel(20, 1 / 0.7, (-map_.step, 0))) == "0020.png"
    page.keyboard.press("0")
    x, y = map_.pixel(27)
    page.mouse.move(x, y)
    page.mouse.wheel(0, -400)
    assert map_.click(x, y) == "0027.png"  # the place under the pointer stays
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 60, y - 40, steps=4)
    page.mouse.up()
    assert map_.click(x + 60, y - 40) == "0027.png"
    page.click("button:text-is('All')")
    assert map_.click(*map_.pixel(27)) == "0027.png"


def test_the_map_shows_the_item_under_the_pointer_and_one_cluster_in_colour(visit, picture_run):
    run = picture_run(each=8)
    page = visit(run)
    map_ = Map(page, run)
    page.mouse.move(*map_.pixel(20))
    assert page.inner_text(".maptip") == "Cluster 2"
    page.mouse.move(*map_.pixel(20, shift=(25, 25)))
    assert page.is_hidden(".maptip")
    pixel = """([x, y]) => {
        const canvas = document.querySelector('.mapbox > canvas'), box = canvas.getBoundingClientRect();
        return [...canvas.getContext('2d').getImageData(x - box.left, y - box.top, 1, 1).data].slice(0, 3);
    }"""
    page.click(".legend button:has-text('Cluster 3')")
    page.wait_for_selector(".legend button[aria-pressed=true]:has-text('Cluster 3')")

    def is_grey(row):
        colour = page.evaluate(pixel, map_.pixel(row))
        return max(colour) - min(colour) < 20

    wait_for(page, lambda: is_grey(20) and not is_grey(26), "one cluster in colour")
    page.click(".legend button:has-text('Cluster 3')")
    wait_for(page, lambda: not is_grey(20) and not is_grey(26), "all clusters in colour")


def test_the_map_is_drawn_and_a_lasso_selects(visit, picture_run):
    run = picture_run()
    places = np.stack([np.repeat(np.arange(6) / 6 + 0.08, 30), np.linspace(0.2, 0.8, 180)], axis=1).astype(np.float32)
    np.save(run.folder / "map.npy", places)
    page = visit(run)
    page.keyboard.press("2")
    until(page, "document.querySelector('.mapbox > canvas')?.width > 300")
    until(page, "document.body.dataset.map === 'ready'")
    box = page.locator(".mapbox > canvas").bounding_box()
    page.click("button:has-text('Lasso')")
    left, width = box["x"], box["width"]
    page.mouse.move(left + 4, box["y"] + 4)
    page.mouse.down()
    for x, y in [
        (left + width - 4, box["y"] + 4),
        (left + width - 4, box["y"] + box["height"] / 2),
        (left + 4, box["y"] + box["height"] / 2),
    ]:
        page.mouse.move(x, y, steps=3)
    page.mouse.up()
    page.wait_for_selector("#bar :text('90 selected')")
    page.keyboard.press("x")
    wait_for(page, lambda: (labels_of(run) == -1).sum() == 90)
    assert (labels_of(run)[:90] == -1).all()


def test_the_map_names_its_clusters_and_only_the_larger_where_two_names_would_overlap(visit, picture_run):
    run = picture_run()
    centres = np.array([[0.2, 0.2], [0.8, 0.2], [0.5, 0.5], [0.2, 0.8], [0.8, 0.8], [0.5, 0.5]])
    np.save(run.folder / "map.npy", np.repeat(centres, 30, axis=0).astype(np.float32))
    append(run.folder, parse({"do": "name", "cluster": 3, "name": "named"}))
    page = visit(run)
    page.keyboard.press("2")
    names = "document.querySelector('.mapbox > canvas')?.dataset.names"
    until(page, f"{names}?.includes('named')")
    assert sorted(page.evaluate(names).split(", ")) == ["Cluster 0", "Cluster 1", "Cluster 2", "Cluster 4", "named"]
    append(run.folder, parse({"do": "merge", "clusters": [2, 4], "into": 4}))  # its items are in two places, most at the middle
    until(page, f"!{names}.includes('Cluster 2')")
    assert sorted(page.evaluate(names).split(", ")) == ["Cluster 0", "Cluster 1", "Cluster 4", "named"]


def test_the_map_says_how_far_it_is(visit, picture_run):
    page = visit(picture_run(each=8))
    page.keyboard.press("2")
    wait_for(page, lambda: re.search(r"once per run: .+, \d+%", page.inner_text(".mapnote")), "the progress")
    until(page, "document.body.dataset.map === 'ready'")
    assert page.inner_text(".mapnote") == ""


def test_the_head_keeps_its_height_when_items_are_rejected(visit, picture_run):
    run = picture_run()
    page = visit(run)
    open_cluster(page, 5)
    heights = "[document.getElementById('top').offsetHeight, document.querySelector('.grid').getBoundingClientRect().top]"
    before = page.evaluate(heights)
    page.keyboard.press("x")
    page.wait_for_selector("#top nav a:has-text('Rejected 1')")
    assert page.evaluate(heights) == before and before[0] <= 53
    assert page.evaluate("document.documentElement.scrollHeight") == 800


def test_the_head_takes_little_of_a_narrow_screen(visit, picture_run):
    page = visit(picture_run(each=8), width=400)
    assert page.evaluate("document.getElementById('top').offsetHeight") < 90


@pytest.mark.parametrize("width,height", [(1280, 800), (390, 844)])
@pytest.mark.parametrize("view", LOADED)
def test_every_view_fits_wide_and_narrow_screens(visit, picture_run, width, height, view):
    run = picture_run(each=8)
    np.save(run.folder / "map.npy", np.random.default_rng(0).random((48, 2), np.float32))
    page = visit(run, width, height)
    page.goto(f"{page.address}/{view}")
    until(page, LOADED[view])
    wide = page.evaluate("document.documentElement.scrollWidth")
    assert wide <= width, f"{view} is {wide} px wide on a screen of {width}"
    small = page.evaluate(
        """() => [...document.querySelectorAll('button, a[href]:not(.skip), select')]
            .filter((n) => n.offsetParent && n.getClientRects().length)
            .map((n) => [n.textContent, n.getBoundingClientRect()])
            .filter(([, r]) => r.right > innerWidth + 1 || r.left < -1).map(([text]) => text)"""
    )
    assert not small or (width < 700 and view), small


def test_an_unknown_address_shows_the_clusters(visit, picture_run):
    page = visit(picture_run(each=8))
    for nonsense in ("#/cluster/999", "#/%3Cscript%3E", "#/cluster/x", "#/search/%25"):
        page.goto(f"{page.address}/{nonsense}")
        page.wait_for_selector(".cards, .items")
    assert json.loads(json.dumps(page.title())) == "run · selflabel" and re.search(r"6 named", page.inner_text("#progress"))
