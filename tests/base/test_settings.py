"""Settings from values, from TOML and from words."""

from dataclasses import asdict

import pytest

from selflabel.base.errors import UserError
from selflabel.base.settings import (
    as_toml,
    check_keys,
    differences,
    make_settings,
    read_toml,
    value_for_modality,
    with_overrides,
    without_none,
)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"clusters": 0}, "clusters = 0"),
        ({"mass": "heavy"}, "mass = 'heavy'"),
        ({"fps": 0.0}, "fps = 0.0"),
        ({"epochs": -1}, "epochs = -1"),
        ({"colour": 1}, "colour"),
    ],
)
def test_a_wrong_value_is_a_sentence_that_names_it(values, words):
    with pytest.raises(UserError, match=words):
        make_settings(source="x", **values)


def test_words_override_the_file_and_unknown_names_are_options(tmp_path):
    file = tmp_path / "s.toml"
    file.write_text("clusters = 2\nheads = 9\n[options]\nsmooth = 1\n")
    values = with_overrides(str(file), ["clusters=5", "heads=3", "fine=[1, 2]"])
    assert values == {"clusters": 5, "options": {"heads": 3, "smooth": 1, "fine": [1, 2]}}
    with pytest.raises(UserError, match="key=value"):
        with_overrides(None, ["heads"])


def test_an_option_of_the_method_goes_before_a_setting_of_the_same_name():
    assert with_overrides(None, ["labels=apart"]) == {"labels": "apart", "options": {}}
    assert with_overrides(None, ["labels=apart"], ("labels", "heads")) == {"options": {"labels": "apart"}}


def test_a_setting_is_for_the_first_modality_or_for_each():
    assert value_for_modality("auto", "video", "video") == "auto" and value_for_modality("auto", "audio", "video") is None
    assert value_for_modality("audio=a,video=b", "audio", "video") == "a"


def test_toml_survives_a_round_trip_without_none(tmp_path):
    (tmp_path / "a.toml").write_text(as_toml({"a": {"b": 1, "c": None}, "d": [1, 2]}))
    assert read_toml(tmp_path / "a.toml") == {"a": {"b": 1}, "d": [1, 2]}
    with pytest.raises(UserError, match=r"no\.toml"):
        read_toml(tmp_path / "no.toml")


def test_only_settings_that_change_the_result_differ():
    old = {"source": "x", "seed": 1, "device": "cuda", "workers": 3, "item_seconds": 60.0}
    changed = differences(old, make_settings(source="x", seed=2))
    assert "seed: 1, now 2" in changed and not [c for c in changed if c.startswith(("device", "workers", "item_"))]


def test_options_as_a_whole_need_a_table():
    with pytest.raises(UserError, match="options=3: write each option as key=value"):
        with_overrides(None, ["options=3"])


RUN_TOML = """
[settings]
source = "photos"
clusters = 3
method = "sela-nn"

[settings.options]
heads = 3

[task]
n_items = 60

[machine]
device = "cpu"
"""


def test_the_record_of_a_run_is_a_configuration(tmp_path):
    (tmp_path / "run.toml").write_text(RUN_TOML)
    values = with_overrides(str(tmp_path / "run.toml"), ["clusters=4"])
    assert values == {"source": "photos", "clusters": 4, "method": "sela-nn", "options": {"heads": 3}}
    check_keys(tmp_path / "run.toml", ["heads"], "sela-nn")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("seed = 1\nclusters = 'many'\n", "line 2: clusters = 'many'"),
        ("mass = 'heavy'\n", "line 1: mass = 'heavy'"),
        ("\n\nepochs = 0\n", "line 3: epochs = 0"),
        ("[settings]\nfps = -1\n", "line 2: fps = -1"),
        ("options = 3\n", "line 1: options = 3"),
        ("a = = 3\n", "cannot be read as TOML"),
    ],
)
def test_a_wrong_value_in_a_file_names_file_and_line(tmp_path, text, words):
    (tmp_path / "s.toml").write_text(text)
    with pytest.raises(UserError, match=rf"s\.toml.*{words}"):
        with_overrides(str(tmp_path / "s.toml"), [])


@pytest.mark.parametrize("text", ["clustres = 3\n", "[options]\nhaeds = 3\n", "[settings]\nsead = 1\n"])
def test_an_unknown_key_in_a_file_names_the_close_one(tmp_path, text):
    (tmp_path / "s.toml").write_text(text)
    with pytest.raises(
        UserError, match=r"s\.toml, line \d: .* is no setting and no option of sela-nn; did you mean (clusters|heads|seed)\?"
    ):
        check_keys(tmp_path / "s.toml", ["heads"], "sela-nn")


def test_a_setting_that_an_older_run_did_not_have_is_off_and_long_lists_are_short():
    old = without_none(asdict(make_settings(source=["a", "b", "c"])))
    del old["follow_links"]
    assert differences(old, make_settings(source=["a", "b", "c"])) == []
    assert differences(old, make_settings(source="a", follow_links=True)) == [
        "follow_links: False, now True",
        "source: a and 2 more, now a",
    ]


@pytest.mark.parametrize("name", ["item_seconds", "item_gb"])
def test_the_limits_of_an_item_are_more_than_zero(name):
    assert getattr(make_settings(source="x", **{name: 0.5}), name) == 0.5
    for value in (0, -1, float("nan")):
        with pytest.raises(UserError, match=f"{name} = .*: must be more than 0"):
            make_settings(source="x", **{name: value})
