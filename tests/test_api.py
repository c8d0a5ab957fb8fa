import subprocess
import sys

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


def test_a_collapse_is_a_warning_and_in_the_report():
    with pytest.warns(ConvergenceWarning, match="1 of 3 clusters found"):
        model = SelfLabeler(n_clusters=3, epochs=2, random_state=0).fit(np.ones((60, 8)))
    assert model.report_["clusters_found"] == 1 and model.report_["estimated_accuracy"] is None
