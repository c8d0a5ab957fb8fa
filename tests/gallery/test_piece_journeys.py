"""Items that are pieces of files, in a real browser: boxes and masks on their photo, spans that play, the filter by score."""

import pytest

from tests.gallery.browser import labels_of, open_cluster, until, wait_for, wait_for_items
from tests.gallery.pieces import BOXES, SIZE, box_run, draw_photo, heat_run, region_run, span_run

PLACE = """(selector) => {
    const [frame, own] = ['.photo', selector].map((s) => document.querySelector(s).getBoundingClientRect());
    return [(own.left - frame.left) / frame.width, (own.top - frame.top) / frame.height,
            (own.right - frame.left) / frame.width, (own.bottom - frame.top) / frame.height];
}"""
MASK_ALPHA = """([x, y]) => {
    const canvas = document.querySelector('.photo .mask'), {width, height} = canvas;
    return canvas.getContext('2d').getImageData(Math.floor(x * width), Math.floor(y * height), 1, 1).data[3];
}"""
REGION_COLOUR = """([x, y]) => {
    const canvas = document.querySelector('.photo .regions'), {width, height} = canvas;
    return [...canvas.getContext('2d').getImageData(Math.floor(x * width), Math.floor(y * height), 1, 1).data];
}"""
AUDIO = "document.querySelector('.details audio')"
SHOWN = "document.querySelector('.details .path + .muted').textContent"


def fractions(box):
    return [box[0] / SIZE[0], box[1] / SIZE[1], box[2] / SIZE[0], box[3] / SIZE[1]]


def test_box_and_mask_lie_where_the_item_is_and_a_click_on_another_goes_there(visit, tmp_path):
    page = visit(box_run(tmp_path))
    open_cluster(page, 0)
    page.wait_for_selector(".part.own .tag:text('Cluster 0 score 90%')")
    until(page, "document.querySelector('.photo img').naturalWidth === 240")
    assert page.evaluate(PLACE, ".part.own") == pytest.approx(fractions(BOXES[0]), abs=0.005)
    assert page.evaluate(PLACE, ".part.other[data-row='2']") == pytest.approx(fractions(BOXES[2]), abs=0.005)
    until(page, f"({MASK_ALPHA})([0.5, 0.5]) > 50")
    assert page.evaluate(MASK_ALPHA, [0.04, 0.04]) == 0 and page.evaluate(MASK_ALPHA, [0.96, 0.96]) == 0
    page.keyboard.press("c")
    left, top, right, bottom = page.evaluate(PLACE, ".part.own")
    assert (top, bottom) == pytest.approx((0, 1), abs=0.005) and right - left == pytest.approx(60 / 80, abs=0.01)
    page.keyboard.press("c")
    page.click(".part.other[data-row='2']")
    page.wait_for_selector(".part.own .tag:text('Cluster 1 score 20%')")
    assert page.evaluate(SHOWN) == "30 × 30 px at 100, 80"
    page.click(".details a:text('Cluster 1')")  # opens its cluster, at this item
    until(page, "document.querySelector('.grid [role=option]').textContent.startsWith('item 2, 1 of 1')")


def test_a_heatmap_lies_over_its_photo_as_strongly_as_the_slider_says(visit, tmp_path):
    page = visit(heat_run(tmp_path))
    open_cluster(page, 0)
    until(page, "document.querySelector('.photo .heat')?.naturalWidth === 256")
    assert page.evaluate(PLACE, ".photo .heat") == pytest.approx([0, 0, 1, 2], abs=0.005)
    page.wait_for_selector(".heatcontrol :text('highest 80%')")
    page.fill("[aria-label='Strength of the heatmap']", "0.25")
    until(page, "getComputedStyle(document.querySelector('.photo .heat')).opacity === '0.25'")
    page.select_option("[aria-label='Class of the heatmap']", label="cat")
    page.wait_for_selector(".heatcontrol :text('highest 50%')")
    page.goto(f"{page.address}/#/cluster/0/3")  # of the other photo: strength and class stay
    until(page, "document.querySelector('.photo .heat')?.src.endsWith('/media/3/heatmap?channel=1&frame=0')")
    assert page.evaluate("document.querySelector('.photo .heat').style.opacity") == "0.25"


def test_a_class_map_lies_over_its_photo_and_a_click_goes_to_the_region_below_it(visit, tmp_path):
    page = visit(region_run(tmp_path))
    open_cluster(page, 0)
    until(page, "document.querySelector('.photo img')?.naturalWidth === 240")
    until(page, f"document.querySelector('.photo .regions') && ({REGION_COLOUR})([0.25, 0.5])[3] > 0")
    left, above, below = (page.evaluate(REGION_COLOUR, place) for place in ([0.25, 0.5], [0.75, 0.25], [0.75, 0.75]))
    assert left[:3] == pytest.approx(below[:3], abs=3) and left[:3] != pytest.approx(above[:3], abs=30)
    assert left[3] > below[3] == above[3] > 0  # the item's own region is the strongest
    assert page.locator(".legend li").all_inner_texts() == ["Cluster 0", "Cluster 1"]
    right = page.evaluate("document.querySelector('.photo .regions').clientWidth") - 5
    page.locator(".photo .regions").click(position={"x": right, "y": 5})
    page.wait_for_selector(".details p.muted:text('120 × 60 px at 120, 0')")


def test_a_photo_that_is_stored_turned_fits_and_one_that_was_replaced_is_said_to_be_another(visit, tmp_path):
    run = box_run(tmp_path)
    page = visit(run)
    page.goto(f"{page.address}/#/cluster/0/3")
    until(page, "document.querySelector('.photo img')?.naturalWidth === 240")
    assert page.inner_text(".details .path") == "b.jpg" and page.is_hidden(".photobox > .bad")
    draw_photo(tmp_path / "photos" / "a.jpg", [], size=(300, 120))
    page.goto(f"{page.address}/#/cluster/0/1")
    page.wait_for_selector(".photobox > .bad:text('The file has 300 × 120 pixels now; it had 240 × 120')")


def test_items_below_a_score_are_hidden_and_rejected_and_undo_brings_them_back(visit, tmp_path):
    run = box_run(tmp_path)
    page = visit(run, width=800)
    open_cluster(page, 0)
    page.keyboard.press("f")
    assert page.evaluate("document.activeElement.ariaLabel") == "Least score that is shown"
    page.fill(".scorefilter input", "0.5")
    page.wait_for_selector(".itemhead :text('2 of 3 shown')")
    page.click("button:text('Reject the 1 below')")
    wait_for(page, lambda: labels_of(run).tolist() == [0, -1, 1, 0])
    page.wait_for_selector(".itemhead :text('2 items')")
    page.keyboard.press("u")
    page.wait_for_selector(".itemhead :text('2 of 3 shown')")
    assert labels_of(run).tolist() == [0, 0, 1, 0]
    assert page.evaluate("document.documentElement.scrollWidth") <= 800


def test_playing_a_span_begins_and_ends_with_it_and_the_timeline_goes_to_another(visit, tmp_path):
    page = visit(span_run(tmp_path))
    page.goto(f"{page.address}/#/cluster/0/4")
    wait_for_items(page, 6)
    until(page, f"{AUDIO}?.currentTime === 2 && document.querySelector('.plots img').naturalWidth > 0")
    mark, plots = (page.evaluate(f"document.querySelector('{s}').getBoundingClientRect().toJSON()") for s in (".mark", ".plots"))
    assert mark["left"] - plots["left"] == pytest.approx(plots["width"] / 3, abs=1)
    assert mark["width"] == pytest.approx(plots["width"] / 3, abs=1)
    page.evaluate(
        f"""() => {{
            const a = {AUDIO};
            window.times = [];
            for (const type of ['playing', 'timeupdate', 'pause'])
                a.addEventListener(type, () => window.times.push(a.currentTime));
        }}"""
    )
    page.click("button:text('Play the span')")
    until(page, f"{AUDIO}.paused && {AUDIO}.currentTime === 2.5")
    times = page.evaluate("window.times")
    assert min(times) >= 2 and max(times) < 2.65, times
    page.check("text=and play on")
    page.click("button:text('Play the span')")
    until(page, f"{AUDIO}.currentTime > 2.8")
    page.uncheck("text=and play on")
    until(page, f"{AUDIO}.paused")
    line = page.evaluate("document.querySelector('.timeline[role=slider] canvas').getBoundingClientRect().toJSON()")
    page.mouse.click(line["left"] + line["width"] * 9.5 / 12, line["top"] + 12)
    until(page, f"{SHOWN} === '0:04.50–0:05.00'")
    page.focus(".timeline[role=slider]")
    page.keyboard.press("ArrowRight")
    until(page, f"{SHOWN} === '0:05.00–0:05.50'")
    page.keyboard.press("Home")
    until(page, "document.activeElement.getAttribute('aria-valuetext') === '0:00.00–0:00.50, Cluster 0'")


def test_a_tile_plays_its_span_only(visit, tmp_path):
    page = visit(span_run(tmp_path))
    page.goto(f"{page.address}/#/cluster/0/6")
    wait_for_items(page, 6)
    until(page, "document.querySelector('.grid [role=option]').textContent.includes('0:03.00–0:03.50')")
    page.focus(".grid")
    page.keyboard.press("p")
    until(page, "document.querySelector('.film audio')?.currentTime > 3")
    until(page, "document.querySelector('.film audio').paused && document.querySelector('.film audio').currentTime === 3.5")
