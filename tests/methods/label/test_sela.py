import numpy as np
import pytest
import torch

from selflabel.base.schedules import scale_epochs, solve_times
from selflabel.base.settings import make_settings
from selflabel.contract import Task
from selflabel.evaluation.metrics import consensus_head
from selflabel.jobs.label import label
from selflabel.methods.label.sela import LARGE, Options, SeLa, cifar_steps, imagenet_steps


def test_solves_follow_the_published_power_of_time():
    times = solve_times(400, 100, 2)
    assert [round(t, 2) for t in times[:6]] == [0.0, 0.04, 0.16, 0.37, 0.65, 1.02]
    assert sum(t < 10 for t in times) == 16 and len(times) == 99
    assert solve_times(400, 400, 1)[1] == pytest.approx(400 / 399)


def test_learning_rates_drop_where_they_were_published():
    assert [cifar_steps(t) for t in (0.59, 0.61, 0.81)] == [1.0, 0.1, 0.01]
    assert [round(imagenet_steps(e / 400), 6) for e in (0, 149, 150, 300, 350)] == [1, 1, 0.1, 0.01, 0.001]


def test_the_recipe_follows_the_size_of_the_pictures():
    small = SeLa(Task(100, 10, "photo", 32, 3), Options())
    large = SeLa(Task(500, None, "photo", 224, 3, preset="paper"), Options())
    assert (small.lamb, large.lamb) == (10, 25)
    assert large.head_sizes == [128] * 10 and large.phases()[0].epochs == 400
    assert large.phases()[0].batch_size == LARGE.batch_size and len(large.phases()[0].relabel_at) == 99
    assert SeLa(Task(100, 10, "photo", 32, 3), Options(heads=2, head_clusters=(5, 7))).head_sizes == [5, 7]
    assert SeLa(Task(100, None, "photo", 32, 3), Options(heads=2)).head_sizes == [
        128,
        128,
    ]


def test_epochs_keep_the_proportion_of_solves():
    method = SeLa(Task(100, 10, "photo", 32, 3, epochs=40), Options())
    assert method.phases()[0].epochs == 40 and len(method.phases()[0].relabel_at) == 39
    assert scale_epochs([1, 3], 2) == [1, 1] and scale_epochs([1, 3], 8) == [2, 6]


def test_the_reported_head_is_the_one_that_others_agree_with():
    a = torch.arange(60) % 3
    odd = torch.arange(60) // 20
    assert consensus_head([odd, a, a]) == 1


@pytest.mark.slow
@pytest.mark.parametrize("rotation", [False, True])
def test_given_labels_are_learned_and_rotation_adds_its_head(signs, tmp_path, rotation):
    x, truth = signs(120)
    table = tmp_path / "labels.csv"
    table.write_text("path,label\n" + "\n".join(f"row:{i:06d},{t}" for i, t in enumerate(truth)))
    options = {"heads": 1, "rotation": rotation}
    settings = make_settings(source="array", method="sela", labels=str(table), epochs=15, options=options, device="cpu")
    report = label(settings, None, data=x)
    assert (report["labelling"].labels == truth).mean() > 0.95
    assert report["mass"] == "given labels"


def test_equal_shares_are_kept(signs):
    x, _ = signs(120)
    report = label(
        make_settings(source="array", clusters=4, method="sela", epochs=12, options={"heads": 2}, device="cpu"),
        None,
        data=x,
    )
    sizes = np.array(report["sizes"])
    assert sizes.min() > 20 and report["mass"] == "equal" and report["relaxation"] == 0
