import time

import pytest

from selflabel.encoders import hub
from selflabel.encoders.hub import ANSWER_S, NoHub, NotOnHub, cached_file, hub_file, sha256_of
from tests.hub import asking, served, silent


def test_a_file_of_the_hub_is_fetched_once_with_its_progress_and_then_taken_from_the_disk(tmp_path, monkeypatch):
    (tmp_path / "hub/some/model").mkdir(parents=True)
    (tmp_path / "hub/some/model/model.safetensors").write_bytes(b"x" * 3_000_000)
    seen = []
    with served(monkeypatch, tmp_path / "hub", tmp_path / "cache") as requests:
        names = ("better.safetensors", "model.safetensors")
        file = hub_file("some/model", names, lambda *done: seen.append(done))
        assert file.stat().st_size == 3_000_000 and seen[-1] == ("downloading some/model (MB)", 3, 3)
        n = len(requests)
        assert hub_file("some/model", names) == file == cached_file("some/model", "model.safetensors") and len(requests) == n
        with pytest.raises(NotOnHub, match="no file other"):
            hub_file("some/model", ("other",))
        with pytest.raises(NotOnHub, match="has no some/thing"):
            hub_file("some/thing", ("model.safetensors",))
    assert sha256_of(file) == sha256_of(tmp_path / "hub/some/model/model.safetensors") != sha256_of(file, file)


def test_a_hub_that_never_answers_is_given_up_within_seconds_and_asked_once(tmp_path, monkeypatch):
    assert ANSWER_S < 5
    monkeypatch.setattr(hub, "ANSWER_S", 0.5)
    with silent(monkeypatch, tmp_path):
        began = time.monotonic()
        for _ in range(3):
            with pytest.raises(NoHub, match="does not answer"):
                hub_file("some/model", ("model.safetensors",))
        assert time.monotonic() - began < 2


def test_a_hub_that_is_switched_off_or_not_there_is_not_waited_for(tmp_path, monkeypatch):
    began = time.monotonic()
    with pytest.raises(NoHub, match="HF_HUB_OFFLINE"):
        hub_file("some/model", ("model.safetensors",))
    with asking(monkeypatch, "http://127.0.0.1:9", tmp_path), pytest.raises(NoHub, match="cannot be reached"):  # nobody listens
        hub_file("some/model", ("model.safetensors",))
    with pytest.raises(NoHub, match="nothing is fetched"):
        hub_file("some/model", ("model.safetensors",), fetch=False)
    assert time.monotonic() - began < ANSWER_S
