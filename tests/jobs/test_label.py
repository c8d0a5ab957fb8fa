"""What `label` returns and writes, the record of run.toml, and the report."""

import json

import numpy as np
import pytest

import selflabel
from selflabel import Labelled, Run, label
from selflabel.base.settings import make_settings, read_toml
from selflabel.jobs.callbacks import Callbacks
from selflabel.training.loop import LoopCallbacks


@pytest.fixture
def run(signs, tmp_path):
    np.save(tmp_path / "x.npy", signs(60)[0])
    settings = make_settings(source=str(tmp_path / "x.npy"), clusters=2, epochs=2, device="cpu", options={"heads": 2})
    return label(settings, tmp_path / "run"), Run.open(tmp_path / "run"), settings


def test_it_returns_a_record_that_reads_as_the_report(run):
    labelled, folder, _ = run
    assert isinstance(labelled, Labelled) and dict(labelled) == labelled.report == folder.report
    assert labelled["method"] == "sela-nn" and labelled["n_items"] == 60 and len(labelled) == len(labelled.report)
    assert labelled["labelling"] is labelled.labelling and labelled["prepared"] is labelled.prepared
    assert labelled.method.task.clusters == 2
    assert np.array_equal(labelled.labelling.labels, folder.raw_labels["label"].to_numpy())
    with pytest.raises(KeyError):
        labelled["nothing"]
    json.dumps(dict(labelled))


def test_a_finished_run_is_found_and_not_labelled_again(run):
    _, folder, settings = run
    lines = []
    again = label(settings, folder.folder, resume=True, callbacks=Callbacks(say=lines.append))
    assert dict(again) == folder.report and again.labelling is None and "finished; nothing to do" in lines[0]


def test_run_toml_records_settings_task_modalities_machine_and_versions(run):
    _, folder, _ = run
    recorded = read_toml(folder.folder / "run.toml")
    assert set(recorded) == {"settings", "task", "worked_out", "machine", "versions"}
    assert recorded["settings"]["clusters"] == 2 and recorded["task"]["n_items"] == 60
    assert recorded["worked_out"]["image"] == {
        "encoder": "conv4", "px": 16, "channels": 1, "kind": "glyph", "seconds": 0.0, "rate": 0, "frames": 0
    }  # fmt: skip
    assert recorded["versions"]["selflabel"] == selflabel.__version__


def test_the_report_has_sizes_signs_and_seconds(run):
    report = run[1].report
    assert sum(report["sizes"]) == 60 and report["n_clusters"] == 2 and report["clusters_chosen_by"] == "the user"
    assert set(report["signs"]) == {"agreement", "support", "stability", "neighbours", "confidence"}
    assert all(0 <= v <= 1 for v in report["signs"].values()) and set(report["seconds"]) == {"prepare", "train", "label"}
    assert report["epochs"] == 2 and sum(report["confidence_histogram"]) == 60
    assert report["mass"] in ("free", "nearly equal", "as found")


def test_callbacks_follow_the_loop(signs):
    x, steps, epochs = signs(40)[0], [], []
    loop = LoopCallbacks(on_step=lambda phase, state, n, items: steps.append(state.step), on_epoch=epochs.append)
    label(make_settings(source="array", clusters=2, epochs=3, device="cpu"), None, callbacks=Callbacks(loop=loop), data=x)
    assert [line["epoch"] for line in epochs] == [1, 2, 3] and len(steps) >= 3


def test_the_model_file_has_no_row_for_each_item(run):
    from safetensors import safe_open

    with safe_open(run[1].folder / "model.safetensors", "pt") as file:
        shapes = {name: file.get_slice(name).get_shape() for name in file.keys()}  # noqa: SIM118
    assert shapes and not any(60 in shape for shape in shapes.values())
