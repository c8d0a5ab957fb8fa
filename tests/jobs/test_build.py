"""Tasks, fixed labels and options: what is refused, and with which sentence."""

import numpy as np
import pytest
import torch

from selflabel.base.errors import UserError
from selflabel.base.settings import make_settings
from selflabel.contract import Task
from selflabel.items import open_items
from selflabel.jobs.build import check_views, make_method, make_options, make_task, read_fixed_labels, with_clusters
from selflabel.jobs.prepare import prepare
from selflabel.methods import METHODS

CPU = torch.device("cpu")


def test_a_task_describes_the_first_modality(signs, blobs):
    settings = make_settings(source="array", clusters=2, epochs=5, seed=3)
    task = make_task(settings, prepare(signs(20)[0], CPU), CPU)
    assert (task.n_items, task.kind, task.px, task.channels, task.gpu) == (20, "glyph", 16, 1, False)
    assert task.from_scratch and task.modality == "image" and task.view_preset("image", "-strong") == "glyph-strong"
    features = make_task(settings, prepare(blobs()[0], CPU), CPU)
    assert features.kind == "features" and features.px == 0 and not features.from_scratch
    assert features.view_preset("image") == features.view_preset("image", "-strong") == "dropout"


@pytest.mark.parametrize("method", ["sela", "selavi", "deepcluster", "xdc"])
def test_a_default_of_many_clusters_is_a_share_of_the_items_in_new_runs_only(method):
    make = METHODS[method].make

    def clusters(n, begun=None, asked=None):
        return with_clusters(Task(n, asked, "photo", 32, 3), make, begun).clusters

    assert [clusters(n) for n in (1, 12, 60, 900, 5000)] == [1, 2, 6, 90, 128] and clusters(60, asked=9) == 9
    assert clusters(60, begun={"n_items": 60}) is None  # of 0.3.0: as many heads as it has
    assert clusters(60, begun={"n_items": 60, "clusters": 6}) == 6


def test_views_that_mirror_are_not_for_sounds():
    check_views("auto", "audio", "video", "sound")
    check_views("video=photo,audio=sound", "audio", "video", "sound")
    with pytest.raises(UserError, match="mirrors views"):
        check_views("photo", "audio", "audio", "sound")
    with pytest.raises(UserError, match="no preset"):
        check_views("magic", "image", "image", "photo")


def test_views_of_features_are_not_for_pictures():
    check_views("dropout", "image", "image", "features")
    with pytest.raises(UserError, match="changes features only"):
        check_views("dropout", "image", "image", "photo")


def test_fixed_labels_keep_small_numbers_and_number_names(tmp_path):
    items = open_items(np.zeros((4, 8, 8), np.uint8))
    cases = {"0 2 2 5": [0, 2, 2, 5], "b a b c": [1, 0, 1, 2], "7 900 7 7": [0, 1, 0, 0]}
    for values, wanted in ((text.split(), codes) for text, codes in cases.items()):
        table = "path,label\n" + "".join(f"{p},{v}\n" for p, v in zip(items.paths, values))
        (tmp_path / "labels.csv").write_text(table)
        assert read_fixed_labels(tmp_path / "labels.csv", items).tolist() == wanted
    (tmp_path / "labels.csv").write_text("path,label\nrow:000000,1\n")
    with pytest.raises(UserError, match="no label for 3 items"):
        read_fixed_labels(tmp_path / "labels.csv", items)
    (tmp_path / "labels.csv").write_text("file,label\nx,1\n")
    with pytest.raises(UserError, match="columns 'path' and 'label'"):
        read_fixed_labels(tmp_path / "labels.csv", items)


def test_only_sela_trains_on_fixed_labels(signs, tmp_path):
    x, truth = signs(10)
    (tmp_path / "l.csv").write_text("path,label\n" + "".join(f"row:{i:06d},{t}\n" for i, t in enumerate(truth)))
    prepared = prepare(x, CPU)
    task = make_task(make_settings(source="array", labels=str(tmp_path / "l.csv")), prepared, CPU)
    assert task.clusters == 2
    with pytest.raises(UserError, match="--method sela"):
        make_method(METHODS["iic"].make, "iic", {}, task, prepared, CPU)


@pytest.mark.parametrize("method", METHODS)
def test_a_wrong_option_names_the_right_ones(method):
    make = METHODS[method].make
    with pytest.raises(UserError, match="lr_scale"):
        make_options(make, method, {"lr_scal": 1})
    with pytest.raises(UserError, match="lr_scale"):
        make_options(make, method, {"lr_scale": "much"})
    assert make_options(make, method, {"lr_scale": 0.5}).lr_scale == 0.5
