"""A finished run of films: scored by each modality, with one corrupted, and with its networks trained on known classes."""

import json

import numpy as np
import pytest
import torch

from selflabel.base.errors import UserError
from selflabel.base.settings import make_settings
from selflabel.cli import app
from selflabel.contract import Batch, Task
from selflabel.evaluation.metrics import accuracy
from selflabel.jobs.degrade import Row, plot_degraded
from selflabel.jobs.finetune import Supervised, class_folds, finetune
from selflabel.jobs.label import label
from selflabel.runs.run import Run
from tests.films import write_set
from tests.methods.label.helpers import identity_encoders, views_of


def labelled(folder, out, **given):
    settings = make_settings(source=str(folder), clusters=2, device="cpu", **given)
    return label(settings, out, overwrite=True)


@pytest.mark.slow
def test_a_run_is_scored_by_each_modality_and_as_it_gets_worse(tmp_path, capsys):
    """The user's path: score, score --degrade, score --plot and probe on one run of films."""
    truth = write_set(tmp_path / "films", n=24)
    lines = [f"{i:03d}.mp4,{'across' if k == 0 else 'down'},take{i // 2}" for i, k in enumerate(truth)]
    (tmp_path / "truth.csv").write_text("path,label,group\n" + "\n".join(lines) + "\n")
    labelled(tmp_path / "films", tmp_path / "run", epochs=8, options={"heads": 2})
    run, options = Run.open(tmp_path / "run"), ["--truth", str(tmp_path / "truth.csv")]
    assert set(run.labels_by_modality) == {"video", "audio"} and all(len(x) == 24 for x in run.labels_by_modality.values())
    app(["score", str(run.folder), *options, "--plot", str(tmp_path / "p.png")], standalone_mode=False)
    text = capsys.readouterr().out
    assert "video only" in text and "audio only" in text and (tmp_path / "p.png").stat().st_size > 5000
    app(["score", str(run.folder), *options, "--degrade", "audio", "--json"], standalone_mode=False)
    rows = json.loads(capsys.readouterr().out)
    whole = next(r for r in rows if r["way"] == "as it is")
    gone = next(r for r in rows if r["level"] == "100%")
    assert whole["accuracy"] == pytest.approx(
        accuracy([lines[i].split(",")[1] for i in range(24)], run.labels["label"].to_numpy()), abs=0.1
    )
    assert gone["alone_nmi"] is None and {r["way"] for r in rows} == {"as it is", "muffled", "noisy", "dropped"}
    assert (run.folder / "degraded-audio.png").stat().st_size > 5000
    app(["probe", str(run.folder), *options, "--json"], standalone_mode=False)
    found = json.loads(capsys.readouterr().out)
    assert found["folds"] == 5 and found["knn"] > 0.8
    app(["probe", str(run.folder), *options, "--json", "--finetune", "12"], standalone_mode=False)
    tuned = json.loads(capsys.readouterr().out)["fine-tuned"]
    assert tuned["from the run"] > 0.8 and tuned["folds"] == 3
    assert set(tuned) == {"from the run", "from nothing", "epochs", "folds"}
    with pytest.raises(UserError, match="has video and audio"):
        app(["score", str(run.folder), *options, "--degrade", "image"], standalone_mode=False)


def test_fixed_features_are_not_fine_tuned(blobs, tmp_path):
    x, truth = blobs()
    np.savez(tmp_path / "x.npz", x=x, y=truth)
    label(make_settings(source=str(tmp_path / "x.npz"), clusters=3, epochs=1, device="cpu"), tmp_path / "run")
    with pytest.raises(UserError, match="features are fixed"):
        finetune(Run.open(tmp_path / "run"), {}, device="cpu")


def test_the_classifier_trains_on_the_items_it_is_given_only():
    method = Supervised(Task(10, 2, "features", 0, 0), torch.arange(10) % 2, torch.tensor([1, 4, 7]))
    method.build(identity_encoders(3))
    (phase,) = method.phases()
    assert sorted(phase.draw(0, torch.Generator())[:, 0].tolist()) == [1, 4, 7]
    loss = phase.loss(Batch(torch.tensor([[1], [4]]), views_of(image=[torch.randn(2, 3)]), 0.0))["classes"]
    assert torch.isfinite(loss)


def test_folds_keep_groups_together():
    rows = list(range(30))
    classes, groups = {row: "ab"[row % 2] for row in rows}, [str(row // 3) for row in rows]
    y, folds = class_folds(rows, classes, groups, seed=0)
    assert len(y) == 30 and len(folds) == 3
    for train, test in folds:
        assert not {groups[i] for i in train} & {groups[i] for i in test}
    assert class_folds([], {}, None, 0)[1] == []


def test_a_figure_has_a_panel_for_each_corruption():
    rows = [Row("as it is", "", 0.9, 0.9), Row("blurred", "a little", 0.8, 0.8), Row("dropped", "50%", 0.5, 0.5)]
    assert [axis.get_title() for axis in plot_degraded(rows, "image").axes] == ["image blurred", "image dropped"]
