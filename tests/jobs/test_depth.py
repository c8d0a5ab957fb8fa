"""Runs over pictures that are not plain 8-bit and over sounds above the usual band: stored, predicted, shown."""

import numpy as np
import pytest
from PIL import Image

from selflabel import Run, label
from selflabel.base.settings import make_settings
from selflabel.jobs.callbacks import Callbacks
from selflabel.jobs.predict import predict
from tests.decode.test_scale import GREY, KINDS, files_of, same_kinds
from tests.decode.test_sound_levels import sine, wav


def labelled(source, folder, **settings):
    said = []
    label(
        make_settings(source=str(source), method="kmeans", device="cpu", **settings), folder, callbacks=Callbacks(say=said.append)
    )
    return Run.open(folder), said


@pytest.mark.slow
@pytest.mark.parametrize("name", ["12 bits", "mixed", "masks"])
def test_a_run_keeps_its_scale_and_predicts_with_it(name, tmp_path):
    times = {"12 bits": np.full(30, 16), "mixed": np.arange(30) // 3 % 2 * 15 + 1, "masks": np.ones(30)}[name]
    pictures = (GREY > 128).astype(np.uint8) if name == "masks" else (GREY * times[:, None, None]).astype(np.uint16)
    seen, unseen = files_of(tmp_path / "seen", pictures[:18], "png"), files_of(tmp_path / "unseen", pictures[18:], "png")
    run, said = labelled(seen, tmp_path / "run", clusters=3)
    record = run.modalities["image"]
    assert record["high"] > record["low"] and record.get("per_item", False) == (name == "mixed")
    assert sum("shown black" in text or "scaled by itself" in text for text in said) == 1
    labels = run.raw_labels["label"].to_pylist()
    assert same_kinds([*labels, *predict(run, str(unseen), "cpu").labels.tolist()], KINDS)
    sheet = np.asarray(Image.open(run.folder / "clusters.png").convert("L"))
    assert sheet.std() > 40


@pytest.mark.slow
def test_sounds_are_labelled_at_the_rate_that_was_asked_for(tmp_path):
    rng, kinds = np.random.default_rng(0), np.arange(12) % 2
    for folder in ("seen", "unseen"):
        (tmp_path / folder).mkdir()
        for i, kind in enumerate(kinds):
            call = sine((25_000, 40_000)[kind] * rng.uniform(0.98, 1.02), 1.0, 96_000) + rng.normal(0, 0.001, 96_000)
            wav(tmp_path / folder / f"{i:02d}.wav", call, 96_000)
    run, said = labelled(tmp_path / "seen", tmp_path / "run", clusters=2, rate=96_000)
    assert run.modalities["audio"]["rate"] == 96_000 and not any("left out" in text for text in said)
    labels = [*run.raw_labels["label"].to_pylist(), *predict(run, str(tmp_path / "unseen"), "cpu").labels.tolist()]
    assert same_kinds(labels, [*kinds, *kinds])
    with pytest.raises(Exception, match="rate = 10: must be at least 1000"):
        make_settings(source="x", rate=10)
