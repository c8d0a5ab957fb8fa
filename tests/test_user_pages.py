"""docs/results.md, docs/faq.md and docs/index.md: what they quote is what the program says, and their commands are understood."""

import ast
import csv
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from selflabel.cli import app
from selflabel.cli.wording import report_lines
from selflabel.jobs.score import score_run
from selflabel.runs.run import Run
from tests.run_folders import write_run

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
SOURCE = ROOT / "src" / "selflabel"
FAQ, RESULTS, INDEX = ((DOCS / f"{name}.md").read_text() for name in ("faq", "results", "index"))
NEW_PAGES = ("results", "faq", "files", "settings", "api", "index")
ERRORS = {"UserError", "Undecodable", "Missing"}


def text_of(node):
    """A string of the source with "…" for each part that changes; None for any other expression."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(part.value if isinstance(part, ast.Constant) else "…" for part in node.values)
    return None


def sentences_of(tree):
    """Every string in a file of the source, as the page would quote it."""
    return [text for node in ast.walk(tree) if (text := text_of(node))]


def errors_of(tree):
    """The sentences with which a file raises an error that people see."""
    raised = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ERRORS]
    return [text for call in raised if call.args and (text := text_of(call.args[0])) and len(text.replace("…", "")) > 9]


TREES = {file.relative_to(SOURCE).as_posix(): ast.parse(file.read_text()) for file in SOURCE.rglob("*.py")}


def quotes(page):
    """What the tables headed "what you see" quote."""
    tables = re.findall(r"^\| what you see .*?(?:\n\n|\Z)", page, re.M | re.S)
    cells = [line.split(" | ")[0] for table in tables for line in table.splitlines()[2:] if line]
    return [quote for cell in cells for quote in re.findall(r"`([^`]+)`", cell)]


def test_every_sentence_that_the_page_quotes_is_in_the_source():
    said = {text for tree in TREES.values() for text in sentences_of(tree)}
    assert len(quotes(FAQ)) > 100
    assert [quote for quote in quotes(FAQ) if not any(quote in text for text in said)] == []


@pytest.mark.parametrize("file", [name for name, tree in TREES.items() if errors_of(tree)])
def test_every_error_sentence_of_a_file_is_explained(file):
    quoted = quotes(FAQ)
    missing = [sentence for sentence in errors_of(TREES[file]) if not any(quote in sentence for quote in quoted)]
    assert missing == [], "give each a row in docs/faq.md, or quote it in the row of an error of its kind"


def test_the_example_of_a_summary_has_the_lines_of_a_real_one(tmp_path):
    numbers = {"agreement": 0.95, "support": 0.95, "stability": 0.98, "neighbours": 0.9, "confidence": 0.9}
    estimate = {"value": 0.9, "low": 0.8, "high": 1.0}
    report = {"sizes": [2, 1], "signs": numbers, "n_items": 3, "n_skipped": 0, "n_clusters": 2, "mass": "equal"}
    report |= {"clusters_chosen_by": "the user", "estimated_accuracy": estimate, "median_confidence": 0.9, "collapsed": False}
    printed = report_lines(report | {"seconds": {"train": 1.0}}, tmp_path / "run")
    (example,) = (code for code in re.findall(r"```text\n(.*?)```", RESULTS, re.S) if code.startswith("items"))
    names = [line[:15].strip(" :") for line in example.splitlines()]
    assert names == [line[:15].strip(" :") for line in printed.split("\n\n")[0].splitlines()]
    explained = re.findall(r"^\| ([^|]+?) \|", RESULTS.split("line by line")[1].split("##")[0], re.M)
    assert [name for name in names if name not in explained] == ["run folder"]


def test_the_scores_that_the_page_explains_are_those_that_are_printed(tmp_path):
    run = write_run(tmp_path / "run", tmp_path, ["a.png", "b.png", "c.png"], [0, 1, 1], truth=["x", "y", "y"])
    table = RESULTS.split("## Check a hundred items")[1]
    assert [name for name in score_run(run, None) if name not in table] == ["n_items", "n_clusters"]


def test_the_python_that_draws_items_to_check_writes_a_table_that_score_reads(tmp_path, monkeypatch):
    names = [f'{i},"x".png' if i == 0 else f"{i}.png" for i in range(120)]
    write_run(tmp_path / "runs" / "photos-sela-nn", tmp_path, names, np.arange(120) % 3)
    monkeypatch.chdir(tmp_path)
    (code,) = re.findall(r"```python\n(.*?)```", RESULTS, re.S)
    exec(compile(code, "results.md", "exec"), {})
    with Path("check.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["path", "label"] and len(rows) == 101 and {row[0] for row in rows[1:]} <= set(names)
    filled = [[path, "abc"[names.index(path) % 3]] for path, _ in rows[1:]]
    with Path("check.csv").open("w", newline="") as file:
        csv.writer(file).writerows([rows[0], *filled])
    assert score_run(Run.open("runs/photos-sela-nn"), "check.csv")["accuracy"] == 1.0


@pytest.mark.slow
def test_the_python_that_saves_weights_writes_a_file_that_label_takes(tmp_path, monkeypatch, here):
    (code,) = re.findall(r"```python\n(.*?)```", FAQ, re.S)
    monkeypatch.chdir(tmp_path)
    exec(compile(code.replace("pretrained=True", "pretrained=False").replace("resnet50", "resnet18"), "faq.md", "exec"), {})
    (tmp_path / "photos").mkdir()
    for i in range(6):
        pixels = np.random.default_rng(i).integers(0, 255, (40, 40, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / "photos" / f"{i}.png")
    words = ["--encoder", "frozen:timm:resnet18", "--weights", "resnet18.safetensors", "--method", "kmeans", "--device", "cpu"]
    done = here("label", "photos", "-k", 2, *words)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", NEW_PAGES)
def test_the_commands_of_a_page_are_understood(name, here):
    text = (DOCS / f"{name}.md").read_text()
    lines = re.findall(r"^ *(selflabel [^#\n]*)", text, re.M) + re.findall(r"`(selflabel [^`]*)`", text)
    commands = {command.callback.__name__ for command in app.registered_commands}
    helps = {verb: here(verb, "--help").stdout for verb in {line.split()[1] for line in lines} & commands}
    for line in lines:
        verb = line.split()[1]
        assert verb in commands or verb in ("COMMAND", "--version"), line
        if verb in helps:
            assert [o for o in re.findall(r"(?<=\s)(--[a-z-]+|-k)\b", line) if o not in helps[verb]] == [], line


def test_every_page_below_docs_is_in_the_index_and_the_readme_leads_to_it():
    pages = [page.relative_to(DOCS).as_posix() for page in DOCS.rglob("*.md")]
    listed = [page for page in pages if not page.startswith("decisions/") or page == "decisions/index.md"]
    assert [page for page in listed if page != "index.md" and f"({page})" not in INDEX] == []
    readme = (ROOT / "README.md").read_text()
    assert [name for name in NEW_PAGES if f"(docs/{name}.md)" not in readme] == []


@pytest.mark.parametrize("name", NEW_PAGES)
def test_links_to_headings_lead_to_headings(name):
    text = (DOCS / f"{name}.md").read_text()
    for page, anchor in re.findall(r"\]\(([\w./]*)#([^)]*)\)", text):
        headings = re.findall(r"^#+ (.*)$", (DOCS / page).read_text() if page else text, re.M)
        anchors = [re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings]
        assert anchor in anchors, (page, anchor)
