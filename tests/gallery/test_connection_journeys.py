"""What becomes of edits that a person makes while the server is away, in a real browser with a server that is really killed."""

import json
import re
import subprocess
import sys
from collections import Counter

import pytest

from selflabel.edits import LOG, append, parse, read_edits
from tests.gallery.browser import labels_of, names_of, open_cluster, until, wait_for
from tests.gallery.processes import ServerProcess, free_port


@pytest.fixture
def served_run(picture_run):
    """A run of 180 images and the process that serves it."""
    server = ServerProcess(picture_run())
    server.start()
    yield server
    server.kill()


@pytest.fixture
def tab(chromium, served_run):
    """A browser page of the run, for which lost connections are no errors."""
    with chromium.new_context(viewport={"width": 1280, "height": 800}) as context:
        page = context.new_page()
        page.set_default_timeout(20_000)
        page.dialogs = []
        page.on("dialog", lambda dialog: (page.dialogs.append(dialog.type), dialog.accept()))
        page.goto(served_run.address)
        page.wait_for_selector(".card")
        yield page


def name_cluster(page, number, name):
    page.fill(f".card[data-id='{number}'] .name", name)
    page.press(f".card[data-id='{number}'] .name", "Tab")


def each_once(run):
    """The kinds of edit in the log, in order; every id is there once."""
    edits = read_edits(run.folder)
    assert max(Counter(edit.id for edit in edits).values(), default=1) == 1
    return [edit.do for edit in edits]


def wait_for_bar(page, text):
    wait_for(
        page,
        lambda: text in page.inner_text("#connection"),
        f"“{text}” in the bar, which says {page.inner_text('#connection')!r}",
    )


def test_edits_made_while_the_server_is_away_are_shown_as_unsaved_and_sent_once_when_it_returns(tab, served_run):
    run = served_run.run
    served_run.kill()
    wait_for_bar(tab, "Not connected.")
    assert "selflabel browse" in tab.inner_text("#connection") and "Nothing is unsaved" in tab.inner_text("#connection")
    name_cluster(tab, 1, "one")
    wait_for_bar(tab, "1 change is not saved")
    name_cluster(tab, 2, "two")
    tab.keyboard.press("u")
    name_cluster(tab, 3, "three")
    wait_for_bar(tab, "4 changes are not saved")
    tab.wait_for_timeout(6000)  # longer than any message that disappears by itself
    wait_for_bar(tab, "4 changes are not saved")
    assert "name “two” for cluster 2" in tab.text_content("#connection")
    assert tab.get_attribute("#connection", "aria-live") == "assertive"
    served_run.start()
    wait_for(tab, lambda: len(read_edits(run.folder)) == 4)
    until(tab, "document.getElementById('connection').textContent === ''")
    assert each_once(run) == ["name", "name", "undo", "name"] and names_of(run) == {1: "one", 3: "three"}
    until(tab, "document.querySelector('.card[data-id=\"2\"] .name').value === ''")
    assert tab.evaluate("localStorage.length") == 0


def test_unsaved_edits_survive_a_reload_and_a_closed_tab(tab, served_run):
    run = served_run.run
    served_run.kill()
    wait_for_bar(tab, "Not connected.")
    name_cluster(tab, 1, "kept over a reload")
    wait_for_bar(tab, "1 change is not saved")
    tab.click("#connection summary")  # browsers ask only those who have used the page
    tab.route("**/api/edits", lambda route: route.abort())  # the server will be back, but edits do not get through yet
    served_run.start()
    tab.reload()
    assert tab.dialogs == ["beforeunload"]
    wait_for_bar(tab, "1 change is not saved")
    name_cluster(tab, 2, "kept when the tab was closed")
    wait_for_bar(tab, "2 changes are not saved")
    other = tab.context.new_page()
    tab.close()
    other.goto(served_run.home)
    wait_for(other, lambda: len(read_edits(run.folder)) == 2)
    assert each_once(run) == ["name", "name"]
    assert names_of(run) == {1: "kept over a reload", 2: "kept when the tab was closed"}


def test_an_edit_whose_answer_was_lost_is_not_made_twice(tab, served_run):
    run = served_run.run

    def lose_answer(route):
        route.fetch()
        route.abort()

    tab.route("**/api/edits", lose_answer, times=1)
    open_cluster(tab, 5)
    tab.keyboard.press(" ")
    tab.keyboard.press("v")
    tab.keyboard.type("odd one")
    tab.keyboard.press("Enter")
    wait_for(tab, lambda: names_of(run) == {6: "odd one"})
    until(tab, "document.getElementById('connection').textContent === ''")
    tab.wait_for_timeout(2500)
    assert each_once(run) == ["move"] and (labels_of(run) == 6).sum() == 1
    tab.keyboard.press("u")  # the move and the name are one step
    wait_for(tab, lambda: names_of(run) == {} and (labels_of(run) == 5).sum() == 30)


def test_a_late_edit_that_is_refused_is_named_and_the_user_decides(tab, served_run):
    run = served_run.run
    served_run.kill()
    wait_for_bar(tab, "Not connected.")
    name_cluster(tab, 1, "too late")
    name_cluster(tab, 2, "in time")
    append(run.folder, parse({"do": "merge", "clusters": [0, 1], "into": 0}))
    served_run.start()
    wait_for_bar(tab, "name “too late” for cluster 1")
    assert "no cluster 1" in tab.inner_text("#connection") and "1 change after it waits" in tab.inner_text("#connection")
    until(tab, "document.querySelectorAll('.card').length === 5")  # the labels are the server's
    tab.click("#connection button:has-text('Try again')")
    wait_for_bar(tab, "name “too late” for cluster 1")
    assert names_of(run) == {}
    tab.click("#connection button:has-text('Discard it')")
    wait_for(tab, lambda: names_of(run) == {2: "in time"})
    until(tab, "document.getElementById('connection').textContent === ''")
    assert each_once(run) == ["merge", "name"]


def test_all_unsaved_edits_can_be_dropped(tab, served_run):
    served_run.kill()
    wait_for_bar(tab, "Not connected.")
    name_cluster(tab, 1, "no")
    wait_for_bar(tab, "1 change is not saved")
    tab.click("#connection summary")
    tab.click("#connection button:has-text('Discard them')")
    wait_for_bar(tab, "Nothing is unsaved")
    served_run.start()
    until(tab, "document.getElementById('connection').textContent === ''")
    assert read_edits(served_run.run.folder) == []


@pytest.mark.slow
def test_the_old_tab_of_a_restarted_browse_says_what_to_do_and_keeps_what_is_unsaved(chromium, picture_run):
    run, port = picture_run(), free_port()
    command = [sys.executable, "-m", "selflabel.cli", "browse", str(run.folder), "--no-open", "--port", str(port)]

    def start():
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        address = process.stdout.readline().strip()
        assert re.match(rf"http://127.0.0.1:{port}/\?token=", address)
        return process, address

    process, address = start()
    with chromium.new_context() as context:
        tab = context.new_page()
        tab.goto(address)
        tab.wait_for_selector(".card")
        process.kill()
        process.communicate()
        wait_for_bar(tab, f"--port {port}")
        name_cluster(tab, 4, "kept")
        process, address = start()
        wait_for_bar(tab, "selflabel browse was started again. Open the address that it printed")
        wait_for_bar(tab, "1 change is not saved")
        other = context.new_page()
        other.goto(address)
        wait_for(other, lambda: names_of(run) == {4: "kept"})
        tab.bring_to_front()
        until(tab, "document.getElementById('connection').textContent === ''")
    process.kill()
    process.communicate()
    lines = (run.folder / LOG).read_text().splitlines()
    assert len(lines) == 1 and json.loads(lines[0])["name"] == "kept"


def test_a_tab_of_another_run_sends_nothing_to_this_one(tab, served_run, tmp_path):
    served_run.kill()
    wait_for_bar(tab, "Not connected.")
    name_cluster(tab, 1, "of the old run")
    report = served_run.run.folder / "report.json"
    report.write_text(report.read_text())  # the folder now holds another run
    served_run.start()
    wait_for_bar(tab, "another run")
    tab.wait_for_timeout(2500)
    assert read_edits(served_run.run.folder) == []
