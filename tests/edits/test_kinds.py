"""Each kind of edit: its JSON, where it fits, and what it does."""

import json

import pytest

from selflabel import edits
from selflabel.base.errors import UserError
from selflabel.edits import Merge, Move, Name, Reject, Restore
from tests.edits.histories import FEATURES, LABELS, N


def test_each_kind_of_edit_does_what_it_says():
    done = edits.apply(LABELS, FEATURES, [Name(cluster=1, name=" cats "), Merge(clusters=[0, 1], into=0)])
    assert done.clusters == [0, 2, 3] and (done.labels[LABELS < 2] == 0).all() and done.names == {0: "cats"}
    done = edits.apply_in_order(done, FEATURES, [Reject(items=[2, 3]), Merge(clusters=[2, 3], into=3)])
    assert done.labels[2] == done.labels[3] == -1 and done.labels[6] == 3
    done = edits.apply_in_order(done, FEATURES, [Restore(items=[2])])
    assert done.labels[2] == 3 and done.labels[3] == -1  # its cluster was merged while it was out
    done = edits.apply_in_order(done, FEATURES, [Move(items=[3, 4], to=9)])
    assert done.clusters == [0, 3, 9] and done.labels[3] == done.labels[4] == 9
    assert edits.apply_in_order(done, FEATURES, [Move(items=[0], to=2)]).labels[0] == 0  # 2 was merged away
    assert edits.apply_in_order(done, FEATURES, [Name(cluster=0, name="")]).names == {}


@pytest.mark.parametrize(
    "values, word",
    [
        ({"do": "name", "cluster": 99, "name": "x"}, "no cluster 99"),
        ({"do": "name", "cluster": 1, "name": "a\nb"}, "cannot be shown"),
        ({"do": "merge", "clusters": [1, 99], "into": 1}, "no cluster 99"),
        ({"do": "split", "cluster": 1, "parts": [1, 2], "centres": [[0.0], [1.0]]}, "number of another"),
        ({"do": "move", "items": [N], "to": 1}, "rows are 0 to 23"),
        ({"do": "move", "items": [0], "to": 1, "name": "x"}, "number of another"),
        ({"do": "move", "items": [0], "to": 9, "name": "a\nb"}, "cannot be shown"),
        ({"do": "reject", "items": [0, 99]}, "no item 99"),
    ],
)
def test_check_names_what_does_not_fit(values, word):
    with pytest.raises(UserError, match=word):
        edits.check(edits.parse(values), edits.unedited_labels(LABELS), N)


@pytest.mark.parametrize(
    "values",
    [
        {"do": "explode"},
        {},
        {"do": "name", "cluster": "1", "name": "x"},
        {"do": "name", "cluster": -1, "name": "x"},
        {"do": "name", "cluster": 1, "name": "x" * 201},
        {"do": "name", "cluster": 1, "name": "x", "colour": "red"},
        {"do": "merge", "clusters": [1], "into": 1},
        {"do": "merge", "clusters": [1, 1], "into": 1},
        {"do": "merge", "clusters": [1, 2], "into": 3},
        {"do": "split", "cluster": 1, "parts": [2, 1], "centres": [[0.0], [1.0]]},
        {"do": "split", "cluster": 1, "parts": [1, 2], "centres": [[0.0], [1.0, 2.0]]},
        {"do": "reject", "items": []},
        {"do": "reject", "items": [True]},
    ],
)
def test_what_is_no_edit_is_refused_in_one_sentence(values):
    with pytest.raises(UserError, match="not an edit") as error:
        edits.parse(values)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "line",
    [
        '{"id":"0","at":"x","do":"name","cluster":1,"name":"cats"}',
        '{"id":"0","at":"x","do":"merge","clusters":[1,2],"into":2}',
        '{"id":"0","at":"x","do":"split","cluster":1,"parts":[1,9],"centres":[[0.5],[1.0]]}',
        '{"id":"0","at":"x","items":[3,4],"do":"move","to":1}',
        '{"id":"0","at":"x","items":[3],"do":"move","to":9,"name":"new"}',
        '{"id":"0","at":"x","items":[3],"do":"reject"}',
        '{"id":"0","at":"x","items":[3],"do":"restore"}',
        '{"id":"0","at":"x","do":"undo"}',
        '{"id":"0","at":"x","do":"redo"}',
    ],
)
def test_the_json_of_every_kind_is_as_it_always_was(line):
    assert edits.parse(json.loads(line)).model_dump_json() == line


def test_edits_have_ids_of_their_own_and_the_time_in_utc():
    one, two = Reject(items=[0]), Reject(items=[0])
    assert one.id != two.id and len(one.id) == 16 and one.at.endswith("+00:00")
