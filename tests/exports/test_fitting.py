"""Whether a format can hold a run's items."""

import pytest

from selflabel.base.errors import UserError
from selflabel.exports import EXPORTS, export, fitting_formats, kind_of_items
from selflabel.gallery.export_job import ExportJob
from tests.exports.pieces import boxes_run, windows_run


@pytest.mark.parametrize("kind", ["films", "sounds", "features"])
@pytest.mark.parametrize("name", EXPORTS)
def test_what_a_format_cannot_hold_is_said_with_those_that_can(name, kind, request, tmp_path):
    run, needs = request.getfixturevalue(kind), {"films": "video", "sounds": "audio", "features": "features"}[kind]
    if needs in EXPORTS[name].kinds:
        assert export(run, name, tmp_path / "out").n_left_out == 0
        return
    with pytest.raises(UserError, match="can hold them") as error:
        export(run, name, tmp_path / "out")
    able = [other for other in EXPORTS if needs in EXPORTS[other].kinds]
    assert all(other in str(error.value) for other in able) and "csv" in able


@pytest.mark.parametrize(
    "kind, expected", [("films", "video"), ("sounds", "audio"), ("features", "features"), ("arrays", "image")]
)
def test_the_kind_of_items_is_that_of_most_names_or_of_the_run(kind, expected, request):
    run = request.getfixturevalue(kind)
    assert kind_of_items(run, run.paths) == expected


def test_few_items_of_another_kind_do_not_change_the_kind(photos):
    assert kind_of_items(photos, ["a.wav", "b.png", "c.png"]) == "image"
    assert kind_of_items(photos, ["odd"] * 1000) == "image"


def test_the_page_offers_what_boxes_and_windows_can_be_and_nothing_else(photos, tmp_path):
    def offered(run):
        return {chosen["name"] for chosen in ExportJob(run, run.paths, None, False).formats()}

    for name in ("boxes", "windows"):
        (tmp_path / name).mkdir()
    boxes, windows = offered(boxes_run(tmp_path / "boxes")), offered(windows_run(tmp_path / "windows"))
    assert boxes == set(EXPORTS) - {"raven", "audacity"}
    assert windows == {
        "csv",
        "parquet",
        "html",
        "cleanlab",
        "folders",
        "imagefolder",
        "webdataset",
        "label-studio",
        "raven",
        "audacity",
    }
    assert offered(photos) == boxes - {"yolo-detect", "class-maps"} == set(fitting_formats("image", None))
