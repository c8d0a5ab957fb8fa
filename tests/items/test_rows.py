"""Tables as spreadsheets and programs write them, and tables that are made to break a reader."""

import json
import os
import resource

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from selflabel.base.errors import UserError
from selflabel.items import open_items, read_rows
from tests.items.pictures import png

NAMES = ["a.png", "sub/b.png", "ü é.png"]


@pytest.fixture
def place(tmp_path):
    (tmp_path / "sub").mkdir()
    for name in NAMES:
        (tmp_path / name).write_bytes(png())
    return tmp_path


def opened(place, name, data):
    (place / name).write_bytes(data)
    return open_items(place / name)


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32", "latin-1"])
@pytest.mark.parametrize("before", ["", "sep={}\r\n"])
def test_csv_of_every_delimiter_and_encoding(place, delimiter, encoding, before):
    text = before.format(delimiter) + delimiter.join(["id", "path", "label"]) + "\r\n"
    text += "".join(delimiter.join([str(i), name, "x, y" if delimiter == ";" else "x"]) + "\r\n" for i, name in enumerate(NAMES))
    items = opened(place, "list.csv", text.encode(encoding))
    assert items.paths == NAMES and items.truth == ["x, y" if delimiter == ";" else "x"] * 3
    assert any("Latin-1" in note for note in items.notes) == (encoding == "latin-1")


def test_tsv_and_a_list_of_objects_are_manifests(place):
    assert opened(place, "list.tsv", b"path\tlabel\na.png\t1\n").truth == ["1"]
    rows = [{"path": name, "label": 3} for name in NAMES]
    assert opened(place, "list.json", json.dumps(rows).encode()).paths == NAMES
    with pytest.raises(UserError, match="no list of objects"):
        opened(place, "list.json", b'{"path": "a.png"}')


def test_backslashes_line_breaks_quotes_and_unicode_line_ends_in_names(place):
    names = ["sub\\b.png", "line\nbreak.png", 'quo"te,comma.png', "carriage\rreturn.png", "u\u2028\u2029\x85.png"]
    for name in names[1:]:
        (place / name).write_bytes(png())
    (place / "list.jsonl").write_text("".join(json.dumps({"path": n}, ensure_ascii=False) + "\n" for n in names))
    assert open_items(place / "list.jsonl").paths == names
    quoted = "path\n" + "".join('"' + name.replace('"', '""') + '"\n' for name in names)
    assert opened(place, "list.csv", quoted.encode()).paths == names


def test_a_bad_line_of_json_is_listed(place):
    deep = "[" * 200_000
    items = opened(place, "list.jsonl", f'{{"path": "a.png"}}\n{deep}\n{{"path": "sub/b.png"\n[1]\n'.encode())
    assert items.paths == ["a.png"]
    assert [path for path, _ in items.skipped] == ["line 2", "line 3", "line 4"]
    assert items.skipped[0][1] == "is nested too deeply"
    (place / "truth.jsonl").write_text(f'{{"path": "a.png", "label": {deep}')
    with pytest.raises(UserError, match="line 1 is nested too deeply"):
        read_rows(place / "truth.jsonl")
    (place / "deep.json").write_text(deep)
    with pytest.raises(UserError, match="nested too deeply"):
        open_items(place / "deep.json")


def test_cells_that_can_be_no_path_skip_their_row(place):
    uri = "data:image/png;base64," + "A" * 300_000
    rows = [{"path": p} for p in ("a.png", uri, "x" * 300_000, "\ud800.png", "nul\0.png", None, ["a.png"])]
    items = opened(place, "list.jsonl", "".join(json.dumps(row) + "\n" for row in rows).encode())
    assert items.paths == ["a.png"] and max(len(path) for path, _ in items.skipped) < 100
    reasons = [reason for _, reason in items.skipped]
    assert "data: URI" in reasons[0] and "longer than" in reasons[1] and "not UTF-8" in reasons[2] and "zero" in reasons[3]
    assert items.skipped[2][0] == "\\ud800.png" and "empty" in reasons[4] and reasons[5] == "no such file"
    assert opened(place, "list.csv", f"path\na.png\n{uri}\n".encode()).paths == ["a.png"]


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_an_empty_truth_is_no_class(place, ending):
    rows = [{"path": n, "label": label} for n, label in zip(NAMES, ("x", "", None))]
    if ending == "csv":
        data = "path,label\na.png,x\nsub/b.png,NaN\nü é.png,\n".encode()
    else:
        data = "".join(json.dumps(row) + "\n" for row in rows).encode()
    if ending == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), place / "list.parquet")
        data = (place / "list.parquet").read_bytes()
    assert opened(place, f"list.{ending}", data).truth == ["x", "", ""]


def test_the_labels_of_a_run_are_no_truth(place):
    items = opened(place, "labels.csv", b"id,path,label,confidence,name\n0,a.png,3,0.9,cats\n")
    assert items.truth is None and "is not taken for truth" in items.notes[0]
    assert opened(place, "l.csv", b"path,label,confidence,truth\na.png,3,0.9,cat\n").truth == ["cat"]


def test_links_of_a_manifest_are_followed_when_that_is_asked_for(place):
    inside = place / "set"
    inside.mkdir()
    (inside / "link.png").symlink_to(place / "a.png")
    (inside / "list.csv").write_text("path\nlink.png\n../a.png\n")
    with pytest.raises(UserError, match="--follow-links"):
        open_items(inside / "list.csv")
    items = open_items(inside / "list.csv", follow_links=True)
    assert items.paths == ["link.png"] and "leaves the manifest's folder" in items.skipped[0][1]


def limited(work, seconds=20, megabytes=1500):
    """Do something within bounds of memory and processor time, in a process of its own."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()  # noqa: PTH123, SIM115
            resource.setrlimit(resource.RLIMIT_AS, (used + (megabytes << 20), -1))
            resource.setrlimit(resource.RLIMIT_CPU, (seconds, -1))
            try:
                work()
            except UserError:
                status = 0
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_parquet_of_eighty_million_rows_is_one_sentence(place):
    schema = pa.schema([("path", pa.string())])
    with pq.ParquetWriter(place / "bomb.parquet", schema, compression="zstd") as writer:
        block = pa.table(
            [pa.DictionaryArray.from_arrays(pa.nulls(10_000_000, pa.int32()).fill_null(0), ["a"]).cast("string")], schema
        )
        for _ in range(8):
            writer.write_table(block)
    assert (place / "bomb.parquet").stat().st_size < 2_000_000
    with pytest.raises(UserError, match="more than 20,000,000 rows"):
        open_items(place / "bomb.parquet")


def test_a_long_text_that_a_parquet_repeats_is_kept_once(place):
    text = pa.DictionaryArray.from_arrays(pa.nulls(20_000, pa.int32()).fill_null(0), ["x" * 1_000_000])
    pq.write_table(pa.table({"path": text}), place / "bomb.parquet")
    limited(lambda: open_items(place / "bomb.parquet"))


def test_a_csv_of_a_million_columns_is_read_within_bounds(place):
    header = ",".join(f"c{i}" for i in range(1_000_000))
    (place / "wide.csv").write_text(header + "\n" + ("," * 999_999 + "\n") * 3)
    with pytest.raises(UserError, match="no 'path' column; it has: c0, c1") as error:
        open_items(place / "wide.csv")
    assert len(str(error.value)) < 1000


def test_a_named_pipe_is_no_table(place):
    os.mkfifo(place / "pipe.csv")
    with pytest.raises(UserError, match="no regular file"):
        open_items(place / "pipe.csv")
