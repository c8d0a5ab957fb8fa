"""The map's window and lasso against plain comparisons, and the computation of the map in a process of its own."""

import numpy as np
import pytest

from selflabel.gallery.map_layout import (
    CELLS,
    MAX_POINTS,
    MapLayout,
    cluster_places,
    encode_window,
    evenly_spaced,
    read_positions,
    rows_in_polygon,
)


def test_the_map_is_computed_once_and_kept_in_the_run(picture_run):
    run = picture_run(each=8)
    layout = MapLayout(run.folder, 48)
    assert not layout.ready() and not layout.ready()  # the second call starts no second process
    assert layout.worker.wait(120) == 0
    assert layout.ready() and not layout.error
    layout.follower.join(20)
    assert layout.progress() == {"share": 0.05, "step": "finding neighbours"}  # so few items are not laid out by UMAP
    assert (np.load(run.folder / "map.npy") == layout.positions).all() and layout.positions.shape == (48, 2)
    again = MapLayout(run.folder, 48)
    assert again.ready() and again.worker is None


def test_a_map_that_cannot_be_computed_says_why(picture_run):
    run = picture_run(each=8)
    (run.folder / "features.npy").write_bytes(b"no array")
    layout = MapLayout(run.folder, 48)
    assert not layout.ready()
    assert layout.worker.wait(120) != 0
    assert not layout.ready() and "Error" in layout.error


def test_a_map_of_other_items_or_a_broken_one_is_not_used(tmp_path):
    np.save(tmp_path / "map.npy", np.zeros((48, 2), np.float32))
    assert read_positions(tmp_path / "map.npy", 48) is not None
    assert read_positions(tmp_path / "map.npy", 47) is None
    (tmp_path / "map.npy").write_bytes(b"no array")
    assert read_positions(tmp_path / "map.npy", 48) is None


def test_closing_ends_the_computation(picture_run):
    layout = MapLayout(picture_run(each=8).folder, 48)
    layout.ready()
    layout.close()
    assert layout.worker.poll() is not None


def decode(data):
    inside, n, cells = np.frombuffer(data, "<u4", 3)
    x, y = np.frombuffer(data, "<f4", 2 * n, 12).reshape(2, n)
    row, label = np.frombuffer(data, "<i4", 2 * n, 12 + 8 * n).reshape(2, n)
    light = np.frombuffer(data, np.uint8, cells * cells, 12 + 16 * n)
    return inside, x, y, row, label, light


def test_a_window_shows_the_items_in_it():
    rng = np.random.default_rng(0)
    positions, labels = rng.random((5000, 2), np.float32), rng.integers(-1, 5, 5000)
    inside, x, y, row, label, light = decode(encode_window(positions, labels, (0.2, 0.3, 0.6, 0.9)))
    true = np.flatnonzero(((positions >= (0.2, 0.3)) & (positions <= (0.6, 0.9))).all(axis=1))
    assert inside == len(true) and set(row) == set(true) and (label == labels[row]).all() and len(light) == 0
    assert (np.stack([x, y], axis=1) == positions[row]).all()


def test_a_crowded_window_shows_a_sample_of_points_and_the_density_of_all_items():
    rng = np.random.default_rng(0)
    positions = rng.random((MAX_POINTS * 3, 2), np.float32) * [0.5, 1]
    positions = positions.astype(np.float32)
    inside, x, _, row, _, light = decode(encode_window(positions, np.zeros(len(positions), int), (0, 0, 1, 1)))
    light = light.reshape(CELLS, CELLS)
    assert inside == len(positions) and len(row) == MAX_POINTS == len(set(row)) and x.max() <= 0.5
    assert (light[:, : CELLS // 2] > 0).mean() > 0.8 and (light[:, CELLS // 2 + 1 :] == 0).all()


def test_a_cluster_is_named_where_most_of_its_items_are_and_not_between_its_groups(editable):
    positions = np.full((180, 2), 0.5, np.float32)
    positions[:18], positions[18:30] = (0.1, 0.2), (0.9, 0.2)  # cluster 0, in two groups
    places = {place["id"]: (place["x"], place["y"]) for place in cluster_places(positions, editable.state)}
    assert places[0] == pytest.approx((0.1, 0.2), abs=1e-4) and places[5] == (0.5, 0.5) and next(iter(places)) == 2
    editable.add_edit({"do": "merge", "clusters": [0, 1], "into": 1})
    assert 0 not in [place["id"] for place in cluster_places(positions, editable.state)]


def test_a_lasso_holds_the_items_inside_its_line():
    positions = np.random.default_rng(0).random((20_000, 2)).astype(np.float32)
    selected = set(rows_in_polygon(positions, [(0.2, 0.2), (0.8, 0.2), (0.5, 0.8)]).tolist())
    x, y = positions.T
    inner = (y > 0.205) & (y < 0.2 + 2 * (x - 0.2) - 0.01) & (y < 0.2 + 2 * (0.8 - x) - 0.01)
    outer = (y < 0.195) | (y > 0.2 + 2 * (x - 0.2) + 0.01) | (y > 0.2 + 2 * (0.8 - x) + 0.01)
    assert set(np.flatnonzero(inner)) <= selected and not selected & set(np.flatnonzero(outer))


def test_points_of_a_window_come_sorted_by_label():
    labels = np.random.default_rng(0).integers(-1, 5, 500)
    *_, label, _ = decode(encode_window(np.full((500, 2), 0.5, np.float32), labels, (0, 0, 1, 1)))
    assert label.tolist() == sorted(labels.tolist())


def test_a_sample_is_spread_over_all_items():
    assert evenly_spaced(3, 5).tolist() == [0, 1, 2]
    sample = evenly_spaced(1000, 7)
    assert len(set(sample.tolist())) == 7 and sample[0] == 0 and np.ptp(np.diff(sample)) <= 1
