"""What a person does with the items that fit no cluster, and with a cluster that loses its last item, in a real browser."""

import csv
from pathlib import Path

from selflabel.jobs.score import score_run
from selflabel.runs.run import Run
from tests.gallery.browser import click_tile, labels_of, open_cluster, until, wait_for, wait_for_items

CARDS = "[...document.querySelectorAll('.card')].map((card) => card.getAttribute('aria-label'))"


def act(page, run, press, counts):
    """Press a key or a button; then so many items must be in no cluster, on disk, and be listed as outliers."""
    in_none, listed = counts
    page.click(press) if press.startswith("#") else page.keyboard.press(press)
    wait_for(page, lambda: (labels_of(run) == -1).sum() == in_none, press)
    until(page, f"document.querySelector('.itemhead').innerText.includes('{listed} item')")


def export_as(page, name):
    """Export on the page; the place that it names."""
    page.keyboard.press("e")
    page.check(f"dialog input[value='{name}']")
    page.click("dialog footer button")
    place = page.inner_text("dialog .said code")
    page.keyboard.press("Escape")
    return place


def test_outliers_are_moved_restored_and_rejected_and_what_is_shown_saved_and_exported_agrees(visit, picture_run):
    run = picture_run(each=8, outliers=range(8, 14))  # six of the eight of kind 1
    page = visit(run)
    assert page.evaluate(CARDS)[-1] == "Fits no cluster, 6 items"
    page.click(".card.outliers .cover")
    wait_for_items(page, 6)
    click_tile(page, 0)
    click_tile(page, 1, keys=["Shift"])
    page.click("#bar button:has-text('Move')")
    page.keyboard.type("3")
    act(page, run, "Enter", (4, 4))
    assert labels_of(run)[8:10].tolist() == [3, 3]
    act(page, run, "#undo", (6, 6))
    act(page, run, "#redo", (4, 4))
    click_tile(page, 0)
    act(page, run, "#bar button:has-text('Restore')", (3, 3))
    click_tile(page, 0)
    act(page, run, "#bar button:has-text('Reject')", (3, 2))
    page.reload()
    wait_for_items(page, 2)
    page.goto(f"{page.address}/#/search/00")
    wait_for_items(page, 48)
    for tile, cluster in ((11, "Rejected"), (12, "Fits no cluster"), (10, "Cluster 1")):
        click_tile(page, tile)
        until(page, f"document.querySelector('.grid [role=option]').innerText.includes('in {cluster}')")
    page.keyboard.press("Escape")

    page.goto(f"{page.address}/#/")
    page.wait_for_selector(".card.outliers")
    shown = dict(label.removesuffix(" items").rsplit(", ", 1) for label in page.evaluate(CARDS))
    with Path(export_as(page, "csv")).open() as file:
        exported = [int(line["label"]) for line in csv.DictReader(file)]
    assert {f"Cluster {c}": str(exported.count(c)) for c in set(exported)} | {"Fits no cluster": "2"} == {
        name: size.removesuffix(" item") for name, size in shown.items()
    }
    left_out = Path(export_as(page, "folders")) / "left-out.csv"
    with left_out.open() as file:
        assert sorted(line["reason"] for line in csv.DictReader(file)) == ["fits no cluster"] * 2 + ["rejected"]
    assert score_run(Run(run.folder), None)["n_outliers"] == 2


def test_a_cluster_that_loses_its_last_item_is_gone_until_undo_brings_it_back(visit, picture_run):
    run = picture_run(each=8)
    page = visit(run)
    page.fill(".card[data-id='4'] input.name", "five")
    page.keyboard.press("Enter")
    open_cluster(page, 4)
    page.keyboard.press("Control+a")
    page.keyboard.press("v")
    page.keyboard.type("3")
    page.keyboard.press("Enter")
    wait_for(page, lambda: (labels_of(run) == 3).sum() == 16)
    page.wait_for_selector(".items .empty:has-text('undo (u) brings its items back')")
    page.keyboard.press("Escape")
    page.wait_for_selector(".card[data-id='3']")
    assert not page.query_selector(".card[data-id='4']") and "of 5 named" in page.inner_text("#progress")
    page.keyboard.press("u")
    page.wait_for_selector(".card[data-id='4'][aria-label='five, 8 items']")
