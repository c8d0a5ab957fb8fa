"""What a person does with the items of a cluster, in a real browser, and how they are shown."""

import numpy as np

from tests.films import bars, tone, write_film
from tests.gallery.browser import (
    FOCUSED_ITEM,
    click_tile,
    labels_of,
    names_of,
    open_cluster,
    tile,
    until,
    wait_for,
    wait_for_items,
)
from tests.gallery.conftest import write_run


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
    wait_for(page, lambda: "strange ones" in names_of(run).values())
    assert names_of(run) == {6: "strange ones"} and (labels_of(run) == 6).sum() == 3 and (labels_of(run) == 5).sum() == 27


def test_strays_are_offered_first_the_cluster_they_came_from(visit, picture_run):
    run = picture_run()
    page = visit(run)
    open_cluster(page, 2)
    before = page.evaluate(FOCUSED_ITEM)
    page.click("button:text('Least sure')")
    wait_for(page, lambda: page.evaluate(FOCUSED_ITEM) != before, "the other order")
    click_tile(page, 0)
    click_tile(page, 2, keys=["Shift"])
    page.keyboard.press("v")
    until(page, "document.querySelector('#offers li:first-child .what')?.innerText === 'Cluster 1'")
    assert "Cluster 2" not in page.inner_text("#offers")
    page.keyboard.press("Enter")
    wait_for(page, lambda: (labels_of(run) == 1).sum() == 30)
    assert (labels_of(run)[30:60] == 1).all()


def test_items_are_rejected_and_restored(visit, picture_run):
    run = picture_run()
    page = visit(run)
    open_cluster(page, 2)
    click_tile(page, 0)
    page.keyboard.press("x")
    wait_for(page, lambda: (labels_of(run) == -1).sum() == 1)
    page.click("nav a:has-text('Rejected')")
    page.wait_for_selector("h1:text('Rejected')")
    wait_for_items(page, 1)
    click_tile(page, 0)
    page.click("#bar button:has-text('Restore')")
    wait_for(page, lambda: (labels_of(run) == -1).sum() == 0)
    assert (labels_of(run) == 2).sum() == 33


def test_a_missing_picture_is_a_plain_tile_with_its_reason(visit, picture_run, tmp_path):
    run = picture_run()
    page = visit(run)
    open_cluster(page, 3)
    path = page.inner_text(".details .path")
    until(page, "document.querySelector('.details img').naturalWidth > 0")  # no request for the file is under way
    (tmp_path / "items" / path).unlink()
    (run.folder / "thumbs" / "index.bin").write_bytes(bytes(16 * 180))
    page.reload()
    page.wait_for_selector(".details .gone:has-text('no such file')")
    grey = page.evaluate("[...document.querySelector('.grid canvas').getContext('2d').getImageData(12, 12, 1, 1).data]")
    assert max(grey[:3]) - min(grey[:3]) < 12, grey  # no colour of any kind of picture


def test_a_hundred_thousand_items_can_be_scrolled_to_the_last(visit, tmp_path):
    n = 100_000
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 255, (200, 12, 12, 3), np.uint8)
    np.save(tmp_path / "many.npy", np.tile(pixels, (n // 200, 1, 1, 1)))
    paths = [f"row:{i:06d}" for i in range(n)]
    neighbours = (np.arange(n)[:, None] + np.arange(1, 11)) % n
    run = write_run(tmp_path / "run", tmp_path / "many.npy", paths, np.zeros(n, int), np.ones((n, 2), np.float16), neighbours)
    page = visit(run)
    open_cluster(page, 0)
    page.evaluate(
        """async () => {
            const box = document.querySelector('.grid'), step = box.scrollHeight / 120;
            for (let i = 0; i < 120; i++) {
                box.scrollTop += i % 2 ? step : 40;
                await new Promise((done) => requestAnimationFrame(done));
            }
            box.scrollTop = box.scrollHeight;
        }"""
    )
    at_the_end = "(box) => box.scrollTop + box.clientHeight >= box.scrollHeight - 2"
    until(page, f"({at_the_end})(document.querySelector('.grid'))")
    colours = """(canvas) => {
        const g = canvas.getContext('2d'), colours = new Set();
        for (let x = 10; x < canvas.width - 20; x += 37) colours.add(g.getImageData(x, 60, 1, 1).data.join());
        return colours.size;
    }"""
    until(page, f"({colours})(document.querySelector('.grid canvas')) > 10")  # the pictures of the last items
    page.keyboard.press("End")
    until(page, "document.querySelector('.grid [role=option]').innerText.includes('100,000 of 100,000')")


def test_a_video_plays_on_hover_and_with_sound_on_click(visit, tmp_path):
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
