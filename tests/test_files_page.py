"""docs/files.md names every file of a finished run and every column and key in it, and the endings that are read."""

import json
import re
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from selflabel.base.settings import make_settings, read_toml
from selflabel.cli import app
from selflabel.decode.scale import Scale
from selflabel.decode.store import BAD, RETRY
from selflabel.edits import append, parse
from selflabel.edits.kinds import Merge, Move, Name, Redo, Reject, Restore, Split, Undo
from selflabel.exports import export
from selflabel.gallery.projection import MAP_FILE
from selflabel.items import EMBEDDED, ENDINGS, KINDS, MANIFEST_ENDINGS, TRUTH_COLUMNS, open_items
from selflabel.items.endings import HEIC_ENDINGS
from selflabel.items.manifest import PATH_COLUMNS
from selflabel.jobs import compare as comparing
from selflabel.jobs.degrade import Row, write_degraded
from selflabel.jobs.label import label
from selflabel.jobs.predict import predict
from selflabel.jobs.predictions import predictions_csv
from selflabel.methods import METHODS
from selflabel.runs.run import Run
from selflabel.runs.thumbs import Thumbs

PAGE = (Path(__file__).parents[1] / "docs" / "files.md").read_text()


def section(title):
    """The text below a heading, up to the next heading."""
    (text,) = re.findall(rf"^#+ {re.escape(title)}\n(.*?)(?=^#|\Z)", PAGE, re.M | re.S)
    return text


def names_in(text):
    """Every `name` in a text."""
    return set(re.findall(r"`([^`]+)`", text))


def missing(names, title):
    return sorted(set(names) - names_in(section(title)))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A finished run of k-means on digits with every optional file: edits, thumbnails, a map, a table of worse pictures."""
    folder = tmp_path_factory.mktemp("runs") / "digits-kmeans"
    label(make_settings(source="digits", clusters=10, method="kmeans", device="cpu"), folder)
    finished = Run(folder)
    append(folder, parse({"do": "name", "cluster": 1, "name": "ones"}))
    Thumbs(folder / "thumbs", finished.source().source, len(finished.paths)).one(0)
    np.save(folder / MAP_FILE, np.zeros((len(finished.paths), 2), np.float32))
    write_degraded([Row("as it is", "", 0.7, 0.8), Row("blurred", "1/2", 0.6, 0.7)], "image", folder)
    return finished


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A finished run of a trained network."""
    folder = tmp_path_factory.mktemp("runs") / "digits-sela-nn"
    label(make_settings(source="array", clusters=3, epochs=1, device="cpu"), folder, data=open_items("digits").array[:120])
    return Run(folder)


def test_every_file_of_a_run_is_named(run, trained):
    for finished in (run, trained):
        files = [file.relative_to(finished.folder).as_posix() for file in finished.folder.rglob("*") if file.is_file()]
        assert len(files) > 11 and missing(files, "The run folder") == []


def test_every_column_of_a_runs_tables_is_named(run):
    heading = "labels.csv and labels.parquet"
    assert missing(pq.read_schema(run.folder / "labels.parquet").names, heading) == []
    assert missing((run.folder / "labels.csv").read_text().splitlines()[0].split(","), heading) == []
    assert missing(pq.read_schema(run.folder / "top.parquet").names, "top.parquet") == []
    for name in ("skipped.csv", "truth.csv"):
        assert missing((run.folder / name).read_text().splitlines()[0].split(","), name) == []


def test_every_parquet_and_csv_file_of_a_run_has_a_section(run):
    tables = [file.name for file in run.folder.iterdir() if file.suffix in (".parquet", ".csv", ".jsonl", ".toml")]
    headings = " ".join(re.findall(r"^#+ (.*)$", PAGE, re.M))
    assert len(tables) > 5 and [name for name in tables if name not in headings] == []


def test_types_of_the_arrays_are_those_on_the_page(run):
    text = section("Arrays of the run")
    for name, shape in (("features.npy", "(N, D)"), ("neighbours.npy", "(N, 10)")):
        array = np.load(run.folder / name)
        assert f"| `{name}` | {shape} | {array.dtype} |" in text and len(array) == 1797


def test_types_of_the_columns_are_those_on_the_page(run):
    for file, title in (("labels.parquet", "labels.csv and labels.parquet"), ("top.parquet", "top.parquet")):
        for field in pq.read_schema(run.folder / file):
            words = {"string": "text", "float": "float32", "list<element: int32>": "list of int32"}
            wanted = words.get(str(field.type), str(field.type)).replace("list<element: float>", "list of float32")
            assert f"| `{field.name}` | {wanted}" in section(title), field


def test_every_key_of_report_and_run_toml_is_named(run, trained):
    for finished in (run, trained):
        report = finished.report
        keys = [*report, *report["signs"], *(report["estimated_accuracy"] or ()), *report["seconds"], *report["peak_bytes"]]
        assert missing(keys, "report.json") == []
        recorded = read_toml(finished.folder / "run.toml")
        keys = [key for name, part in recorded.items() if name != "settings" for key in part if name != "worked_out"]
        keys += [key for part in recorded["worked_out"].values() for key in part]
        assert set(keys) - {"kinds"} <= names_in(section("run.toml"))
        assert [name for name in recorded if f"[{name}" not in section("run.toml")] == []


def test_keys_that_only_some_runs_have_are_named():
    assert missing(["value", "low", "high", "no_estimate"], "report.json") == []
    assert set(Scale(0, 1, per_item=True, eight_bit=True).as_record()) <= names_in(section("run.toml"))
    assert missing([BAD, RETRY], "The cache") == []


def test_where_the_items_are_is_named(tmp_path):
    folder, file = tmp_path / "run", tmp_path / "features.npy"
    np.save(file, np.random.default_rng(0).normal(size=(30, 4)))
    label(make_settings(source=str(file), clusters=2, method="kmeans", device="cpu"), folder)
    assert missing(pq.read_schema(folder / "sources.parquet").names, "sources.parquet") == []
    assert missing(json.loads((folder / "origin.json").read_text()), "origin.json") == []


def test_every_key_of_the_metrics_is_named(trained):
    lines = [json.loads(line) for line in (trained.folder / "metrics.jsonl").read_text().splitlines()]
    assert missing(lines[-1], "metrics.jsonl") == []


def test_every_kind_of_edit_with_its_fields_is_named():
    rows = [row.split("|") for row in section("edits.jsonl").splitlines() if row.startswith("| `")]
    for kind in (Name, Merge, Split, Move, Reject, Restore, Undo, Redo):
        do = kind.model_fields["do"].default
        named = {name for row in rows if row[2].strip() == "all" or f"`{do}`" in row[2] for name in names_in(row[1])}
        assert named == set(kind.model_fields), do


def test_the_columns_that_predict_writes_are_named(run):
    header = predictions_csv(predict(run, "digits", "cpu")).splitlines()[0].split(",")
    assert missing(header, "predict") == []


def test_the_files_of_an_export_are_named(run, tmp_path):
    append(run.folder, parse({"do": "reject", "items": [0]}))
    written = export(run, "cleanlab", tmp_path / "out")
    record = json.loads((Path(written.place) / "export.json").read_text())
    keys = {"format", "run", "selflabel", "edits_applied", "n_items", "n_left_out", "n_rejected", "classes"}
    assert keys <= set(record) and missing([*keys, *record["classes"][0], "left-out.csv"], "export") == []
    assert (Path(written.place) / "left-out.csv").read_text().splitlines()[0] == "path,reason"


def test_the_files_of_a_comparison_are_named():
    source = Path(comparing.__file__).read_text()
    written = set(re.findall(r'"(comparison\.\w+)"', source))
    assert len(written) == 4 and missing(written, "compare") == []


def test_every_ending_and_column_of_a_source_is_named():
    folder = names_in(section("A folder"))
    for kind, endings in KINDS.items():
        (row,) = re.findall(rf"^\| {'sound' if kind == 'audio' else kind} \|.*$", section("A folder"), re.M)
        assert names_in(row) == endings | (HEIC_ENDINGS | {".avif"} if kind == "image" else set())  # extras are named, too
    assert set(ENDINGS) <= folder
    assert missing([*PATH_COLUMNS, *TRUTH_COLUMNS], "A manifest") == []
    assert missing([*EMBEDDED, *MANIFEST_ENDINGS, ".tar", ".npy", ".npz"], "What SOURCE may be") == []


def test_the_commands_and_options_that_the_page_names_exist(here):
    commands = {command.callback.__name__ for command in app.registered_commands}
    for command, rest in re.findall(r"`selflabel (\w+)([^`]*)`", PAGE):
        assert command in commands
        text = here(command, "--help").stdout
        assert all(option in text for option in re.findall(r"--[a-z-]+", rest)), (command, rest)
    assert "sela" in METHODS
