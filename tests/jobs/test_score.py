"""A finished run against truth: from a file, from folders, from the source; with edits and without."""

import numpy as np
import pytest

from selflabel.base.errors import UserError
from selflabel.edits import append, parse
from selflabel.jobs.score import groups_of, match_truth, plot_purity, probe_run, score_modalities, score_run
from tests.run_folders import write_run

PATHS = [f"{'cats' if i % 2 else 'dogs'}/{i:02d}.png" for i in range(20)]
LABELS = [i % 2 for i in range(20)]


@pytest.fixture
def run(tmp_path):
    return write_run(tmp_path / "run", tmp_path, PATHS, LABELS)


def test_truth_comes_from_folders_or_from_a_file(run, tmp_path):
    assert score_run(run, "folders")["accuracy"] == 1
    (tmp_path / "t.csv").write_text("path,label\n" + "".join(f"{p},{'x' if i < 10 else 'y'}\n" for i, p in enumerate(PATHS)))
    assert score_run(run, str(tmp_path / "t.csv"))["accuracy"] == 0.5
    assert score_run(run, None)["accuracy"] is None and score_run(run, None)["n_clusters"] == 2


def test_only_matched_items_that_are_not_rejected_count(run, tmp_path):
    (tmp_path / "t.csv").write_text("path,label\n" + "".join(f"{p},{p[:4]}\n" for p in PATHS[:6]))
    append(run.folder, parse({"do": "reject", "items": [0, 1]}))
    items = match_truth(run, str(tmp_path / "t.csv"))
    assert (
        items.paths == PATHS[2:6]
        and items.by_path[PATHS[2]] == "dogs"
        and len(match_truth(run, str(tmp_path / "t.csv"), raw=True).rows) == 6
    )
    append(run.folder, parse({"do": "reject", "items": list(range(20))}))
    with pytest.raises(UserError, match="every item is rejected"):
        match_truth(run, "folders")


def test_truth_that_does_not_fit_is_a_sentence(run, tmp_path):
    with pytest.raises(UserError, match="carried no truth"):
        match_truth(run, None)
    (tmp_path / "t.csv").write_text("path,label\nelsewhere.png,1\n")
    with pytest.raises(UserError, match=r"its first is elsewhere\.png"):
        match_truth(run, str(tmp_path / "t.csv"))


def test_groups_stay_in_one_fold_and_features_are_probed(run, tmp_path):
    rows = "".join(f"{p},{p[:4]},{i // 2}\n" for i, p in enumerate(PATHS))
    (tmp_path / "t.csv").write_text("path,label,group\n" + rows)
    assert groups_of(str(tmp_path / "t.csv"))[PATHS[3]] == "1" and groups_of("folders") is None
    assert probe_run(run, str(tmp_path / "t.csv"))["knn"] > 0.8


def test_a_run_of_one_modality_has_no_scores_by_modality(run):
    assert score_modalities(run, "folders") == {}


def test_purity_is_drawn(run, tmp_path):
    plot_purity(run, "folders", False, tmp_path / "p.png")
    assert (tmp_path / "p.png").stat().st_size > 5000 and np.isfinite(score_run(run, "folders")["mean_max_purity"])
