import pytest
import torch

from selflabel.contract import Features
from selflabel.evaluation.metrics import accuracy
from selflabel.methods.label.sela_nn import final_labels, heads, posteriors
from tests.assignment.test_spectral import uneven_blobs
from tests.methods.label.test_sela_nn import labelled


@pytest.mark.slow
def test_a_large_set_is_labelled_as_a_small_one(monkeypatch):
    x, truth = uneven_blobs([260, 200, 150, 90])
    monkeypatch.setattr(heads, "LARGE_SET", 300)
    monkeypatch.setattr(heads, "LARGE_POSTERIORS", 0)
    monkeypatch.setattr(final_labels, "FIT_ROWS", 300)
    monkeypatch.setattr(final_labels, "FIT_ITEMS", 20)
    done = labelled(x.numpy(), 4, epochs=5)
    assert accuracy(truth, done.labelling.labels) > 0.97
    model = done.method
    assert model.is_large
    features = Features({"image": model.encoders["image"](x)})
    assert accuracy(truth, model.predict(features).log_probs[done["head"]].argmax(dim=1).numpy()) > 0.97  # fitted to a sample
    each = model.posteriors(features)[:2]
    every = model.joint_log_probs(features)
    assert len(each) == 2
    for head, own in enumerate(each):
        assert torch.allclose(own.float(), every[head].exp(), atol=2e-3)


def test_blocks_of_rows_are_the_whole(monkeypatch):
    monkeypatch.setattr(posteriors, "BLOCK", 3)
    rows, labels = torch.rand(8, 4).softmax(dim=1), torch.arange(8) % 4
    found = posteriors.in_blocks(posteriors.towards_labels, rows, labels)
    assert torch.equal(found, ((rows + torch.eye(4)[labels]) / 2).half())
