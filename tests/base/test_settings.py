"""Settings from values, from TOML and from words."""

import pytest

from selflabel.base.errors import UserError
from selflabel.base.settings import as_toml, differences, make_settings, read_toml, value_for_modality, with_overrides


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


@pytest.mark.parametrize("name", ["item_seconds", "item_gb"])
def test_the_limits_of_an_item_are_more_than_zero(name):
    assert getattr(make_settings(source="x", **{name: 0.5}), name) == 0.5
    for value in (0, -1, float("nan")):
        with pytest.raises(UserError, match=f"{name} = .*: must be more than 0"):
            make_settings(source="x", **{name: value})
