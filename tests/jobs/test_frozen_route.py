"""A fixed timm backbone, its weights from a file: features computed once, kept, and carried in the run for predict."""

import json

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import save_file


@pytest.mark.slow
def test_a_frozen_backbone_labels_photographs_and_predict_needs_no_weights_file(selflabel, tmp_path):
    torch.manual_seed(0)
    save_file(timm.create_model("resnet10t", pretrained=False).state_dict(), tmp_path / "w.safetensors")
    rng = np.random.default_rng(0)
    folder = tmp_path / "photos"
    folder.mkdir()
    for i in range(60):
        picture = rng.integers(0, 90, (40, 48, 3))
        picture[..., i % 2] += 150
        Image.fromarray(picture.astype(np.uint8)).save(folder / f"{i:02d}.jpg")
    words = ["label", folder, "-k", 2, "--encoder", "frozen:timm:resnet10t", "--weights", tmp_path / "w.safetensors"]
    words += ["--set", "px=64", "--cache", tmp_path / "cache", "--epochs", 5, "--json"]
    first = selflabel(*words, "--out", tmp_path / "a")
    assert first.returncode == 0, first.stderr
    report = json.loads(first.stdout)
    assert report["encoder"] == "frozen:timm:resnet10t"
    features = list((tmp_path / "cache").glob("*/features-*.npy"))
    assert len(features) == 1
    stamp = features[0].stat().st_mtime_ns
    assert selflabel(*words, "--out", tmp_path / "b").returncode == 0
    assert features[0].stat().st_mtime_ns == stamp  # the second run computed nothing anew
    assert (tmp_path / "a/labels.csv").read_bytes() == (tmp_path / "b/labels.csv").read_bytes()
    (tmp_path / "w.safetensors").unlink()
    done = selflabel("predict", tmp_path / "a", folder, "--cache", tmp_path / "cache")
    assert done.returncode == 0, done.stderr
    labelled = (tmp_path / "a/labels.csv").read_text().splitlines()[1:]
    predicted = done.stdout.splitlines()[1:]
    assert np.mean([g.split(",")[2] == t.split(",")[1] for g, t in zip(labelled, predicted)]) > 0.9


@pytest.mark.slow
def test_weights_that_cannot_be_fetched_are_one_sentence(selflabel, sign_folder, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    done = selflabel("label", sign_folder, "-k", 2, "--encoder", "frozen:timm:resnet18.a1_in1k", "--out", tmp_path / "r")
    assert done.returncode == 2 and "--weights" in done.stderr and "Traceback" not in done.stderr
