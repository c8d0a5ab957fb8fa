"""The documents hold together: links lead to files, every decision is in the index with its script, README stays short."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
DECISIONS = [page for page in sorted((ROOT / "docs" / "decisions").glob("*.md")) if page.stem != "index"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_of_a_page_leads_to_a_file(page):
    prose = re.sub(r"```.*?```", "", page.read_text(), flags=re.S)
    links = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", prose)
    local = [link for link in links if not re.match(r"[a-z]+:", link)]
    assert not [link for link in local if not (page.parent / link).exists()]


@pytest.mark.parametrize("page", DECISIONS, ids=lambda page: page.stem)
def test_a_decision_has_a_question_a_verdict_and_a_date_and_is_in_the_index(page):
    lines = page.read_text().splitlines()
    assert re.fullmatch(r"# .*\?", lines[0])
    assert lines[2].startswith("**Verdict.** ") and any(line.startswith("**Date** 20") for line in lines)
    row = next(line for line in (page.parent / "index.md").read_text().splitlines() if f"({page.name})" in line)
    assert re.search(r"\| (by hand|`(reproduce|bench)[./][\w./]+`(, by hand)?) \|$", row), row


def test_every_script_that_the_index_names_is_there():
    index = (ROOT / "docs" / "decisions" / "index.md").read_text()
    for name in re.findall(r"`((?:reproduce|bench)[./][\w./]+)`", index):
        place = ROOT / name.removesuffix(".py").replace(".", "/")
        assert place.with_suffix(".py").exists() or place.is_dir(), name


def test_readme_has_at_most_150_lines():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 150
