"""The log on disk."""

import json
import subprocess
import sys

import pytest
from hypothesis import given, settings

from selflabel import edits
from selflabel.base.errors import UserError
from selflabel.edits import LogReader, Name, Redo, Reject, Undo
from tests.edits.histories import FEATURES, LABELS, logs, same


@given(logs)
@settings(deadline=None)
def test_edits_read_back_from_disk_give_the_same_labelling_whole_or_step_by_step(tmp_path_factory, done):
    folder = tmp_path_factory.mktemp("log")
    for edit in done:
        edits.append(folder, edit)
    read = edits.read_edits(folder)
    assert read == done
    whole = edits.apply(LABELS, FEATURES, read)
    now = edits.unedited_labels(LABELS)
    for edit in edits.active_edits(read):
        now = edits.apply_in_order(now, FEATURES, [edit])
    assert same(now, whole)


def test_a_partial_last_line_is_no_edit_and_the_next_append_removes_it(tmp_path):
    first, second = Name(cluster=1, name="é"), Reject(items=list(range(30_000)))  # longer than a block
    edits.append(tmp_path, first)
    whole = (tmp_path / edits.LOG).read_bytes()
    partial = second.model_dump_json().encode()
    for cut in (1, len(partial) // 2, len(partial)):
        (tmp_path / edits.LOG).write_bytes(whole + partial[:cut])
        assert edits.read_edits(tmp_path) == [first]
        edits.append(tmp_path, second)
        assert edits.read_edits(tmp_path) == [first, second]
    (tmp_path / edits.LOG).write_bytes(partial[:9])  # partial before there was any line
    edits.append(tmp_path, first)
    assert edits.read_edits(tmp_path) == [first]


def test_a_damaged_line_in_the_middle_is_named(tmp_path):
    edits.append(tmp_path, Undo())
    with (tmp_path / edits.LOG).open("a") as f:
        f.write("{nonsense}\n")
    edits.append(tmp_path, Redo())
    with pytest.raises(UserError, match="line 2"):
        edits.read_edits(tmp_path)


def test_a_run_without_edits_has_none_and_a_folder_that_is_gone_is_an_error(tmp_path):
    assert edits.read_edits(tmp_path) == []
    with pytest.raises(UserError, match="cannot be written"):
        edits.append(tmp_path / "gone", Undo())


WRITER = """
import sys
from pathlib import Path
from selflabel.edits import Reject, append
for i in range(60):
    append(Path(sys.argv[1]), Reject(items=[int(sys.argv[2]) * 1000 + i] * (1 + 400 * (i % 9))))
"""


def test_processes_that_append_at_once_lose_nothing(tmp_path):
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path), str(w)]) for w in range(4)]
    assert [w.wait(timeout=120) for w in writers] == [0] * 4
    rows = [e.items[0] for e in edits.read_edits(tmp_path)]
    assert sorted(rows) == sorted(w * 1000 + i for w in range(4) for i in range(60))
    for w in range(4):  # each one's own edits lie in the order they were made
        assert [i for i in rows if i // 1000 == w] == [w * 1000 + i for i in range(60)]


def test_a_line_holds_who_what_and_when(tmp_path):
    edits.append(tmp_path, edits.parse({"do": "merge", "clusters": [1, 2], "into": 2}))
    line = json.loads((tmp_path / edits.LOG).read_text())
    assert list(line) == ["id", "at", "do", "clusters", "into"]
    assert len(line["id"]) == 16 and line["at"].endswith("+00:00")


def test_a_reader_parses_only_what_is_new_and_starts_over_with_another_log(tmp_path, monkeypatch):
    parsed = []
    parse_line = edits.log.parse_line
    monkeypatch.setattr(edits.log, "parse_line", lambda *args: parsed.append(args[1]) or parse_line(*args))
    reader = LogReader(tmp_path)
    assert reader.edits() == []
    first, second = edits.append(tmp_path, Name(cluster=1, name="x" * 50)), edits.append(tmp_path, Undo())
    before = reader.edits()
    third = edits.append(tmp_path, Redo())
    assert before == [first, second] and reader.edits() == [first, second, third] and parsed == [1, 2, 3]
    (tmp_path / edits.LOG).unlink()
    other = edits.append(tmp_path, Undo())
    assert reader.edits() == [other]
    (tmp_path / edits.LOG).unlink()
    assert reader.edits() == []


def test_an_edit_that_is_made_under_the_lock_sees_every_line_before_it(tmp_path):
    edits.append(tmp_path, Undo())
    made = edits.append_made(tmp_path, lambda: Name(cluster=len(edits.read_edits(tmp_path)), name="x"))
    assert made.cluster == 1 and edits.read_edits(tmp_path)[1:] == [made]


def test_making_none_or_failing_leaves_the_log_as_it_was(tmp_path):
    edits.append(tmp_path, Undo())
    before = (tmp_path / edits.LOG).read_bytes()
    assert edits.append_made(tmp_path, lambda: None) is None

    def refuse():
        raise UserError("it does not fit")

    with pytest.raises(UserError, match="does not fit"):
        edits.append_made(tmp_path, refuse)
    assert (tmp_path / edits.LOG).read_bytes() == before


FULL_DISK = """
import resource, sys
from pathlib import Path
from selflabel.base.errors import UserError
from selflabel.edits import Name, Reject, append, read_edits
folder = Path(sys.argv[1])
append(folder, Name(cluster=1, name="x"))
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
try:
    append(folder, Reject(items=list(range(5000))))
except UserError as error:
    print(error)
assert len(read_edits(folder)) == 1
append(folder, Name(cluster=1, name="y"))
assert len(read_edits(folder)) == 2
"""


def test_an_edit_for_which_there_is_no_room_is_one_sentence_and_leaves_no_half_line(tmp_path):
    done = subprocess.run([sys.executable, "-c", FULL_DISK, str(tmp_path)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "the edit cannot be written" in done.stdout and done.stdout.count("\n") == 1
