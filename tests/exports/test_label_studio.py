"""label-studio, read by the interface of label-studio-sdk where it is installed."""

import json
from urllib.parse import parse_qs, urlsplit
from xml.etree import ElementTree

import pytest

from selflabel.exports import export
from tests.exports.conftest import EDITED, KEPT, NAMES


def read(out):
    return json.loads((out / "tasks.json").read_text(encoding="utf-8")), (out / "config.xml").read_text(encoding="utf-8")


def test_every_task_names_its_file_and_carries_its_prediction(edited, tmp_path):
    tasks, config = read(export(edited, "label-studio", tmp_path / "my out").place)
    paths = edited.labels["path"].to_pylist()
    assert [task["data"]["id"] for task in tasks] == KEPT.tolist()
    for task in tasks:
        i = task["data"]["id"]
        place = parse_qs(urlsplit(task["data"]["image"]).query)["d"][0]  # below the document root, which holds the export
        assert (tmp_path / place).read_bytes() == (tmp_path / "photos" / paths[i]).read_bytes()
        assert task["predictions"][0]["result"][0]["value"]["choices"] == [NAMES[EDITED[i]]]
        assert 0 <= task["predictions"][0]["score"] <= 1
    assert [c.get("value") for c in ElementTree.fromstring(config).iter("Choice")] == list(NAMES.values())


@pytest.mark.parametrize("kind, tag", [("films", "Video"), ("sounds", "Audio")])
def test_films_and_sounds_have_their_own_tag(kind, tag, request, tmp_path):
    tasks, config = read(export(request.getfixturevalue(kind), "label-studio", tmp_path / "out").place)
    shown = ElementTree.fromstring(config).find(tag)
    assert shown.get("value") == f"${shown.get('name')}" and all(shown.get("name") in task["data"] for task in tasks)


def test_label_studios_own_library_accepts_tasks_and_predictions(edited, tmp_path):
    interface = pytest.importorskip("label_studio_sdk.label_interface")
    tasks, config = read(export(edited, "label-studio", tmp_path / "out").place)
    li = interface.LabelInterface(config)
    li.validate()
    for task in tasks:
        assert li.validate_task({"data": task["data"]})
        assert li.validate_prediction(task["predictions"][0])
    tasks[0]["predictions"][0]["result"][0]["value"]["choices"] = ["a class that there is not"]
    assert not li.validate_prediction(tasks[0]["predictions"][0])
