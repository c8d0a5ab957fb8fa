"""The models by which accuracies are estimated; written by `python -m reproduce.estimate`, not by hand."""

from __future__ import annotations

from selflabel.evaluation.estimate import AccuracyModel

MODELS = {
    "sela-nn, features": AccuracyModel(
        indicators=("support", "confidence"),
        weights=(-0.8522, 0.6947, 0.4165),
        lowest=(0.207, 0.491),
        band=1.946,
        highest=0.963,
        items=278,
        items_per_cluster=13,
    ),
    "sela-nn, views": AccuracyModel(
        indicators=("support", "stability"),
        weights=(-1.6076, 0.3022, 1.0739),
        lowest=(0.671, 0.543),
        band=1.152,
        highest=0.99,
        items=250,
        items_per_cluster=25,
    ),
}


def model_of(method: str, has_views: bool) -> AccuracyModel | None:
    """The model of a run's group; None where none held often enough on kinds of data that were left out.

    Args:
        method: its name.
        has_views: whether a network was trained on changed views of the items; False where features were given or frozen.
    """
    shown = "views" if has_views else "features"
    return MODELS.get(f"{method}, {shown}", MODELS.get(f"others, {shown}"))
