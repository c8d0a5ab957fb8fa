"""The user's path and every bad input, through the command line in a process of its own."""

import csv
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

from selflabel.base.files import temporary_prefix
from selflabel.evaluation.metrics import score
from selflabel.methods import METHODS
from tests.decode.test_image import bomb

RUN_FILES = [
    "run.toml", "labels.csv", "labels.parquet", "top.parquet", "features.npy", "neighbours.npy", "model.safetensors",
    "report.json", "clusters.png", "metrics.jsonl", "skipped.csv", "checkpoint/last.safetensors",
]  # fmt: skip


ENDLESS = 1_000_000  # epochs of a run that a test stops


def fails(done, *words):
    assert done.returncode == 2, (done.stdout, done.stderr)
    assert "Traceback" not in done.stderr and len(done.stderr.strip().splitlines()) == 1
    for word in words:
        assert word in done.stderr, done.stderr


@pytest.mark.slow
def test_label_predict_and_score_a_folder_with_bad_files_in_it(selflabel, sign_folder, tmp_path):
    whole = (sign_folder / "0000.png").read_bytes()
    bad = {"cut.png": whole[: len(whole) // 2], "empty.jpg": b"", "text.jpg": b"hello", "bomb.png": bomb()}
    (sign_folder / "sub").mkdir()
    for name, data in bad.items():
        (sign_folder / "sub" / name).write_bytes(data)
    run = tmp_path / "run"
    done = selflabel("label", sign_folder, "-k", 2, "--epochs", 40, "--out", run)
    assert done.returncode == 0, done.stderr
    for words in ("head agreement", "median", "est. accuracy", "selflabel score", str(run), "4 skipped"):
        assert words in done.stdout
    assert all((run / name).exists() for name in RUN_FILES)
    skipped = list(csv.DictReader((run / "skipped.csv").open()))
    assert sorted(r["path"] for r in skipped) == sorted(f"sub/{n}" for n in bad)
    assert all(r["reason"] for r in skipped)
    rows = list(csv.DictReader((run / "labels.csv").open()))
    assert [r["id"] for r in rows] == [str(i) for i in range(120)] and list(rows[0]) == ["id", "path", "label", "confidence"]
    assert Image.open(run / "clusters.png").size[0] > 400
    scored = json.loads(selflabel("score", run, "--truth", tmp_path / "truth.csv", "--json").stdout)
    assert list(scored) == list(score(None, []))
    assert scored["accuracy"] > 0.95
    assert json.loads(selflabel("score", run, "--json").stdout)["accuracy"] is None
    fails(selflabel("score", run, "--truth", "folders"), "lie in one folder", "--truth FILE.csv")
    done = selflabel("predict", run, sign_folder, "--out", tmp_path / "new.csv")
    assert done.returncode == 0 and f"4 skipped, see {tmp_path / 'new-skipped.csv'}" in done.stderr
    assert len(done.stderr.splitlines()) < 5 and (tmp_path / "new-skipped.csv").read_text().count("sub/") == 4
    new = {r["path"]: r["label"] for r in csv.DictReader((tmp_path / "new.csv").open())}
    assert np.mean([new[r["path"]] == r["label"] for r in rows]) > 0.85


@pytest.mark.slow
def test_two_processes_never_label_into_one_folder(here, sign_folder, tmp_path):
    """Who holds it holds it until it ends, killed or not; nobody leaves an empty folder behind."""
    run, words = tmp_path / "run", ["label", sign_folder, "-k", 2, "--out", tmp_path / "run"]
    first = subprocess.Popen(
        [sys.executable, "-m", "selflabel.cli", *map(str, words), "--epochs", str(ENDLESS)], stderr=subprocess.DEVNULL
    )
    while not (run / "run.toml").exists():
        time.sleep(0.1)
    fails(here(*words, "--epochs", ENDLESS, "--resume"), "another process is labelling into it", "--out")
    first.kill()
    first.wait()
    assert here(*words, "--epochs", 1, "--overwrite").returncode == 0
    assert here("label", tmp_path / "missing", "-k", 2, "--out", tmp_path / "never").returncode == 2
    assert not (tmp_path / "never").exists()
    (tmp_path / "file").write_text("")
    fails(here("label", sign_folder, "-k", 2, "--out", tmp_path / "file" / "run"), "cannot be made", "--out")


@pytest.mark.slow
def test_a_run_is_never_mixed_with_another(here, sign_folder, tmp_path):
    run = tmp_path / "run"
    words = ["label", sign_folder, "-k", 2, "--epochs", 2, "--out", run]
    assert here(*words).returncode == 0
    fails(here(*words), "finished run", "--resume", "--overwrite")
    first = (run / "labels.csv").read_bytes()
    assert "nothing to do" in here(*words, "--resume").stderr
    fails(here(*words, "--resume", "--seed", 4), "other settings", "seed: 0, now 4")
    assert here(*words, "--overwrite").returncode == 0
    assert (run / "labels.csv").read_bytes() == first
    other = tmp_path / "other"
    other.mkdir()
    (other / "precious.txt").write_text("mine")
    fails(here("label", sign_folder, "-k", 2, "--out", other), "other things")
    fails(here("label", sign_folder, "-k", 2, "--out", other, "--overwrite"), "only replaces a run folder")
    assert (other / "precious.txt").exists()


SIGNALLED = """
import os
from selflabel.cli import main
from selflabel.cli.terminal import Terminal

steps, on_step = [], Terminal.on_step

def signal_at_step_40(self, *news):
    on_step(self, *news)
    steps.append(1)
    if len(steps) == 40:
        os.kill(os.getpid(), {number})

Terminal.on_step = signal_at_step_40
main()
"""


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_and_the_run_continues_later(sign_folder, tmp_path, number):
    """The process sends the signal to itself at a step of the training, so that no test has to be quicker than it."""
    run, script = tmp_path / "run", tmp_path / "signalled.py"
    script.write_text(SIGNALLED.format(number=int(number)))
    words = ["label", str(sign_folder), "-k", "2", "--epochs", "30", "--out", str(run)]
    stopped = subprocess.run([sys.executable, str(script), *words], capture_output=True, text=True, timeout=120)
    assert stopped.returncode == 130 and "--resume" in stopped.stderr and "Traceback" not in stopped.stderr
    assert "self-label: 30 epochs" in stopped.stderr and (run / "skipped.csv").exists()
    done = len((run / "metrics.jsonl").read_text().splitlines())
    assert 0 < done < 30
    finished = subprocess.run([sys.executable, "-m", "selflabel.cli", *words, "--resume"], capture_output=True, timeout=120)
    assert finished.returncode == 0
    assert len((run / "metrics.jsonl").read_text().splitlines()) == 30


def test_every_wrong_word_is_one_sentence_and_exit_code_two(here, sign_folder, tmp_path):
    nothing = tmp_path / "nothing"
    nothing.mkdir()
    fails(here("label", nothing, "-k", 2), "no images")
    (nothing / "a.jpg").write_text("no image")
    fails(here("label", nothing, "--out", tmp_path / "r0"), "none of its 1 items can be decoded")
    out = ["--out", tmp_path / "r1"]
    fails(here("label", tmp_path / "gone", "-k", 2), "gone")
    fails(here("label", sign_folder, "-k", 2, "--method", "magic", *out), "magic", "sela-nn")
    fails(here("label", sign_folder, "-k", 2, "--method", "kmean", *out), "did you mean kmeans?")
    fails(here("label", sign_folder, "-k", 2, "--encoder", "magic", *out), "magic", "conv4")
    fails(here("label", sign_folder, "-k", 2, "--encoder", "resnet19", *out), "did you mean resnet")
    fails(here("label", sign_folder, "-k", 2, "--encoder", "frozen:resnet19", *out), "there is none of that name")
    fails(here("label", sign_folder, "-k", 2, "--views", "magic", *out), "magic", "glyph")
    fails(here("label", sign_folder, "-k", 2, "--views", "glyf", *out), "did you mean glyph?")
    fails(here("label", sign_folder, "-k", 0, *out), "clusters = 0")
    fails(here("label", sign_folder, "-k", -3, *out), "clusters = -3")
    fails(here("label", sign_folder, "-k", 1, *out), "one cluster holds everything")
    fails(here("compare", sign_folder, "-k", 1, "--methods", "kmeans", *out), "one cluster holds everything")
    fails(here("label", sign_folder, "-k", "many", *out), "'-k'", "integer")
    fails(here("label", sign_folder, "--cluster", 3, *out), "--cluster")
    fails(here("lable", sign_folder), "lable")
    fails(here("label", "-k", 3), "SOURCE is missing")
    fails(here("score"), "run")
    fails(here("label", sign_folder, "-k", 999, *out), "only 120 items")
    fails(here("label", sign_folder, "-k", 2, "--mass", "heavy", *out), "mass", "uniform")
    fails(here("label", sign_folder, "-k", 2, "--set", "epsilom=1", *out), "sela-nn has no such option", "did you mean epsilon?")
    fails(here("label", sign_folder, "-k", 2, "--set", "heads=none", *out), "heads = 'none'")
    fails(here("label", sign_folder, "-k", 2, "--set", "epsilon", *out), "key=value")
    fails(here("label", sign_folder, "-k", 2, "--config", tmp_path / "no.toml", *out), "no.toml")
    fails(here("label", sign_folder, "-k", 2, "--device", "tpu", *out), "tpu")
    fails(here("label", sign_folder, "-k", 2, "--labels", tmp_path / "no.csv", *out), "no.csv")
    fails(here("label", sign_folder, "--encoder", "frozen", "-k", 2, *out), "frozen")
    fails(here("score", tmp_path), "holds no run")
    fails(here("predict", tmp_path, sign_folder), "holds no run")
    assert not (tmp_path / "r0").exists() and not (tmp_path / "r1").exists()  # what failed at once leaves no folder


def test_settings_come_from_a_file_and_from_words(here, sign_folder, tmp_path):
    (tmp_path / "s.toml").write_text("clusters = 2\nepochs = 2\n[options]\nheads = 3\n")
    done = here("label", sign_folder, "--config", tmp_path / "s.toml", "--set", "smooth=1", "--out", tmp_path / "r", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["n_clusters"] == 2
    text = (tmp_path / "r/run.toml").read_text()
    assert "heads = 3" in text and "smooth = 1" in text


@pytest.mark.slow
def test_help_waits_for_no_heavy_import():
    """Torch takes seconds to import, numpy and scikit-learn tenths of one."""
    code = "import sys; sys.argv = ['selflabel', {words}]; from selflabel.cli import app; app(standalone_mode=False)"
    heavy = "; assert not {'torch', 'numpy', 'sklearn', 'pyarrow', 'PIL'} & set(sys.modules)"
    for words in ("'--help'", "'label', '--help'", "'export', '--help'"):
        done = subprocess.run([sys.executable, "-c", code.format(words=words) + heavy], capture_output=True, text=True)
        assert done.returncode == 0 and "Usage" in done.stdout, done.stderr


def test_what_there_is_can_be_listed(here, tmp_path):
    assert all(name in here("methods").stdout for name in METHODS)
    assert "timm:NAME" in here("encoders").stdout
    assert "0 sets" in here("cache", "--cache", tmp_path).stdout
    assert "freed" in here("cache", "--cache", tmp_path, "--clear").stdout


def test_a_wrong_configuration_names_the_file_and_the_key(here, tmp_path):
    np.save(tmp_path / "x.npy", np.eye(12, 4, dtype=np.float32))
    words = ["label", tmp_path / "x.npy", "--out", tmp_path / "r", "--config", tmp_path / "s.toml"]
    for text, found in {
        "clustres = 3": ["line 1", "clustres", "did you mean clusters?"],
        "seed = 1\nclusters = 'three'": ["line 2", "clusters = 'three'"],
        "method = 'kmean'": ["line 1", "kmean", "did you mean kmeans?"],
        "[options]\nheads = 'many'": ["line 2", "heads = 'many'"],
        "clusters = 3\nmethod = 'kmeans'\nheads = 3": ["line 3", "heads is no setting and no option of kmeans"],
        "clusters = ": ["cannot be read as TOML"],
    }.items():
        (tmp_path / "s.toml").write_text(text)
        fails(here(*words), "s.toml", *found)


def test_the_record_of_a_run_makes_the_same_run_again(here, tmp_path):
    np.save(tmp_path / "x.npy", np.random.default_rng(0).normal(size=(40, 4)).astype(np.float32))
    first, again, other = (tmp_path / name for name in ("first", "again", "other"))
    made = here("label", tmp_path / "x.npy", "-k", 2, "--epochs", 1, "--set", "heads=2", "--seed", 5, "--out", first)
    assert made.returncode == 0, made.stderr
    assert here("label", "--config", first / "run.toml", "--out", again).returncode == 0  # even the source is in it
    assert (first / "labels.csv").read_bytes() == (again / "labels.csv").read_bytes()
    assert "nothing to do" in here("label", "--config", again / "run.toml", "--out", again, "--resume").stderr
    np.save(tmp_path / "y.npy", np.random.default_rng(1).normal(size=(30, 4)).astype(np.float32))
    assert here("label", tmp_path / "y.npy", "--config", first / "run.toml", "--out", other).returncode == 0
    assert len((other / "labels.csv").read_text().splitlines()) == 31


def test_predictions_and_versions_are_for_machines_too(here, tmp_path):
    import selflabel

    assert here("--version").stdout == f"selflabel {selflabel.__version__}\n"
    x = np.random.default_rng(0).normal(size=(40, 4)).astype(np.float32)
    np.save(tmp_path / "x.npy", x)
    assert here("label", tmp_path / "x.npy", "-k", 2, "--epochs", 1, "--out", tmp_path / "run").returncode == 0
    done = here("predict", tmp_path / "run", tmp_path / "x.npy", "--json", "--out", tmp_path / "p.csv")
    printed = json.loads(done.stdout)
    rows = list(csv.DictReader((tmp_path / "p.csv").open()))
    assert printed["skipped"] == [] and [str(i["label"]) for i in printed["items"]] == [r["label"] for r in rows]
    assert set(printed["items"][0]) == {"path", "label", "confidence", "name", "outlier"}


@pytest.mark.parametrize("K", [2, 5])
def test_equal_items_are_one_cluster_and_no_success(here, tmp_path, K):
    np.save(tmp_path / "x.npy", np.ones((60, 8), np.float32))
    done = here("label", tmp_path / "x.npy", "-k", K, "--epochs", 2, "--out", tmp_path / "run")
    assert (
        done.returncode == 0
        and f"clusters found: 1 of {K}" in done.stdout
        and "est. accuracy:  cannot be estimated, because" in done.stdout
    )
    assert "The features of all items are equal" in done.stdout and "collapse" not in done.stderr
    report = json.loads((tmp_path / "run" / "report.json").read_text())
    assert report["n_clusters"] == 1 and report["clusters_requested"] == K and report["collapsed"]
    assert report["estimated_accuracy"] is None and report["no_estimate"]


def test_what_a_kill_left_in_a_run_goes_at_the_next_start(here, tmp_path):
    np.save(tmp_path / "x.npy", np.random.default_rng(0).normal(size=(40, 4)).astype(np.float32))
    words = ["label", tmp_path / "x.npy", "-k", 2, "--epochs", 1, "--out", tmp_path / "run"]
    assert here(*words).returncode == 0
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    stem = temporary_prefix("labels").replace(f"-{os.getpid()}-", f"-{ended.pid}-")
    old, new = tmp_path / "run/checkpoint/.last.abcdefgh.safetensors", tmp_path / f"run/{stem}abcdefgh.parquet"
    for next_start in (["score", tmp_path / "run"], ["export", tmp_path / "run", "--to", "csv", "--overwrite"]):
        new.write_text("half")
        assert here(*next_start).returncode == 0 and not new.exists()
    for how in ("--resume", "--overwrite"):
        new.write_text("half")
        old.write_text("half")
        assert here(*words, how).returncode == 0 and not new.exists() and not old.exists()
