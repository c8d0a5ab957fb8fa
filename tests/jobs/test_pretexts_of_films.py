"""Films that are clustered, or labelled, after a pretext has taught their encoders: real files through `label` and `predict`."""

import json
import signal

import numpy as np
import pytest

from selflabel.base.errors import UserError
from selflabel.base.settings import make_settings
from selflabel.encoders import make_clip_encoder
from selflabel.jobs.callbacks import Callbacks
from selflabel.jobs.label import as_published, label
from selflabel.jobs.predict import predict
from selflabel.runs.run import Run
from selflabel.training.loop import Interrupted, LoopCallbacks
from tests.films import bars, write_film, write_set
from tests.hf_text import save_text_model

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


def write_captions(folder, kinds):
    """Captions of films of two kinds."""
    for i, kind in enumerate(kinds):
        words = ("the bar walks across", "the bar falls down")[kind]
        text = f"WEBVTT\n\n00:00.000 --> 00:00.300\n{words}\n\n00:00.400 --> 00:05.000\nit {words}\n"
        (folder / f"{i:03d}.vtt").write_text(text)


@pytest.fixture(scope="module")
def with_captions(tmp_path_factory):
    """(a folder of nine films, of which the last two have no captions that can be read; the text encoder's name)."""
    pytest.importorskip("transformers")
    folder, model = tmp_path_factory.mktemp("captioned"), tmp_path_factory.mktemp("bert")
    write_captions(folder, write_set(folder, n=9, seconds=0.8))
    (folder / "007.vtt").write_text("these are notes")
    (folder / "008.vtt").unlink()
    save_text_model(model, ["the", "bar", "walks", "across", "falls", "down", "it"])
    return folder, f"hf:{model}"


def test_films_learn_from_what_is_said_in_them_and_a_stopped_run_ends_with_the_same_labels(with_captions, tmp_path):
    films, text = with_captions
    options = {"pretext": "milnce", "text": text}
    report, settings = labelled(films, tmp_path / "whole", None, options=options)
    assert list(report["modalities"]) == ["video"] and report["n_items"] == 9
    lines = [json.loads(line) for line in (tmp_path / "whole/metrics.jsonl").read_text().splitlines()]
    assert lines[0]["phase"] == "pretext" and lines[0]["loss"] > np.log(2)
    assert '007.vtt,"captions: does not begin with WEBVTT' in (tmp_path / "whole/skipped.csv").read_text()
    done = []
    stopping = Callbacks(loop=LoopCallbacks(on_epoch=done.append, should_stop=lambda: len(done) == 1))
    with pytest.raises(Interrupted):
        label(settings, tmp_path / "cut", callbacks=stopping)
    label(settings, tmp_path / "cut", resume=True)
    whole, cut = Run.open(tmp_path / "whole"), Run.open(tmp_path / "cut")
    assert np.array_equal(whole.features, cut.features)
    assert (tmp_path / "whole/labels.csv").read_bytes() == (tmp_path / "cut/labels.csv").read_bytes()
    assert predict(whole, str(films), "cpu").labels.tolist() == whole.labels["label"].to_pylist()
    record = tmp_path / "cut" / "run.toml"
    record.write_text(record.read_text().replace("text_dim = 16", f"text_dim = {10**12}"))
    with pytest.raises(UserError, match="says text_dim = 1000000000000, which no run has"):
        predict(Run.open(tmp_path / "cut"), str(films), "cpu")


def test_captions_that_are_missing_or_that_nothing_learns_from_are_refused(films, with_captions):
    _, text = with_captions
    with pytest.raises(UserError, match=r"none of its 9 items has captions for --set text; put a \.vtt or \.srt"):
        labelled(films, None, None, options={"pretext": "milnce", "text": text})
    with pytest.raises(UserError, match="captions are for pretext=milnce"):
        labelled(films, None, None, options={"text": text})
    with pytest.raises(UserError, match="name the folder of a model of text"):
        labelled(films, None, None, options={"pretext": "milnce", "text": "bert"})
