"""Exports from the page: the formats that fit, one at a time, none over another."""

import csv

import numpy as np
import pytest

from selflabel.base.errors import UserError
from selflabel.gallery.editable_run import EditableRun
from selflabel.gallery.export_job import ExportJob, unused_path
from tests.gallery.conftest import nearest, write_run


@pytest.fixture
def job(picture_run):
    run = picture_run(each=8)
    return ExportJob(run, EditableRun(run).paths, None, False)


def test_the_formats_are_those_that_can_hold_the_items_with_the_most_used_first(job, tmp_path):
    names = [export_format["name"] for export_format in job.formats()]
    assert names[:4] == ["csv", "folders", "html", "parquet"] and "coco" in names
    assert all(export_format["what"] for export_format in job.formats())
    features = np.eye(4, dtype=np.float32)[np.arange(20) % 4]
    paths = [f"row:{i:06d}" for i in range(20)]
    prepared = {"features": {"kind": "features"}}
    run = write_run(tmp_path / "rows", "x.npy", paths, np.arange(20) % 4, features, nearest(features), worked_out=prepared)
    names = [export_format["name"] for export_format in ExportJob(run, paths, None, False).formats()]
    assert "csv" in names and "coco" not in names


def test_an_export_is_written_beside_the_run_and_the_next_does_not_replace_it(job, tmp_path):
    first, second = job.write("csv"), job.write("csv")
    assert first["place"] == str(tmp_path / "run.csv") and second["place"] == str(tmp_path / "run-2.csv")
    assert first["n_items"] == 48 and first["n_left_out"] == first["n_rejected"] == 0
    assert len(list(csv.DictReader((tmp_path / "run.csv").open()))) == 48
    assert job.write("folders")["place"] == str(tmp_path / "run-folders")
    assert job.write("folders")["place"] == str(tmp_path / "run-folders-2")


def test_progress_goes_up_to_the_number_of_items(job):
    assert job.progress == (0, 0)
    job.write("folders")
    assert job.progress == (48, 48)


def test_a_second_export_is_refused_while_one_is_being_written(job, tmp_path):
    refusals = []

    def export_again(done, total):
        with pytest.raises(UserError, match="another export is being written"):
            job.write("csv")
        refusals.append(done)

    job.on_progress = export_again
    job.write("folders")
    assert refusals and not (tmp_path / "run.csv").exists()
    assert job.write("csv")["place"] == str(tmp_path / "run.csv")


def test_an_export_that_fails_leaves_the_way_free_for_the_next(job):
    with pytest.raises(UserError, match="there is no such format"):
        job.write("nothing")
    assert job.write("csv")["n_items"] == 48


def test_a_path_that_is_taken_gets_the_next_number_before_its_ending(tmp_path):
    assert unused_path(tmp_path / "a.tar.gz", ".tar.gz") == tmp_path / "a.tar.gz"
    for name in ("a.tar.gz", "a-2.tar.gz"):
        (tmp_path / name).touch()
    assert unused_path(tmp_path / "a.tar.gz", ".tar.gz") == tmp_path / "a-3.tar.gz"
    assert unused_path(tmp_path / "a", "") == tmp_path / "a"
