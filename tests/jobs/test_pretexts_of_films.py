"""Films that are clustered, or labelled, after a pretext has taught their encoders: real files through `label` and `predict`."""

import json
import signal

import numpy as np
import pytest

from selflabel.base.errors import UserError
from selflabel.base.settings import make_settings
from selflabel.encoders import make_clip_encoder
from selflabel.jobs.label import as_published, label
from selflabel.jobs.predict import predict
from selflabel.runs.run import Run
from tests.films import bars, write_film, write_set

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    """Nine films of two kinds, one of them mute."""
    folder = tmp_path_factory.mktemp("films")
    write_set(folder, n=8, seconds=0.8)
    write_film(folder / "mute.mp4", bars(8, 0, np.random.default_rng(1)))
    return folder


def labelled(films, out, pretext, data=None, **given):
    common = {"clusters": 2, "method": "kmeans", "epochs": 3, "px": 32, "encoder": "scratch", "device": "cpu"}
    settings = make_settings(**common | {"source": str(films), "options": {"pretext": pretext}} | given)
    return label(settings, out, data=data), settings


@pytest.mark.parametrize(("pretext", "modalities"), [("dpc", ["video"]), ("milnce", ["video", "audio"])])
def test_a_run_killed_within_a_pretext_resumes_to_the_same_labels_and_serves_as_an_encoder(
    pretext, modalities, films, tmp_path, fork_server
):
    report, settings = labelled(films, tmp_path / "whole", pretext)
    assert list(report["modalities"]) == modalities and report["n_items"] == 9 and report["epochs"] == 3
    given = {k: getattr(settings, k) for k in ("source", "clusters", "method", "epochs", "px", "encoder", "device", "options")}
    killed = fork_server.run(json.dumps(given), tmp_path / "cut", 2, module="tests.methods.killed")
    assert killed.returncode == -signal.SIGKILL and not (tmp_path / "cut" / "report.json").exists()
    label(settings, tmp_path / "cut", resume=True)
    whole, cut = Run.open(tmp_path / "whole"), Run.open(tmp_path / "cut")
    assert np.array_equal(whole.features, cut.features)
    assert (tmp_path / "whole/labels.csv").read_bytes() == (tmp_path / "cut/labels.csv").read_bytes()
    assert predict(whole, str(films), "cpu").labels.tolist() == whole.labels["label"].to_pylist()

    encoder = {"encoder": "video=frozen:clip9", "weights": f"video={tmp_path / 'whole'}", "modality": "video", "options": {}}
    labelled(films, tmp_path / "next", None, **encoder)
    dim = make_clip_encoder("clip9", 32, 8).dim
    frozen, learned = Run.open(tmp_path / "next").features, whole.features[:, :dim]
    centred = learned - learned.mean(axis=0)
    assert np.allclose(frozen, centred / np.linalg.norm(centred, axis=1).mean(), atol=0.02)


@pytest.mark.parametrize("method", ["spectral", "sela-nn"])
def test_methods_of_both_modalities_begin_with_milnce(method, films, tmp_path):
    heads = {"heads": 2} if method == "sela-nn" else {}
    report, _ = labelled(films, tmp_path / "run", "milnce", method=method, options={"pretext": "milnce", **heads})
    run = Run.open(tmp_path / "run")
    assert report["encoder"] == "clip9, resnet9" and set(run.labels["label"].to_pylist()) <= {0, 1}
    lines = [json.loads(line) for line in (tmp_path / "run/metrics.jsonl").read_text().splitlines()]
    assert lines[0]["phase"] == "pretext" and lines[0]["loss"] > np.log(2)
    assert (run.labels_by_modality["audio"] >= 0).tolist() == [True] * 8 + [False]  # the last one is mute


def test_pretexts_refuse_items_that_they_cannot_learn_from(films, signs):
    with pytest.raises(UserError, match="no films; use simclr or moco"):
        labelled("array", None, "dpc", data=signs(8)[0])
    with pytest.raises(UserError, match="these items have video only"):
        labelled(films, None, "milnce", modality="video")
    with pytest.raises(UserError, match="pretext = 'milnce'"):
        labelled(films, None, "milnce", method="scan")


def test_the_paper_preset_shows_films_as_the_pretexts_paper_does_unless_something_is_named():
    def shown(pretext, **given):
        s = as_published(make_settings(source="films", method="kmeans", options={"pretext": pretext}, **given))
        return s.encoder, s.px, s.frames, s.fps

    assert shown("dpc", preset="paper") == ("video=resnet18-2d3d", 128, 40, 10)
    assert shown("milnce", preset="paper") == ("video=s3dg", 200, 32, 10)
    assert shown("dpc", preset="paper", encoder="clip9", px=64, frames=8) == ("clip9", 64, 8, 10)
    assert shown("dpc") == ("auto", None, None, None) and shown("simclr", preset="paper") == ("auto", None, None, None)
