import pytest
import torch
import torch.nn.functional as F

from selflabel.assignment.neighbours import nearest
from selflabel.contract import Task
from selflabel.evaluation.metrics import accuracy
from selflabel.methods.label.sela_nn import Options, SeLaNN, candidates, numbers
from tests.assignment.test_spectral import uneven_blobs
from tests.methods.label.helpers import identity_encoders
from tests.methods.label.test_sela_nn import labelled


@pytest.fixture(scope="module")
def uneven():
    x, truth = uneven_blobs([260, 90, 40, 20], distance=5.0)
    return x, truth, nearest(x, 20).rows.int()


def test_the_judge_prefers_classes_to_labels_that_cut_or_merge_them(uneven):
    _, truth, rows = uneven
    true, walks = torch.from_numpy(truth), candidates.judge_walks(rows)
    cut = torch.where((true == 0) & (torch.arange(len(true)) % 2 == 0), 4, true)
    merged = true.clamp(max=2)
    merits = [candidates.labelling_merit(labels, walks, 5) for labels in (true, cut, merged, torch.zeros_like(true))]
    assert merits[0] > max(merits[1:3]) and merits[3] == 0


def test_a_label_without_items_gets_half_of_a_cluster_and_the_right_one(uneven):
    _, truth, rows = uneven
    lost = torch.from_numpy(truth).clamp(max=2)  # the two smallest classes are one label
    walks = candidates.judge_walks(rows)
    filled = candidates.fill_empty_labels(lost, walks, 4, lambda: candidates.graph_directions(rows, 4, 0))
    assert accuracy(truth, filled.numpy()) > 0.95
    assert torch.equal(candidates.fill_empty_labels(filled, walks, 4, pytest.fail), filled)  # nothing is computed for it


def test_the_consensus_is_reported_unless_another_labelling_is_clearly_better(uneven):
    _, truth, rows = uneven
    true = torch.from_numpy(truth)
    as_good, poor = (true + 1) % 4, torch.arange(len(true)) % 4
    assert torch.equal(candidates.best_labelling([true], [as_good], rows, 4, 0), as_good)
    assert torch.equal(candidates.best_labelling([true], [poor], rows, 4, 0), true)


def test_clearly_uneven_sizes_win_by_long_walks_and_equal_ones_do_not():
    x, truth = uneven_blobs([400, 60, 40, 30], distance=5.0)
    rows, true = nearest(x, 20).rows.int(), torch.from_numpy(truth)
    cut = torch.where(
        (true == 0) & (x[:, 1] > x[:, 1].median()), 3, true.clamp(max=2)
    )  # the large class cut, two small ones merged
    assert torch.equal(candidates.best_labelling([true], [cut], rows, 4, 0), true)
    joint = torch.diag(torch.tensor([0.7, 0.1, 0.1, 0.1])).double()
    assert candidates.entropy_share(joint) < candidates.UNEVEN < candidates.entropy_share(torch.eye(4).double() / 4)


def test_every_family_of_starts_finds_classes_of_uneven_sizes(uneven):
    x, truth, rows = uneven
    starts = candidates.start_labellings(F.normalize(x, dim=1), rows, candidates.graph_directions(rows, 4, 0), 0)
    assert len(starts) == candidates.N_STARTS
    assert min(accuracy(truth, labels.numpy()) for labels in starts) > 0.95


def test_items_beyond_those_that_are_linked_get_the_label_of_the_nearest(uneven, monkeypatch):
    x, truth, _ = uneven
    monkeypatch.setattr(candidates, "MOST_LINKED", 100)
    labels = candidates.linkage_labels(x.numpy(), 4, "ward").numpy()
    assert len(labels) == len(truth) and accuracy(truth, labels) > 0.95


def test_where_classes_are_not_separated_the_consensus_is_reported():
    x, truth = uneven_blobs([200, 100, 60, 40], distance=1.5)
    rows, true = nearest(x, 20).rows.int(), torch.from_numpy(truth)
    worse = torch.where(torch.arange(len(true)) % 5 == 0, (true + 1) % 4, true)
    walks = candidates.judge_walks(rows)
    assert candidates.kept_information(worse, walks, 4) < candidates.SEPARATED
    assert candidates.labelling_merit(true, walks, 4) > candidates.CLEARLY * candidates.labelling_merit(worse, walks, 4)
    assert torch.equal(candidates.best_labelling([true], [worse], rows, 4, 0), worse)


def test_the_consensus_mends_mistakes_that_labellings_make_in_different_places(uneven):
    x, truth, rows = uneven
    generator, labellings = torch.Generator().manual_seed(0), []
    for h in range(9):  # each cuts the large class elsewhere, and merges another two
        side = (x @ torch.randn(x.shape[1], generator=generator)) > 0
        merged = torch.from_numpy(truth).clone()
        merged[merged == 1 + h % 3] = 1 + (h + 1) % 3
        labellings.append(torch.where((merged == 0) & side, 1 + h % 3, merged))
    own = [accuracy(truth, labels.numpy()) for labels in labellings]
    assert accuracy(truth, candidates.consensus_labellings(labellings, rows, 4)[0].numpy()) > max(own)


def test_numbers_of_clusters_are_ranked_and_the_true_one_is_first():
    x, _ = uneven_blobs([120, 90, 70, 60, 40, 30], distance=5.0)
    ranked = numbers.rank_numbers_of_clusters(x, 0)
    assert ranked[0][0] == 6 and [m for _, m in ranked] == sorted((m for _, m in ranked), reverse=True)


def test_numbers_to_try_rise_and_end_where_clusters_would_be_tiny():
    for n in (16, 250, 3000, 100_000):
        tried = numbers.numbers_to_try(n)
        assert tried == sorted(set(tried)) and tried[0] == 2 and tried[-1] <= max(2, n // numbers.ITEMS_PER_LABEL)


def test_a_labelling_takes_the_place_of_the_most_similar_head_and_its_numbers():
    labels = torch.tensor([0, 0, 1, 1, 2, 2])
    head, matched = candidates.match_head(labels, [torch.tensor([0, 1, 2, 0, 1, 2]), torch.tensor([2, 2, 0, 0, 1, 0])], 3)
    assert head == 1 and matched.tolist() == [2, 2, 0, 0, 1, 1]


def test_a_head_is_fitted_in_place(uneven):
    x, truth, _ = uneven
    linear = torch.nn.Linear(4, 12)
    other = linear.weight[:4].detach().clone()
    candidates.fit_linear_head(linear.weight[4:8], linear.bias[4:8], x, torch.from_numpy(truth))
    assert accuracy(truth, linear(x)[:, 4:8].argmax(dim=1).numpy()) > 0.98
    assert torch.equal(linear.weight[:4], other)


def test_a_state_of_an_older_run_with_narrower_heads_is_loaded():
    task = Task(300, None, "features", 0, 4)
    old, new = (SeLaNN(task, Options()) for _ in range(2))
    for method in (old, new):
        method.build(identity_encoders(4))
    old.heads = torch.nn.ModuleDict({task.modality: old.make_heads(task.modality, [80] * len(old.head_sizes))})
    old.mass_HK, old.potentials_HK = old.mass_HK[:, :80], old.potentials_HK[:, :80]
    state = {name: value for name, value in old.state_dict().items() if name != "starts_SN"}
    new.mass_HK, new.potentials_HK = old.mass_HK.clone(), old.potentials_HK.clone()
    new.load_state_dict(state)
    assert torch.equal(new.heads[task.modality].linear.weight, old.heads[task.modality].linear.weight)


@pytest.mark.slow
def test_uneven_classes_are_labelled_and_predicted_and_their_number_is_found(uneven):
    x, truth, _ = uneven
    given, found = labelled(x.numpy(), 4), labelled(x.numpy())
    assert accuracy(truth, given["labelling"].labels) > 0.97
    assert found["n_clusters"] == 4 and found.report["number_of_clusters"]["candidates"][0][0] == 4
    assert accuracy(truth, found["labelling"].labels) > 0.97
