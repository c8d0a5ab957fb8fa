"""Options of every method are checked: a value out of range is refused with a sentence that names the option."""

from dataclasses import fields

import pytest

from selflabel.base.errors import UserError
from selflabel.jobs.build import make_options
from selflabel.methods import BASELINES, METHODS, option_names

ALL = {name: entry.make for name, entry in (METHODS | BASELINES).items()}
OUT_OF_RANGE = [
    ("iic", "sub_heads", 0),
    ("scan", "neighbours", 0),
    ("scan", "sure", 1.5),
    ("scan", "entropy", float("nan")),
    ("temi", "beta", 7),
    ("temi", "beta", 0.5),
    ("temi", "momentum", 1.1),
    ("turtle", "inner", 0),
    ("swav", "epsilon", 0),
    ("swav", "queue_from", 2),
    ("sela", "lamb", 0),
    ("sela", "lamb", float("inf")),
    ("sela", "head_clusters", [5, 0]),
    ("sela", "pass_views", "edge"),
    ("selavi", "views", 0),
    ("selavi", "labels", "both"),
    ("deepcluster", "version", 3),
    ("deepcluster", "rounds", 0),
    ("xdc", "over", 0),
    ("cliquecnn", "clique", 1),
    ("sela-nn", "heads", 0),
    ("sela-nn", "neighbours", 0),
    ("sela-nn", "relax", []),
    ("sela-nn", "relax", [0.0, 1.5]),
    ("kmeans", "starts", 0),
]
OFF = [
    ("iic", {"over": 0}),
    ("scan", {"entropy": 0}),
    ("temi", {"beta": 1}),
    ("turtle", {"gamma": 0}),
    ("swav", {"over": 0, "queue": 0, "small_crops": 0, "queue_from": 0, "frozen_for": 0}),
    ("selavi", {"hidden": 0}),
    ("sela-nn", {"remine": 0, "pretext_epochs": 0, "smooth": 0, "fine": []}),
]


@pytest.mark.parametrize(("method", "option", "value"), OUT_OF_RANGE)
def test_a_value_out_of_range_is_refused_by_the_name_of_its_option(method, option, value):
    with pytest.raises(UserError, match=rf"--set {option} = .*options of {method} are"):
        make_options(ALL[method], method, {option: value})


@pytest.mark.parametrize("method", ALL)
def test_no_option_takes_a_number_below_zero(method):
    for option in option_names(method):
        for value in (-1, [-1]):
            with pytest.raises(UserError, match=rf"--set {option} = "):
                make_options(ALL[method], method, {option: value})


@pytest.mark.parametrize(("method", "options"), OFF)
def test_what_means_off_is_in_range(method, options):
    made = make_options(ALL[method], method, options)
    assert [list(v) if isinstance(v, tuple) else v for v in (getattr(made, name) for name in options)] == list(options.values())


@pytest.mark.parametrize("method", ALL)
def test_defaults_are_in_range(method):
    defaults = {f.name: f.default for f in fields(ALL[method].options_type)}
    make_options(ALL[method], method, defaults)
