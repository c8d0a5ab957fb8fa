"""The text of reports and scores: what a person reads at the end of a command."""

from pathlib import Path

import pytest

from selflabel.cli.wording import browse_line, degraded_lines, probe_lines, report_lines, score_lines
from selflabel.jobs.degrade import Row

REPORT = {
    "n_items": 1200,
    "n_skipped": 0,
    "n_clusters": 3,
    "clusters_chosen_by": "the user",
    "sizes": [300, 500, 400],
    "mass": "free",
    "signs": {"agreement": 0.9, "stability": 0.8},
    "median_confidence": 0.95,
    "estimated_accuracy": {"value": 0.9, "low": 0.8, "high": 1.0},
    "seconds": {"prepare": 1.0, "train": 2.0},
    "collapsed": False,
}


def test_the_summary_says_sizes_in_words_and_the_next_commands(tmp_path):
    text = report_lines(REPORT, tmp_path)
    assert "size target:    none, sizes were free" in text and "1,200" in text and "500, 400, 300" in text
    assert "0.90 (0.80 to 1.00), estimated without truth" in text and "skipped" not in text and "Warning" not in text
    assert f"selflabel browse {tmp_path}" in text and "--truth TRUTH.csv" in text
    (tmp_path / "truth.csv").write_text("path,label\n")
    assert "--truth" not in report_lines(REPORT, tmp_path)


def test_skipped_items_collapse_and_missing_estimates_are_said(tmp_path):
    text = report_lines(REPORT | {"n_skipped": 4, "collapsed": True, "estimated_accuracy": None}, tmp_path)
    assert "4 skipped, see skipped.csv" in text and "One cluster holds 42% of the items" in text and "--mass uniform" in text
    assert "est. accuracy:  cannot be estimated, because this method has one head" in text
    assert "18, and 17 of 17 to 1" in report_lines(REPORT | {"sizes": list(range(1, 30))}, tmp_path)


COLLAPSED = REPORT | {"sizes": [60, 0, 0], "collapsed": True, "estimated_accuracy": None, "no_estimate": "all in one"}


def test_a_total_collapse_says_what_happened_and_what_to_try(tmp_path):
    text = report_lines(COLLAPSED | {"modalities": {"image": "photo"}}, tmp_path)
    assert (
        "clusters found: 1 of 3" in text
        and "est. accuracy:  cannot be estimated, because all in one" in text
        and "head agreement" not in text
    )
    assert "Every photo got the same label" in text and "try more --epochs" in text
    text = report_lines(COLLAPSED | {"features_equal": True}, tmp_path)
    assert "The features of all items are equal" in text and "if they differ" in text


@pytest.mark.parametrize(
    ("kinds", "words"),
    [
        ({"image": "photo"}, ("1 photo\n", "MORE_PHOTOS")),
        ({"audio": "spoken"}, ("1 sound\n", "MORE_SOUNDS")),
        ({"video": "video", "audio": "sound"}, ("1 film\n", "MORE_FILMS")),
        ({"image": "features"}, ("1 item\n", "MORE_FEATURES.npy")),
        ({}, ("1 item\n", "MORE_ITEMS")),  # the report of an older version
    ],
)
def test_the_summary_speaks_of_what_was_labelled(tmp_path, kinds, words):
    text = report_lines(REPORT | {"n_items": 1, "modalities": kinds}, tmp_path)
    assert all(word in text for word in words)


def test_boxes_are_counted_as_boxes(tmp_path):
    boxes = {"modalities": {"image": "photo"}, "piece": "box"}
    assert "1,200 boxes\n" in report_lines(REPORT | boxes, tmp_path)
    assert "of the boxes, and" in report_lines(REPORT | boxes | {"collapsed": True}, tmp_path)
    assert "1 box\n" in report_lines(REPORT | boxes | {"n_items": 1}, tmp_path)


def test_items_without_truth_are_counted_and_how_to_give_it_is_said():
    assert "15 of 30 items have a truth" in score_lines({"n_items": 15, "accuracy": 1.0, "n_without_truth": 15})
    assert "--truth FILE.csv" in score_lines({"n_items": 15, "accuracy": None}) and "--truth folders" in score_lines(
        {"accuracy": None}
    )
    assert "--truth" not in score_lines({"accuracy": 0.5})


def test_empty_clusters_are_counted_and_commands_are_quoted(tmp_path):
    text = report_lines(REPORT | {"sizes": [900, 300, 0]}, tmp_path / "my run")
    assert "clusters found: 2 of 3" in text and "900, 300\n" in text
    asked = report_lines(REPORT | {"sizes": [900, 300, 0], "clusters_requested": 3}, tmp_path)
    assert "Only 2 of the 3 clusters asked for have items" in asked and "Only" not in text
    assert f"selflabel score '{tmp_path}/my run'" in text and f"selflabel predict '{tmp_path}/my run'" in text
    assert "mass error of 0.2, so sizes are not as asked for: ask for fewer" in report_lines(
        REPORT | {"converged": False, "mass_error": 0.2}, tmp_path
    )
    assert "head agreement" in text and "head agreement" not in report_lines(REPORT | {"estimated_accuracy": None}, tmp_path)


def test_scores_without_truth_say_so():
    text = score_lines({"n_items": 1234, "accuracy": None, "nmi": 0.51234})
    assert "1,234" in text and "no truth" in text and "0.5123" in text


def test_levels_and_probes_have_a_line_each():
    rows = [Row("as it is", "", 0.9, 0.8, 0.7, 0.6), Row("dropped", "50%", 0.5, 0.4)]
    first, second = degraded_lines(rows, "audio").splitlines()
    assert "audio only: NMI 0.700" in first and "only" not in second and "dropped 50%" in second
    scores = {
        "knn": 0.5,
        "linear": 0.6,
        "few": {1: 0.1},
        "recall": {5: 0.9},
        "fine-tuned": {"from the run": 0.8, "from nothing": 0.7},
    }
    assert len(probe_lines(scores).splitlines()) == 6 and "fine-tuned from nothing" in probe_lines(scores)


@pytest.mark.parametrize(("folder", "quoted"), [("runs/a", "runs/a"), ("my runs/a", "'my runs/a'")])
def test_a_command_is_quoted_for_the_shell(folder, quoted):
    assert browse_line(Path(folder)) == f"selflabel browse {quoted}"
