"""yolo: train/ and val/, read by torchvision's ImageFolder, which Ultralytics reads classes with."""

from torchvision.datasets import ImageFolder

from selflabel.exports import export
from tests.exports.conftest import LABELS, write_photos
from tests.run_folders import write_run


def counts(out):
    """Items of each class, for training and for validation."""
    read = [ImageFolder(out / split, allow_empty=True) for split in ("train", "val")]
    assert read[0].class_to_idx == read[1].class_to_idx
    return [[r.targets.count(i) for i in range(len(r.classes))] for r in read]


def test_a_tenth_of_every_class_is_for_validation_and_both_know_the_same_classes(photos, tmp_path):
    assert counts(export(photos, "yolo", tmp_path / "out").place) == [[9, 9, 9, 9], [1, 1, 1, 1]]


def test_small_classes_and_edits(edited, tmp_path):
    assert counts(export(edited, "yolo", tmp_path / "out").place) == [[9, 8, 18], [1, 1, 1]]


def test_a_class_of_one_item_trains_and_one_of_two_validates(tmp_path):
    paths = write_photos(tmp_path / "photos")
    labels = LABELS * 0
    labels[[3, 8, 9]] = 1, 2, 2
    run = write_run(tmp_path / "run", tmp_path / "photos", paths, labels)
    assert counts(export(run, "yolo", tmp_path / "out").place) == [[34, 1, 1], [3, 0, 1]]
