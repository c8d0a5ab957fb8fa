import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.estimator_checks import parametrize_with_checks

from selflabel import SelfLabeler
from selflabel.evaluation.metrics import accuracy
from tests.films import write_set


@parametrize_with_checks([SelfLabeler(n_clusters=3, epochs=2, options={"heads": 2})])
def test_scikit_learns_checks_pass(estimator, check):
    check(estimator)


@pytest.mark.slow
def test_images_fit_predict_and_transform(signs):
    x, truth = signs(160)
    model = SelfLabeler(n_clusters=2, random_state=0, epochs=16).fit(x[:120])
    assert accuracy(truth[:120], model.labels_) > 0.95
    assert accuracy(truth[120:], model.predict(x[120:])) > 0.85
    assert model.predict_proba(x[120:]).sum(axis=1) == pytest.approx(np.ones(40), abs=1e-5)
    assert model.transform(x[120:]).shape[0] == 40 and model.n_clusters_ == model.report_["n_clusters"] == 2


def test_a_path_is_labelled_too(sign_folder):
    model = SelfLabeler(n_clusters=2, epochs=3).fit(str(sign_folder))
    assert len(model.labels_) == 120
    assert len(model.predict(str(sign_folder))) == 120


@pytest.mark.slow
def test_a_plain_script_labels_films(tmp_path):
    """Its decoding processes do not run it again, whatever its first lines do."""
    write_set(tmp_path / "films", n=8, seconds=0.6)
    script = tmp_path / "script.py"
    script.write_text(
        "from selflabel import SelfLabeler\n"
        f"labels = SelfLabeler(n_clusters=2, epochs=1, random_state=0, device='cpu').fit({str(tmp_path / 'films')!r}).labels_\n"
        "print(len(labels), __file__)\n"
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=120)
    assert done.stdout.split() == ["8", str(script)], done.stderr[-2000:]


@pytest.fixture
def blobs_and_junk():
    """(330, 8) features: three groups of 100, then 30 rows that are in none."""
    rng = np.random.default_rng(0)
    groups = 6 * np.eye(8)[np.repeat(np.arange(3), 100)] + rng.normal(0, 0.3, (300, 8))
    return np.concatenate([groups, rng.normal(0, 9, (30, 8))]).astype(np.float32)


def test_outliers_are_found_among_the_fitted_items_and_among_unseen_ones(blobs_and_junk):
    model = SelfLabeler(n_clusters=3, method="kmeans", outliers=0.1).fit(blobs_and_junk)
    assert model.outliers_.dtype == bool and model.outliers_.sum() == 33 and model.outliers_[300:].all()
    assert sum(model.report_["sizes"]) == 297 and len(model.labels_) == 330
    unseen = np.concatenate([blobs_and_junk[:3], -50 * np.ones((3, 8))])
    assert model.predict_outliers(unseen).tolist() == [False] * 3 + [True] * 3
    assert SelfLabeler(n_clusters=3, method="kmeans").fit(blobs_and_junk).outliers_ is None


def test_labels_of_features_are_of_the_files_that_are_named_and_what_has_none_is_said(blobs_and_junk, tmp_path):
    files = [tmp_path / f"{i:03d}.png" for i in range(len(blobs_and_junk))]
    for file in files:
        file.write_bytes(b"")
    assert SelfLabeler(3, method="kmeans").fit(blobs_and_junk, items=files).paths_ == [str(file) for file in files]
    blobs_and_junk[4] = np.nan
    np.save(tmp_path / "x.npy", blobs_and_junk)
    with pytest.warns(UserWarning, match=r"1 of 330 items .* 004\.png: a value is NaN or infinite"):
        model = SelfLabeler(3, method="kmeans").fit(tmp_path / "x.npy", items=tmp_path)
    assert model.paths_[3:5] == ["003.png", "005.png"] and model.skipped_ == [("004.png", "a value is NaN or infinite")]
    with pytest.warns(UserWarning, match="have no row; the first, row:000004"):
        assert len(model.predict(tmp_path / "x.npy")) == 329


def test_options_are_settings_too_except_those_with_a_parameter_of_their_own(signs):
    model = SelfLabeler(2, method="kmeans", options={"px": 8, "starts": 2}).fit(signs(40)[0])
    assert model._model.modalities["image"].px == 8
    with pytest.raises(ValueError, match="SelfLabeler has a parameter for it, n_clusters"):
        SelfLabeler(2, options={"clusters": 3}).fit(signs(40)[0])


def test_a_collapse_is_a_warning_and_in_the_report():
    with pytest.warns(ConvergenceWarning, match="1 of 3 clusters found"):
        model = SelfLabeler(n_clusters=3, epochs=2, random_state=0).fit(np.ones((60, 8)))
    assert model.report_["clusters_found"] == 1 and model.report_["estimated_accuracy"] is None


def test_probabilities_sum_to_one_where_a_label_has_no_items():
    x = np.random.default_rng(0).normal(size=(60, 8)).astype(np.float32)
    labeler = SelfLabeler(3, epochs=1, device="cpu").fit(x)
    labeler._model = replace(labeler._model, in_use=np.array([0, 2, 7]))  # 7 is of a damaged table
    probabilities = labeler.predict_proba(x)
    assert np.allclose(probabilities.sum(axis=1), 1) and (probabilities[:, 1] == 0).all() and 1 not in labeler.predict(x)
    labeler._model = replace(labeler._model, in_use=np.array([], np.int64))
    assert np.allclose(labeler.predict_proba(x).sum(axis=1), 1)
