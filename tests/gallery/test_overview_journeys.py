"""What a person does with clusters, in a real browser: each journey ends by looking at what is on disk."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from selflabel.edits import append, parse, read_edits
from selflabel.runs.run import Run
from tests.gallery.browser import FOCUSED_ITEM, labels_of, names_of, open_cluster, until, wait_for
from tests.gallery.conftest import cut_and_joined_clouds


def test_clusters_are_named_one_after_the_other_and_counted(visit, picture_run):
    run = picture_run()
    page = visit(run)
    page.click(".card:first-child .name")
    first, second = (page.get_attribute(f".card:nth-child({i})", "data-id") for i in (1, 2))
    page.keyboard.type("red things")
    page.keyboard.press("Enter")
    page.keyboard.type("others")
    page.keyboard.press("Enter")
    wait_for(page, lambda: len(names_of(run)) == 2)
    assert names_of(run) == {int(first): "red things", int(second): "others"}
    until(page, "document.querySelector('#progress').innerText.includes('2 of 6 named')")
    page.fill("input[type=search]", "red")
    until(page, "document.querySelectorAll('.card').length === 1")
    page.reload()
    page.wait_for_selector(".card")
    assert "red things" in page.evaluate("[...document.querySelectorAll('.card .name')].map((n) => n.value)")


def test_two_clusters_are_merged_and_undone_and_redone(visit, picture_run):
    run = picture_run()
    page = visit(run)
    before = labels_of(run)
    for number in (3, 4):
        page.check(f".card[data-id='{number}'] .pick input")
    page.click("#bar button:has-text('Merge')")
    until(page, "document.querySelectorAll('.card').length === 5")
    assert set(labels_of(run)) == {0, 1, 2, 3, 5} and (labels_of(run) == 3).sum() == 60
    page.click("#undo")
    until(page, "document.querySelectorAll('.card').length === 6")
    assert (labels_of(run) == before).all()
    page.keyboard.press("Control+Shift+Z")
    until(page, "document.querySelectorAll('.card').length === 5")
    assert (labels_of(run) == 3).sum() == 60
    assert len(read_edits(run.folder)) == 3


def test_clusters_are_picked_with_shift_and_keep_the_name_that_was_chosen(visit, picture_run):
    run = picture_run()
    page = visit(run)
    page.select_option("select", "number")
    for number in (1, 2):
        page.click(f".card[data-id='{number}'] .name")
        page.keyboard.type(f"name {number}")
        page.keyboard.press("Tab")
    wait_for(page, lambda: len(names_of(run)) == 2)
    page.click(".card[data-id='0'] .pick")
    page.click(".card[data-id='3'] .pick", modifiers=["Shift"])
    page.wait_for_selector("#bar :text('4 clusters picked')")
    page.keyboard.press("m")
    page.click("dialog li:has-text('name 2')")
    wait_for(page, lambda: names_of(run) == {2: "name 2"})
    assert set(labels_of(run)) == {2, 4, 5}


def test_two_clusters_of_one_name_can_be_merged_at_once(visit, picture_run):
    run = picture_run()
    page = visit(run)
    for number in (4, 5):
        page.click(f".card[data-id='{number}'] .name")
        page.keyboard.type("blue")
        page.keyboard.press("Tab")
    page.click(".toast button:has-text('Merge them')")
    wait_for(page, lambda: (labels_of(run) == 4).sum() == 60)
    assert names_of(run) == {4: "blue"}


def card_ids(page):
    return page.evaluate("[...document.querySelectorAll('.card')].map((card) => Number(card.dataset.id))")


def test_the_clusters_are_listed_in_the_order_and_by_the_filter_that_is_chosen(visit, picture_run):
    run = picture_run()
    append(run.folder, parse({"do": "merge", "clusters": [3, 4], "into": 3}))
    append(run.folder, parse({"do": "name", "cluster": 5, "name": "apples"}))
    page = visit(run)
    orders = {"size": [3, 2, 0, 5, 1], "small": [1, 0, 5, 2, 3], "number": [0, 1, 2, 3, 5], "name": [5, 0, 1, 2, 3]}
    for order, ids in orders.items():
        page.select_option("select", order)
        assert card_ids(page) == ids, order
    page.select_option("select", "purity")
    assert card_ids(page)[0] == 3  # half of it is of another kind
    page.check("label:has-text('without a name only') input")
    assert 5 not in card_ids(page) and len(card_ids(page)) == 4
    page.fill("input[type=search]", "2")
    assert card_ids(page) == [2]
    page.press("input[type=search]", "Enter")
    page.wait_for_selector("h1:text('Files with “2”')")


def test_the_bars_of_the_sizes_name_their_clusters_and_open_them(visit, picture_run):
    page = visit(picture_run())
    bar = page.locator(".plot canvas").first
    bar.hover(position={"x": 8, "y": 60})
    assert page.inner_text(".plot .tip >> nth=0") == "Cluster 2: 33"
    bar.click(position={"x": 8, "y": 60})
    page.wait_for_selector(".itemhead [aria-label='Name of cluster 2']")


def test_a_suggested_merge_joins_what_was_cut(visit, tmp_path):
    run = cut_and_joined_clouds(tmp_path, np.random.default_rng(0))
    page = visit(Run.open(run.folder))
    page.click(".hints li:has-text('may be one') button:has-text('Merge')")
    wait_for(page, lambda: set(labels_of(run)) <= {0, 2, 3} or set(labels_of(run)) <= {1, 2, 3})
    assert len(set(labels_of(run))) == 3 and len(set(labels_of(run)[:200])) == 1


def test_a_suggested_split_is_the_right_one(visit, picture_run):
    run = picture_run(each=60)
    page = visit(run)
    page.click(".hints button:has-text('Split in two')")
    until(page, "document.querySelectorAll('.card').length === 7")
    parts = labels_of(run)[:60]
    assert set(parts) == {0, 6}
    assert len(set(parts[::2])) == 1 and len(set(parts[1::2])) == 1


def test_labels_are_exported_with_their_names(visit, picture_run, tmp_path):
    run = picture_run()
    page = visit(run)
    page.click(".card[data-id='4'] .name")
    page.keyboard.type("violet")
    page.keyboard.press("Tab")
    wait_for(page, lambda: names_of(run) == {4: "violet"})
    for name in ("run.csv", "run-2.csv"):
        page.click("#top button:has-text('Export')")
        page.click("dialog label:has-text('csv')")
        page.click("dialog button:has-text('Export')")
        page.wait_for_selector(f"dialog code:text('{name}')")
        page.keyboard.press("Escape")
    text = (tmp_path / "run-2.csv").read_text()
    assert text.count("violet") == 30 and len(text.splitlines()) == 181


def test_two_tabs_show_each_others_edits_and_lose_nothing(visit, picture_run):
    run = picture_run()
    page = visit(run)
    other = page.context.new_page()
    other.goto(page.address)
    other.wait_for_selector(".card")
    page.bring_to_front()
    page.click(".card[data-id='1'] .name")
    page.keyboard.type("first")
    page.keyboard.press("Tab")
    wait_for(page, lambda: names_of(run) == {1: "first"})
    other.bring_to_front()
    until(other, "document.querySelector('.card[data-id=\"1\"] .name').value === 'first'")
    other.click(".card[data-id='2'] .name")
    other.keyboard.type("second")
    other.keyboard.press("Tab")
    wait_for(other, lambda: names_of(run) == {1: "first", 2: "second"})


def test_a_name_field_that_only_had_the_focus_does_not_undo_what_another_tab_wrote(visit, picture_run):
    run = picture_run()
    page = visit(run)
    page.click(".card[data-id='1'] .name")
    append(run.folder, parse({"do": "name", "cluster": 1, "name": "elsewhere"}))
    until(page, "document.querySelector('.card[data-id=\"1\"]').getAttribute('aria-label').startsWith('elsewhere')")
    page.keyboard.press("Tab")
    until(page, "document.querySelector('.card[data-id=\"1\"] .name').value === 'elsewhere'")
    assert names_of(run) == {1: "elsewhere"} and len(read_edits(run.folder)) == 1
    open_cluster(page, 1)
    page.keyboard.press("n")
    page.keyboard.type("not this")
    page.keyboard.press("Escape")
    page.keyboard.press("n")
    page.keyboard.type("here")
    page.keyboard.press("Enter")
    wait_for(page, lambda: names_of(run) == {1: "here"})
    assert len(read_edits(run.folder)) == 2


def test_what_another_tab_merged_away_is_refused_with_a_sentence(visit, picture_run):
    run = picture_run()
    page = visit(run)
    page.route("**/api/version", lambda route: route.fulfill(json={"version": 0}))  # this tab does not notice the other's edits
    append(run.folder, parse({"do": "merge", "clusters": [0, 1], "into": 0}))
    page.fill(".card[data-id='1'] .name", "late")
    page.press(".card[data-id='1'] .name", "Tab")
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
    wait_for(page, lambda: 5 in names_of(run))
    page.goto(f"{page.address}/#/search/onerror")
    page.wait_for_selector(f".details .path:text-is('{evil}')")
    page.goto(f"{page.address}/#/map")
    page.wait_for_selector(".legend :text('<i>x')")
    assert page.evaluate("window.hacked") is None and page.query_selector("b:text-is('bold.png')") is None


def test_clusters_of_one_name_are_told_apart_by_their_numbers_wherever_one_is_chosen(visit, picture_run):
    run = picture_run()
    for number in (1, 4):
        append(run.folder, parse({"do": "name", "cluster": number, "name": "twin"}))
    page = visit(run)
    open_cluster(page, 2)
    page.keyboard.press("m")
    offers = page.locator("#offers li").all_inner_texts()
    assert {("twin (1)", "no. 1 · 27 items"), ("twin (4)", "no. 4 · 30 items")} <= {tuple(o.split("\n")[-2:]) for o in offers}
    page.keyboard.type("twin (4)")
    page.keyboard.press("Enter")
    page.wait_for_selector(".toast:has-text('merge of 2 clusters into twin (4)')")
    assert (labels_of(run) == 4).sum() == 63


def test_tiles_worth_a_look_carry_the_name_of_their_cluster(visit, picture_run):
    run = picture_run()
    append(run.folder, parse({"do": "name", "cluster": 5, "name": "by name"}))
    page = visit(run)
    page.keyboard.press("3")
    until(page, f"{FOCUSED_ITEM}?.includes(', in Cluster 2')")  # the least sure of all are its three strays
    shown = """() => {
        const canvas = document.querySelector('.grid canvas'), g = canvas.getContext('2d');
        return [...g.getImageData(14, 88, 60, 12).data].filter((v, i) => i % 4 === 0);
    }"""
    page.wait_for_timeout(500)
    reds = page.evaluate(shown)
    assert min(reds) < 90 and max(reds) > 200  # dark letters on a light ground
    page.keyboard.press("End")
    page.goto(f"{page.address}/#/search/0179")
    until(page, f"{FOCUSED_ITEM}?.includes(', in by name')")


def test_a_suggested_split_shows_both_halves(visit, picture_run):
    run = picture_run(each=60)
    page = visit(run)
    page.wait_for_selector(".hints li:has-text('may be two')")
    assert page.locator(".hints li:has-text('may be two')").first.locator("canvas").count() == 2
    halves = page.evaluate("fetch('/api/hints').then((r) => r.json()).then((h) => h.splits.find((s) => s.cluster === 0).rows)")
    assert len({row % 2 for row in halves[0]}) == len({row % 2 for row in halves[1]}) == 1
    assert halves[0][0] % 2 != halves[1][0] % 2 and all(row < 60 for half in halves for row in half)
