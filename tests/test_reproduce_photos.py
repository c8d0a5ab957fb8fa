"""Scripts on photos: the epochs that fit into a time, tables that say what was not run, and MTEB's tasks with files on disk."""

import io

import numpy as np
import pytest
from PIL import Image
from safetensors.torch import save_file
from sklearn.cluster import MiniBatchKMeans
from sklearn.metrics import v_measure_score

from reproduce.mteb_images import TASKS, compare, features_and_truth, kmeans_as_mteb, save_pictures
from reproduce.photos import Cost, epochs_within
from reproduce.scratch_tables import NOT_YET, PUBLISHED, mteb_table, scratch_table
from reproduce.scratch_tables import TASKS as SHOWN
from selflabel.encoders import make_encoder
from selflabel.items import open_items
from selflabel.runs.run import csv_text


@pytest.fixture
def blobs():
    rng = np.random.default_rng(0)
    y = np.repeat(["a", "b", "c"], 30)
    return np.eye(8, dtype=np.float32)[np.unique(y, return_inverse=True)[1]] * 9 + rng.random((90, 8), np.float32), y


def test_epochs_fill_the_time_that_label_turns_and_the_end_leave():
    assert epochs_within(95.0, Cost(epoch=2.0, rest=10.0, after=5.0)) == 35
    assert epochs_within(1.0, Cost(epoch=2.0, rest=10.0, after=5.0)) == 1


def test_kmeans_is_that_of_mteb_and_its_nmi_the_v_measure(blobs):
    x, y = np.random.default_rng(1).random((700, 5)), np.arange(700) % 4
    found = MiniBatchKMeans(n_clusters=4, batch_size=500, n_init="auto", compute_labels=True, random_state=42).fit(x).labels_
    assert kmeans_as_mteb(x, y)["nmi"] == round(v_measure_score(y, found), 4)


@pytest.mark.slow
def test_features_on_disk_go_through_kmeans_and_sela_nn(tmp_path, blobs):
    np.savez(tmp_path / "set.npz", x=blobs[0], y=blobs[1])
    x, truth = features_and_truth(str(tmp_path / "set.npz"), "hf:never-asked-for", None)
    entry = compare(x, truth, [0])
    assert (entry["rows"], entry["classes"]) == (90, 3) and entry["k-means as MTEB"]["accuracy"] > 0.6
    assert entry["sela-nn"]["summary"]["accuracy"]["median"] == 1.0
    ours = mteb_table({"encoders": {"hf:facebook/dinov2-small": {"CIFAR10Clustering": entry}}})
    assert "| facebook/dinov2-small, `sela-nn` | 1.000, 1.000 |" in ours


def test_pictures_of_a_task_become_files_that_the_encoder_sees(tmp_path, monkeypatch):
    monkeypatch.setenv("SELFLABEL_CACHE", str(tmp_path / "cache"))
    rng, rows = np.random.default_rng(0), []
    for i in range(12):
        picture, data = Image.fromarray(rng.integers(0, 255, (16, 16, 3), np.uint8)), io.BytesIO()
        picture.save(data, "JPEG" if i % 2 else "PNG")
        rows.append({"img": {"bytes": data.getvalue(), "path": None}, "label": i % 3})
    listed = save_pictures(rows, TASKS["CIFAR10Clustering"], tmp_path / "pictures")
    (tmp_path / "set.csv").write_text(csv_text(["path", "truth"], listed))
    assert [path[-4:] for path, _ in listed[:2]] == [".png", ".jpg"] and open_items(str(tmp_path / "set.csv")).truth[4] == "1"
    encoder = make_encoder("conv4", 3, 16)
    save_file(encoder.state_dict(), tmp_path / "conv4.safetensors")
    x, truth = features_and_truth(str(tmp_path / "set.csv"), "conv4", str(tmp_path / "conv4.safetensors"))
    assert x.shape == (12, encoder.dim) and truth.tolist() == [str(i % 3) for i in range(12)]


def test_tables_say_what_was_not_run():
    assert scratch_table({}).count(NOT_YET) == 3 and mteb_table({}).count(NOT_YET) == len(PUBLISHED)
    assert list(SHOWN) == list(TASKS) and all(len(of) == len(TASKS) for of in PUBLISHED.values())
    pixels = {"accuracy": 0.2, "nmi": 0.1}
    row = {
        "set": "cifar10",
        "uneven": None,
        "device": "NVIDIA H100",
        "epochs": 90,
        "seconds_of_call": 510,
        "k-means on pixels": pixels,
    }
    row |= {"accuracy": 0.76, "macro_accuracy": 0.76, "nmi": 0.7}
    assert "| NVIDIA H100 | 8.5 | 90 | 0.760 | 0.760 | 0.700 | 0.200, 0.100 |" in scratch_table({"rows": [row]})
