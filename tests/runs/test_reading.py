"""A run folder that is damaged or forged is one sentence, in bounded time and memory."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from selflabel.base.errors import UserError
from selflabel.gallery.editable_run import EditableRun
from selflabel.runs.reading import read_labels_table
from selflabel.runs.run import Run
from tests.run_folders import write_run


@pytest.fixture
def run(tmp_path):
    return write_run(tmp_path / "run", "digits", [f"row:{i:06d}" for i in range(30)], np.arange(30) % 3)


@pytest.mark.parametrize("text", ["[" * 200_000, '{"a":' * 200_000, "[]", "nonsense", "", '{"n": ' + "9" * 5000 + "}"])
def test_a_report_that_is_no_object_is_a_sentence(run, text):
    (run.folder / "report.json").write_text(text)
    with pytest.raises(UserError, match=r"report\.json: (is no JSON|holds no JSON)"):
        _ = Run(run.folder).report


@pytest.mark.parametrize("text", ["a = " + "[" * 200_000, "a." * 200_000 + "b = 1", "\x00"])
def test_settings_that_are_no_toml_are_a_sentence(run, text):
    (run.folder / "run.toml").write_text(text)
    with pytest.raises(UserError, match="cannot be read as TOML"):
        _ = Run(run.folder).recorded


def labels_table(label=0, n=30, **columns):
    values = {
        "id": pa.array(np.arange(n)),
        "path": pa.array(["a"] * n),
        "label": pa.array(np.full(n, label, np.int64)),
        "confidence": pa.array(np.ones(n, np.float32)),
    }
    return pa.table(values | columns)


@pytest.mark.parametrize(
    ("table", "what"),
    [
        (labels_table(2**31), "has labels from"),
        (labels_table(2**62), "has labels from"),
        (labels_table(-5), "has labels from"),
        (labels_table(label=0).drop_columns(["path"]), "column path"),
        (labels_table(path=pa.array([None] * 30, pa.string())), "column path"),
        (labels_table(label=0).set_column(2, "label", pa.array(["a"] * 30)), "column label"),
        (labels_table(0, 2_000_000, path=pa.array(["a"]).take(pa.array(np.zeros(2_000_000, np.int64)))), "says that it has"),
    ],
)
def test_labels_that_cannot_be_are_a_sentence(run, table, what):
    if table.num_rows > 30:  # few bytes for many rows
        table = table.set_column(0, "id", pa.array(np.zeros(table.num_rows, np.int64)))
    pq.write_table(table, run.folder / "labels.parquet", compression="zstd")
    with pytest.raises(UserError, match=rf"labels\.parquet: .*{what}"):
        EditableRun(run)


def test_files_of_another_number_of_items_are_a_sentence(run):
    pq.write_table(pa.table({"labels": [[0]] * 5, "probabilities": [[1.0]] * 5}), run.folder / "top.parquet")
    with pytest.raises(UserError, match=r"top\.parquet: says that it has 5 rows, and the run has 30"):
        EditableRun(run)


@pytest.mark.parametrize("labels", [["a"] * 30, [1] * 30, [["a"]] * 30])
def test_best_labels_of_another_type_are_a_sentence(run, labels):
    pq.write_table(pa.table({"labels": labels, "probabilities": [[1.0]] * 30}), run.folder / "top.parquet")
    with pytest.raises(UserError, match=r"top\.parquet: holds no best labels"):
        EditableRun(run)


@pytest.mark.parametrize("lists", [[[0]] * 29 + [[0, 1]], [[2**40]] * 30, [[-7]] * 30])
def test_best_labels_that_cannot_be_are_a_sentence(run, lists):
    probabilities = [[0.5] * len(labels) for labels in lists]
    pq.write_table(pa.table({"labels": lists, "probabilities": probabilities}), run.folder / "top.parquet")
    with pytest.raises(UserError, match=r"top\.parquet: does not have"):
        EditableRun(run)


def header_of(shape):
    text = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}"
    return b"\x93NUMPY\x01\x00" + len(text.ljust(117) + "\n").to_bytes(2, "little") + (text.ljust(117) + "\n").encode()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"junk" * 9,
        header_of((10**12, 10)),
        header_of((2**70, 2)),
        header_of(()),
        b"\x93NUMPY\x01\x00\xff\xff" + b"(" * 65535,
    ],
)
def test_an_array_with_a_wrong_header_is_a_sentence(run, data):
    (run.folder / "features.npy").write_bytes(data)
    with pytest.raises(UserError, match=r"features\.npy: (cannot be read|holds no table)"):
        _ = run.features


@pytest.mark.parametrize("rows", [np.full((30, 10), 30), np.full((30, 10), -1)])
def test_neighbours_that_the_run_does_not_have_are_a_sentence(run, rows):
    np.save(run.folder / "neighbours.npy", rows.astype(np.int32))
    with pytest.raises(UserError, match="names items that the run does not have"):
        EditableRun(run)


def test_an_array_of_objects_is_never_unpickled(run):
    np.save(run.folder / "features.npy", np.array([{"a": 1}], object), allow_pickle=True)
    with pytest.raises(UserError, match=r"features\.npy"):
        _ = run.features


FORGED_EDITS = [
    '{"do": "move", "items": [30], "cluster": 0}',
    '{"do": "move", "items": [99999999999999999999], "cluster": 0}',
    '{"do": "name", "cluster": 999999999999, "name": "x"}',
    '{"do": "split", "cluster": 0, "parts": [0, 7], "centres": [[1], [2]]}',
    '{"do": "split", "cluster": 0, "parts": [0, 7], "centres": [[NaN, 1, 1], [0, 0, 0]]}',
    "[" * 200_000,
    '{"do": "name", "cluster": 0, "name": "' + "x" * 1000 + '"}',
    '{"do": "name", "cluster": true, "name": "x"}',
]


@pytest.mark.parametrize("line", FORGED_EDITS)
def test_edits_that_cannot_be_are_a_sentence_or_have_no_effect(run, line):
    (run.folder / "edits.jsonl").write_text(line + "\n")
    try:
        labels = EditableRun(run).state.labels
    except UserError as error:
        assert "edit" in str(error) or "split" in str(error)
    else:
        assert set(labels.tolist()) <= {-1, 0, 1, 2, 7}


LONG = pa.DictionaryArray.from_arrays(np.zeros(2000, np.int32), ["x" * 1_000_000])
NO_TEXT = pa.Array.from_buffers(pa.string(), 1, [None, pa.py_buffer(np.array([0, 1], np.int32)), pa.py_buffer(b"\xff")])


@pytest.mark.parametrize(("paths", "confidence"), [(LONG, 0.5), (NO_TEXT, 0.5), (["a"], float("nan")), ([], 0)])
def test_labels_that_take_all_memory_or_are_none_are_a_sentence(tmp_path, paths, confidence):
    n, file = len(paths), tmp_path / "labels.parquet"
    columns = {"id": range(n), "path": paths, "label": [0] * n, "confidence": np.full(n, confidence, np.float32)}
    pq.write_table(pa.table(columns), file, compression="zstd", store_schema=False)
    with pytest.raises(UserError, match=r"labels\.parquet"):
        read_labels_table(file)


@pytest.mark.parametrize("text", ["[[settings]]", "task = 1", "[worked_out]\nimage = 1", "[worked_out.audio]\nrate = 'x'"])
def test_a_run_toml_of_other_sections_is_a_sentence(tmp_path, text):
    (tmp_path / "run.toml").write_text(text)
    with pytest.raises(UserError, match=r"run\.toml"):
        _ = Run(tmp_path).modalities
