"""What commands share: the options that were typed, the name of a run, and errors as one sentence."""

import inspect
from dataclasses import fields

import pytest
import typer
from typer.testing import CliRunner

from selflabel.base.settings import Settings
from selflabel.cli.app import one_or_several, source_name, typed_values
from selflabel.cli.given import SETTINGS
from selflabel.cli.label_commands import label


@pytest.mark.parametrize(
    ("source", "name"),
    [("photos/", "photos"), ("a/b.c.npy", "b"), ("shards-{000..099}.tar", "shards--000"), ("/", "items"), ("mnist5k", "mnist5k")],
)
def test_a_run_is_named_after_its_source(source, name):
    assert source_name(source) == name


def test_a_run_of_several_sources_is_named_after_their_common_folder(tmp_path):
    (tmp_path / "trip" / "a").mkdir(parents=True)
    assert source_name([str(tmp_path / "trip" / "a"), str(tmp_path / "trip" / "b.png")]) == "trip"
    assert one_or_several(["a"]) == "a" and one_or_several(["a", "b"]) == ["a", "b"]


def test_only_what_stood_on_the_command_line_counts_as_typed():
    app, seen = typer.Typer(), {}

    @app.command()
    def run(context: typer.Context, method: str = "sela-nn", seed: int = 0, source: str = "x") -> None:
        seen.update(typed_values(context))

    assert CliRunner().invoke(app, ["--method", "sela-nn"]).exit_code == 0
    assert seen == {"method": "sela-nn"}  # the default, but typed


def test_what_was_typed_wins_over_the_file_even_where_it_is_the_default(here, tmp_path, blobs):
    import json

    import numpy as np

    np.save(tmp_path / "x.npy", blobs()[0])
    (tmp_path / "s.toml").write_text('method = "sela"\nclusters = 3\nepochs = 1\n')
    words = ["label", tmp_path / "x.npy", "--config", tmp_path / "s.toml", "--json"]
    assert json.loads(here(*words, "--out", tmp_path / "a").stdout)["method"] == "sela"
    assert json.loads(here(*words, "--out", tmp_path / "b", "--method", "sela-nn").stdout)["method"] == "sela-nn"


def test_an_option_of_the_method_can_have_the_name_of_a_setting(here, tmp_path, blobs):
    import numpy as np

    np.save(tmp_path / "x.npy", blobs()[0])
    words = ["label", tmp_path / "x.npy", "-k", 3, "--method", "selavi", "--set", "labels=joined", "--epochs", 1]
    done = here(*words, "--out", tmp_path / "run")
    assert done.returncode == 0 and 'labels = "joined"' in (tmp_path / "run" / "run.toml").read_text()


def test_every_option_of_label_that_is_a_setting_becomes_one():
    options = set(inspect.signature(label).parameters)
    assert options & {field.name for field in fields(Settings)} == set(SETTINGS)
