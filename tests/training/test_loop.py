import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from selflabel.base.errors import Interrupted, UserError
from selflabel.contract import Relabelling, Task, split_batches
from selflabel.training.data import ResidentData
from selflabel.training.distributed import Ranks
from selflabel.training.loop import LoopCallbacks, label_metrics, train
from selflabel.training.stored import StoredFeatures, StoredImages
from tests.training.every_hook import EveryHook, encoders_for


def made(signs, n=50):
    images, _ = signs(n)
    sounds = np.random.default_rng(0).normal(size=(n, 5)).astype(np.float32)
    stored = {"image": StoredImages(images[:, None], "glyph", px=16), "audio": StoredFeatures(sounds, "features")}
    data = ResidentData(stored, torch.device("cpu"), Ranks(), 0)
    method = EveryHook(Task(n, 2, "glyph", 16, 1), None)
    method.build(encoders_for())
    data.encoders = method.encoders
    return method, data


def with_loss(method, loss):
    phases = [replace(phase, loss=loss) for phase in method.phases()]
    method.phases = lambda: phases


def weights(method):
    return {k: v.clone() for k, v in method.state_dict().items()}


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def test_the_loop_runs_every_phase_view_and_labelling_turn(signs, tmp_path):
    method, data = made(signs)
    state = train(method, data, tmp_path, seed=0)
    assert method.starts == ["pairs", "cluster", "settle"] and method.precomputed == 3
    assert method.pair_steps == 4  # the hook of the first phase only
    assert [line["phase"] for line in state.history] == ["pairs"] + ["cluster"] * 3 + ["settle"] * 2
    assert all(line["pull"] >= 0 and np.isfinite(line["loss"]) for line in state.history)
    lines = [json.loads(x) for x in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == [1, 2, 3, 4, 5, 6]


def test_only_the_parameters_a_phase_names_learn(signs):
    method, data = made(signs)
    before = weights(method)
    seen = {}

    def at_epoch(line):
        seen[line["epoch"]] = weights(method)

    train(method, data, None, 0, LoopCallbacks(on_epoch=at_epoch))
    assert torch.equal(seen[1]["head.weight"], before["head.weight"])
    assert not torch.equal(seen[1]["encoders.image.trunk.0.0.weight"], before["encoders.image.trunk.0.0.weight"])
    assert torch.equal(seen[4]["encoders.image.trunk.0.0.weight"], seen[6]["encoders.image.trunk.0.0.weight"])
    assert not torch.equal(seen[4]["head.weight"], seen[6]["head.weight"])


@pytest.mark.slow
@pytest.mark.parametrize("after", [1, 5, 9, 14, 20])
def test_a_run_stopped_at_any_step_resumes_to_the_same_bits(signs, tmp_path, after):
    whole, data = made(signs)
    history = train(whole, data, None, 0).history
    cut, data = made(signs)
    steps = []
    stop = LoopCallbacks(on_step=lambda *_: steps.append(1), should_stop=lambda: len(steps) >= after)
    with pytest.raises(Interrupted):
        train(cut, data, tmp_path, 0, stop)
    again, data = made(signs)
    epochs = []
    state = train(again, data, tmp_path, 0, LoopCallbacks(on_epoch=lambda line: epochs.append(line["epoch"])))
    assert same(weights(whole), weights(again))
    timeless = [{k: v for k, v in line.items() if k not in ("seconds", "items_per_s")} for line in state.history]
    assert timeless == [{k: v for k, v in line.items() if k not in ("seconds", "items_per_s")} for line in history]
    done = after // 4  # four batches an epoch
    assert epochs == list(range(done + 1, 7))


@pytest.mark.slow
def test_a_seed_repeats_and_another_does_not(signs):
    results = []
    for seed in (0, 0, 1):
        method, data = made(signs)
        train(method, data, None, seed)
        results.append(weights(method))
    assert same(results[0], results[1]) and not same(results[0], results[2])


def test_a_loss_that_is_no_number_stops_with_the_remedy(signs):
    method, data = made(signs)
    with_loss(method, lambda batch: {"bad": next(method.encoders.parameters()).sum() * float("nan")})
    with pytest.raises(UserError, match=r"loss became nan.*lr_scale"):
        train(method, data, None, 0)


def test_a_gradient_that_is_no_number_stops_before_it_is_learnt(signs):
    method, data = made(signs)
    # 0, with a slope of inf * 0
    with_loss(method, lambda batch: {"bad": (next(method.encoders.parameters()) * 0).abs().sum().sqrt()})
    with pytest.raises(UserError, match=r"gradient became nan.*lr_scale"):
        train(method, data, None, 0)
    assert all(p.isfinite().all() for p in method.parameters())


@pytest.mark.parametrize("n", [1, 2, 5, 127, 128, 129, 1000])
def test_batches_drop_no_row_and_leave_no_short_tail(n):
    order = torch.randperm(n)[:, None]
    batches = split_batches(order, 128)
    assert torch.equal(torch.cat(batches), order)
    assert max(map(len, batches)) - min(map(len, batches)) <= 1 and max(map(len, batches)) <= 128


def test_shards_cover_every_row_once_on_any_number_of_ranks():
    for n in (1, 7, 10):
        for world in (1, 2, 3, 11):
            rows = [i for r in range(world) for i in range(n)[Ranks(r, world).shard(n)]]
            assert rows == list(range(n))


def test_the_metrics_of_a_label_turn_leave_out_items_without_a_label():
    before = [torch.tensor([0, 0, 1, -1, -1, -1])]
    metrics = label_metrics(Relabelling([torch.tensor([0, 1, 1, -1, -1, -1])]), before)
    assert metrics["largest"] == pytest.approx(2 / 3, abs=1e-4) and metrics["changed"] == pytest.approx(1 / 6, abs=1e-4)
    assert "changed" not in label_metrics(Relabelling([torch.tensor([0, 1])]), [])
