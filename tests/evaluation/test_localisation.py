import io
from contextlib import redirect_stdout

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from selflabel.evaluation.localisation import average_precision, corloc, f_measures, mask_scores, pixel_accuracy


def test_masks_are_scored_by_the_plain_formulas():
    found = np.array([[1, 1, 0], [0, 0, 0]], bool)
    truth = np.array([[1, 0, 0], [1, 0, 0]], bool)
    scores = mask_scores([found.astype(float)], [truth])
    assert scores["iou"] == pytest.approx(1 / 3) and scores["accuracy"] == pixel_accuracy(found, truth) == pytest.approx(4 / 6)
    assert scores["maxF"] == pytest.approx(1.3 * 0.5 * 0.5 / (0.3 * 0.5 + 0.5))  # precision and recall are both 1/2


@given(st.integers(0, 2**31))
@settings(deadline=None, max_examples=20)
def test_f_at_every_threshold_is_that_of_the_pixels_above_it(seed):
    rng = np.random.default_rng(seed)
    soft, truth = rng.integers(0, 256, (8, 8)) / 255, rng.random((8, 8)) < 0.4
    curve = f_measures(soft, truth)
    for level in (0, 1, 100, 254, 255):
        inside = soft >= level / 255 - 1e-9
        hit = (inside & truth).sum()
        precision, recall = hit / max(1, inside.sum()), hit / max(1, truth.sum())
        expected = 1.3 * precision * recall / (0.3 * precision + recall) if hit else 0.0
        assert curve[level] == pytest.approx(expected)


def test_corloc_counts_photos_whose_box_meets_any_true_one_and_photos_without_a_box_as_missed():
    truth = [np.array([[0, 0, 4, 4], [6, 6, 9, 9.0]])] * 3
    assert corloc([np.array([6, 6, 9, 9.0]), np.array([2, 2, 8, 8.0]), None], truth) == pytest.approx(1 / 3)


def coco_ap50(founds, scores, truths):
    """pycocotools on the same boxes."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    def xywh(b):
        return [float(b[0]), float(b[1]), float(b[2] - b[0]), float(b[3] - b[1])]

    marks = [(i, b) for i, t in enumerate(truths) for b in t]
    truth = COCO()
    truth.dataset = {
        "images": [{"id": i} for i in range(len(truths))],
        "categories": [{"id": 1}],
        "annotations": [
            {"id": n, "image_id": i, "category_id": 1, "bbox": xywh(b), "area": 1.0, "iscrowd": 0}
            for n, (i, b) in enumerate(marks, 1)
        ],
    }
    with redirect_stdout(io.StringIO()):
        truth.createIndex()
        rows = [
            {"image_id": i, "category_id": 1, "bbox": xywh(b), "score": float(s)}
            for i, (bs, ss) in enumerate(zip(founds, scores))
            for b, s in zip(bs, ss)
        ]
        evaluation = COCOeval(truth, truth.loadRes(rows), "bbox")
        evaluation.params.iouThrs, evaluation.params.areaRng = np.array([0.5]), [[0, 1e10]]
        evaluation.params.areaRngLbl = ["all"]
        evaluation.evaluate()
        evaluation.accumulate()
    precision = evaluation.eval["precision"][0, :, 0, 0, -1]
    return float(precision.mean())


def test_average_precision_is_that_of_pycocotools():
    rng = np.random.default_rng(0)

    def boxes(n):
        corner = rng.integers(0, 20, (n, 2))
        return np.concatenate([corner, corner + rng.integers(3, 15, (n, 2))], axis=1).astype(float)

    for _ in range(5):
        truths = [boxes(rng.integers(1, 4)) for _ in range(8)]
        founds = [np.concatenate([t + rng.integers(-2, 3, t.shape), boxes(2)]) for t in truths]
        scores = [rng.permutation(1000)[: len(f)] / 1000 for f in founds]
        assert average_precision(founds, scores, truths) == pytest.approx(coco_ap50(founds, scores, truths), abs=1e-9)
    assert average_precision([np.zeros((0, 4))], [np.zeros(0)], [boxes(2)]) == 0.0
