"""Properties that every method has; each runs over METHODS, so a new method is tested by being listed."""

import json
import random
import signal

import grimp
import numpy as np
import pytest
import torch

from selflabel.base.errors import UserError
from selflabel.base.settings import make_settings
from selflabel.contract import shuffled_rows
from selflabel.evaluation.metrics import accuracy
from selflabel.jobs.build import make_method, make_task
from selflabel.jobs.callbacks import Callbacks
from selflabel.jobs.label import label
from selflabel.jobs.prepare import prepare
from selflabel.methods import BASELINES, METHODS
from selflabel.runs.run import Run
from selflabel.training.batches import make_batch
from selflabel.training.distributed import Ranks
from selflabel.training.loop import LoopCallbacks, train_mode, trainable_parameters

every_method = pytest.mark.parametrize("method", METHODS)


def labelled(x, k, method, seed=0, **given):
    return label(make_settings(source="array", clusters=k, method=method, seed=seed, device="cpu", **given), None, data=x)


@pytest.mark.slow
@every_method
def test_it_learns_blobs_without_seeing_truth(method, blobs):
    x, truth = blobs()
    assert accuracy(truth, labelled(x, 3, method)["labelling"].labels) > 0.95


@pytest.mark.slow
@every_method
def test_a_seed_repeats_to_the_bit(method, signs):
    x, _ = signs(40)
    a, b = (labelled(x, 2, method, epochs=3)["labelling"] for _ in range(2))
    assert np.array_equal(a.labels, b.labels) and np.array_equal(a.features, b.features)


@every_method
@pytest.mark.parametrize("n", [1, 2, 3])
@pytest.mark.parametrize("kind", ["signs", "blobs"])
def test_a_handful_of_items_is_labelled(method, n, kind, signs, blobs):
    x = signs(max(n, 2))[0][:n] if kind == "signs" else blobs(n=3)[0][:n]
    found = labelled(x, min(n, 2), method, epochs=2)["labelling"]
    assert len(found.labels) == n and set(found.labels) <= {0, 1}


@every_method
@pytest.mark.parametrize("x", [np.full((30, 16, 16), 7, np.uint8), np.ones((30, 5), np.float32)])
def test_items_that_are_all_the_same_end_no_run(method, x):
    found = labelled(x, 3, method, epochs=2)["labelling"]
    assert found.labels.shape == (30,) and np.isfinite(found.top_probs).all()


@every_method
def test_more_labels_than_items_is_a_sentence(method):
    with pytest.raises(UserError, match="only 3 items"):
        labelled(np.zeros((3, 4), np.float32), 5, method)


@pytest.mark.slow
@every_method
def test_epochs_scales_all_phases_with_at_least_one_each(method, signs):
    x, _ = signs(40)
    for epochs in (2, 9):
        report = labelled(x, 2, method, epochs=epochs, views="photo-weak")
        assert report["epochs"] == max(epochs, len(report.method.phases()))


@pytest.mark.slow
@every_method
def test_a_run_killed_at_any_step_resumes_to_the_same_labels(method, signs, tmp_path, fork_server):
    """The process kills itself with SIGKILL at the given step, so that no test has to be quicker than it."""
    x, _ = signs(200)
    np.save(tmp_path / "x.npy", x)
    settings = {"source": str(tmp_path / "x.npy"), "clusters": 2, "method": method, "epochs": 12, "device": "cpu"}
    steps = []
    count = Callbacks(loop=LoopCallbacks(on_step=lambda *_: steps.append(1)))
    label(make_settings(**settings), tmp_path / "whole", callbacks=count)
    step = random.Random(method).randrange(1, len(steps))
    killed = fork_server.run(json.dumps(settings), tmp_path / "cut", step, module="tests.methods.killed")
    assert killed.returncode == -signal.SIGKILL
    assert not (tmp_path / "cut" / "report.json").exists()
    label(make_settings(**settings), tmp_path / "cut", resume=True)
    whole, cut = Run.open(tmp_path / "whole"), Run.open(tmp_path / "cut")
    assert (tmp_path / "whole/labels.csv").read_bytes() == (tmp_path / "cut/labels.csv").read_bytes()
    assert np.array_equal(whole.features, cut.features)
    lines = [json.loads(line) for line in (tmp_path / "cut/metrics.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == list(range(1, 13))
    assert cut.report["seconds"]["train"] > sum(line["seconds"] for line in lines) - 0.05  # epochs before the kill count


@every_method
@pytest.mark.parametrize("kind", ["pictures", "features"])
def test_every_phase_owns_a_finite_loss_a_draw_and_its_hooks(method, kind, signs, blobs):
    x = signs(48)[0] if kind == "pictures" else blobs(n=48)[0]
    cpu = torch.device("cpu")
    prepared, settings = prepare(x, cpu), make_settings(source="array", clusters=2, method=method, epochs=6)
    task = make_task(settings, prepared, cpu)
    built = make_method(METHODS[method].make, method, {}, task, prepared, cpu)
    data = prepared.dataset(cpu, Ranks(), 0)
    data.encoders = built.encoders
    for phase in built.phases():
        phase.start(data, torch.Generator().manual_seed(0))
        phase.precompute(data)
        with torch.no_grad():
            built.eval().relabel(data, torch.Generator().manual_seed(0))
        draw = phase.draw or (lambda epoch, generator: shuffled_rows(48, generator))
        rows = draw(0, torch.Generator().manual_seed(0))
        assert rows.ndim == 2 and rows.min() >= 0 and rows.max() < 48
        trainable_parameters(built, phase)
        train_mode(built)
        losses = phase.loss(make_batch(data, phase, rows[: phase.batch_size], 0.5, key=1))
        assert losses and all(loss.ndim == 0 and torch.isfinite(loss) for loss in losses.values())
        sum(losses.values()).backward()
        assert any(p.grad is not None for name, p in built.named_parameters() if name.startswith(phase.learns))
        phase.after_step()


@every_method
def test_predictions_are_log_probabilities_of_every_head_from_blocks_of_features(method, blobs):
    x, _ = blobs(n=40)
    labelled_set = labelled(x, 3, method, epochs=2)
    data = labelled_set.prepared.dataset(torch.device("cpu"), Ranks(), 0)
    data.encoders = labelled_set.method.encoders
    with torch.no_grad():
        for rows, features in data.blocks():
            for log_probs in labelled_set.method.predict(features).log_probs:
                assert log_probs.shape == (len(rows), 3)
                assert torch.allclose(log_probs.exp().sum(dim=1), torch.ones(len(rows)), atol=1e-4)


def test_every_method_is_a_module_of_its_own_that_imports_no_other():
    graph = grimp.build_graph("selflabel")
    modules = {".".join(entry.make.__module__.split(".")[:4]) for entry in (METHODS | BASELINES).values()}
    assert len(modules) == len(METHODS) + 1  # the baselines share a package
    for one in modules:
        mine = {one, *graph.find_descendants(one)}
        imported = {module for part in mine for module in graph.find_modules_directly_imported_by(part)}
        others = {module for other in modules - {one} for module in (other, *graph.find_descendants(other))}
        assert not imported & others, one
