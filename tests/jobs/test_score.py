"""A finished run against truth: from a file, from folders, from the source; with edits and without."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
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
        and items.by_row[2] == "dogs"
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
    assert groups_of(run, str(tmp_path / "t.csv"))[3] == "1" and groups_of(run, "folders") is None
    assert probe_run(run, str(tmp_path / "t.csv"))["knn"] > 0.8


def test_a_run_of_one_modality_has_no_scores_by_modality(run):
    assert score_modalities(run, "folders") == {}


def test_purity_is_drawn(run, tmp_path):
    plot_purity(run, "folders", False, tmp_path / "p.png")
    assert (tmp_path / "p.png").stat().st_size > 5000 and np.isfinite(score_run(run, "folders")["mean_max_purity"])


EMPTY = ["", "  ", "NaN", "null", None]


@pytest.mark.parametrize("empty", EMPTY)
@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_an_item_without_a_class_does_not_count(run, tmp_path, empty, ending):
    """A perfect labelling of half-labelled items is perfect."""
    rows = [{"path": p, "label": p[:4] if i < 11 else empty} for i, p in enumerate(PATHS)]
    file = tmp_path / f"t.{ending}"
    if ending == "csv":
        file.write_text("path,label\n" + "".join(f"{r['path']},{r['label'] or ''}\n" for r in rows))
    elif ending == "jsonl":
        file.write_text("".join(json.dumps(r) + "\n" for r in rows))
    else:
        pq.write_table(pa.Table.from_pylist(rows), file)
    scores = score_run(run, str(file))
    assert scores["accuracy"] == 1.0 and scores["n_items"] == 11 and scores["n_without_truth"] == 9
    assert match_truth(run, str(file)).paths == PATHS[:11]


def test_a_missing_number_is_no_class(run, tmp_path):
    table = pa.table({"path": PATHS, "label": [float(i % 2) if i < 4 else float("nan") for i in range(20)]})
    pq.write_table(table, tmp_path / "t.parquet")
    assert score_run(run, str(tmp_path / "t.parquet"))["n_items"] == 4


def test_truth_that_says_nothing_is_refused(run, tmp_path):
    (tmp_path / "t.csv").write_text("path,label\n" + "".join(f"{p},\n" for p in PATHS))
    with pytest.raises(UserError, match=r"t\.csv: has a class for none of its items"):
        match_truth(run, str(tmp_path / "t.csv"))
    flat = write_run(tmp_path / "flat", tmp_path, [Path(p).name for p in PATHS], LABELS)
    with pytest.raises(UserError, match="lie in one folder"):
        match_truth(flat, "folders")


def test_a_source_whose_classes_are_all_empty_carries_no_truth(tmp_path):
    run = write_run(tmp_path / "run", tmp_path, PATHS, LABELS, truth=[""] * 20)
    assert run.truth is None and score_run(run, None)["accuracy"] is None
