"""docs/tutorial.md, every line of it: its commands are typed, its steps are done in a browser, its Python is run, in order."""

import json
import re
import shutil
from collections import Counter

import pytest

from bench import gallery
from selflabel.edits import read_edits
from selflabel.runs.run import Run
from tests.gallery.browser import click_tile, wait_for
from tests.gallery.tutorials import DOCS, Tutorial, browsing, typed

TUTORIAL = Tutorial("tutorial.md")
SHELL = TUTORIAL.shell
EVERY_LINE = [line for page in sorted(DOCS.glob("tutorial*.md")) for line in Tutorial(page.name).shell]
COMMANDS_OF_THE_PAGE = re.findall(r"^(selflabel [^#\n]*)", (DOCS / "page.md").read_text(), re.M)


def test_the_commands_are_those_that_are_typed_here():
    assert SHELL == [
        "selflabel demo", "selflabel browse selflabel-demo", "selflabel export selflabel-demo --to folders",
        "selflabel label photos/ -k 10", "selflabel browse runs/photos-sela-nn",
    ]  # fmt: skip
    assert not TUTORIAL.missing_files()


def test_the_pages_table_is_that_of_results():
    text = gallery.PAGE.read_text()
    start, end = (text.index(mark) for mark in gallery.MARKS)
    assert text[start:end] == f"{gallery.MARKS[0]}\n{gallery.table(json.loads(gallery.RESULTS.read_text()))}\n"


def digit_of(run):
    """cluster -> the digit most of it is, as a person would see it."""
    labels, truth = run.labels["label"].to_pylist(), list(run.truth.values())
    counts = Counter(zip(labels, truth))
    return {c: max("0123456789", key=lambda d: counts[c, d]) for c in set(labels)}


class Newcomer:
    """A person who follows the steps, one method per step."""

    def __init__(self, page, run):
        self.page, self.run, self.digits = page, run, digit_of(run)

    def click_the_first_name(self):
        assert "Name cluster" in self.page.get_attribute(".card:first-child .name", "placeholder")
        self.page.click(".card:first-child .name")
        self.type_the_digit()

    def type_the_digit(self):
        number = self.page.evaluate("document.activeElement.closest('.card').dataset.id")
        self.page.keyboard.type(f"digit {self.digits[int(number)]}")

    def press_enter(self):
        self.page.keyboard.press("Enter")

    def go_on_to_the_last(self):
        for _ in range(9):
            self.type_the_digit()
            self.page.keyboard.press("Enter")
        wait_for(self.page, lambda: "10 of 10 named" in self.page.inner_text("#progress"))

    def worth_a_look(self):
        self.page.keyboard.press("Escape")
        self.page.keyboard.press("3")
        self.page.wait_for_selector("h1:text('Worth a look')")
        wait_for(self.page, lambda: "5,000 items" in self.page.inner_text(".itemhead"))

    def click_wrong_ones(self):
        for index in (0, 1):
            click_tile(self.page, index)
        self.page.wait_for_selector("#bar :text('2 selected')")
        self.page.wait_for_selector(".details a:has-text('digit')")

    def move(self):
        self.page.keyboard.press("v")
        self.page.keyboard.type("digit 4")
        self.page.keyboard.press("Enter")
        wait_for(self.page, lambda: read_edits(self.run.folder)[-1].do == "move")
        assert self.digits[read_edits(self.run.folder)[-1].to] == "4"

    def reject(self):
        wait_for(self.page, lambda: "4,998 items" in self.page.inner_text(".itemhead"))
        self.page.keyboard.press("x")
        self.page.wait_for_selector("nav a:has-text('Rejected 1')")

    def undo(self):
        self.page.keyboard.press("u")
        self.page.wait_for_selector("nav a:has-text('Rejected')", state="hidden")
        self.page.keyboard.press("U")
        self.page.wait_for_selector("nav a:has-text('Rejected 1')")

    def export(self):
        self.page.keyboard.press("e")
        self.page.click("dialog label:has-text('csv')")
        self.page.click("dialog button:has-text('Export')")
        self.page.wait_for_selector("dialog code:text('selflabel-demo.csv')")


@pytest.mark.slow
def test_the_whole_way_from_nothing_to_named_and_exported_clusters(
    visit_address, demo_folder, selflabel, tmp_path, capsys, monkeypatch
):
    folder, printed = demo_folder
    shutil.copytree(folder, tmp_path / "selflabel-demo")
    assert SHELL[0] == "selflabel demo" and (printed is None or "selflabel browse selflabel-demo" in printed.splitlines()[-1])
    with browsing(SHELL[1], tmp_path, visit_address) as page:
        person = Newcomer(page, Run.open(tmp_path / "selflabel-demo"))
        acts = [
            ("Click **Name cluster …**", person.click_the_first_name), ("Press **Enter**", person.press_enter),
            ("Go on to the last card", person.go_on_to_the_last), ("Press **3**", person.worth_a_look),
            ("Click the ones", person.click_wrong_ones), ("Press **v**", person.move), ("Press **x**", person.reject),
            ("Made a mistake? Press **u**", person.undo), ("Press **e**", person.export),
        ]  # fmt: skip
        assert TUTORIAL.follow(acts) == len(TUTORIAL.steps)
    text = (tmp_path / "selflabel-demo.csv").read_text()
    assert len(text.splitlines()) == 5000 and text.count("digit 7") > 400
    typed(selflabel, SHELL[2], tmp_path)
    folders = [f for f in (tmp_path / "selflabel-demo-folders").iterdir() if f.is_dir()]
    assert {f.name for f in folders} == {f"digit {d}" for d in range(10)}
    monkeypatch.chdir(tmp_path)
    (code,) = re.findall(r"```python\n(.*?)```", TUTORIAL.text, re.S)
    names: dict = {}
    exec(compile(code, "tutorial.md", "exec"), names)
    assert names["labels"].num_rows == 5000 and "digit 3" in capsys.readouterr().out


@pytest.mark.parametrize("command", dict.fromkeys([*EVERY_LINE, *COMMANDS_OF_THE_PAGE]))
def test_every_command_of_the_tutorials_and_the_page_is_understood(here, command):
    options = re.findall(r"(--[a-z-]+|-k)\b", command)
    help_text = here(command.split()[1], "--help").stdout
    assert all(option in help_text for option in options)
