"""What a person does on the page, in a real browser: each journey ends by looking at what is on disk."""

import json
import re

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from selflabel.edits import append, parse, read_edits
from selflabel.runs.run import Run
from tests.films import bars, tone, write_film
from tests.gallery.conftest import write_run


def labels(run):
    return Run.open(run.folder).labels["label"].to_numpy()


def names(run):
    return Run.open(run.folder).edited().names


def wait_for(page, test, what="the change"):
    for _ in range(160):
        if test():
            return
        page.wait_for_timeout(50)
    raise AssertionError(f"{what} did not come")


def until(page, expression):
    """Wait for an expression to hold (the page's policy forbids the way in which playwright would wait by itself)."""
    wait_for(page, lambda: page.evaluate(expression), expression)


def open_cluster(page, number):
    page.click(f".card[data-id='{number}'] .cover")
    page.wait_for_selector(".items .grid")
    until(page, "document.querySelector('.itemhead').innerText.includes('item')")
    page.wait_for_timeout(150)


def tile(page, index):
    """The middle of a tile of the wall, in the window."""
    return page.evaluate(
        """(index) => {
            const box = document.querySelector('.grid'), canvas = box.querySelector('canvas').getBoundingClientRect();
            const width = box.clientWidth - 12, wished = 96, columns = Math.max(1, Math.floor((width + 6) / (wished + 6)));
            const step = (width + 6) / columns, column = index % columns, line = Math.floor(index / columns);
            return [canvas.left + 6 + (column + 0.45) * step, canvas.top + 6 + (line + 0.45) * step];
        }""",
        index,
    )


def click_tile(page, index, **options):
    x, y = tile(page, index)
    for key in options.get("keys", []):
        page.keyboard.down(key)
    page.mouse.click(x, y)
    for key in options.get("keys", []):
        page.keyboard.up(key)


def test_clusters_are_named_one_after_the_other_and_counted(visit, picture_run):
    run = picture_run()
    page = visit(run)
    page.click(".card:first-child .name")
    first, second = (page.get_attribute(f".card:nth-child({i})", "data-id") for i in (1, 2))
    page.keyboard.type("red things")
    page.keyboard.press("Enter")
    page.keyboard.type("others")
    page.keyboard.press("Enter")
    wait_for(page, lambda: len(names(run)) == 2)
    assert names(run) == {int(first): "red things", int(second): "others"}
    until(page, "document.querySelector('#progress').innerText.includes('2 of 6 named')")
    page.fill("input[type=search]", "red")
    until(page, "document.querySelectorAll('.card').length === 1")
    page.reload()
    page.wait_for_selector(".card")
    assert "red things" in page.evaluate("[...document.querySelectorAll('.card .name')].map((n) => n.value)")


def test_two_clusters_are_merged_and_undone_and_redone(visit, picture_run):
    run = picture_run()
    page = visit(run)
    before = labels(run)
    for number in (3, 4):
        page.check(f".card[data-id='{number}'] .pick input")
    page.click("#bar button:has-text('Merge')")
    until(page, "document.querySelectorAll('.card').length === 5")
    assert set(labels(run)) == {0, 1, 2, 3, 5} and (labels(run) == 3).sum() == 60
    page.click("#undo")
    until(page, "document.querySelectorAll('.card').length === 6")
    assert (labels(run) == before).all()
    page.keyboard.press("Control+Shift+Z")
    until(page, "document.querySelectorAll('.card').length === 5")
    assert (labels(run) == 3).sum() == 60
    assert len(read_edits(run.folder)) == 3


def test_clusters_are_picked_with_shift_and_keep_the_name_that_was_chosen(visit, picture_run):
    run = picture_run()
    page = visit(run)
    page.select_option("select", "number")
    for number in (1, 2):
        page.click(f".card[data-id='{number}'] .name")
        page.keyboard.type(f"name {number}")
        page.keyboard.press("Tab")
    wait_for(page, lambda: len(names(run)) == 2)
    page.click(".card[data-id='0'] .pick")
    page.click(".card[data-id='3'] .pick", modifiers=["Shift"])
    page.wait_for_selector("#bar :text('4 clusters picked')")
    page.keyboard.press("m")
    page.click("dialog li:has-text('name 2')")
    wait_for(page, lambda: names(run) == {2: "name 2"})
    assert set(labels(run)) == {2, 4, 5}


def test_two_clusters_of_one_name_can_be_merged_at_once(visit, picture_run):
    run = picture_run()
    page = visit(run)
    for number in (4, 5):
        page.click(f".card[data-id='{number}'] .name")
        page.keyboard.type("blue")
        page.keyboard.press("Tab")
    page.click(".toast button:has-text('Merge them')")
    wait_for(page, lambda: (labels(run) == 4).sum() == 60)
    assert names(run) == {4: "blue"}


def test_a_suggested_split_is_the_right_one(visit, picture_run):
    run = picture_run(each=60)
    page = visit(run)
    page.click(".hints button:has-text('Split in two')")
    until(page, "document.querySelectorAll('.card').length === 7")
    parts = labels(run)[:60]
    assert set(parts) == {0, 6}
    assert len(set(parts[::2])) == 1 and len(set(parts[1::2])) == 1


def test_items_are_picked_by_click_shift_click_and_rectangle_and_moved_to_a_new_cluster(visit, picture_run):
    run = picture_run()
    page = visit(run)
    open_cluster(page, 5)
    click_tile(page, 0)
    click_tile(page, 3, keys=["Shift"])
    page.wait_for_selector("#bar :text('4 selected')")
    click_tile(page, 1)
    page.wait_for_selector("#bar :text('3 selected')")
    page.keyboard.press("Escape")
    (x0, y0), (x1, y1) = tile(page, 0), tile(page, 2)
    page.mouse.move(x0, y0)
    page.mouse.down()
    page.mouse.move(x1, y1 + 5, steps=4)
    page.mouse.up()
    page.wait_for_selector("#bar :text('3 selected')")
    page.click("#bar button:has-text('Move')")
    page.keyboard.type("strange ones")
    page.keyboard.press("Enter")
    wait_for(page, lambda: "strange ones" in names(run).values())
    assert names(run) == {6: "strange ones"} and (labels(run) == 6).sum() == 3 and (labels(run) == 5).sum() == 27


def test_strays_are_offered_first_the_cluster_they_came_from(visit, picture_run):
    run = picture_run()
    page = visit(run)
    open_cluster(page, 2)
    page.click("button:text('Least sure')")
    page.wait_for_timeout(200)
    click_tile(page, 0)
    click_tile(page, 2, keys=["Shift"])
    page.keyboard.press("v")
    until(page, "document.querySelector('#offers li:first-child .what')?.innerText === 'Cluster 1'")
    assert "Cluster 2" not in page.inner_text("#offers")
    page.keyboard.press("Enter")
    wait_for(page, lambda: (labels(run) == 1).sum() == 30)
    assert (labels(run)[30:60] == 1).all()


def test_items_are_rejected_and_restored(visit, picture_run):
    run = picture_run()
    page = visit(run)
    open_cluster(page, 2)
    click_tile(page, 0)
    page.keyboard.press("x")
    wait_for(page, lambda: (labels(run) == -1).sum() == 1)
    page.click("nav a:has-text('Rejected')")
    page.wait_for_selector("h1:text('Rejected')")
    page.wait_for_timeout(200)
    click_tile(page, 0)
    page.click("#bar button:has-text('Restore')")
    wait_for(page, lambda: (labels(run) == -1).sum() == 0)
    assert (labels(run) == 2).sum() == 33


def test_everything_by_keyboard_alone(visit, picture_run):
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
    press("Escape")  # called off
    press("n")
    page.keyboard.type("by key")
    press("Enter")
    wait_for(page, lambda: names(run) == {first: "by key"})
    press("Escape")
    press("ArrowLeft")
    press(" ")
    press("ArrowRight")
    press(" ")
    press("m")
    wait_for(page, lambda: len(set(labels(run))) == 5)
    press("u")
    wait_for(page, lambda: len(set(labels(run))) == 6)
    press("ArrowRight")
    press("s")
    press("3")
    press("Enter")
    wait_for(page, lambda: len(set(labels(run))) == 8, "the split")
    press("Enter")
    page.wait_for_selector(".items .grid")
    page.wait_for_timeout(300)
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
    wait_for(page, lambda: (labels(run) == -1).sum() == 1)
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


def test_labels_are_taken_away_with_their_names(visit, picture_run, tmp_path):
    run = picture_run()
    page = visit(run)
    page.click(".card[data-id='4'] .name")
    page.keyboard.type("violet")
    page.keyboard.press("Tab")
    wait_for(page, lambda: names(run) == {4: "violet"})
    for wanted in ("run.csv", "run-2.csv"):
        page.click("#top button:has-text('Export')")
        page.click("dialog label:has-text('csv')")
        page.click("dialog button:has-text('Export')")
        page.wait_for_selector(f"dialog code:text('{wanted}')")
        page.keyboard.press("Escape")
    text = (tmp_path / "run-2.csv").read_text()
    assert text.count("violet") == 30 and len(text.splitlines()) == 181


def test_two_tabs_see_one_another_and_lose_nothing(visit, picture_run):
    run = picture_run()
    page = visit(run)
    other = page.context.new_page()
    other.goto(page.address)
    other.wait_for_selector(".card")
    page.bring_to_front()
    page.click(".card[data-id='1'] .name")
    page.keyboard.type("first")
    page.keyboard.press("Tab")
    wait_for(page, lambda: names(run) == {1: "first"})
    other.bring_to_front()
    until(other, "document.querySelector('.card[data-id=\"1\"] .name').value === 'first'")
    other.click(".card[data-id='2'] .name")
    other.keyboard.type("second")
    other.keyboard.press("Tab")
    wait_for(other, lambda: names(run) == {1: "first", 2: "second"})


def test_a_name_that_was_only_looked_at_does_not_take_back_what_another_tab_wrote(visit, picture_run):
    run = picture_run()
    page = visit(run)
    page.click(".card[data-id='1'] .name")
    append(run.folder, parse({"do": "name", "cluster": 1, "name": "elsewhere"}))
    until(page, "document.querySelector('.card[data-id=\"1\"]').getAttribute('aria-label').startsWith('elsewhere')")
    page.keyboard.press("Tab")
    until(page, "document.querySelector('.card[data-id=\"1\"] .name').value === 'elsewhere'")
    assert names(run) == {1: "elsewhere"} and len(read_edits(run.folder)) == 1
    open_cluster(page, 1)
    page.keyboard.press("n")
    page.keyboard.type("not this")
    page.keyboard.press("Escape")
    page.keyboard.press("n")
    page.keyboard.type("here")
    page.keyboard.press("Enter")
    wait_for(page, lambda: names(run) == {1: "here"})
    assert len(read_edits(run.folder)) == 2


def test_what_another_tab_merged_away_is_refused_with_a_sentence(visit, picture_run):
    run = picture_run()
    page = visit(run)
    merge = '{"do": "merge", "clusters": [0, 1], "into": 0}'
    sent = "fetch('/api/edits', {method: 'POST', headers: {'content-type': 'application/json'}, body})"
    page.evaluate(f"(body) => {sent}", merge)
    wait_for(page, lambda: 1 not in set(labels(run)))
    card = page.query_selector(".card[data-id='1'] .name")
    if card:  # not yet noticed by this tab
        card.fill("late")
        card.press("Tab")
        page.wait_for_selector(".toast:has-text('no cluster 1')")
    until(page, "document.querySelectorAll('.card').length === 5")


def test_names_and_files_made_of_html_are_shown_as_they_are(visit, picture_run, tmp_path):
    run = picture_run()
    evil = "<img src=x onerror=window.hacked=1><b>bold.png"
    labels_table = pq.read_table(run.folder / "labels.parquet")
    paths = labels_table["path"].to_pylist()
    row = next(i for i, label in enumerate(labels_table["label"].to_pylist()) if label == 5)
    (tmp_path / "items" / paths[row]).rename(tmp_path / "items" / evil)
    paths[row] = evil
    pq.write_table(labels_table.set_column(1, "path", pa.array(paths)), run.folder / "labels.parquet")
    page = visit(run)
    page.click(".card[data-id='5'] .name")
    page.keyboard.type("<script>window.hacked=1</script><i>x")
    page.keyboard.press("Tab")
    wait_for(page, lambda: 5 in names(run))
    page.goto(f"{page.address}/#/search/onerror")
    page.wait_for_selector(f".details .path:text-is('{evil}')")
    page.goto(f"{page.address}/#/map")
    page.wait_for_selector(".legend :text('<i>x')")
    assert page.evaluate("window.hacked") is None and page.query_selector("b:text-is('bold.png')") is None


def test_a_missing_picture_is_a_plain_tile_with_its_reason(visit, picture_run, tmp_path):
    run = picture_run()
    page = visit(run)
    open_cluster(page, 3)
    path = page.inner_text(".details .path")
    (tmp_path / "items" / path).unlink()
    (run.folder / "thumbs" / "index.bin").write_bytes(bytes(16 * 180))
    page.reload()
    page.wait_for_selector(".details .gone:has-text('no such file')")
    grey = page.evaluate("[...document.querySelector('.grid canvas').getContext('2d').getImageData(12, 12, 1, 1).data]")
    assert max(grey[:3]) - min(grey[:3]) < 12, grey  # no colour of any kind of picture


def test_a_moved_source_is_said_and_found_again(visit, picture_run, tmp_path):
    run = picture_run()
    (tmp_path / "items").rename(tmp_path / "elsewhere")
    page = visit(run)
    assert "--source" in page.inner_text(".banner")
    page = visit(run, moved_to=str(tmp_path / "elsewhere"))
    assert page.query_selector(".banner") is None
    until(page, "document.querySelector('.card canvas').getContext('2d').getImageData(2, 2, 1, 1).data[3] === 255")


def test_the_map_is_drawn_and_a_lasso_selects(visit, picture_run):
    run = picture_run()
    places = np.stack([np.repeat(np.arange(6) / 6 + 0.08, 30), np.linspace(0.2, 0.8, 180)], axis=1).astype(np.float32)
    np.save(run.folder / "map.npy", places)
    page = visit(run)
    page.keyboard.press("2")
    until(page, "document.querySelector('.mapbox > canvas')?.width > 300")
    page.wait_for_timeout(400)
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
    wait_for(page, lambda: (labels(run) == -1).sum() == 90)
    assert (labels(run)[:90] == -1).all()


def test_a_hundred_thousand_items_scroll_smoothly(visit, tmp_path):
    n = 100_000
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 255, (200, 12, 12, 3), np.uint8)
    np.save(tmp_path / "many.npy", np.tile(pixels, (n // 200, 1, 1, 1)))
    paths = [f"row:{i:06d}" for i in range(n)]
    neighbours = (np.arange(n)[:, None] + np.arange(1, 11)) % n
    run = write_run(tmp_path / "run", tmp_path / "many.npy", paths, np.zeros(n, int), np.ones((n, 2), np.float16), neighbours)
    page = visit(run)
    open_cluster(page, 0)
    found = page.evaluate(
        """async () => {
            const box = document.querySelector('.grid'), canvas = box.querySelector('canvas'), step = box.scrollHeight / 120;
            const frame = () => new Promise((done) => requestAnimationFrame(done));
            const times = [];
            await frame();
            for (let i = 0; i < 120; i++) {
                box.scrollTop += i % 2 ? step : 40;
                const before = performance.now();
                await frame();
                await frame();
                times.push((performance.now() - before) / 2);
            }
            box.scrollTop = box.scrollHeight;
            await new Promise((done) => setTimeout(done, 1200));
            const g = canvas.getContext('2d'), seen = new Set();
            for (let x = 10; x < canvas.width - 20; x += 37) seen.add(g.getImageData(x, 60, 1, 1).data.join());
            times.sort((a, b) => a - b);
            const end = box.scrollTop + box.clientHeight >= box.scrollHeight - 2;
            return { median: times[60], slowest: times[113], colours: seen.size, end };
        }"""
    )
    assert found["end"] and found["colours"] > 10, found
    assert found["median"] < 34 and found["slowest"] < 120, found
    page.keyboard.press("End")
    until(page, "document.querySelector('.grid [role=option]').innerText.includes('100,000 of 100,000')")


def test_a_film_plays_on_hover_and_is_heard_on_click(visit, tmp_path):
    rng = np.random.default_rng(0)
    items = tmp_path / "films"
    items.mkdir()
    for i in range(4):
        write_film(items / f"{i}.mp4", bars(30, i % 2, rng), tone(500, 3.0), codec="libx264")
    features = np.eye(4, dtype=np.float32)
    run = write_run(
        tmp_path / "run", items, [f"{i}.mp4" for i in range(4)], np.array([0, 0, 1, 1]), features, np.zeros((4, 10), int),
        worked_out={"video": {}, "audio": {}},
    )  # fmt: skip
    page = visit(run)
    ranges = []
    page.on("response", lambda r: ranges.append(r.status) if "/media/" in r.url else None)
    open_cluster(page, 0)
    page.mouse.move(*tile(page, 0))
    page.mouse.move(*[v + 3 for v in tile(page, 0)])
    until(page, "document.querySelector('.film video')?.currentTime > 0.2")
    assert page.evaluate("document.querySelector('.film video').muted")
    page.click(".film .sound")
    until(
        page,
        "!document.querySelector('.film video').muted && document.querySelector('.film video').webkitAudioDecodedByteCount > 0",
    )
    assert 206 in ranges
    page.evaluate("document.querySelector('.details video').currentTime = 2")
    until(page, "Math.abs(document.querySelector('.details video').currentTime - 2) < 0.2")
    page.mouse.move(2, 2)
    until(page, "!document.querySelector('.film')")


def test_what_the_browser_cannot_show_is_shown_small(visit, tmp_path):
    rng = np.random.default_rng(0)
    items = tmp_path / "mixed"
    items.mkdir()
    for i in range(2):
        write_film(items / f"{i}.avi", bars(12, i, rng), None, codec="mpeg4")
    features = np.eye(2, dtype=np.float32)
    worked_out = {"video": {}}
    run = write_run(
        tmp_path / "run", items, ["0.avi", "1.avi"], np.zeros(2, int), features, np.zeros((2, 10), int), worked_out=worked_out
    )
    page = visit(run)
    open_cluster(page, 0)
    page.wait_for_selector(".details canvas.preview")
    assert "cannot show" in page.inner_text(".details")
    page.keyboard.press("e")
    page.wait_for_selector("dialog :text('folders')")
    assert page.query_selector("dialog :text-is('coco')") is None  # it holds no films
    page.mouse.move(*tile(page, 0))


@pytest.mark.parametrize("width,height", [(1280, 800), (390, 844)])
@pytest.mark.parametrize("view", ["#/", "#/cluster/1", "#/map", "#/look"])
def test_every_view_fits_wide_and_narrow_screens(visit, picture_run, width, height, view):
    run = picture_run(each=8)
    np.save(run.folder / "map.npy", np.random.default_rng(0).random((48, 2), np.float32))
    page = visit(run, width, height)
    page.goto(f"{page.address}/{view}")
    page.wait_for_timeout(400)
    wide = page.evaluate("document.documentElement.scrollWidth")
    assert wide <= width, f"{view} is {wide} px wide on a screen of {width}"
    small = page.evaluate(
        """() => [...document.querySelectorAll('button, a[href]:not(.skip), select')]
            .filter((n) => n.offsetParent && n.getClientRects().length)
            .map((n) => [n.textContent, n.getBoundingClientRect()])
            .filter(([, r]) => r.right > innerWidth + 1 || r.left < -1).map(([text]) => text)"""
    )
    assert not small or (width < 700 and view), small


def test_the_page_is_whole_after_a_word_of_nonsense_in_its_address(visit, picture_run):
    page = visit(picture_run(each=8))
    for nonsense in ("#/cluster/999", "#/%3Cscript%3E", "#/cluster/x", "#/search/%25"):
        page.goto(f"{page.address}/{nonsense}")
        page.wait_for_selector(".cards, .items")
    assert json.loads(json.dumps(page.title())) == "run · selflabel" and re.search(r"6 named", page.inner_text("#progress"))
