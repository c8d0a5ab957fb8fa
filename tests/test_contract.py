"""What the contract says of tasks, options and blocks of features."""

import pytest
import torch

from selflabel.base.errors import UserError
from selflabel.contract import Features, Method, Task
from selflabel.jobs.build import make_options
from selflabel.methods import BASELINES, METHODS, Entry, option_names


class Plain(Method):
    """A method that names no options."""


def test_the_number_of_clusters_is_the_one_asked_for_or_the_default_but_no_more_than_items():
    assert Task(50, 7, "photo", 32, 3).n_clusters(128) == 7
    assert [Task(n, None, "photo", 32, 3).n_clusters(128) for n in (50, 128, 500)] == [50, 128, 128]


def test_a_method_that_names_no_options_has_none(monkeypatch):
    monkeypatch.setitem(METHODS, "plain", Entry(Plain, "a test", "nothing"))
    assert option_names("plain") == ()
    make_options(Plain, "plain", {})
    with pytest.raises(UserError, match="heads"):
        make_options(Plain, "plain", {"heads": 3})


def test_one_method_estimates_k_and_one_takes_given_labels():
    methods = {name: entry.make for name, entry in (METHODS | BASELINES).items()}
    assert [name for name, make in methods.items() if make.chooses_k] == ["sela-nn"]
    assert [name for name, make in methods.items() if make.takes_given_labels] == ["sela"]


def test_a_block_is_filled_with_zeros_where_it_lacks_a_modality():
    x = torch.rand(3, 2)
    features, present = Features({"video": x}).filled({"video": 2, "audio": 4})
    assert features["video"] is x and torch.equal(features["audio"], torch.zeros(3, 4))
    assert present["video"].tolist() == [True] * 3 and present["audio"].tolist() == [False] * 3
