"""Class names and folder names, whatever people type."""

import unicodedata
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from selflabel.exports.names import RESERVED, safe_name, safe_names, truncate, unique_names

NASTY = ["", " ", ".", "..", "../..", "/", "a/b", "a\\b", "con", "CON.txt", "nul", "COM1", "-rf", ".git", "a.", "a ", "\ud800"]
NASTY += [
    "é",
    "e\u0301",
    "A",
    "a",
    "export.json",
    "labels.csv",
    "x" * 300,
    "\u202e",
    "日本語" * 80,
    "a\tb",
    "*?",
    "ﬁ",
    "fi",
    "ß",
    "ss",
]
names = st.lists(st.one_of(st.sampled_from(NASTY), st.text(max_size=30)), max_size=12)


@given(names)
@settings(deadline=None)
def test_class_names_are_never_empty_and_never_alike(given_names):
    result = unique_names(dict(enumerate(given_names)))
    assert len(set(result.values())) == len(given_names) and all(name.strip() for name in result.values())


@given(names)
@settings(deadline=None)
def test_folder_names_never_leave_the_folder_and_are_unlike_on_any_file_system(given_names):
    result = safe_names(unique_names(dict(enumerate(given_names))))
    folded = [unicodedata.normalize("NFKC", name.casefold()) for name in result.values()]
    assert len(set(folded)) == len(given_names) and not set(result.values()) & RESERVED
    for name in result.values():
        assert Path(name).name == name and name not in (".", "..") and not name.startswith((".", "-"))
        assert not set(name) & set('\\/:*?"<>|\0\n\t') and not name.endswith((".", " "))
        assert 0 < len(name.encode("utf-8", "surrogatepass")) <= 150


@pytest.mark.parametrize("name", NASTY)
def test_every_nasty_name_can_be_made_a_folder(name, tmp_path):
    folder = tmp_path / safe_names({7: name})[7]
    folder.mkdir()
    assert folder.parent == tmp_path and folder.resolve().parent == tmp_path.resolve()


def test_good_names_stay_as_they_are():
    for name in ("cats", "Schöne Häuser", "two words", "v1.2", "日本語", "a-b_c (2)"):
        assert safe_name(name) == name


def test_text_is_cut_between_characters():
    assert truncate("aé日", 6) == "aé日" and truncate("aé日", 5) == "aé" and truncate("aé日", 2) == "a"
