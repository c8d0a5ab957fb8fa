"""Items that are seen and heard: real films through the whole of `label`, `predict` and `score`."""

import json

import numpy as np
import pytest
import torch

from selflabel.assignment.alignment import hungarian
from selflabel.base.errors import UserError
from selflabel.base.settings import make_settings
from selflabel.contract import Batch, Features, Task
from selflabel.evaluation.metrics import accuracy
from selflabel.jobs.build import make_task
from selflabel.jobs.label import label
from selflabel.jobs.predict import predict
from selflabel.jobs.prepare import prepare
from selflabel.methods.label.selavi import Options, SeLaVi
from selflabel.runs.run import Run
from selflabel.training.distributed import Ranks
from tests.films import bars, write_film, write_set
from tests.methods.label.helpers import FeatureData, identity_encoders, views_of

rng = np.random.default_rng(1)


def labelled(folder, out, **given):
    settings = make_settings(source=str(folder), clusters=2, device="cpu", **given)
    return label(settings, out, overwrite=True)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["sela-nn", "selavi"])
def test_films_are_labelled_and_a_run_predicts_others(method, tmp_path):
    truth = write_set(tmp_path / "films", n=30)
    write_film(tmp_path / "films" / "mute.mp4", bars(12, 0, rng))
    (tmp_path / "films" / "bad.mp4").write_bytes(b"junk")
    options = {"heads": 3} if method == "sela-nn" else {"heads": 4, "solves": 10, "lr_scale": 2.0}
    report = labelled(tmp_path / "films", tmp_path / "run", method=method, epochs=10, options=options)
    assert report["n_items"] == 31 and report["n_skipped"] == 1 and report["encoder"] == "clip9, resnet9"
    run = Run.open(tmp_path / "run")
    labels = run.labels["label"].to_numpy()
    if method == "sela-nn":
        assert accuracy(truth, labels[:30]) > 0.9
    assert (tmp_path / "run" / "clusters.png").stat().st_size > 1000
    others = write_set(tmp_path / "others", n=12, seed=9)
    found = predict(run, str(tmp_path / "others"), "cpu")
    assert len(found.labels) == 12
    if method == "sela-nn":
        assert accuracy(others, found.labels) > 0.8
    assert json.loads((tmp_path / "run" / "report.json").read_text())["method"] == method


@pytest.mark.slow
@pytest.mark.parametrize("frozen", [False, True])
def test_a_pretrained_image_network_serves_films_frame_by_frame(frozen, tmp_path):
    import timm
    from safetensors.torch import save_file

    write_set(tmp_path / "films", n=8, seconds=0.6)
    net = timm.create_model("resnet10t", pretrained=False)
    save_file({k: v.contiguous() for k, v in net.state_dict().items()}, tmp_path / "w.safetensors")
    encoder = "frozen:timm:resnet10t" if frozen else "timm:resnet10t"
    given = {"encoder": encoder, "weights": str(tmp_path / "w.safetensors"), "modality": "video", "px": 32, "epochs": 2}
    report = labelled(tmp_path / "films", tmp_path / "run", options={"heads": 2}, **given)
    assert report["encoder"] == encoder and sum(report["sizes"]) == 8
    (tmp_path / "w.safetensors").unlink()
    assert len(predict(Run.open(tmp_path / "run"), str(tmp_path / "films"), "cpu").labels) == 8


@pytest.mark.slow
def test_each_modality_may_have_an_encoder_of_its_own(tmp_path):
    import timm
    from safetensors.torch import save_file

    write_set(tmp_path / "films", n=12, seconds=0.6)
    net = timm.create_model("resnet10t", pretrained=False)
    save_file({k: v.contiguous() for k, v in net.state_dict().items()}, tmp_path / "w.safetensors")
    given = {"encoder": "video=frozen:timm:resnet10t,audio=resnet18", "weights": f"video={tmp_path / 'w.safetensors'}", "px": 32}
    report = labelled(tmp_path / "films", tmp_path / "run", epochs=2, options={"heads": 2}, **given)
    assert report["encoder"] == "frozen:timm:resnet10t, resnet18"
    found = predict(Run.open(tmp_path / "run"), str(tmp_path / "films"), "cpu")
    assert len(found.labels) == 12
    report = labelled(tmp_path / "films", tmp_path / "run", encoder="r2plus1d", px=32, epochs=1, frames=4, fps=5, method="xdc")
    assert report["encoder"] == "r2plus1d, resnet9"  # a name alone is that of the picture
    assert len(predict(Run.open(tmp_path / "run"), str(tmp_path / "films"), "cpu").labels) == 12
    with pytest.raises(UserError, match="another one"):
        labelled(tmp_path / "films", tmp_path / "run", views="audio=photo", epochs=1)


def test_the_published_settings_are_those_of_the_paper(tmp_path):
    write_set(tmp_path / "films", n=4, seconds=1.2)
    settings = make_settings(source=str(tmp_path / "films"), clusters=2, method="selavi", preset="paper")
    cpu = torch.device("cpu")
    prepared = prepare(settings.source, cpu, max_modalities=2, preset="paper")
    encoders = {m: modality.encoder for m, modality in prepared.modalities.items()}
    assert encoders == {"video": "r2plus1d", "audio": "resnet9-wide"}
    data, rows = prepared.dataset(cpu, Ranks(), 0), torch.arange(4)
    assert data.view("video", rows, "selavi", 1).pixels.shape == (4, 3, 30, 112, 112)  # a second at 30 frames a second
    assert data.view("audio", rows, "sound", 1).pixels.shape[:3] == (4, 1, 257)
    phase = SeLaVi(make_task(settings, prepared, cpu), Options()).phases()[0]
    assert phase.epochs == 200 and len(phase.relabel_at) == 99 and phase.views["video"] == ("selavi", "selavi")


def test_one_modality_can_be_asked_for(tmp_path):
    write_set(tmp_path / "films", n=16, seconds=0.6)
    report = labelled(tmp_path / "films", tmp_path / "run", modality="audio", epochs=2, options={"heads": 2})
    assert report["encoder"] == "resnet9"


@pytest.mark.slow
@pytest.mark.parametrize("labels", ["joined", "apart"])
def test_the_papers_comparisons_label_films_and_predict_others(labels, tmp_path):
    write_set(tmp_path / "films", n=16, seconds=0.6)
    options = {"labels": labels, "heads": 2, "solves": 3}
    report = labelled(tmp_path / "films", tmp_path / "run", method="selavi", epochs=2, options=options)
    assert sum(report["sizes"]) == 16
    found = predict(Run.open(tmp_path / "run"), str(tmp_path / "films"), "cpu")
    assert len(found.labels) == 16


def made(n=200, k=4, d=8, seed=0):
    """A method on features whose audio heads know the labels in another order."""
    g = torch.Generator().manual_seed(seed)
    centres = torch.randn(k, d, generator=g) * 3
    of = torch.randint(0, k, (n,), generator=g)
    x = {m: centres[of] + 0.3 * torch.randn(n, d, generator=g) for m in ("video", "audio")}
    task = Task(n, k, "features", 0, 0, kinds={"video": "features", "audio": "features"})
    method = SeLaVi(task, Options(heads=1, groups=1))
    method.build(identity_encoders(d, x))
    order = torch.tensor([2, 0, 3, 1])
    with torch.no_grad():
        for m, rows in (("video", torch.arange(k)), ("audio", order)):
            method.heads[m].linear.weight.copy_(centres[rows])
            method.heads[m].linear.bias.copy_(-0.5 * centres[rows].square().sum(dim=1))
    return method, FeatureData(x), of


def both(data):
    return Features(data.by_modality, data.present)


@torch.no_grad()
def test_alignment_finds_the_permutation_and_the_joint_kernel_is_the_product_of_posteriors():
    method, data, _ = made()
    method.align(both(data), ["video", "audio"], [0])
    (wv, bv), (wa, ba) = (method.heads[m].weight_and_bias(0) for m in ("video", "audio"))
    assert torch.allclose(wv, wa) and torch.allclose(bv, ba)
    joint = method.joint_scores(both(data), method.branches, [0])[0]
    logs = [torch.log_softmax(method.heads[m](x)[0], dim=1) for m, x in data.by_modality.items()]
    assert torch.allclose(torch.softmax(20 * joint, 1), torch.softmax(10 * (logs[0] + logs[1]), 1), atol=1e-4)
    data.present["audio"][:50] = False
    video_only = method.joint_scores(both(data), method.branches, [0])[0][:50]
    assert torch.allclose(torch.softmax(video_only, 1), logs[0][:50].exp(), atol=1e-5)  # an absent sound adds nothing


@pytest.mark.parametrize("informative", ["video", "audio"])
def test_the_modality_whose_neighbours_share_the_labels_leads(informative):
    from selflabel.methods.label.sela_nn import Options as Own
    from selflabel.methods.label.sela_nn import SeLaNN

    _, data, of = made()
    other = "audio" if informative == "video" else "video"
    data.by_modality[other] = torch.randn(200, 8, generator=torch.Generator().manual_seed(1))
    data.present["audio"][:30] = False
    method = SeLaNN(Task(200, 4, "features", 0, 0, kinds={"video": "features", "audio": "features"}), Own(heads=2))
    method.build(identity_encoders(8, data.by_modality))
    method.labels_HN[:] = of.int()
    assert method.leading_modality(both(data)) == informative


@torch.no_grad()
def test_heads_are_aligned_again_only_if_agreement_rises():
    method, data, of = made()
    method.align(both(data), ["video", "audio"], [0])
    method.turn = 5
    weight = method.heads["audio"].weight_and_bias(0)[0]
    right = weight.clone()
    weight[[0, 1]] = weight[[1, 0]]
    method.align(both(data), ["video", "audio"], [0])  # half of the items disagree
    assert torch.allclose(weight, right)
    four = (of < 2).nonzero()[:4, 0]  # of the items with sound only four have the two labels that change places
    data.present["audio"] = (of >= 2).index_fill(0, four, True)
    weight[[0, 1]] = weight[[1, 0]]
    changed = weight.clone()
    method.align(both(data), ["video", "audio"], [0])
    assert torch.equal(weight, changed)
    method.turn = 0
    method.align(both(data), ["video", "audio"], [0])
    assert torch.allclose(weight, right)


def test_an_absent_modality_adds_nothing_to_the_loss():
    method, data, _ = made()
    rows = torch.arange(20)[:, None]
    has = {"video": torch.ones(20, dtype=torch.bool), "audio": torch.arange(20) < 10}
    views = views_of(**{m: [x[:20].clone()] for m, x in data.by_modality.items()})
    before = method.loss(Batch(rows, views, 0.0, has))["label"]
    views["audio"][0].pixels[10:] = 1e3
    assert torch.equal(method.loss(Batch(rows, views, 0.0, has))["label"], before)


@torch.no_grad()
def test_sizes_follow_the_asked_gaussian_and_the_hungarian_is_exact():
    method, data, _ = made(n=400, k=4)
    method.relabel(data, torch.Generator().manual_seed(0))
    sizes = torch.bincount(method.labels_HN[0].long(), minlength=4)
    assert sizes.min() > 60 and len(set(sizes.tolist())) > 1
    counts = rng.random((6, 6))
    from itertools import permutations

    best = max(sum(counts[i, p[i]] for i in range(6)) for p in permutations(range(6)))
    rows, columns = hungarian(counts)
    assert counts[rows, columns].sum() == pytest.approx(best)
